//! Readers of one subscription, polled by hand.
#![allow(clippy::unwrap_used)]

use super::{Reader, Shared};
use crate::{
    BatchBuilder, Event, Limits, Shard,
    flow::{Flow, FlowConfig, Handout, Verdict},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

const LIMITS: Limits = Limits {
    notes: 3_000,
    message: 1 << 20,
    outputs: 100,
};
const SHARD: Shard = Shard {
    topic: 0,
    partition: 0,
    epoch: 1,
};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A subscription with records of these keys.
fn shared(keys: &[&str]) -> Arc<Shared> {
    let shared = Shared::new(
        Flow::new(FlowConfig::new("g".into(), LIMITS)),
        Arc::new(crate::topics::Topics::new([crate::topics::Subscribed {
            name: "t".into(),
            dead_letter: None,
        }])),
        LIMITS,
    );
    let mut batch = BatchBuilder::default();
    for (position, key) in keys.iter().enumerate() {
        batch.push(
            position as u128,
            0,
            Some(key.as_bytes()),
            None,
            std::iter::empty(),
        );
    }
    let gained = Event::Gained {
        shard: SHARD,
        topic: "t".into(),
        next: 0,
        notes: Default::default(),
    };
    let records = Event::Records {
        shard: SHARD,
        batch: Arc::new(batch.finish()),
        range: 0..keys.len() as u32,
    };
    let mut core = shared.core.lock();
    core.flow.input(gained, super::now());
    core.flow.input(records, super::now());
    drop(core);
    Arc::new(shared)
}

fn poll(reader: &mut Reader, wakes: &Arc<Wakes>) -> Option<Handout> {
    match reader.poll(&mut Context::from_waker(&Waker::from(wakes.clone()))) {
        Poll::Ready(handout) => Some(handout.unwrap().unwrap()),
        Poll::Pending => None,
    }
}

#[test]
fn who_waits_is_woken_although_another_has_something_in_hand() {
    let shared = shared(&["a", "b", "a"]);
    let (mut one, mut two) = (Reader::new(shared.clone(), 256), Reader::new(shared.clone(), 256));
    let wakes = Arc::new(Wakes::default());
    let first = poll(&mut one, &wakes).unwrap();
    // The other has `b` in hand, and its handler of the first `a` has passed that on and takes its time.
    assert!(poll(&mut two, &wakes).is_none());
    shared.ack(first.slot);
    assert_eq!(wakes.0.load(SeqCst), 1);
    assert_eq!(poll(&mut two, &wakes).unwrap().record.position(), 2);
}

#[test]
fn a_wake_up_passes_on_when_its_reader_goes_away() {
    let shared = shared(&["a", "a"]);
    let (mut one, mut two) = (Reader::new(shared.clone(), 1), Reader::new(shared.clone(), 1));
    let mut three = Reader::new(shared.clone(), 1);
    let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let head = poll(&mut one, &first).unwrap();
    assert!(poll(&mut two, &first).is_none() && poll(&mut three, &second).is_none());
    shared.ack(head.slot);
    assert_eq!(first.0.load(SeqCst), 1, "first come, first served");
    drop(two);
    let woken = || second.0.load(SeqCst) == 1;
    // The ack has not been looked at yet: either somebody was told, or the pump is.
    let mut core = shared.core.lock();
    core.flow.step(super::now());
    core.pass_on();
    drop(core);
    assert!(woken());
    assert_eq!(poll(&mut three, &second).unwrap().record.position(), 1);
}

#[test]
fn a_reader_that_goes_away_leaves_its_loan_and_its_number() {
    let shared = shared(&["a", "b", "c"]);
    let wakes = Arc::new(Wakes::default());
    for _ in 0..100 {
        let mut reader = Reader::new(shared.clone(), 256);
        let handout = poll(&mut reader, &wakes).unwrap();
        assert_eq!(reader.number, 0);
        drop(reader);
        shared.settle(
            handout.slot,
            Verdict::Nack {
                after: None,
                error: None,
            },
        );
        let mut core = shared.core.lock();
        let later = super::Now {
            mono: super::now().mono + std::time::Duration::from_secs(3600),
            ..super::now()
        };
        core.flow.step(later);
        core.flow.step(later);
        if core.flow.in_flight() == 0 || !core.flow.has_ready() {
            return;
        }
    }
}
