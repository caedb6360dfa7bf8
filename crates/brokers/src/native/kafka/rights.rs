//! Who may do what on a private Kafka that was started `guarded`.

use super::Kafka;
use crate::error::{Error, Result};
use crate::probe;

/// What a right is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaResource<'a> {
    /// A topic of this name.
    Topic(&'a str),
    /// A group of this name.
    Group(&'a str),
    /// The cluster as a whole.
    Cluster,
    /// A transactional id that begins like this.
    Transactions(&'a str),
}

/// What a right allows. Reading and writing imply describing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words of Kafka's own documentation")]
pub enum KafkaOperation {
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    DescribeConfigs,
}

impl KafkaResource<'_> {
    /// Type, name and kind of pattern, as the protocol has them.
    pub(crate) fn wire(&self) -> (i8, &str, i8) {
        const LITERAL: i8 = 3;
        const PREFIXED: i8 = 4;
        match self {
            Self::Topic(name) => (2, name, LITERAL),
            Self::Group(name) => (3, name, LITERAL),
            Self::Cluster => (4, "kafka-cluster", LITERAL),
            Self::Transactions(prefix) => (5, prefix, PREFIXED),
        }
    }
}

impl KafkaOperation {
    pub(crate) fn wire(self) -> i8 {
        match self {
            Self::Read => 3,
            Self::Write => 4,
            Self::Create => 5,
            Self::Delete => 6,
            Self::Alter => 7,
            Self::Describe => 8,
            Self::DescribeConfigs => 10,
        }
    }
}

impl Kafka {
    /// Allows the user this from any host. Brokers heed it a moment later.
    ///
    /// # Errors
    ///
    /// When it was not started [`guarded`](crate::KafkaOptions::guarded), or does not answer.
    pub fn allow(&self, user: &str, operation: KafkaOperation, on: KafkaResource<'_>) -> Result<()> {
        let done = probe::kafka_allow(self.inner_address(), user, operation, on);
        done.map_err(|why| Error::State(format!("allowing {user} {operation:?} on {on:?}: {why}")))
    }

    /// Takes back what was allowed. Brokers heed it a moment later.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow).
    pub fn take_back(&self, user: &str, operation: KafkaOperation, on: KafkaResource<'_>) -> Result<()> {
        let done = probe::kafka_take_back(self.inner_address(), user, operation, on);
        done.map_err(|why| Error::State(format!("taking {operation:?} on {on:?} from {user}: {why}")))
    }
}
