//! Handling messages, with each written down when it comes, and again before it is settled.

use super::{
    Consume, Life, Spec,
    habit::{Habit, mended},
};
use crate::{
    payload,
    record::{self, Entry, Recorder},
};
use bus::{Bus, Bytes, Delivery, LossPolicy, Message, Notice, Raw, Retry, Topic};
use bus_core::conformance::Failure;
use bus_proxy::Rng;
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How long handlers may go on after SIGTERM.
const GRACE: Duration = Duration::from_secs(30);
/// The wait of a failed message: short, so that a key is not blocked for a whole test.
const AGAIN: Duration = Duration::from_millis(50);

struct Hands {
    role: Consume,
    recorder: Arc<Recorder>,
    rng: Mutex<Rng>,
    /// Where the test's records lie.
    dir: PathBuf,
}

pub(crate) async fn consume(
    bus: &Bus,
    spec: &Spec,
    role: Consume,
    recorder: Arc<Recorder>,
    life: &Life,
) -> Result<(), Failure> {
    let topic: Topic<Bytes, Raw> = Topic::named(role.topic.clone());
    let retry = Retry::fixed(AGAIN);
    let mut subscribe = bus.subscribe(&topic, &role.group).in_flight(role.in_flight);
    subscribe = match role.attempts {
        Some(attempts) => subscribe.retry(retry.max_retries(attempts.saturating_sub(1))),
        None => subscribe.retry(retry.forever()).no_dead_letters(),
    };
    if role.go_on {
        subscribe = subscribe.on_data_loss(LossPolicy::GoOn);
    }
    if role.exactly_once {
        subscribe = subscribe.exactly_once();
    }
    let noted = recorder.clone();
    subscribe = subscribe.on_notice(move |notice| {
        match notice {
            Notice::Gained { partition, .. } => drop(noted.write(Entry::Gained { partition })),
            Notice::DataLoss { partition, .. } => drop(noted.write(Entry::Loss { partition })),
            _ => {}
        }
        std::future::ready(())
    });
    let subscription = tokio::select! {
        subscription = subscribe => subscription.map_err(|e| Failure::new(format_args!("subscribing: {e}")))?,
        () = life.stopped() => return Ok(()),
    };
    let control = subscription.control();
    life.lives_by(control.clone());
    recorder.write(Entry::Note {
        text: "joined".into(),
    });
    let handlers = role.handlers;
    let hands = Arc::new(Hands {
        role,
        recorder: recorder.clone(),
        rng: Mutex::new(Rng::new(spec.seed)),
        dir: spec.record.parent().map(Path::to_owned).unwrap_or_default(),
    });
    let running = subscription.for_each(handlers, move |delivery| handle(hands.clone(), delivery));
    tokio::pin!(running);
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = life.stopped() => {
            let (drained, ended) = tokio::join!(control.drain(GRACE), &mut running);
            drained.and(ended)
        }
    };
    ended.map_err(|e| Failure::new(format_args!("the subscription ended: {e:?}")))?;
    bus.close()
        .await
        .map_err(|e| Failure::new(format_args!("closing: {e}")))?;
    recorder.write(Entry::Note {
        text: "closed".into(),
    });
    Ok(())
}

async fn handle(hands: Arc<Hands>, delivery: Delivery<Bytes>) {
    let (role, recorder) = (&hands.role, &hands.recorder);
    let id = match payload::decode(delivery.value()) {
        Ok(id) if delivery.key() == Some(payload::key(id).as_bytes()) => id.to_owned(),
        Ok(id) => {
            return garbage(
                recorder,
                format!("{id} with the key {:?}", delivery.key()),
                delivery,
            );
        }
        Err(error) => return garbage(recorder, error.to_string(), delivery),
    };
    recorder.write(Entry::Got {
        id: id.clone(),
        partition: delivery.partition(),
        position: delivery.position().to_string(),
        attempt: delivery.attempt(),
    });
    let mut out = Out {
        recorder,
        id: &id,
        settled: false,
    };
    let first = delivery.attempt() == 1;
    let habit = Habit::of(&id);
    let work = match habit {
        Habit::Slow(time) if first => time,
        _ => Duration::from_millis(hands.rng.lock().within(&(role.work.0..=role.work.1))),
    };
    if !work.is_zero() {
        tokio::time::sleep(work).await;
    }
    match habit {
        Habit::Abort(times) if count(&hands.dir, &id) <= times => std::process::abort(),
        Habit::Poison => {
            out.write(Entry::Nacked {
                id: id.clone(),
                until: record::now() + AGAIN.as_nanos() as u64,
            });
            delivery.fail("poison");
        }
        Habit::Mend(number) if !mended(&hands.dir, number).exists() => {
            out.write(Entry::Nacked {
                id: id.clone(),
                until: record::now() + AGAIN.as_nanos() as u64,
            });
            delivery.nack();
        }
        Habit::Later(time) if first => {
            out.write(Entry::Nacked {
                id: id.clone(),
                until: record::now() + time.as_nanos() as u64,
            });
            delivery.nack_after(time);
        }
        _ if first && hands.rng.lock().chance(role.failing) => {
            out.write(Entry::Nacked {
                id: id.clone(),
                until: record::now() + AGAIN.as_nanos() as u64,
            });
            delivery.nack();
        }
        _ => {
            if !out.write(Entry::Acked { id: id.clone() }) {
                return;
            }
            let message = || Message::new(delivery.value().clone()).keyed(payload::key(&id).to_owned());
            let outputs: Vec<_> = role
                .into
                .iter()
                .map(|topic| (topic.as_str(), message()))
                .collect();
            if outputs.is_empty() {
                delivery.ack();
            } else if let Err(error) = delivery.ack_with(outputs) {
                recorder.write(Entry::Failed {
                    why: error.to_string(),
                });
            }
        }
    }
}

/// How often this message was about to end a process, this time included; all processes of a test count together.
#[allow(clippy::expect_used)]
fn count(dir: &Path, id: &str) -> u64 {
    let file = dir.join(format!("{}.aborts", id.replace(':', "-")));
    let mut open = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&file)
        .expect("a count must be written");
    std::io::Write::write_all(&mut open, b"x").expect("a count must be written");
    std::fs::metadata(&file).map_or(0, |m| m.len())
}

fn garbage(recorder: &Recorder, what: String, delivery: Delivery<Bytes>) {
    recorder.write(Entry::Garbage { what });
    delivery.ack();
}

/// A message in a handler's hands: if the handler is dropped, that is written down too.
struct Out<'a> {
    recorder: &'a Recorder,
    id: &'a str,
    settled: bool,
}

impl Out<'_> {
    fn write(&mut self, entry: Entry) -> bool {
        self.settled = true;
        self.recorder.write(entry)
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.recorder.write(Entry::Returned {
                id: self.id.to_owned(),
            });
        }
    }
}
