//! One member: a flow with its readers, its handlers' hands and its commit under way.

use crate::{
    check::{Check, Id, Model, WALL, ensure},
    epoch::{Phase, St},
    log::{Part, shard},
    mutate::Mutation,
    ops::{End, How, Setup},
};
use bus_core::{
    Done, Error, ErrorKind, Event, Limits, Message, Name, Result as BusResult, Retry, Room, Shard,
    flow::{Claims, DeadLetter, Flow, FlowConfig, Handout, Marks, Now, Order, Verdict},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

static ZERO: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(crate) fn at(ms: u64) -> Now {
    Now {
        mono: *ZERO + Duration::from_millis(ms),
        wall: (WALL + ms) as i64,
    }
}

#[derive(Debug)]
struct Reader {
    number: usize,
    claims: Arc<Claims>,
    loan: Vec<Handout>,
    lent: usize,
    /// Somebody else has it.
    revoked: bool,
}

#[derive(Clone, Debug)]
struct Hand {
    slot: u32,
    id: Id,
    position: u128,
    attempt: u32,
    stamp: u64,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) number: usize,
    pub(crate) flow: Flow,
    marks: Arc<Marks>,
    readers: Vec<Reader>,
    hands: Vec<Hand>,
    marked: Vec<(Hand, Verdict, u64)>,
    unready: Vec<Hand>,
    commits: Vec<Done>,
    answers: Vec<(Shard, BusResult<()>)>,
    recalled: BTreeSet<(Id, u128)>,
    retry: Retry,
    mutation: Mutation,
    pub(crate) draining: bool,
    flushes: Vec<u64>,
    /// What the pump was told last.
    pub(crate) room: Room,
    pub(crate) deadline: Option<u64>,
    pub(crate) wake: bool,
}

impl Member {
    pub(crate) fn new(number: usize, setup: &Setup, mutation: Mutation) -> Self {
        let retry = Retry::exponential(Duration::from_millis(50)).max_retries(setup.attempts - 1);
        let limits = Limits {
            notes: setup.notes,
            message: 1 << 20,
            outputs: setup.outputs,
        };
        let letters = DeadLetter {
            topic: "dlq".into(),
            partitions: 3,
            by_reason: Vec::new(),
        };
        let wider = if mutation == Mutation::Window { 2 } else { 1 };
        let order = if mutation == Mutation::TwoHeads {
            Order::None
        } else {
            setup.order
        };
        let settings = FlowConfig {
            in_flight: setup.window * wider,
            in_flight_bytes: setup.bytes,
            unstored: setup.unstored,
            order,
            retry,
            dead_letter: vec![setup.dead_letters.then_some(letters)],
            on_data_loss: setup.loss,
            ..FlowConfig::new("g".into(), limits)
        };
        let mut flow = Flow::new(settings);
        let mut reader = || {
            let (number, claims) = flow.add_reader();
            Reader {
                number,
                claims,
                loan: Vec::new(),
                lent: 0,
                revoked: false,
            }
        };
        let readers = (0..setup.readers).map(|_| reader()).collect();
        Self {
            number,
            marks: flow.marks(),
            flow,
            readers,
            hands: Vec::new(),
            marked: Vec::new(),
            unready: Vec::new(),
            commits: Vec::new(),
            answers: Vec::new(),
            recalled: BTreeSet::new(),
            retry,
            mutation,
            draining: false,
            flushes: Vec::new(),
            room: Room {
                messages: 0,
                bytes: 0,
            },
            deadline: None,
            wake: true,
        }
    }

    /// What a receive brings for the room that the flow has.
    pub(crate) fn receive(&mut self, parts: &mut [Part], model: &mut Model) -> Result<bool, String> {
        let mut room = self.room;
        let mut any = false;
        for (number, part) in parts.iter_mut().enumerate() {
            for _ in 0..2 {
                for event in part.fetch(number, self.number, &mut room) {
                    any = true;
                    self.event(event, model)?;
                }
            }
        }
        Ok(any)
    }
    fn event(&mut self, event: Event, model: &mut Model) -> Check {
        match &event {
            Event::Records { shard, batch, range } => {
                let id = (shard.partition as usize, shard.epoch);
                for entry in &batch.records()[range.start as usize..range.end as usize] {
                    let deaf =
                        model.epoch(id)?.deaf || self.draining || model.epoch(id)?.phase != Phase::Owned;
                    let key = (entry.key != bus_core::Span::ABSENT).then_some(entry.key_hash);
                    if !deaf {
                        model.received(id, entry.position, key, entry.size())?;
                    }
                }
                if self.mutation == Mutation::Skip && range.len() > 1 {
                    let event = Event::Records {
                        shard: *shard,
                        batch: batch.clone(),
                        range: range.start + 1..range.end,
                    };
                    self.flow.input(event, at(model.now));
                    return Ok(());
                }
            }
            Event::DataLoss { shard, from, to } => {
                model.lost_data((shard.partition as usize, shard.epoch), *from, *to)?;
            }
            _ => {}
        }
        self.flow.input(event, at(model.now));
        Ok(())
    }
    /// A reader borrows.
    pub(crate) fn lend(&mut self, reader: usize, most: usize, model: &mut Model) -> Result<bool, String> {
        let at_reader = reader % self.readers.len();
        self.claim(at_reader, usize::MAX, model)?;
        let reader = &mut self.readers[at_reader];
        let mut loan = Vec::new();
        let ready = self.flow.has_ready();
        self.flow.lend(reader.number, most, &mut loan);
        (reader.lent, reader.revoked) = (loan.len(), false);
        for handout in &mut loan {
            if self.mutation == Mutation::Attempt && handout.attempt > 1 {
                handout.attempt -= 1;
            }
            let (id, position) = (id(handout.shard), handout.record.position());
            if model
                .epoch(id)?
                .recs
                .get(&position)
                .is_some_and(|r| r.st == St::Lent)
            {
                let has = |r: &Reader| {
                    !r.revoked
                        && r.loan
                            .iter()
                            .any(|h| (h.shard, h.record.position()) == (handout.shard, position))
                };
                let Some(other) = self.readers.iter().position(has) else {
                    return Err(format!("{id:?} {position} handed out twice in one loan"));
                };
                self.revoke(other, model)?;
            }
            let epoch = model.epoch(id)?;
            let earlier = self.recalled.range((id, 0)..(id, position)).next();
            ensure!(
                !self.recalled.contains(&(id, position)) || earlier.is_none() || !epoch.runs(),
                "{id:?} {position} handed out again before {earlier:?}"
            );
            model.cover.recalled_again += u64::from(self.recalled.remove(&(id, position)));
            model.lent(self.number, handout)?;
        }
        let any = !loan.is_empty();
        model.cover.gated += u64::from(ready && !any && most > 0);
        loan.reverse();
        self.readers[at_reader].loan = loan;
        self.wake |= self.flow.wants_pump();
        Ok(any)
    }
    fn revoke(&mut self, reader: usize, model: &mut Model) -> Check {
        let reader = &mut self.readers[reader];
        if !std::mem::replace(&mut reader.revoked, true) {
            for handout in &reader.loan {
                model.cover.recalled += 1;
                let (id, position) = (id(handout.shard), handout.record.position());
                model.set(id, position, St::Held)?;
                self.recalled.insert((id, position));
            }
        }
        Ok(())
    }
    /// A reader claims from its loan.
    pub(crate) fn claim(&mut self, reader: usize, count: usize, model: &mut Model) -> Result<bool, String> {
        let number = reader % self.readers.len();
        let mut any = false;
        for _ in 0..count {
            let reader = &mut self.readers[number];
            if reader.loan.is_empty() {
                break;
            }
            if reader.claims.claim(reader.lent).is_none() {
                self.revoke(number, model)?;
                self.readers[number].loan.clear();
                break;
            }
            let Some(handout) = reader.loan.pop() else { break };
            let (id, position) = (id(handout.shard), handout.record.position());
            ensure!(!reader.revoked, "{id:?} {position} claimed and recalled");
            model.claimed(id, position)?;
            self.hands.push(Hand {
                slot: handout.slot,
                id,
                position,
                attempt: handout.attempt,
                stamp: handout.stamp,
            });
            any = true;
        }
        Ok(any)
    }
    pub(crate) fn has_hands(&self) -> bool {
        !self.hands.is_empty()
    }
    pub(crate) fn has_marks(&self) -> bool {
        !self.marked.is_empty()
    }
    /// A handler ends.
    pub(crate) fn settle(&mut self, pick: usize, how: How) {
        if self.hands.is_empty() {
            return;
        }
        let hand = self.hands.swap_remove(pick % self.hands.len());
        let (part, position) = (hand.id.0, bus_core::position::format(hand.position));
        let output =
            |n: u8| -> (Name, Message) { ("out".into(), Message::new(format!("out {part}/{position}.{n}"))) };
        let after = |ms: u64| Verdict::Nack {
            after: Some(Duration::from_millis(ms)),
            error: None,
        };
        let verdict = match how {
            How::Ack => {
                self.marks.ack(hand.slot);
                self.marked.push((hand, Verdict::AckWith(Vec::new()), 0));
                return;
            }
            How::AckWith(n) => Verdict::AckWith((0..n).map(output).collect()),
            How::Nack => Verdict::Nack {
                after: None,
                error: Some("no".into()),
            },
            How::NackAfter(ms) => after(u64::from(ms)),
            How::Reject => Verdict::Reject {
                reason: "rejected",
                error: "no".into(),
            },
            How::Drop => Verdict::Dropped,
            How::Return => Verdict::Returned,
            How::Unready => Verdict::Unready,
        };
        let wait = match how {
            How::NackAfter(ms) => u64::from(ms),
            _ => self.retry.wait(hand.attempt).as_millis() as u64,
        };
        let wait = wait + if self.mutation == Mutation::Early { 5 } else { 0 };
        self.marks.settle(hand.slot, verdict.clone());
        self.marked.push((hand, verdict, wait));
    }
    pub(crate) fn step(&mut self, model: &mut Model) -> Check {
        let (acks, verdicts): (Vec<_>, Vec<_>) = std::mem::take(&mut self.marked)
            .into_iter()
            .partition(|(_, v, _)| matches!(v, Verdict::AckWith(o) if o.is_empty()));
        for (hand, verdict, wait) in acks.into_iter().chain(verdicts) {
            model.settled(hand.id, hand.position, &verdict, wait)?;
            if matches!(verdict, Verdict::Unready) {
                self.unready.push(hand);
            }
        }
        let ready = self.flow.step(at(model.now));
        ensure!(ready == self.flow.has_ready(), "step and has_ready differ");
        Ok(())
    }
    pub(crate) fn has_unready(&self) -> bool {
        !self.unready.is_empty()
    }
    /// What its records wait for is there, also for those whose shard is gone.
    pub(crate) fn ready(&mut self, model: &mut Model) -> Check {
        self.step(model)?;
        for hand in std::mem::take(&mut self.unready) {
            model.ready(hand.id, hand.position);
            self.flow.is_ready((hand.slot, hand.stamp), at(model.now));
        }
        self.wake = true;
        Ok(())
    }
    /// What its records wait for will not come: a dead letter, where the shard stores.
    pub(crate) fn refuse(&mut self, model: &mut Model) -> Check {
        self.step(model)?;
        for hand in std::mem::take(&mut self.unready) {
            let place = (hand.slot, hand.stamp);
            model.ready(hand.id, hand.position);
            if self.flow.refuse(place, "will not come", at(model.now)).is_some() {
                let verdict = Verdict::Reject {
                    reason: "undecodable",
                    error: "will not come".into(),
                };
                model.given_up(hand.id, hand.position, &verdict)?;
            }
        }
        self.wake = true;
        Ok(())
    }
    /// A step of a reader: it may have to wake the pump.
    pub(crate) fn reader_step(&mut self, model: &mut Model) -> Check {
        self.step(model)?;
        self.wake |= self.flow.wants_pump();
        Ok(())
    }
    /// What the pump does after events: step, work, room, deadline.
    pub(crate) fn work(&mut self, parts: &mut [Part], model: &mut Model) -> Result<bool, String> {
        self.step(model)?;
        let mut work = self.flow.work(at(model.now));
        let any = !work.commits.is_empty() || !work.release.is_empty() || !work.pause.is_empty();
        ensure!(
            work.commits.is_empty() || self.commits.is_empty(),
            "a commit during a commit"
        );
        let mut carried = 0;
        for done in &mut work.commits {
            self.mutation.done(done, model);
            model.done(&parts[done.shard.partition as usize], done, &mut carried)?;
        }
        self.commits.append(&mut work.commits);
        for released in work.release {
            let part = &mut parts[released.partition as usize];
            let owner = part.owner.is_some() && part.epoch == released.epoch;
            model.released(id(released), owner)?;
            if owner {
                part.owner = None;
            }
        }
        for (paused, on) in work.pause {
            model.cover.paused += u64::from(on);
            let part = &mut parts[paused.partition as usize];
            if let Some(reading) = part.readings.iter_mut().find(|r| r.epoch == paused.epoch) {
                reading.paused = on;
            }
        }
        self.room = self.flow.room();
        model.cover.full_window += u64::from(self.flow.in_flight() >= model.setup.window);
        let deadline = self.flow.deadline();
        self.deadline = deadline.map(|d| d.saturating_duration_since(*ZERO).as_millis() as u64);
        ensure!(
            deadline.is_none_or(|d| d > at(model.now).mono),
            "spin: the deadline lies {:?} in the past after step and work",
            deadline.map(|d| at(model.now).mono.saturating_duration_since(d))
        );
        self.wake = false;
        Ok(any)
    }
    pub(crate) fn is_committing(&self) -> bool {
        !self.commits.is_empty() || !self.answers.is_empty()
    }
    /// The commit under way ends, or is tried again.
    pub(crate) fn commit(&mut self, end: End, parts: &mut [Part], model: &mut Model) -> Check {
        for done in std::mem::take(&mut self.commits) {
            let (id, part) = (id(done.shard), &mut parts[done.shard.partition as usize]);
            let answer = match end {
                End::Fails if self.flow.may_retry(done.shard, at(model.now)) => {
                    model.cover.retried_commits += 1;
                    self.commits.push(done);
                    continue;
                }
                End::Fails if model.setup.faults => Err(Error::unavailable("down")),
                End::Refused if model.setup.faults => Err(Error::new(ErrorKind::Other, "no")),
                _ => {
                    let stores = part.store(&done);
                    if stores || self.mutation == Mutation::Unfenced {
                        model.stored(id, part.owner.map(|_| part.epoch))?;
                        Ok(())
                    } else {
                        Err(Error::fenced("it"))
                    }
                }
            };
            self.answers.push((done.shard, answer));
        }
        if !self.commits.is_empty() {
            return Ok(());
        }
        for (shard, answer) in std::mem::take(&mut self.answers) {
            if let Err(error) = &answer {
                let fenced = error.kind() == ErrorKind::Fenced;
                model.cover.fenced += u64::from(fenced);
                model.cover.given_up += u64::from(error.is_transient());
                model.cover.refused += u64::from(!fenced && !error.is_transient());
                model.refused(id(shard), fenced.then_some(Phase::Fenced))?;
            }
            self.flow.committed(shard, answer);
        }
        self.wake = true;
        Ok(())
    }
    pub(crate) fn flush(&mut self, model: &mut Model) -> Check {
        self.step(model)?;
        let ticket = self.flow.flush();
        self.flushes.push(ticket);
        self.wake = true;
        model.cover.flushed += 1;
        Ok(())
    }
    /// The flushes that were asked for are over.
    pub(crate) fn is_flushed(&self) -> bool {
        self.flushes.iter().all(|ticket| self.flow.is_flushed(*ticket))
    }
    /// What must hold at any time.
    pub(crate) fn check(&self, model: &mut Model) -> Check {
        let setup = &model.setup;
        let (window, limit) = (setup.window, setup.unstored.max(setup.window));
        ensure!(
            self.flow.in_flight() <= window,
            "{} in flight, over {window}",
            self.flow.in_flight()
        );
        let ours = || model.epochs.values().filter(|e| e.member == self.number);
        let slots: usize = ours().map(|e| e.slots()).sum();
        ensure!(
            self.flow.in_flight() == slots,
            "{} in flight, not {slots}",
            self.flow.in_flight()
        );
        let bytes: usize = ours().map(|e| e.bytes()).sum();
        let largest = ours()
            .flat_map(|e| e.recs.values())
            .map(|r| r.size)
            .max()
            .unwrap_or(0);
        ensure!(
            bytes <= setup.bytes + largest,
            "{bytes} bytes in flight, over {}",
            setup.bytes
        );
        let diverted = ours().any(|e| !e.diverted.is_empty());
        ensure!(
            diverted || self.flow.bytes() == bytes,
            "{} bytes counted, not {bytes}",
            self.flow.bytes()
        );
        let sum = self.flow.unstored() + self.flow.in_flight();
        ensure!(sum <= limit, "{sum} unstored and in flight, over {limit}");
        let (oversized, bound) = (bytes > setup.bytes, sum == limit);
        for hand in &self.hands {
            let void = model.epochs.get(&hand.id).is_none_or(|e| e.is_void());
            ensure!(
                self.marks.is_lost(hand.slot) == void,
                "{:?} {}: is_lost is {}",
                hand.id,
                hand.position,
                !void
            );
            model.cover.lost_in_hand += u64::from(void);
        }
        model.cover.oversized += u64::from(oversized);
        model.cover.unstored_bound += u64::from(bound);
        Ok(())
    }
    /// The flow is told that it owns nothing there any more.
    pub(crate) fn lose(&mut self, id: Id, model: &mut Model) -> Check {
        self.flow.input(Event::Lost(shard(id.0, id.1)), at(model.now));
        let epoch = model.epoch(id)?;
        epoch.phase = Phase::Lost;
        epoch.diverted.clear();
        model.cover.lost += 1;
        Ok(())
    }
    pub(crate) fn idle(&self) -> bool {
        self.hands.is_empty() && self.marked.is_empty() && !self.is_committing()
    }
}

pub(crate) fn id(shard: Shard) -> Id {
    (shard.partition as usize, shard.epoch)
}
