//! Publishing at a rate, with each intent written before and each outcome after.

use super::{Life, Produce, Spec};
use crate::{
    payload,
    record::{Entry, Recorder},
};
use bus::{Bus, Message, Outcome, Unsent};
use bus_core::conformance::Failure;
use bus_proxy::Rng;
use std::{future::IntoFuture, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::Instant};

/// Messages on their way: a broker that is down must not let them pile up.
const OUT: usize = 2_000;
/// How often it publishes.
const TICK: Duration = Duration::from_millis(10);

pub(crate) async fn produce(
    bus: &Bus,
    spec: &Spec,
    role: Produce,
    recorder: Arc<Recorder>,
    life: &Life,
) -> Result<(), Failure> {
    let mut keys = Keys::new(spec, &role);
    let (started, mut sent, mut late) = (Instant::now(), 0u64, 0u64);
    let mut out = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    let most = role.count.unwrap_or(u64::MAX);
    while !life.is_stopped() && sent < most {
        tokio::select! {
            _ = tick.tick() => {}
            () = life.stopped() => break,
        }
        while out.try_join_next().is_some() {}
        let due = (started.elapsed().as_secs_f64() * f64::from(role.rate)) as u64 - late;
        while sent < due.min(most) {
            if out.len() >= OUT {
                // What was not sent in time is not made up for: a flood behind each stall would be another test.
                late += due - sent;
                break;
            }
            let id = keys.next_id();
            let message = Message::new(payload::encode(&id, role.size)).keyed(payload::key(&id).to_owned());
            if !recorder.write(Entry::Intent { id: id.clone() }) {
                return Ok(());
            }
            let published = bus.publish_message(&role.topic, message).into_future();
            let recorder = recorder.clone();
            out.spawn(async move { recorder.write(outcome(id, published.await)) });
            sent += 1;
        }
    }
    while out.join_next().await.is_some() {}
    bus.close()
        .await
        .map_err(|e| Failure::new(format_args!("closing: {e}")))?;
    recorder.write(Entry::Note {
        text: "closed".into(),
    });
    Ok(())
}

fn outcome(id: String, outcome: Result<Outcome, Unsent>) -> Entry {
    match outcome {
        Ok(_) => Entry::Stored { id },
        Err(unsent) if unsent.is_unknown() => Entry::Unknown {
            id,
            why: unsent.to_string(),
        },
        Err(unsent) => Entry::NotStored {
            id,
            why: unsent.to_string(),
        },
    }
}

/// Keys that no other publisher has, and the next counter of each.
struct Keys {
    keys: Vec<(String, u64)>,
    rng: Rng,
}

impl Keys {
    fn new(spec: &Spec, role: &Produce) -> Self {
        let mut missing = vec![role.keys; role.partitions as usize];
        let mut keys = Vec::new();
        let names = (0u64..).map(|n| format!("p{}-{n}", spec.number));
        for name in names {
            if missing.iter().all(|m| *m == 0) {
                break;
            }
            let partition = bus::partition::Partitioner::Murmur2.partition(name.as_bytes(), role.partitions);
            let missing = &mut missing[partition as usize];
            if *missing > 0 {
                *missing -= 1;
                keys.push((name, 0));
            }
        }
        Self {
            keys,
            rng: Rng::new(spec.seed),
        }
    }
    fn next_id(&mut self) -> String {
        let at = self.rng.below(self.keys.len() as u64) as usize;
        let (key, counter) = &mut self.keys[at];
        *counter += 1;
        format!("{key}:{counter}")
    }
}
