//! Reports as outcomes.

use crate::{
    error,
    native::{Code, Delivery, Report},
};
use bus_core::{Error, ErrorKind, Message, Outcome, Receipt, Result, Unsent};

/// One outcome a message, in order.
pub(crate) fn outcomes(batch: &Delivery) -> Vec<Result<Outcome, Unsent>> {
    let topic = &*batch.destination.name;
    let over = batch.destination.deadlines.is_over(batch.taken);
    batch
        .reports()
        .into_iter()
        .zip(&batch.messages)
        .map(|(report, message)| outcome(topic, if over { late(report) } else { report }, message))
        .collect()
}

/// What is beyond its deadline was given up for that.
fn late(report: Report) -> Report {
    match report {
        Report::Failed {
            code: Code::PURGE_QUEUE | Code::PURGE_INFLIGHT,
            maybe,
        } => Report::Failed {
            code: Code::MSG_TIMED_OUT,
            maybe,
        },
        report => report,
    }
}

pub(super) fn outcome(topic: &str, report: Report, message: &Message) -> Result<Outcome, Unsent> {
    let error = match report {
        Report::Stored { partition, offset } => {
            return Ok(Outcome::Stored(Receipt {
                partition,
                position: u128::try_from(offset).ok(),
            }));
        }
        Report::Open => {
            return Err(Unsent::unknown(Error::new(
                ErrorKind::Other,
                format!("no report for topic `{topic}`"),
            )));
        }
        Report::TopicMissing => Error::topic_missing(topic),
        Report::TooLarge { limit } => Error::too_large(topic, message.size(), limit),
        Report::BadPartition { partitions } => Error::invalid(format!(
            "topic `{topic}` has no partition {}; it has {partitions}, from 0",
            message.partition.unwrap_or_default()
        )),
        Report::BadTimestamp => Error::invalid(format!(
            "topic `{topic}` does not take timestamp {}: it must be after 1970, and within the topic's \
             `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`",
            message.timestamp.unwrap_or_default()
        )),
        Report::NoKey => Error::invalid(format!("topic `{topic}` is compacted, so a message needs a key")),
        Report::BadHeader => Error::invalid("a header's name must not be empty or contain a NUL byte"),
        Report::Failed { code, maybe } => {
            // It was sent once, had no answer, and waited to be sent again.
            let again = maybe && code == Code::PURGE_QUEUE;
            let error = failed(topic, if again { Code::PURGE_INFLIGHT } else { code });
            return Err(if maybe {
                Unsent::unknown(error)
            } else {
                Unsent::not_stored(error)
            });
        }
    };
    Err(Unsent::not_stored(error))
}

fn failed(topic: &str, code: Code) -> Error {
    match code {
        // The topic went, or its client was replaced, with this in its queue; the publisher itself goes on.
        Code::DESTROY => Error::unavailable(format!(
            "publishing to `{topic}`: the client let go of the message; publish it again"
        )),
        Code::UNKNOWN_TOPIC_OR_PART | Code::UNKNOWN_TOPIC_LOCAL => Error::topic_missing(topic),
        // Between its failure and whoever looks for that, and behind what was half given to it.
        Code::FATAL => Error::unavailable(format!(
            "publishing to `{topic}`: its producer failed before this was sent; publish it again"
        )),
        Code::PURGE_QUEUE => Error::unavailable(format!(
            "publishing to `{topic}`: a message before this one failed, or their producer, so it was not sent"
        )),
        Code::PURGE_INFLIGHT => Error::unavailable(format!(
            "publishing to `{topic}`: given up while it was under way"
        )),
        code => error::of_code(format_args!("publishing to `{topic}`"), code),
    }
}
