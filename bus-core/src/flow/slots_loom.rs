//! Marks, in every order in which a delivery and whoever waits for it can meet.

use super::{Marks, Verdict};
use crate::sync::check;
use loom::{model::Builder, thread};
use std::sync::Arc;

fn marks() -> Arc<Marks> {
    Arc::new(Marks::new(64))
}

/// One that waits: first parked, then looked. True: there is something to take in.
fn waits(marks: &Marks, many: u32) -> bool {
    marks.park(many);
    marks.any()
}

#[test]
fn an_ack_is_seen_or_wakes() {
    check(&Builder::new(), || {
        let marks = marks();
        let delivery = thread::spawn({
            let marks = marks.clone();
            move || marks.ack(3)
        });
        let seen = waits(&marks, 1);
        let woken = delivery.join().unwrap();
        assert!(seen || woken, "an ack between parking and looking was lost");
        assert!(marks.any());
    });
}

#[test]
fn a_verdict_is_seen_or_wakes() {
    check(&Builder::new(), || {
        let marks = marks();
        let delivery = thread::spawn({
            let marks = marks.clone();
            move || marks.settle(3, Verdict::Dropped)
        });
        let seen = waits(&marks, 1);
        assert!(seen || delivery.join().unwrap());
    });
}

#[test]
fn a_slot_that_others_wait_behind_wakes_at_once() {
    check(&Builder::new(), || {
        let marks = marks();
        let delivery = thread::spawn({
            let marks = marks.clone();
            move || marks.ack(3)
        });
        marks.set_followed(3, true);
        let seen = waits(&marks, u32::MAX);
        assert!(seen || delivery.join().unwrap());
    });
}

#[test]
fn of_as_many_as_were_asked_for_one_wakes() {
    check(&Builder::new(), || {
        let marks = marks();
        marks.park(2);
        let one = thread::spawn({
            let marks = marks.clone();
            move || marks.ack(3)
        });
        let two = marks.ack(5);
        assert!(one.join().unwrap() ^ two, "one of two wakes");
    });
}

#[test]
fn every_mark_is_taken_in_once() {
    check(&Builder::new(), || {
        let marks = marks();
        let deliveries = [3, 5].map(|slot| {
            let marks = marks.clone();
            thread::spawn(move || marks.ack(slot))
        });
        let early = marks.take_acked(0);
        let woken = deliveries.map(|delivery| delivery.join().unwrap());
        assert_eq!(woken, [false; 2], "nobody waits");
        let late = marks.take_acked(0);
        assert_eq!((early | late, early & late), (1 << 3 | 1 << 5, 0));
    });
}
