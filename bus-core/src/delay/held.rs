//! What a mover has in hand: records that wait for their tier to let go, by time and then in the order of the log.

use super::ticket::Ticket;
use crate::{Bytes, Delivery};
use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

#[derive(Debug, Default)]
pub(super) struct Held {
    heap: BinaryHeap<Reverse<One>>,
    count: u64,
}

#[derive(Debug)]
struct One {
    until: i64,
    number: u64,
    ticket: Ticket,
    delivery: Delivery<Bytes>,
}

impl Held {
    pub(super) fn push(&mut self, ticket: Ticket, delivery: Delivery<Bytes>) {
        self.push_until(ticket.until, ticket, delivery);
    }
    /// Holds it until another time than its tier's.
    pub(super) fn push_until(&mut self, until: i64, ticket: Ticket, delivery: Delivery<Bytes>) {
        self.count += 1;
        self.heap.push(Reverse(One {
            until,
            number: self.count,
            ticket,
            delivery,
        }));
    }
    /// The next whose time has come.
    pub(super) fn due(&mut self, now: i64) -> Option<(Ticket, Delivery<Bytes>)> {
        self.heap.peek().filter(|Reverse(one)| one.until <= now)?;
        self.heap.pop().map(|Reverse(one)| (one.ticket, one.delivery))
    }
    /// When the next one's time comes.
    pub(super) fn next(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse(one)| one.until)
    }
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
    /// Gives back what belongs to somebody else soon: a delivery that is dropped then is returned, not failed.
    pub(super) fn give_back(&mut self, mut is_leaving: impl FnMut(&Delivery<Bytes>) -> bool) {
        self.heap.retain(|Reverse(one)| !is_leaving(&one.delivery));
    }
}

impl PartialEq for One {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for One {}

impl PartialOrd for One {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for One {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.until, self.number).cmp(&(other.until, other.number))
    }
}
