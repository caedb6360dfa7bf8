//! A reader that claims while what it has not claimed is recalled.

use crate::{
    BatchBuilder, Bytes, Event, Limits, Shard,
    flow::{Flow, FlowConfig, Now},
    sync::check,
};
use loom::{model::Builder, thread};
use std::{sync::Arc, time::Instant};

const SHARD: Shard = Shard {
    topic: 0,
    partition: 0,
    epoch: 1,
};

fn flow(records: u32) -> Flow {
    let limits = Limits {
        notes: 1 << 16,
        message: 1 << 20,
        outputs: 100,
    };
    let mut settings = FlowConfig::new("g".into(), limits);
    settings.in_flight = 64;
    let mut flow = Flow::new(settings);
    let now = Now {
        mono: Instant::now(),
        wall: 0,
    };
    let gained = Event::Gained {
        shard: SHARD,
        topic: "t".into(),
        next: 0,
        notes: Bytes::new(),
    };
    flow.input(gained, now);
    let mut batch = BatchBuilder::default();
    (0..records).for_each(|position| batch.push(position.into(), 0, None, None, std::iter::empty()));
    let (shard, batch, range) = (SHARD, Arc::new(batch.finish()), 0..records);
    flow.input(Event::Records { shard, batch, range }, now);
    flow
}

#[test]
fn a_record_is_claimed_or_recalled_and_never_both() {
    check(&Builder::new(), || {
        let mut flow = flow(3);
        let ((one, claims), (two, _)) = (flow.add_reader(), flow.add_reader());
        let mut loan = Vec::new();
        flow.lend(one, 3, &mut loan);
        let reader = thread::spawn(move || {
            let lent = loan.len();
            loan.retain(|_| claims.claim(lent).is_some());
            loan.iter().map(|handout| handout.slot).collect::<Vec<_>>()
        });
        flow.recall();
        let mut again = Vec::new();
        flow.lend(two, 3, &mut again);
        let mut slots = reader.join().unwrap();
        slots.extend(again.iter().map(|handout| handout.slot));
        slots.sort_unstable();
        assert_eq!(slots, [0, 1, 2], "each to one of the two");
    });
}
