//! What the model, or reading, found once: each as small as it gets.

use bus_core::{
    BatchBuilder, Error, ErrorKind, Event, Limits, Message, Retry, Shard,
    flow::{Claims, Flow, FlowConfig, Handout, LossPolicy, Now, Order, Verdict, Work, notes::Notes},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

struct Rig {
    flow: Flow,
    reader: usize,
    claims: Arc<Claims>,
    now: Now,
}

fn shard(partition: u32) -> Shard {
    Shard {
        topic: 0,
        partition,
        epoch: 1,
    }
}

fn out() -> Verdict {
    Verdict::AckWith(vec![("o".into(), Message::new("x"))])
}

impl Rig {
    fn new(change: impl FnOnce(&mut FlowConfig)) -> Self {
        let limits = Limits {
            notes: 3000,
            message: 1 << 20,
            outputs: 1000,
        };
        let mut config = FlowConfig::new("g".into(), limits);
        config.on_data_loss = LossPolicy::GoOn;
        change(&mut config);
        let mut flow = Flow::new(config);
        let (reader, claims) = flow.add_reader();
        let now = Now {
            mono: Instant::now(),
            wall: 1 << 40,
        };
        let mut rig = Self {
            flow,
            reader,
            claims,
            now,
        };
        rig.gain(0, 0, &[]);
        rig
    }
    fn gain(&mut self, partition: u32, next: u128, notes: &[u8]) {
        let (shard, notes) = (shard(partition), notes.to_vec().into());
        let topic = "t".into();
        let event = Event::Gained {
            shard,
            topic,
            next,
            notes,
        };
        self.flow.input(event, self.now);
    }
    /// Records without keys.
    fn records(&mut self, partition: u32, positions: impl Iterator<Item = u128>) {
        let mut batch = BatchBuilder::default();
        positions.for_each(|p| batch.push(p, 0, None, Some(b"x"), std::iter::empty()));
        let (range, batch) = (0..batch.len() as u32, Arc::new(batch.finish()));
        let shard = shard(partition);
        self.flow.input(Event::Records { shard, batch, range }, self.now);
    }
    fn lend(&mut self) -> Vec<Handout> {
        let mut loan = Vec::new();
        self.flow.lend(self.reader, usize::MAX, &mut loan);
        while self.claims.claim(loan.len()).is_some() {}
        loan
    }
    fn settle(&mut self, handout: &Handout, verdict: Verdict) {
        self.flow.marks().settle(handout.slot, verdict);
        self.flow.step(self.now);
    }
    fn ack(&mut self, handout: &Handout) {
        self.settle(handout, Verdict::AckWith(Vec::new()));
    }
    fn losing(&mut self, grace: u64) {
        let (shard, grace) = (shard(0), Duration::from_millis(grace));
        self.flow.input(Event::Losing { shard, grace }, self.now);
    }
    fn after(&mut self, ms: u64) -> Work {
        self.now.mono += Duration::from_millis(ms);
        self.now.wall += ms as i64;
        self.flow.step(self.now);
        self.flow.work(self.now)
    }
    fn stored(&mut self, partition: u32) {
        self.flow.committed(shard(partition), Ok(()));
    }
    fn spins(&self) -> bool {
        self.flow.deadline().is_some_and(|at| at <= self.now.mono)
    }
}

fn positions(handouts: &[Handout]) -> Vec<u128> {
    handouts.iter().map(|h| h.record.position()).collect()
}

#[test]
fn a_commit_that_was_given_up_takes_its_outputs_out_of_the_count_and_nothing_is_stored_behind_it() {
    let mut rig = Rig::new(|_| {});
    rig.records(0, 0..3);
    let out_of = rig.lend();
    rig.settle(&out_of[0], out());
    assert_eq!(rig.after(200).commits[0].outputs.len(), 1);
    rig.settle(&out_of[1], out());
    rig.losing(100);
    rig.flow.committed(shard(0), Err(Error::unavailable("down")));
    assert_eq!(
        (rig.flow.in_flight(), rig.flow.bytes()),
        (1, 1),
        "what is still out, and no more"
    );
    rig.ack(&out_of[2]);
    let work = rig.after(0);
    assert!(work.commits.is_empty(), "it would pass the lost output");
    assert_eq!(work.release, [shard(0)]);
    rig.flow.input(Event::Lost(shard(0)), rig.now);
    assert_eq!(
        (rig.flow.in_flight(), rig.flow.bytes(), rig.flow.unstored()),
        (0, 0, 0)
    );
}

#[test]
fn a_refused_commit_ends_the_subscription_and_is_the_last_of_its_shard() {
    let mut rig = Rig::new(|_| {});
    rig.records(0, 0..2);
    let out_of = rig.lend();
    rig.settle(&out_of[0], out());
    rig.after(200);
    rig.flow
        .committed(shard(0), Err(Error::new(ErrorKind::TopicMissing, "no")));
    assert!(rig.flow.take_failure().is_some());
    rig.ack(&out_of[1]);
    rig.flow.drain(rig.now.mono);
    assert!(rig.after(1000).commits.is_empty());
    assert!(rig.flow.is_drained(rig.now), "a drain does not wait for it");
}

#[test]
fn data_loss_overtakes_records_that_wait_for_room() {
    let mut rig = Rig::new(|_| {});
    let (from, to) = (3, 9);
    rig.flow.input(
        Event::DataLoss {
            shard: shard(0),
            from,
            to,
        },
        rig.now,
    );
    rig.records(0, 0..3);
    let late = rig.lend();
    assert_eq!(
        positions(&late),
        [0, 1, 2],
        "read before the loss, delivered after it"
    );
    for handout in &late {
        rig.ack(handout);
    }
    assert_eq!(rig.after(200).commits[0].next, 9);
}

#[test]
fn with_the_policy_to_stop_nothing_is_stored_behind_lost_data() {
    let mut rig = Rig::new(|c| c.on_data_loss = LossPolicy::Stop);
    rig.records(0, 0..1);
    let out_of = rig.lend();
    let (from, to) = (1, 9);
    rig.flow.input(
        Event::DataLoss {
            shard: shard(0),
            from,
            to,
        },
        rig.now,
    );
    rig.records(0, 9..12);
    rig.ack(&out_of[0]);
    assert!(rig.lend().is_empty());
    assert_eq!(
        rig.after(200).commits[0].next,
        1,
        "a restart must see the loss again"
    );
}

#[test]
fn a_noted_run_may_begin_at_next() {
    let mut rig = Rig::new(|_| {});
    let runs = vec![(1, 20)];
    let notes = Notes {
        runs,
        attempts: Vec::new(),
    };
    rig.gain(1, 0, &notes.encode(0, 3000));
    rig.records(1, 0..6);
    let out_of = rig.lend();
    assert_eq!(positions(&out_of), [0]);
    rig.ack(&out_of[0]);
    let done = &rig.after(200).commits[0];
    let notes = Notes::decode(&done.notes, done.next);
    assert_eq!(done.next, 6);
    assert!((6..=20).all(|p| notes.is_settled(p)) && !notes.is_settled(21));
}

#[test]
fn a_leaving_shard_commits_at_the_usual_age_and_does_not_spin() {
    let mut rig = Rig::new(|_| {});
    rig.records(0, 0..2);
    let out_of = rig.lend();
    rig.ack(&out_of[0]);
    rig.losing(5000);
    assert_eq!(rig.after(200).commits.len(), 1);
    assert!(!rig.spins());
    // The grace ends during a commit.
    rig.after(5000);
    assert!(!rig.spins(), "the grace is over, but the commit is not");
    rig.stored(0);
    assert_eq!(rig.after(0).release, [shard(0)]);
}

#[test]
fn a_drain_whose_time_is_over_stores_at_once_and_does_not_spin() {
    let mut rig = Rig::new(|c| c.commit_every = Duration::from_secs(60));
    rig.records(0, 0..2);
    let out_of = rig.lend();
    rig.ack(&out_of[0]);
    rig.flow.drain(rig.now.mono + Duration::from_millis(10));
    assert!(rig.after(0).commits.is_empty(), "one is out");
    assert_eq!(rig.after(10).commits.len(), 1);
    assert!(!rig.spins() && !rig.flow.is_drained(rig.now));
    rig.stored(0);
    assert!(rig.flow.is_drained(rig.now));
}

#[test]
fn a_flush_waits_for_all_parts_of_its_commit() {
    let mut rig = Rig::new(|c| c.limits.outputs = 1);
    rig.records(0, 0..3);
    for handout in rig.lend() {
        rig.settle(&handout, out());
    }
    let ticket = rig.flow.flush();
    for part in 1..=3 {
        assert!(!rig.flow.is_flushed(ticket));
        assert_eq!(rig.after(0).commits[0].next, part);
        rig.stored(0);
    }
    assert!(rig.flow.is_flushed(ticket));
}

#[test]
fn a_flush_during_a_commit_that_covers_everything_leaves_nothing_behind() {
    let mut rig = Rig::new(|_| {});
    rig.records(0, 0..1);
    let out_of = rig.lend();
    rig.ack(&out_of[0]);
    assert_eq!(rig.after(200).commits.len(), 1);
    let ticket = rig.flow.flush();
    rig.stored(0);
    assert!(rig.flow.is_flushed(ticket));
    rig.after(0);
    assert!(!rig.flow.is_leaving(), "nobody waits any more");
}

#[test]
fn a_reader_whose_step_begins_the_age_of_a_commit_wakes_the_pump() {
    let mut rig = Rig::new(|_| {});
    rig.records(0, 0..2);
    let out_of = rig.lend();
    rig.after(0);
    rig.flow.wants_pump();
    assert_eq!(rig.flow.deadline(), None, "the pump sleeps");
    rig.ack(&out_of[0]);
    assert!(rig.flow.wants_pump(), "it does not know that there is a deadline");
    rig.settle(
        &out_of[1],
        Verdict::Nack {
            after: Some(Duration::from_millis(5)),
            error: None,
        },
    );
    assert!(rig.flow.wants_pump(), "nor that there is an earlier one");
}

#[test]
fn any_wait_can_be_added_to_a_time() {
    let mut rig = Rig::new(|_| {});
    rig.records(0, 0..1);
    let out_of = rig.lend();
    let after = Some(Duration::MAX);
    rig.settle(&out_of[0], Verdict::Nack { after, error: None });
    assert!(!rig.after(200).commits[0].notes.is_empty());
    let (shard, grace) = (shard(0), Duration::MAX);
    rig.flow.input(Event::Losing { shard, grace }, rig.now);
}

#[test]
fn what_is_settled_and_unstored_is_bounded() {
    let mut rig = Rig::new(|c| (c.in_flight, c.unstored) = (100, 100));
    rig.records(0, 0..90);
    for handout in rig.lend() {
        rig.ack(&handout);
    }
    assert_eq!(
        rig.flow.room().messages,
        0,
        "10 more would fit, but a fetch of so few is not worth it"
    );
    assert_eq!(rig.after(0).commits.len(), 1);
    rig.stored(0);
    assert_eq!(rig.flow.room().messages, 100);
}

#[test]
fn notes_never_outgrow_their_limit_whatever_becomes_of_the_window() {
    let retry = Retry::fixed(Duration::from_secs(60));
    let mut rig = Rig::new(|c| (c.retry, c.order) = (retry, Order::None));
    // Every record of a full window fails: more attempts than 3 000 bytes can hold.
    rig.records(0, 0..1024);
    let mut failed = 0;
    loop {
        let out_of = rig.lend();
        if out_of.is_empty() {
            break;
        }
        failed += out_of.len();
        let nack = || Verdict::Nack {
            after: None,
            error: None,
        };
        out_of.iter().for_each(|h| rig.settle(h, nack()));
    }
    let done = &rig.after(200).commits[0];
    let notes = Notes::decode(&done.notes, done.next);
    assert_eq!(notes.attempts.len(), failed, "every attempt is in the notes");
    assert!(failed > 150, "and only then was the gate closed: {failed}");
    rig.stored(0);
    // They come again, and then the others.
    rig.after(60_000);
    let mut delivered = 0;
    loop {
        let out_of = rig.lend();
        if out_of.is_empty() {
            break;
        }
        delivered += out_of.len();
        out_of.iter().for_each(|h| rig.ack(h));
    }
    assert_eq!(delivered, 1024);
}

#[test]
fn a_new_owner_is_not_stopped_by_the_notes_it_was_given() {
    let mut rig = Rig::new(|c| c.limits.notes = 100);
    let runs = (1..90).map(|n| (n * 8, n * 8)).collect();
    let attempts = Vec::new();
    let notes = Notes { runs, attempts }.encode(0, 100);
    assert!(notes.len() > 80);
    rig.gain(1, 0, &notes);
    assert!(rig.after(0).pause.is_empty(), "reading is how notes become less");
}

#[test]
fn a_refused_owner_tells_its_handlers_and_holds_up_no_drain() {
    let mut rig = Rig::new(|_| {});
    rig.records(0, 0..2);
    let out_of = rig.lend();
    rig.ack(&out_of[0]);
    rig.after(200);
    rig.flow.committed(shard(0), Err(Error::fenced("it")));
    assert!(rig.flow.marks().is_lost(out_of[1].slot));
    rig.flow.drain(rig.now.mono + Duration::from_secs(60));
    assert!(rig.flow.is_drained(rig.now));
}
