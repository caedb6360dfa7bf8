//! A topic that is published to: its partitions, and what waits for them to be known.

use super::{Shared, spread::Spread};
use crate::native::{Code, Delivery, Report, Topic, TopicInfo, wire_size};
use bus_core::Name;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How long one metadata request may take, and how long to wait before the next.
const LOOKUP: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);

pub(crate) struct Destination {
    pub(crate) name: Name,
    number: usize,
    limit: AtomicUsize,
    /// Messages given to librdkafka and not reported yet.
    pub(super) in_flight: AtomicUsize,
    /// One lock a batch; it is also what keeps calls in order.
    state: Mutex<State>,
}

struct State {
    topic: Option<Topic>,
    /// 0: not known.
    partitions: u32,
    /// A request is under way.
    asked: bool,
    /// When the partitions were last confirmed, or when to ask again.
    looked: Instant,
    /// The last answer was that the topic does not exist. It counts when a second one says so too, because a topic
    /// that was just created is not known to every broker at once.
    missing: bool,
    /// Batches taken before the partitions were known, with their deadlines.
    waiting: VecDeque<(Arc<Delivery>, Instant)>,
    spread: Spread,
}

impl Destination {
    pub(super) fn new(name: Name, number: usize) -> Self {
        Self {
            name,
            number,
            limit: AtomicUsize::new(usize::MAX),
            in_flight: AtomicUsize::new(0),
            state: Mutex::new(State {
                topic: None,
                partitions: 0,
                asked: false,
                looked: Instant::now(),
                missing: false,
                waiting: VecDeque::new(),
                spread: Spread::new(),
            }),
        }
    }
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, shared: &Shared, batch: Arc<Delivery>) {
        let mut state = self.state.lock();
        if state.partitions > 0 && state.waiting.is_empty() {
            self.send(&mut state, shared, batch);
            return;
        }
        state.waiting.push_back((batch, Instant::now() + shared.deadline));
        self.look_up(&mut state, shared);
    }

    fn look_up(&self, state: &mut State, shared: &Shared) {
        if !state.asked {
            state.asked = true;
            shared
                .client
                .describe_topics([&*self.name], &shared.queue, self.number, LOOKUP);
        }
    }

    /// Gives a batch to librdkafka, in order.
    fn send(&self, state: &mut State, shared: &Shared, batch: Arc<Delivery>) {
        let State {
            topic,
            partitions,
            spread,
            ..
        } = state;
        let partitions = *partitions;
        let Some(topic) = topic.as_ref() else {
            self.refuse(shared, batch, Report::TopicMissing);
            return;
        };
        self.limit.store(shared.limit, Ordering::Relaxed);
        let count = batch.messages.len();
        // Counted before, because reports may come at once.
        let before = self.in_flight.fetch_add(count, Ordering::AcqRel);
        let mut given = before > 0;
        let mut refused = 0;
        batch.submit(|batch, i| {
            let message = &batch.messages[i];
            let size = wire_size(message);
            let bad_header = |(name, _): (&[u8], _)| name.is_empty() || name.contains(&0);
            let partition = match (message.partition, &message.key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => shared.partitioner.partition(key, partitions),
                (None, None) => spread.next(partitions, size, !given),
            };
            let report = if size > shared.limit {
                Some(Report::TooLarge)
            } else if partition >= partitions {
                Some(Report::BadPartition { partitions })
            } else if message.timestamp.is_some_and(|t| t <= 0) {
                Some(Report::BadTimestamp)
            } else if message.headers.iter().any(bad_header) {
                Some(Report::BadHeader)
            } else {
                match topic.produce(batch, i, partition) {
                    Ok(()) => None,
                    Err(Code::MSG_SIZE_TOO_LARGE) => Some(Report::TooLarge),
                    Err(code) => Some(Report::Failed { code, maybe: false }),
                }
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

    fn refuse(&self, shared: &Shared, batch: Arc<Delivery>, report: Report) {
        let count = batch.messages.len();
        batch.submit(|_, _| Some(report));
        shared.reported(count);
    }

    /// What the cluster says about the topic. On the thread that reads reports.
    pub(super) fn answered(&self, shared: &Shared, answer: Option<TopicInfo>) {
        let mut state = self.state.lock();
        state.asked = false;
        state.looked = Instant::now();
        let Some(info) = answer else {
            return;
        };
        match info.failure.as_ref().map(|f| f.code) {
            None => self.known(&mut state, shared, info.partitions),
            Some(Code::UNKNOWN_TOPIC_OR_PART | Code::UNKNOWN_TOPIC_LOCAL) => {
                if state.missing {
                    state.missing = false;
                    self.forget(&mut state);
                    self.refuse_waiting(&mut state, shared, Report::TopicMissing);
                } else {
                    state.missing = true;
                }
            }
            Some(code @ (Code::TOPIC_AUTHORIZATION | Code::TOPIC_EXCEPTION)) => {
                self.refuse_waiting(&mut state, shared, Report::Failed { code, maybe: false });
            }
            // The next tick asks again.
            Some(_) => {}
        }
    }

    fn known(&self, state: &mut State, shared: &Shared, partitions: u32) {
        state.missing = false;
        if state.topic.is_none() {
            state.topic = Topic::new(&shared.client, &self.name);
        }
        if state.partitions != 0
            && state.partitions != partitions
            && let Some(topic) = &state.topic
            && !topic.refresh(LOOKUP)
        {
            // librdkafka does not know the new partitions yet and would refuse them.
            return;
        }
        state.partitions = partitions;
        while let Some((batch, _)) = state.waiting.pop_front() {
            self.send(state, shared, batch);
        }
    }

    fn forget(&self, state: &mut State) {
        state.partitions = 0;
        state.topic = None;
    }
    fn refuse_waiting(&self, state: &mut State, shared: &Shared, report: Report) {
        while let Some((batch, _)) = state.waiting.pop_front() {
            self.refuse(shared, batch, report);
        }
    }

    /// A report said that the topic or partition is gone: ask before anything else is sent.
    pub(super) fn gone(&self) {
        self.forget(&mut self.state.lock());
    }

    /// Asks again where it is due, gives up what waited too long. Whether anything waits.
    pub(super) fn tick(&self, shared: &Shared, now: Instant) -> bool {
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
        let waits = !state.waiting.is_empty();
        let after = if waits { AGAIN } else { shared.refresh };
        if (waits || state.partitions > 0) && now >= state.looked + after {
            self.look_up(&mut state, shared);
        }
        waits
    }
}
