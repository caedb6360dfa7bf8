//! What an actor is to do.

use serde::{Deserialize, Serialize};
use std::{ffi::OsString, path::PathBuf};

/// What an actor is to do. Serialized, it is its command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) url: String,
    /// Its number, which nobody else in the test has.
    pub(crate) number: u32,
    pub(crate) seed: u64,
    /// The file that it appends to.
    pub(crate) record: PathBuf,
    /// Environment variables beside the test's own.
    #[serde(skip)]
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) role: Role,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Produce(Produce),
    Consume(Consume),
}

/// Publishes `key:counter` to keys of its own, in every partition as many.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Produce {
    pub(crate) topic: String,
    pub(crate) partitions: u32,
    /// Keys in each partition.
    pub(crate) keys: u32,
    /// Messages a second.
    pub(crate) rate: u32,
    /// Bytes of a payload, at least.
    pub(crate) size: usize,
    /// Ends after so many; else when it is told to.
    pub(crate) count: Option<u64>,
}

/// Handles messages as a member of a group; what a message's key asks for, it does (`habit.rs`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Consume {
    pub(crate) topic: String,
    pub(crate) group: String,
    /// Handlers at a time.
    pub(crate) handlers: usize,
    /// Messages out at a time.
    pub(crate) in_flight: usize,
    /// A handler takes so many milliseconds, at random within both.
    pub(crate) work: (u64, u64),
    /// This share of first attempts fails.
    pub(crate) failing: f64,
    /// Attempts before a message is given up; none: for ever.
    pub(crate) attempts: Option<u32>,
    /// Publishes each message to these topics with its ack.
    pub(crate) into: Vec<String>,
    pub(crate) exactly_once: bool,
    /// Goes on behind what the broker lost; the loss is in its log.
    pub(crate) go_on: bool,
}

impl Produce {
    pub(crate) fn new(topic: &str, partitions: u32) -> Self {
        Self {
            topic: topic.into(),
            partitions,
            keys: 10,
            rate: 500,
            size: 0,
            count: None,
        }
    }
}

impl Consume {
    pub(crate) fn new(topic: &str, group: &str) -> Self {
        Self {
            topic: topic.into(),
            group: group.into(),
            handlers: 16,
            in_flight: 256,
            work: (0, 20),
            failing: 0.0,
            attempts: None,
            into: Vec::new(),
            exactly_once: false,
            go_on: false,
        }
    }
}

impl Spec {
    /// The topic it publishes to or reads from.
    pub(crate) fn topic(&self) -> &str {
        match &self.role {
            Role::Produce(role) => &role.topic,
            Role::Consume(role) => &role.topic,
        }
    }
}
