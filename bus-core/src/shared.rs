//! What a subscription's readers, its deliveries and its pump share.

use crate::{
    Error, Expired, Failed, Limits, Name, Room,
    awaiting::{Again, Awaiting},
    delay::Outputs,
    flow::{Claims, Collected, Flow, Handout, Marks, Now, Verdict, Work},
    mutant,
    stats::{Count, Counters},
    sync::Mutex,
    topics::Topics,
};
use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
};
use tokio::sync::Notify;

/// The time now: tokio's clock, so that a paused one works, and the wall's.
pub(crate) fn now() -> Now {
    let mono = tokio::time::Instant::now().into_std();
    Now {
        mono,
        wall: crate::clock::micros_at(mono).div_euclid(1000),
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) marks: Arc<Marks>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) limits: Limits,
    pub(crate) core: Mutex<Core>,
    /// Wakes the pump.
    pub(crate) pump: Notify,
    /// Tells handlers that some shard was taken.
    pub(crate) lost: Notify,
    /// How it ended, for those who ask later.
    pub(crate) outcome: Arc<OnceLock<Option<Error>>>,
    pub(crate) counters: Arc<Counters>,
    /// What records wait for that cannot be decoded yet.
    pub(crate) awaiting: Awaiting,
    /// Where outputs wait that are delayed.
    pub(crate) outputs: Outputs,
    /// What becomes of messages whose time is over.
    pub(crate) expired: Expired,
    /// Who reads; nobody's, for an observer.
    pub(crate) group: Option<Name>,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) flow: Flow,
    /// Readers that found nothing, first come first served.
    waiting: VecDeque<(usize, Waker)>,
    /// A reader that has something in hand and waits for more.
    collecting: Option<Waker>,
    /// The subscription is over; readers get the error once.
    pub(crate) ended: bool,
    pub(crate) error: Option<Error>,
}

impl Shared {
    pub(crate) fn new(flow: Flow, topics: Arc<Topics>, limits: Limits) -> Self {
        let core = Core {
            flow,
            waiting: VecDeque::new(),
            collecting: None,
            ended: false,
            error: None,
        };
        Self {
            marks: core.flow.marks(),
            counters: core.flow.counters(),
            topics,
            limits,
            awaiting: Awaiting::default(),
            outputs: Outputs::default(),
            expired: Expired::default(),
            group: None,
            core: Mutex::new(core),
            pump: Notify::new(),
            lost: Notify::new(),
            outcome: Arc::default(),
        }
    }
    pub(crate) fn ack(&self, slot: u32) {
        if self.marks.ack(slot) {
            self.marked();
        }
    }
    pub(crate) fn settle(&self, slot: u32, verdict: Verdict) {
        // A failed message's wait begins when it is looked at, and nobody looks by chance when all is quiet.
        let waits = matches!(
            verdict,
            Verdict::Nack { .. } | Verdict::Dropped | Verdict::Returned
        );
        if self.marks.settle(slot, verdict) {
            self.marked();
        } else if waits {
            self.pump.notify_one();
        }
    }
    /// Somebody waits for marks: a reader takes them in, or else the pump.
    #[cold]
    fn marked(&self) {
        let mut core = self.core.lock();
        let leaving = core.flow.is_leaving();
        if !core.wake_one() || leaving {
            self.pump.notify_one();
        }
    }
    /// Whether a delivery that is still out was taken away.
    pub(crate) fn is_taken(&self, (slot, stamp): (u32, u64)) -> bool {
        // The mark alone would be that of whoever has the slot now: a handler may settle first and go on.
        self.marks.is_lost(slot) && self.core.lock().flow.is_void(slot, stamp)
    }
    /// Whether what a handler still works on was taken away, all of it.
    pub(crate) fn are_taken(&self, places: &[(u32, u64)]) -> bool {
        if !places.iter().any(|(slot, _)| self.marks.is_lost(*slot)) {
            return false;
        }
        let mut core = self.core.lock();
        // What it settled meanwhile is no more its work.
        core.flow.step(now());
        self.pump.notify_one();
        core.flow.are_void(places)
    }
    /// What becomes of records in the hand of one who collects; the places of those that must not begin come out instead.
    pub(crate) fn collected(
        &self,
        places: impl Iterator<Item = (u32, u64)> + Clone,
        cx: &Context<'_>,
    ) -> Result<Collected, Vec<(u32, u64)>> {
        let mut core = self.core.lock();
        let stopped = places
            .clone()
            .filter(|(slot, stamp)| !core.flow.may_begin(*slot, *stamp));
        let stopped: Vec<_> = stopped.collect();
        if !stopped.is_empty() {
            return Err(stopped);
        }
        let collected = core.flow.collected(places.map(|(slot, _)| slot));
        core.flow.is_watched();
        core.collecting = Some(cx.waker().clone());
        Ok(collected)
    }
    /// One turn of the pump: what was marked is taken in, and what there is to do comes out.
    pub(crate) fn turn(&self, core: &mut Core, now: Now) -> (Work, Room) {
        loop {
            core.flow.step(now);
            let work = core.flow.work(now);
            let room = core.flow.room();
            core.pass_on();
            core.hurry();
            if !core.park(&self.marks) {
                return (work, room);
            }
            if !(work.commits.is_empty() && work.release.is_empty() && work.pause.is_empty()) {
                // First what is in hand, then what was marked meanwhile.
                self.pump.notify_one();
                return (work, room);
            }
        }
    }
    /// A message was not delivered.
    pub(crate) fn count(&self, which: impl FnOnce(&Counters) -> &Count) {
        // The lock is what counters are written under.
        let _core = self.core.lock();
        which(&self.counters).add(1);
    }
    /// Records are to be decoded again, or will never be.
    pub(crate) fn decode_again(&self, places: Vec<Again>) {
        let mut core = self.core.lock();
        let now = now();
        core.flow.step(now);
        for (place, refused) in places {
            match refused {
                None => core.flow.is_ready(place, now),
                Some(why) => {
                    if let Some((shard, position, attempt)) = core.flow.refuse(place, &why, now) {
                        let topic = self.topics.get(shard.topic);
                        self.counters.failures.push(Failed {
                            topic: topic.map_or_else(|| "".into(), |topic| topic.name.clone()),
                            partition: shard.partition,
                            position,
                            attempt,
                            error: why,
                        });
                    }
                }
            }
        }
    }
    /// Whether something waits for handlers to finish: all of it drains, or a shard leaves.
    pub(crate) fn is_leaving(&self) -> bool {
        self.core.lock().flow.is_leaving()
    }
    /// Whether the subscription has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.core.lock().ended
    }
    /// Wakes every reader: the subscription is over. Only the first end counts.
    pub(crate) fn end(&self, error: Option<Error>) {
        let mut core = self.core.lock();
        if std::mem::replace(&mut core.ended, true) {
            return;
        }
        let _ = self.outcome.set(error.as_ref().map(Error::duplicate));
        core.flow.end_drain();
        core.error = error;
        self.marks.park(0);
        while core.wake_one() {}
        core.collecting.take().into_iter().for_each(Waker::wake);
        drop(core);
        self.lost.notify_waiters();
    }
    /// Lets readers look again: something may run that could not.
    pub(crate) fn wake_readers(&self) {
        self.core.lock().pass_on();
    }
    /// Refills a reader's loan.
    pub(crate) fn poll_loan(
        &self,
        reader: usize,
        most: usize,
        loan: &mut Vec<Handout>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<bool, Error>> {
        let mut core = self.core.lock();
        core.waiting.retain(|(waiting, _)| *waiting != reader);
        if core.ended {
            return Poll::Ready(core.error.take().map_or(Ok(false), Err));
        }
        loop {
            core.flow.step(now());
            if loan.is_empty() {
                core.flow.lend(reader, most, loan);
            }
            if core.flow.wants_pump() {
                self.pump.notify_one();
            }
            // Counted among those who wait before it is decided whether marks must wake somebody.
            if loan.is_empty() && core.waiting.iter().all(|(waiting, _)| *waiting != reader) {
                core.waiting.push_back((reader, cx.waker().clone()));
            } else if !loan.is_empty() {
                core.waiting.retain(|(waiting, _)| *waiting != reader);
            }
            core.pass_on();
            if !core.park(&self.marks) {
                break;
            }
        }
        if loan.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(Ok(true))
        }
    }
}

impl Core {
    /// Wakes the reader that waits longest; false if none does.
    pub(crate) fn wake_one(&mut self) -> bool {
        self.waiting.pop_front().map(|(_, waker)| waker.wake()).is_some()
    }
    /// One reader is woken at a time and wakes the next if there is more.
    pub(crate) fn pass_on(&mut self) {
        if self.flow.has_ready() {
            self.wake_one();
        }
    }
    /// Those who collect look whether they are to go on.
    fn hurry(&mut self) {
        if self.collecting.is_some() && self.flow.has_turned() {
            self.collecting.take().into_iter().for_each(Waker::wake);
        }
    }
    /// Decides whether marks have to wake somebody. True: somebody has to look at marks that are there already.
    // First parked, then looked: an ack between the two is seen either here or by who marked it.
    pub(crate) fn park(&mut self, marks: &Marks) -> bool {
        // A reader with something in hand, or something to get, takes the marks in when it comes back.
        let idle = !self.waiting.is_empty() || !(self.flow.has_ready() || self.flow.has_lent());
        let awaited = if self.ended {
            0
        } else {
            self.flow.awaited_marks(idle)
        };
        let early = mutant("looked-before-parked") && marks.any();
        marks.park(awaited);
        awaited != 0 && (early || marks.any() && !mutant("looked-before-parked"))
    }
}

/// A reader's share of what may run: a handful under one lock, claimed one by one without it.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) shared: Arc<Shared>,
    number: usize,
    claims: Arc<Claims>,
    loan: Vec<Handout>,
    lent: usize,
    most: usize,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, most: usize) -> Self {
        let (number, claims) = shared.core.lock().flow.add_reader();
        Self {
            shared,
            number,
            claims,
            loan: Vec::new(),
            lent: 0,
            most,
        }
    }
    /// From now on, borrows so many at most.
    pub(crate) fn at_most(&mut self, most: usize) {
        self.most = most;
    }
    /// The next record that may run; `None`: the subscription is over. Cancel-safe: nothing is claimed before it is
    /// returned.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Handout, Error>>> {
        loop {
            if !self.loan.is_empty() && self.claims.claim(self.lent).is_some() {
                // The loan is reversed, so that claims, which count up, take it from the end.
                return Poll::Ready(self.loan.pop().map(Ok));
            }
            self.loan.clear();
            match self.shared.poll_loan(self.number, self.most, &mut self.loan, cx) {
                Poll::Ready(Ok(true)) => {
                    self.loan.reverse();
                    self.lent = self.loan.len();
                }
                Poll::Ready(Ok(false)) => return Poll::Ready(None),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut core = self.shared.core.lock();
        core.waiting.retain(|(waiting, _)| *waiting != self.number);
        // Its loan goes back to the others, and so does a wake-up that was meant for it.
        core.flow.remove_reader(self.number);
        core.pass_on();
        if core.park(&self.shared.marks) {
            self.shared.pump.notify_one();
        }
    }
}

#[cfg(all(test, loom))]
#[path = "shared_loom.rs"]
mod loom;
#[cfg(all(test, not(loom)))]
#[path = "shared_tests.rs"]
mod tests;
