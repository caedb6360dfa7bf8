//! What `bus publish` takes.

use crate::time;
use std::{num::NonZeroU32, time::Duration};

/// Publish one message, or one per line of standard input
///
/// With --json each line of standard input is a message {"key", "value", "headers", "partition"}: `value` is sent as it
/// is where it is a string, as compact JSON with its field order kept where it is anything else, and null is a
/// tombstone; `value_base64` and `key_base64` hold bytes; `headers` are [[name, value], ...] or an object. A `timestamp`
/// in milliseconds is kept; `topic`, `position` and `attempt`, which `bus consume --json` prints, are passed over.
///
/// Order is kept. Each message is confirmed by the broker: with --json its place is printed, a line each, else their
/// number. A line that cannot be read or is not stored is named with its number on standard error, the others are
/// published all the same, and the exit status is 1. When the broker is gone or refuses, nothing more is read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The topic
    pub(crate) topic: String,
    /// The message; without it, messages are read from standard input
    pub(crate) value: Option<String>,
    /// The key: messages of one key keep their order
    #[arg(long, env = "BUS_PUBLISH_KEY")]
    pub(crate) key: Option<String>,
    /// A header, again and again for several
    #[arg(long, env = "BUS_PUBLISH_HEADER", value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// The partition, whatever the key
    #[arg(long, env = "BUS_PUBLISH_PARTITION", value_name = "NUMBER")]
    pub(crate) partition: Option<u32>,
    /// Deliver no earlier than after this, such as 5s: until then messages wait in TOPIC.delay, and the places that are
    /// printed lie there; any process that consumes TOPIC in a group moves them
    #[arg(long, env = "BUS_PUBLISH_DELAY", value_name = "TIME", value_parser = time::duration)]
    pub(crate) delay: Option<Duration>,
    /// Create the topic with so many partitions if it is missing
    #[arg(long, env = "BUS_PUBLISH_CREATE", value_name = "PARTITIONS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) create: Option<u32>,
    /// Publish so many messages a second, evenly spread
    #[arg(long, env = "BUS_PUBLISH_RATE", value_name = "NUMBER")]
    pub(crate) rate: Option<NonZeroU32>,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
