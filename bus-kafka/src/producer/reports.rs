//! The thread that reads a producer's reports.

use super::{Destination, GRACE, LATE, Shared};
use crate::{
    events,
    native::{Code, Event, Kind, Report, reason},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// How often destinations are looked at while some batch waits for metadata, and otherwise.
const BUSY: Duration = Duration::from_millis(25);
const IDLE: Duration = Duration::from_millis(500);
/// What it is called in the log.
const CLIENT: &str = "producer";

pub(super) fn run(shared: &Shared) {
    let mut interval = IDLE;
    let mut due = Instant::now();
    let (mut end, mut told) = (None, false);
    loop {
        let now = Instant::now();
        if now >= due {
            interval = if tick(shared, now) { BUSY } else { IDLE };
            due = now + interval;
        }
        if shared.dead.load(Ordering::Acquire) {
            interval = BUSY;
            give_up(shared, now, &mut end, &mut told);
        }
        if shared.stop.load(Ordering::Acquire) && shared.in_flight.load(Ordering::Acquire) == 0 {
            break;
        }
        let event = shared
            .queue
            .poll(interval.min(due.saturating_duration_since(now)));
        while let Some(line) = shared.client.line() {
            events::line(&line, CLIENT, &shared.health);
        }
        if let Some(event) = event {
            handle(shared, &event);
        }
    }
    // Destinations hold topic handles, which hold the client.
    shared.destinations.lock().clear();
    let _ = shared.lookups.send(None);
}

fn tick(shared: &Shared, now: Instant) -> bool {
    let all: Vec<Arc<Destination>> = shared.destinations.lock().values().cloned().collect();
    let mut waits = false;
    let dead = shared.dead.load(Ordering::Acquire);
    for destination in all {
        waits |= destination.tick(shared, now);
        if dead {
            destination.give_up(shared);
        } else if shared.one_epoch && destination.deadlines.any_over() {
            let why = format!(
                "a message to `{}` had no answer within {:?}",
                destination.name, shared.deadline
            );
            shared.client.fail(&why);
        }
    }
    waits
}

/// Ends what a producer that failed still has. What is sent is waited for a moment: its outcome is known then.
fn give_up(shared: &Shared, now: Instant, end: &mut Option<Instant>, told: &mut bool) {
    let grace = if shared.one_epoch { GRACE } else { Duration::ZERO };
    let end = *end.get_or_insert(now + grace);
    if shared.in_flight.load(Ordering::Acquire) > 0 {
        if shared.one_epoch && now >= end && !std::mem::replace(told, true) {
            // Nobody has answered, and the connection is still there. Nothing is sent any more, so this is said once.
            shared.may_arrive(LATE);
        }
        // Again and again: what was under way and has no answer waits in the queue then, to be sent again.
        shared.client.purge(now >= end);
    }
}

fn handle(shared: &Shared, event: &Event<'_>) {
    match event.kind() {
        Kind::Deliveries => deliveries(shared, event),
        _ => {
            if let Some(fatal) = events::common(event, CLIENT, &shared.health) {
                tracing::error!(
                    target: "bus::kafka",
                    "the producer failed for good and is replaced: {}", reason(&fatal.text)
                );
                shared.dead.store(true, Ordering::Release);
            }
        }
    }
}

fn deliveries(shared: &Shared, event: &Event<'_>) {
    let mut run: Option<(Arc<Destination>, usize)> = None;
    let mut total = 0;
    let (mut stored, mut unknown) = (false, false);
    let mut broken: Vec<Arc<Destination>> = Vec::new();
    let mut proved: Vec<(Arc<Destination>, u32, bool)> = Vec::new();
    event.deliver(|destination, partition, report| {
        total += 1;
        if destination.probing.load(Ordering::Acquire)
            && !proved
                .iter()
                .any(|(d, p, _)| *p == partition && Arc::ptr_eq(d, destination))
        {
            let stored = matches!(report, Report::Stored { .. });
            proved.push((destination.clone(), partition, stored));
        }
        match &mut run {
            Some((same, count)) if Arc::ptr_eq(same, destination) => *count += 1,
            _ => {
                if let Some((last, count)) = run.replace((destination.clone(), 1)) {
                    last.in_flight.fetch_sub(count, Ordering::AcqRel);
                }
            }
        }
        match report {
            Report::Failed { code, maybe } => {
                unknown |= maybe;
                // Before its caller is told.
                shared.nothing_behind(&destination.name);
                failed(shared, destination, code, &mut broken);
            }
            _ => stored = true,
        }
    });
    if let Some((last, count)) = run {
        last.in_flight.fetch_sub(count, Ordering::AcqRel);
    }
    for (destination, partition, stored) in proved {
        destination.proved(shared, partition, stored);
    }
    if stored {
        shared.health.up();
    }
    // Fail-stop: what is queued behind a failed message must not be stored after it was reported as failed.
    // librdkafka can only purge all its queues, so neighbours fail too, as not stored; it happens when a deadline
    // passed or a broker refused a record, and only if something is behind it.
    if broken.iter().any(|d| d.in_flight.load(Ordering::Acquire) > 0) {
        if shared.one_epoch {
            shared
                .client
                .fail("a message failed, and what is behind it must not be stored");
        } else {
            shared.client.purge(false);
        }
    }
    if unknown {
        shared.may_arrive(GRACE);
    }
    shared.reported(total);
}

fn failed(shared: &Shared, destination: &Arc<Destination>, code: Code, broken: &mut Vec<Arc<Destination>>) {
    match code {
        Code::PURGE_QUEUE | Code::PURGE_INFLIGHT => {}
        // The whole topic fails in the same way, message by message.
        Code::UNKNOWN_TOPIC_OR_PART | Code::UNKNOWN_TOPIC_LOCAL | Code::UNKNOWN_PARTITION_LOCAL => {
            destination.gone()
        }
        Code::TOPIC_AUTHORIZATION => shared.denied.add(&destination.name),
        Code::CLUSTER_AUTHORIZATION => {}
        _ => {
            if !broken.iter().any(|d| Arc::ptr_eq(d, destination)) {
                broken.push(destination.clone());
            }
        }
    }
}
