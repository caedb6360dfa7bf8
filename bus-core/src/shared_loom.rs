//! Readers, deliveries and the pump of one subscription: whoever waits is woken, in every order in which they can meet.
//! A wake-up that is lost leaves nobody to go on, and that is what the checker calls a deadlock.
#![allow(clippy::unwrap_used)]

use super::{Core, Reader, Shared};
use crate::{
    BatchBuilder, Event, Limits, Shard,
    flow::{Flow, FlowConfig, Handout, Verdict},
    sync::check,
    topics::{Subscribed, Topics},
};
use loom::{
    sync::{Condvar, Mutex},
    thread,
};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
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

/// Every order with at most so many switches away from a thread that could have gone on.
fn model(switches: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.max_branches = 20_000;
    check(&builder, run);
}

/// A subscription with records of these keys, and a window of so many.
fn shared(window: usize, keys: &[&str]) -> Arc<Shared> {
    let mut settings = FlowConfig::new("g".into(), LIMITS);
    settings.in_flight = window;
    // Nothing happens by the time alone.
    settings.commit_every = Duration::from_secs(3600);
    let topic = Subscribed {
        name: "t".into(),
        dead_letter: None,
    };
    let topics = Arc::new(Topics::new([topic]));
    let shared = Shared::new(Flow::new(settings), topics, LIMITS);
    let mut batch = BatchBuilder::default();
    for (position, key) in keys.iter().enumerate() {
        let key = Some(key.as_bytes());
        batch.push(position as u128, 0, key, None, std::iter::empty());
    }
    let gained = Event::Gained {
        shard: SHARD,
        topic: "t".into(),
        next: 0,
        notes: Default::default(),
    };
    let (shard, batch, range) = (SHARD, Arc::new(batch.finish()), 0..keys.len() as u32);
    let mut core = shared.core.lock();
    core.flow.input(gained, super::now());
    core.flow
        .input(Event::Records { shard, batch, range }, super::now());
    drop(core);
    Arc::new(shared)
}

#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    wakes: Condvar,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.wakes.notify_one();
    }
}

fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    loop {
        if let Poll::Ready(result) = poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        let mut woken = signal.woken.lock().unwrap();
        while !*woken {
            woken = signal.wakes.wait(woken).unwrap();
        }
        *woken = false;
    }
}

fn next(reader: &mut Reader) -> Option<Handout> {
    block_on(|cx| reader.poll(cx)).map(|handout| handout.unwrap())
}

/// Turns as the pump does, with a backend that stores at once, until `over`.
fn pump(shared: &Shared, over: impl Fn(&mut Core, usize) -> bool) {
    loop {
        let mut core = shared.core.lock();
        let (work, room) = shared.turn(&mut core, super::now());
        for done in &work.commits {
            core.flow.committed(done.shard, Ok(()));
        }
        let over = over(&mut core, room.messages);
        drop(core);
        if over {
            return;
        }
        if work.commits.is_empty() {
            let mut notified = pin!(shared.pump.notified());
            block_on(|cx| notified.as_mut().poll(cx));
        }
    }
}

#[test]
fn an_ack_lets_the_next_of_its_key_run() {
    model(3, || {
        let shared = shared(64, &["a", "a"]);
        let mut reader = Reader::new(shared.clone(), 1);
        let head = next(&mut reader).unwrap();
        let handler = thread::spawn(move || shared.ack(head.slot));
        assert_eq!(next(&mut reader).unwrap().record.position(), 1);
        handler.join().unwrap();
    });
}

#[test]
fn two_acks_let_two_readers_go_on() {
    model(2, || {
        let shared = shared(64, &["a", "b", "a", "b"]);
        let mut readers = [(); 2].map(|()| Reader::new(shared.clone(), 1));
        let heads = readers.each_mut().map(|reader| next(reader).unwrap().slot);
        let [mut one, mut two] = readers;
        let other = thread::spawn(move || next(&mut two).unwrap().record.position());
        let handler = thread::spawn(move || heads.map(|slot| shared.ack(slot)));
        let first = next(&mut one).unwrap().record.position();
        assert_eq!(first + other.join().unwrap(), 2 + 3);
        handler.join().unwrap();
    });
}

#[test]
fn a_drain_ends_with_its_last_ack() {
    model(3, || {
        let shared = shared(64, &["a"]);
        let mut reader = Reader::new(shared.clone(), 1);
        let head = next(&mut reader).unwrap();
        let handler = thread::spawn({
            let shared = shared.clone();
            move || shared.ack(head.slot)
        });
        let deadline = super::now().mono + Duration::from_secs(3600);
        shared.core.lock().flow.drain(deadline);
        pump(&shared, |core, _| core.flow.is_drained(super::now()));
        handler.join().unwrap();
    });
}

#[test]
fn room_is_made_for_the_pump_by_acks_alone() {
    model(2, || {
        let shared = shared(2, &["a", "b"]);
        let mut reader = Reader::new(shared.clone(), 2);
        let slots = [(); 2].map(|()| next(&mut reader).unwrap().slot);
        let handler = thread::spawn({
            let shared = shared.clone();
            move || slots.map(|slot| shared.ack(slot))
        });
        pump(&shared, |_, room| room > 0);
        handler.join().unwrap();
    });
}

#[test]
fn room_is_made_for_the_pump_while_a_reader_waits() {
    model(2, || {
        let shared = shared(1, &["a"]);
        let mut reader = Reader::new(shared.clone(), 1);
        let slot = next(&mut reader).unwrap().slot;
        let waiting = thread::spawn(move || next(&mut reader).map(|handout| handout.slot));
        let handler = thread::spawn({
            let shared = shared.clone();
            move || shared.ack(slot)
        });
        pump(&shared, |_, room| room > 0);
        shared.end(None);
        assert_eq!(waiting.join().unwrap(), None, "the end wakes whoever waits");
        handler.join().unwrap();
    });
}

#[test]
fn the_wait_of_a_nacked_message_begins() {
    model(3, || {
        let shared = shared(64, &["a"]);
        let mut reader = Reader::new(shared.clone(), 1);
        let slot = next(&mut reader).unwrap().slot;
        let handler = thread::spawn({
            let shared = shared.clone();
            let (after, error) = (Some(Duration::from_secs(60)), None);
            move || shared.settle(slot, Verdict::Nack { after, error })
        });
        pump(&shared, |core, _| core.flow.deadline().is_some());
        handler.join().unwrap();
    });
}

#[test]
fn a_wake_up_outlives_the_reader_that_it_was_meant_for() {
    model(2, || {
        let shared = shared(64, &["a", "a"]);
        let [mut one, mut two] = [(); 2].map(|()| Reader::new(shared.clone(), 1));
        let head = next(&mut one).unwrap().slot;
        let signal = Waker::from(Arc::new(Signal::default()));
        assert!(one.poll(&mut Context::from_waker(&signal)).is_pending());
        let waiting = thread::spawn({
            let shared = shared.clone();
            move || {
                let position = next(&mut two).unwrap().record.position();
                shared.end(None);
                shared.pump.notify_one();
                position
            }
        });
        let handler = thread::spawn({
            let shared = shared.clone();
            move || {
                shared.ack(head);
                drop(one);
            }
        });
        pump(&shared, |core, _| core.ended);
        assert_eq!(waiting.join().unwrap(), 1);
        handler.join().unwrap();
    });
}
