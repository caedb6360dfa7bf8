//! What `bus consume` takes.

use crate::{start, time};
use clap::ValueEnum;
use std::time::Duration;

/// Print messages, and acknowledge each after it was written and flushed
///
/// Without --group it reads everything as an observer and leaves no trace. With it, it is a member: partitions are
/// shared with the other members, positions are stored, and a message that was not printed comes again.
///
/// It ends after --count messages, after --idle without one, or on Ctrl-C or SIGTERM, which finish and store what was
/// printed; a second one ends it at once. The exit status is 3 where nothing came, or fewer than --count.
///
/// --json prints {"topic", "partition", "position", "key", "value", "headers", "timestamp", "attempt"} a line: `value` is
/// the payload's text, null for a tombstone; what is not UTF-8 is `key_base64`, `value_base64`, {"base64": ...} for a
/// header; `timestamp` is in milliseconds since 1970.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// Read as a member of this group
    #[arg(long, env = "BUS_CONSUME_GROUP")]
    pub(crate) group: Option<String>,
    /// Where to begin: earliest, latest, a time (2026-07-01T12:00:00Z, "2h ago"), or a position; a group that exists
    /// goes on where it was
    #[arg(
        long,
        env = "BUS_CONSUME_FROM",
        value_name = "PLACE",
        default_value = "earliest"
    )]
    pub(crate) from: start::From,
    /// End after so many messages
    #[arg(long, env = "BUS_CONSUME_COUNT", value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End when no message came for this long
    #[arg(long, env = "BUS_CONSUME_IDLE", value_name = "TIME", value_parser = time::duration)]
    pub(crate) idle: Option<Duration>,
    /// What is kept in order: messages of one key, or of one partition, or nothing [default: key; none with --no-ack]
    #[arg(long, env = "BUS_CONSUME_ORDER", value_enum)]
    pub(crate) order: Option<Order>,
    /// Acknowledge nothing: the group's messages are shown (65 536 at most) and stay
    #[arg(long, env = "BUS_CONSUME_NO_ACK", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) no_ack: bool,
}

impl Args {
    /// Whether messages are held instead of acknowledged. An observer's acknowledgements leave no trace anyway.
    pub(super) fn keeps(&self) -> bool {
        self.no_ack && self.group.is_some()
    }
}

/// What is kept in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// Messages of one key
    Key,
    /// Messages of one partition
    Partition,
    /// Nothing
    None,
}

impl From<Order> for bus::Order {
    fn from(order: Order) -> Self {
        match order {
            Order::Key => Self::Key,
            Order::Partition => Self::Partition,
            Order::None => Self::None,
        }
    }
}
