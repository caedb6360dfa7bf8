//! One turn of the pump: events in, work out.

use super::{
    CLOSE_FAILED, GIVE_UP, Pump, Running, Waits,
    settling::{commit, release},
};
use crate::{Error, Event, Result, Shard, flow::Flow, shared::now};
use std::time::Duration;
use tokio::time::Instant;

impl Pump {
    pub(super) fn drain(&self, running: &mut Running, grace: Duration) {
        if running.give_up.is_none() {
            running.give_up = Some(Instant::now() + grace + GIVE_UP);
            let mut core = self.shared.core.lock();
            core.flow.step(now());
            core.flow.drain(now().mono + grace);
        }
    }

    /// Nothing is handed out any more; what is settled is stored if that still works.
    pub(super) fn fail(&self, running: &mut Running, error: Error) {
        if running.failure.is_none() {
            tracing::error!(%error, topics = ?self.shared.topics, "the subscription ends");
            for (_, reply) in running.flushes.drain(..) {
                let _ = reply.send(Err(error.duplicate()));
            }
            running.failure = Some(error);
            let limit = Instant::now() + CLOSE_FAILED;
            running.give_up = Some(running.give_up.map_or(limit, |at| at.min(limit)));
            let mut core = self.shared.core.lock();
            core.flow.step(now());
            core.flow.drain(now().mono);
        }
    }

    /// A topic that a pattern has found since the beginning has dead letters of its own.
    fn learn(&self, flow: &mut Flow, topic: u32) {
        if flow.knows_topic(topic) {
            return;
        }
        if let Some(found) = self.shared.topics.get(topic) {
            flow.set_dead_letter(topic, found.dead_letter.clone());
        }
    }

    /// A commit was answered.
    pub(super) fn committed(&self, running: &mut Running, results: Vec<(Shard, Result<()>)>) {
        running.commit = None;
        let mut core = self.shared.core.lock();
        for (shard, result) in results {
            core.flow.committed(shard, result);
        }
        drop(core);
        // A refused commit takes its shard's handlers down.
        self.shared.lost.notify_waiters();
    }

    /// One step under one lock: events in, work out. `None`: drained.
    pub(super) fn work(&mut self, running: &mut Running, events: &mut Vec<Event>) -> Option<Waits> {
        let now = now();
        for event in events.iter() {
            self.tell(event);
            if let Event::SeekFailed(shard) = event {
                self.seek_failed(running, *shard);
            }
        }
        let mut core = self.shared.core.lock();
        let lost = events
            .iter()
            .any(|e| matches!(e, Event::Lost(_) | Event::Losing { .. }));
        for event in events.drain(..) {
            let gained = match &event {
                Event::Gained { shard, .. } => Some(*shard),
                _ => None,
            };
            if let Event::Gained { shard, .. } = &event {
                self.learn(&mut core.flow, shard.topic);
            }
            core.flow.input(event, now);
            // Only now, because it must be known to be held back.
            if let Some(shard) = gained.filter(|_| self.notices.is_on()) {
                core.flow.hold_back(shard);
            }
        }
        let (work, room) = self.shared.turn(&mut core, now);
        if let Some(error) = core.flow.take_failure() {
            drop(core);
            self.fail(running, error);
            core = self.shared.core.lock();
        }
        let failed = running.failure.is_some();
        if !failed && core.flow.is_caught_up() {
            for reply in running.caught_up.drain(..) {
                let _ = reply.send(Ok(()));
            }
        }
        let finished = core.flow.is_finished() && running.give_up.is_none() && !failed;
        for (_, reply) in running
            .flushes
            .extract_if(.., |(ticket, _)| !failed && core.flow.is_flushed(*ticket))
        {
            let _ = reply.send(Ok(()));
        }
        let drained = running.give_up.is_some()
            && core.flow.is_drained(now)
            && running.commit.is_none()
            && work.commits.is_empty();
        let deadline = core.flow.deadline().map(Instant::from_std);
        let busy = core.flow.in_flight() > 0 || !core.flow.is_stored();
        drop(core);
        if finished {
            // The range is read and settled: an observer has nothing to store, so it is over.
            self.drain(running, Duration::ZERO);
            // The next turn sees that nothing is left.
            self.shared.pump.notify_one();
        }
        if lost || !work.release.is_empty() {
            self.shared.lost.notify_waiters();
        }
        for (shard, paused) in work.pause {
            self.subscriber.pause(shard, paused);
        }
        if !work.commits.is_empty() {
            running.commit = Some(Box::pin(commit(
                self.ack.clone(),
                work.commits,
                self.shared.clone(),
            )));
        }
        running.releases.extend(
            work.release
                .into_iter()
                .map(|shard| release(self.ack.clone(), shard)),
        );
        if !drained && running.give_up.is_some_and(|at| Instant::now() >= at) {
            tracing::warn!("the last commit took too long and was given up: its messages come again");
            return None;
        }
        (!drained).then_some(Waits { room, deadline, busy })
    }
}
