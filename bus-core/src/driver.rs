//! The backend contract: **backends order partitions; core does everything else.** Read this file first.
//!
//! A backend is a partitioned append-only log with exclusive, epoch-numbered ownership and one stored
//! position per (group, partition). It classifies errors; core decides about backoff, retries, lanes,
//! timers, dead letters. The one exception is publishing: only the backend can send the *same* sequence
//! number again, so the backend resends and core never does.
//!
//! Every trait is object-safe: an application may hold `Arc<dyn Publisher>` or be generic over it, and a
//! layer is a struct around `Arc<dyn Backend>`. `async-trait` boxes once per **batch**.
//!
//! # What a backend must not do
//! Retry a commit, delay a record, count an attempt, decide about a dead letter, create a topic that was not
//! asked for, or start a partition anywhere but at the stored position.

use crate::{Batch, Error, GroupSpec, Message, Name, Pending, Result, Start, TopicLag, TopicSpec};
use async_trait::async_trait;
use bytes::Bytes;
use std::{fmt::Debug, ops::Range, sync::Arc, time::Duration};

/// One partition during one period of ownership. A new assignment, a seek, a reconnect to a server with
/// another history: a new `epoch`, so a token from before can never settle anything after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    /// A number the subscription gave the topic; its name comes with [`Event::Gained`].
    pub topic: u32,
    /// The partition's number, from 0.
    pub partition: u32,
    /// Grows with every change of ownership, as this subscriber sees it.
    pub epoch: u64,
}

/// The address of one record. Positions grow, with holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// Where, and during which ownership.
    pub shard: Shard,
    /// The record's position: a Kafka offset, a Redis entry id as `ms << 64 | seq`.
    pub position: u128,
}

/// What is settled in one shard: every position below `next`, and what `notes` lists beyond it.
#[derive(Clone, Debug)]
pub struct Done {
    /// The shard, with the epoch in which the records were delivered.
    pub shard: Shard,
    /// The first position that is not settled.
    pub next: u128,
    /// What is settled beyond `next`, attempts, not-before times; opaque to a backend, at most [`Limits::notes`] bytes.
    pub notes: Bytes,
    /// Messages that belong to the records which *this* `Done` settles for the first time. They live here, not
    /// beside the list, because a fenced shard must take its outputs down with it and leave its neighbours' alone.
    pub outputs: Vec<(Name, Message)>,
}

/// What [`Subscriber::receive`] brings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Ours from now on. Records follow from `next` (already stored as the group's position, also for a new
    /// group); `notes` are the bytes of the last commit *at that position*, else empty: then redeliver.
    Gained {
        /// The shard, in its new epoch.
        shard: Shard,
        /// The topic's name.
        topic: Name,
        /// The stored position: the first one that is not settled.
        next: u128,
        /// What the last commit at `next` carried.
        notes: Bytes,
    },
    /// What one fetch brought for one shard, in log order. A batch is one arena and an index, so a record is
    /// `(Arc<Batch>, u32)`: 16 bytes instead of an owned message of 112, and two allocations a batch. `range` says
    /// which records of the batch are meant, so that a batch larger than the room is handed out in parts.
    Records {
        /// The shard they were read under.
        shard: Shard,
        /// The records and their bytes.
        batch: Arc<Batch>,
        /// The records of `batch` that are handed out now.
        range: Range<u32>,
    },
    /// Leaves within `grace`. Core drains, commits, calls [`Ack::release`]. Optional before `Lost`.
    Losing {
        /// The shard that leaves.
        shard: Shard,
        /// How long its handlers may go on.
        grace: Duration,
    },
    /// Ownership is in doubt (a frozen process woke, a renewal is late): start no handler of this shard until
    /// `Resumed` or `Lost`.
    Suspended(Shard),
    /// Ownership was confirmed after `Suspended`.
    Resumed(Shard),
    /// No longer ours: tokens are void. Sent once for every `Gained`, also on self-fencing and after
    /// [`Ack::release`]; after `close` every shard is void without it.
    Lost(Shard),
    /// Positions in `from..to` were removed before they were read. Core applies the subscription's policy.
    DataLoss {
        /// Where.
        shard: Shard,
        /// The first position that is missing.
        from: u128,
        /// The first position that is there.
        to: u128,
    },
    /// A seek of this shard that was accepted came to nothing: the partition left before its new position was known to
    /// be stored. Who gains it next, this subscriber or another, begins where the group stands.
    SeekFailed(Shard),
    /// The end that was seen at `Gained` has been handed out: a state topic is loaded, a replay is done.
    CaughtUp(Shard),
    /// The topic was deleted or made anew under us; its shards are lost.
    TopicLost(Name),
    /// An administrator added partitions; order of keys that move is void until the old ones are drained.
    PartitionsChanged {
        /// The topic.
        topic: Name,
        /// How many it has now.
        partitions: u32,
    },
}

/// How much `receive` may hand out. Zero messages: ownership events and keep-alive only. `bytes` may be
/// passed by one record, so that a record larger than the whole budget still comes through when it is alone.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Records.
    pub messages: usize,
    /// Bytes of keys, payloads and headers.
    pub bytes: usize,
}

/// Who reads.
#[derive(Clone, Debug)]
pub enum Scope {
    /// A member of a group: partitions are shared among the live members, positions are stored.
    Group(Name),
    /// Owns all (or the listed) partitions, commits nothing and joins no group: broadcast, request/reply
    /// inbox, tail, replay of a range.
    Everyone {
        /// `None`: all.
        partitions: Option<Vec<u32>>,
    },
}

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Source {
    /// The topics, by name; [`Shard::topic`] is the index in this list.
    pub topics: Vec<Name>,
    /// Group or everyone.
    pub scope: Scope,
    /// Where a group without a stored position, or an `Everyone`, begins.
    pub start: Start,
    /// A commit's outputs and positions take effect together or not at all.
    pub exactly_once: bool,
}

/// Sizes, not abilities: what the contract promises needs no flag.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of notes that a commit may carry.
    pub notes: usize,
    /// Bytes of one message: key, payload and headers.
    pub message: usize,
    /// Output messages in one `commit`.
    pub outputs: usize,
}

/// Where a message was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The partition's number.
    pub partition: u32,
    /// `None` where a resend found the message already stored and the broker no longer says where.
    pub position: Option<u128>,
}

/// What became of a message that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The backend has it, as durably as configured.
    Stored(Receipt),
    /// The bus was told not to wait ([`Defaults::fire_and_forget`](crate::Defaults::fire_and_forget)): the message was
    /// taken, and what becomes of it is reported by `flush` and `close`. A backend never answers this.
    Enqueued,
    /// The bus is switched off: nothing was sent, by choice.
    Disabled,
}

/// Why a message was not confirmed: either it is certainly not stored, or it is unknown.
#[derive(Debug)]
pub struct Unsent {
    unknown: bool,
    error: Error,
}

impl Unsent {
    /// Not stored: sending it again makes no duplicate.
    pub fn not_stored(error: impl Into<Error>) -> Self {
        Self {
            unknown: false,
            error: error.into(),
        }
    }
    /// It may be stored: the reply was lost past the deadline, or the caller went away.
    pub fn unknown(error: impl Into<Error>) -> Self {
        Self {
            unknown: true,
            error: error.into(),
        }
    }
    /// Whether the message may be stored all the same.
    pub fn is_unknown(&self) -> bool {
        self.unknown
    }
    /// The reason.
    pub fn error(&self) -> &Error {
        &self.error
    }
    /// The reason, owned.
    pub fn into_error(self) -> Error {
        self.error
    }
}

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.unknown {
            "unknown whether stored"
        } else {
            "not stored"
        };
        write!(f, "{what}: {}", self.error)
    }
}

impl std::error::Error for Unsent {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<Unsent> for Error {
    fn from(unsent: Unsent) -> Self {
        if unsent.unknown {
            unsent.error.context("unknown whether stored")
        } else {
            unsent.error
        }
    }
}

/// A broker, seen by one process.
#[async_trait]
pub trait Backend: Debug + Send + Sync + 'static {
    /// The backend's name, as in a URL: `memory`, `kafka`, `redis`.
    fn name(&self) -> &'static str;
    /// Sizes that hold on every topic.
    fn limits(&self) -> Limits;
    /// A publisher; called once per bus, and again after that one was closed.
    async fn publisher(&self) -> Result<Arc<dyn Publisher>>;
    /// Joins the group, or opens the partitions.
    /// # Behavior
    /// - A missing topic is `TopicMissing`; nothing is created.
    /// - `exactly_once` without transactions at the broker is `Unsupported` here (an output in another cluster slot: at `ack_with`).
    /// - `Everyone` with `Start::Latest`: what is stored after this returns is seen (positions are resolved now).
    /// - A group's start is fixed and stored when a partition is first owned; partitions that are added later start at
    ///   their beginning, whatever the group's start.
    /// - Membership is kept alive by the backend from here to `close`, whatever the caller does.
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)>;
    /// Topics and groups.
    fn admin(&self) -> Arc<dyn Admin>;
    /// Cheap: answers from what is known, asks the broker nothing.
    fn health(&self) -> Result<()>;
}

/// Stores messages. Applications use it through `PublisherExt`: `publisher.publish(&ORDERS, &o)`.
#[async_trait]
pub trait Publisher: Debug + Send + Sync + 'static {
    /// Takes `batch` *during the call* (so call order is storage order per partition) and answers for each
    /// message, in order, when it is stored as durably as configured, or is not.
    /// # Behavior
    /// - A keyed message goes to `murmur2(key) mod partitions` ([`crate::partition`]), unless `message.partition` is set.
    /// - Resends by itself, under the same sequence number, until its deadline: a lost reply makes no duplicate.
    /// - Fail-stop: after a message fails, what was taken behind it for the same partition is `NotStored`.
    /// - A missing topic is `TopicMissing`, a message over [`Limits::message`] is `TooLarge`, a partition that does not
    ///   exist is `Invalid`: before anything of that message is sent, and without holding up its neighbours.
    /// - Dropping the future cancels nothing. Never refuses for lack of room: core bounds what is in flight.
    /// - May be called inside a tokio runtime only.
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending;
    /// Waits for everything taken so far. A second close is a no-op; use after close is `Closed`.
    async fn close(&self) -> Result<()>;
}

/// Reads what is assigned. Applications meet it raw only where they keep positions themselves.
#[async_trait]
pub trait Subscriber: Debug + Send {
    /// Appends what there is, waiting until there is something. Per shard: `Gained`, then records in log order;
    /// `Losing`, `Lost` and `DataLoss` overtake records held back for lack of room, and after `Losing` no record of
    /// that shard follows. Returns with at least one event, and never more records than `room`.
    /// Cancel-safe: what a dropped call had in hand comes with the next. `Err` is fatal for this subscriber.
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()>;
    /// Stops or resumes handing out one shard; ownership, keep-alive and prefetched data stay. Unknown shard: no-op.
    fn pause(&mut self, shard: Shard, paused: bool);
    /// Voids the shard and gains it again at `to`, which is stored under the new epoch (`Lost`, then `Gained`). Who keeps
    /// positions elsewhere seeks only if `Gained::next` differs from his. May return before the shard is gained: then the
    /// partition is gained next at `to`, or [`Event::SeekFailed`] comes before it is.
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()>;
    /// Gives up everything still owned without committing, leaves the group. Bounded, also with the broker down.
    /// Core drops a call that takes too long, and the subscriber with it: what is left behind then is what a process
    /// leaves that was killed. Nothing is called after a close that was dropped.
    async fn close(&mut self) -> Result<()>;
}

/// Settles. A separate half, so that a commit never waits behind a `receive`.
#[async_trait]
pub trait Ack: Debug + Send + Sync {
    /// Stores each `Done`: its outputs become visible and its position and notes are stored; with
    /// `Source::exactly_once`, or where it costs nothing, atomically; otherwise outputs first (at least once).
    /// # Behavior
    /// - One result per `Done`, same order. `Fenced`: that shard is not ours in that epoch; nothing of it was stored.
    /// - Refuses a `next` below the one stored in this epoch. Sending the same `Done` again is harmless.
    /// - An output whose topic is missing is `TopicMissing`; nothing of that `Done` is stored.
    /// - An unclear end is resolved here (same sequence again, or re-init and re-read), or the shard is given up: `Lost`.
    /// - Under [`Scope::Everyone`] it is a no-op that succeeds.
    /// - Core calls it one at a time per subscriber, and drops the future only with the whole subscription, of which nothing
    ///   is called any more: so it need not be cancel-safe, beyond surviving what a process leaves that was killed.
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>>;
    /// Gives one shard up, marked clean, so that the next owner need not wait. The answer to `Losing`; `Lost` follows.
    /// Core drops a call only where the subscription ends and it takes too long; `close` comes behind it.
    async fn release(&self, shard: Shard) -> Result<()>;
}

/// Topics and groups.
#[async_trait]
pub trait Admin: Debug + Send + Sync {
    /// Creates topics and waits until they are usable. One that exists already is left as it is and is no error.
    async fn create(&self, topics: &[TopicSpec]) -> Result<()>;
    /// Deletes a topic and what it holds. A missing one is `TopicMissing`.
    async fn delete(&self, topic: &str) -> Result<()>;
    /// What exists, sorted by name, the broker's own internal topics left out.
    async fn topics(&self) -> Result<Vec<TopicSpec>>;
    /// Adds partitions; never removes any (`Invalid`).
    async fn grow(&self, topic: &str, partitions: u32) -> Result<()>;
    /// Where `at` lies in each partition: what a reset or a replay would use. `Latest` is one past the last record.
    async fn positions(&self, topic: &str, at: Start) -> Result<Vec<(u32, u128)>>;
    /// Names of the groups, sorted.
    async fn groups(&self) -> Result<Vec<Name>>;
    /// Members with their partitions, and positions. An unknown one is `GroupMissing`.
    async fn group(&self, group: &str) -> Result<GroupSpec>;
    /// Deletes a group without live members (else `Conflict`).
    async fn delete_group(&self, group: &str) -> Result<()>;
    /// What `bus check` looks at: versions, durability, eviction, limits, clock.
    async fn facts(&self) -> Result<Vec<(Name, String)>>;
    /// Stored position and distance to the end of every partition in which the group has a position.
    async fn lag(&self, group: &str) -> Result<Vec<TopicLag>>;
    /// Moves a group without live members and drops its notes; with live members: `Conflict`.
    async fn reset(&self, group: &str, topic: &str, to: Start) -> Result<()>;
}
