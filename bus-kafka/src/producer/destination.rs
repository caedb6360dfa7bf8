//! A topic that is published to: its partitions, and what waits for them to be known.

use super::{
    Producer, Shared,
    deadlines::Deadlines,
    gate::{Gates, Pass},
    rules::Rules,
    spread::Spread,
};
use crate::native::{Code, Delivery, Report, Topic};
use bus_core::{Message, Name};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

/// How long one metadata request may take, and how long to wait before the next.
const LOOKUP: Duration = Duration::from_secs(5);
/// librdkafka's `batch.size`, unless set.
const BATCH: usize = 1_000_000;
const AGAIN: Duration = Duration::from_millis(100);

/// The thread that looks topics up, which blocks. Nothing is sent before that, nor before another producer is through.
pub(super) fn look_up(
    shared: &Shared,
    inbox: &mpsc::Receiver<Option<Arc<Destination>>>,
    before: Option<Arc<Producer>>,
) {
    if let Some(before) = before {
        before.wait(shared);
        // Fail-stop, across the two.
        for (name, at) in std::mem::take(&mut *before.shared.failed.lock()) {
            let destination = shared.destinations.lock().get(&name).cloned();
            if let Some(destination) = destination {
                destination.refuse_before(shared, at);
            }
        }
        shared.sends.store(true, Ordering::Release);
    }
    while let Ok(Some(destination)) = inbox.recv() {
        let _ = destination.look_up(shared, LOOKUP);
    }
}

/// Of what was taken behind a message that failed.
const NOT_SENT: Report = Report::Failed {
    code: Code::PURGE_QUEUE,
    maybe: false,
};

fn is_missing(code: Code) -> bool {
    matches!(code, Code::UNKNOWN_TOPIC_OR_PART | Code::UNKNOWN_TOPIC_LOCAL)
}

pub(crate) struct Destination {
    pub(crate) name: Name,
    /// `None` for a name that librdkafka does not take.
    topic: Option<Topic>,
    /// Messages given to librdkafka and not reported yet.
    pub(super) in_flight: AtomicUsize,
    /// Batches that are under way.
    pub(crate) deadlines: Deadlines,
    /// Some partition's first message is under way.
    pub(super) probing: AtomicBool,
    made: Instant,
    /// One lock a batch; it is also what keeps calls in order.
    state: Mutex<State>,
}

struct State {
    rules: Rules,
    /// 0: not known.
    partitions: u32,
    /// A request is under way.
    asked: bool,
    /// When the partitions were last confirmed, or when to ask again.
    looked: Instant,
    /// Batches taken before the partitions were known, with their deadlines.
    waiting: VecDeque<(Arc<Delivery>, Instant)>,
    spread: Spread,
    gates: Gates,
}

impl Destination {
    pub(super) fn new(name: Name, topic: Option<Topic>, limit: usize, deadline: Duration) -> Self {
        Self {
            name,
            topic,
            in_flight: AtomicUsize::new(0),
            deadlines: Deadlines::new(deadline),
            probing: AtomicBool::new(false),
            made: Instant::now(),
            state: Mutex::new(State {
                rules: Rules::of_client(limit),
                partitions: 0,
                asked: false,
                looked: Instant::now(),
                waiting: VecDeque::new(),
                spread: Spread::new(),
                gates: Gates::default(),
            }),
        }
    }

    /// Asks the cluster about the topic. Blocks.
    fn look_up(&self, shared: &Shared, timeout: Duration) -> Result<(), Code> {
        let ask = || match &self.topic {
            Some(topic) => topic.look_up(timeout).map_err(|f| f.code),
            None => Err(Code::TOPIC_EXCEPTION),
        };
        let mut answer = ask();
        if answer.is_err_and(is_missing) {
            // A topic that was just created is not known to every broker at once.
            std::thread::sleep(AGAIN);
            answer = ask();
        }
        let rules = answer
            .ok()
            .and_then(|_| Rules::ask(&shared.client, &self.name, shared.limit));
        self.answered(shared, answer, rules);
        answer.map(drop)
    }

    /// What is wrong with a message, if something is. Blocks while the topic is not known, until `deadline` at most.
    pub(super) fn refuses(&self, shared: &Shared, message: &Message, deadline: Instant) -> Option<Report> {
        loop {
            let state = self.state.lock();
            if state.partitions > 0 {
                return state
                    .rules
                    .check(message, message.partition.unwrap_or(0), state.partitions);
            }
            drop(state);
            let left = deadline.saturating_duration_since(Instant::now());
            let code = match self.look_up(shared, left.min(LOOKUP)) {
                Ok(()) => continue,
                Err(code) if is_missing(code) => return Some(Report::TopicMissing),
                Err(code) => code,
            };
            if matches!(code, Code::TOPIC_AUTHORIZATION | Code::TOPIC_EXCEPTION) || left <= AGAIN {
                return Some(Report::Failed { code, maybe: false });
            }
            std::thread::sleep(AGAIN);
        }
    }

    pub(super) fn take(self: &Arc<Self>, shared: &Shared, batch: Arc<Delivery>) {
        let mut state = self.state.lock();
        if state.partitions > 0 && state.waiting.is_empty() {
            self.send(&mut state, shared, batch);
            return;
        }
        state.waiting.push_back((batch, Instant::now() + shared.deadline));
        self.ask(&mut state, shared);
    }

    fn ask(self: &Arc<Self>, state: &mut State, shared: &Shared) {
        if !state.asked {
            state.asked = true;
            let _ = shared.lookups.send(Some(self.clone()));
        }
    }

    /// Gives a batch to librdkafka, in order.
    fn send(&self, state: &mut State, shared: &Shared, batch: Arc<Delivery>) {
        let (partitions, rules) = (state.partitions, state.rules);
        let (spread, gates) = (&mut state.spread, &mut state.gates);
        let now = self.made.elapsed().as_secs();
        let Some(topic) = &self.topic else {
            self.refuse(shared, batch, Report::TopicMissing);
            return;
        };
        if shared.denied.has(&self.name) {
            let code = Code::TOPIC_AUTHORIZATION;
            self.refuse(shared, batch, Report::Failed { code, maybe: false });
            return;
        }
        let count = batch.messages.len();
        // Counted before, because reports may come at once.
        let before = self.in_flight.fetch_add(count, Ordering::AcqRel);
        let mut given = before > 0;
        let mut refused = 0;
        batch.submit(|batch, i| {
            let message = &batch.messages[i];
            let partition = match (message.partition, &message.key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => shared.partitioner.partition(key, partitions),
                (None, None) => spread.next(partitions, message.size(), !given),
            };
            let report = match rules.check(message, partition, partitions) {
                Some(report) => Some(report),
                None => match gates.pass(partition, now) {
                    Pass::Wait => {
                        gates.hold(partition, (batch.clone(), i));
                        None
                    }
                    Pass::Go => give(topic, batch, i, partition, true, rules.limit),
                    Pass::First => {
                        // Before it goes, because the report may come at once.
                        self.probing.store(true, Ordering::Release);
                        give(topic, batch, i, partition, true, rules.limit)
                            .inspect(|_| gates.not_gone(partition))
                    }
                },
            };
            match report {
                None => given = true,
                Some(_) => refused += 1,
            }
            report
        });
        self.in_flight.fetch_sub(refused, Ordering::AcqRel);
        shared.reported(refused);
    }

    /// What became of the first message to a partition. On the thread that reads reports.
    pub(super) fn proved(&self, shared: &Shared, partition: u32, stored: bool) {
        let mut state = self.state.lock();
        if stored {
            state.gates.stored(partition);
        } else {
            for (batch, i) in state.gates.failed(partition) {
                batch.refuse(i, NOT_SENT);
                self.in_flight.fetch_sub(1, Ordering::AcqRel);
                shared.reported(1);
            }
        }
        self.open_gates(&mut state, shared);
    }

    /// Gives what waited behind first messages that were stored.
    fn open_gates(&self, state: &mut State, shared: &Shared) {
        let Some(topic) = &self.topic else {
            return;
        };
        let limit = state.rules.limit;
        state.gates.open(
            |partition, (batch, i)| match give(topic, batch, *i, partition, false, limit) {
                None => true,
                Some(Report::Failed {
                    code: Code::QUEUE_FULL,
                    ..
                }) => false,
                Some(report) => {
                    batch.refuse(*i, report);
                    self.in_flight.fetch_sub(1, Ordering::AcqRel);
                    shared.reported(1);
                    true
                }
            },
        );
        self.probing.store(state.gates.is_waiting(), Ordering::Release);
    }

    fn refuse(&self, shared: &Shared, batch: Arc<Delivery>, report: Report) {
        let count = batch.messages.len();
        batch.submit(|_, _| Some(report));
        shared.reported(count);
    }

    /// What the cluster says about the topic.
    fn answered(&self, shared: &Shared, answer: Result<u32, Code>, rules: Option<Rules>) {
        let mut state = self.state.lock();
        if let Some(rules) = rules {
            if rules.limit < BATCH && rules != state.rules {
                tracing::warn!(
                    target: "bus::kafka", topic = %self.name, limit = rules.limit,
                    "the topic takes smaller batches than are sent: set the option `batch.size` to its `max.message.bytes`"
                );
            }
            state.rules = rules;
        }
        state.asked = false;
        state.looked = Instant::now();
        match answer {
            Ok(partitions) => {
                state.partitions = partitions;
                while let Some((batch, _)) = state.waiting.pop_front() {
                    self.send(&mut state, shared, batch);
                }
            }
            Err(code) if is_missing(code) => {
                state.partitions = 0;
                self.refuse_waiting(&mut state, shared, Report::TopicMissing);
            }
            Err(code @ (Code::TOPIC_AUTHORIZATION | Code::TOPIC_EXCEPTION)) => {
                self.refuse_waiting(&mut state, shared, Report::Failed { code, maybe: false });
            }
            // The next tick asks again.
            Err(_) => {}
        }
    }

    fn refuse_waiting(&self, state: &mut State, shared: &Shared, report: Report) {
        while let Some((batch, _)) = state.waiting.pop_front() {
            self.refuse(shared, batch, report);
        }
    }

    /// A report said that the topic or partition is gone: ask before anything else is sent.
    pub(super) fn gone(&self) {
        let mut state = self.state.lock();
        state.partitions = 0;
        state.gates.forget();
    }

    /// Refuses what waits for the topic to be known: nothing goes any more.
    pub(super) fn give_up(&self, shared: &Shared) {
        let mut state = self.state.lock();
        if !state.waiting.is_empty() {
            shared.nothing_behind(&self.name);
            self.refuse_waiting(&mut state, shared, NOT_SENT);
        }
    }

    /// Refuses what waits since before then.
    fn refuse_before(&self, shared: &Shared, then: Instant) {
        let mut state = self.state.lock();
        while state
            .waiting
            .front()
            .is_some_and(|(_, deadline)| *deadline <= then + shared.deadline)
        {
            if let Some((batch, _)) = state.waiting.pop_front() {
                self.refuse(shared, batch, NOT_SENT);
            }
        }
    }

    /// Asks again where it is due, gives up what waited too long. Whether anything waits.
    pub(super) fn tick(self: &Arc<Self>, shared: &Shared, now: Instant) -> bool {
        let mut state = self.state.lock();
        while state
            .waiting
            .front()
            .is_some_and(|(_, deadline)| *deadline <= now)
        {
            if let Some((batch, _)) = state.waiting.pop_front() {
                self.refuse(
                    shared,
                    batch,
                    Report::Failed {
                        code: Code::TIMED_OUT,
                        maybe: false,
                    },
                );
            }
        }
        self.open_gates(&mut state, shared);
        let waits = !state.waiting.is_empty();
        let after = if waits { AGAIN } else { shared.refresh };
        if (waits || state.partitions > 0) && now >= state.looked + after {
            self.ask(&mut state, shared);
        }
        waits
    }
}

/// Gives one message to librdkafka; what became of it where that failed.
fn give(
    topic: &Topic,
    batch: &Delivery,
    i: usize,
    partition: u32,
    block: bool,
    limit: usize,
) -> Option<Report> {
    Some(match topic.produce(batch, i, partition, block).err()? {
        Code::MSG_SIZE_TOO_LARGE => Report::TooLarge { limit },
        code => Report::Failed { code, maybe: false },
    })
}
