//! What a topic takes. A broker that refuses one record refuses its whole batch, neighbours included, so what can be
//! known is checked before anything is sent.

use crate::native::{Client, ConfigSet, Kind, Report, Resource, wire_size};
use bus_core::Message;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How long a topic's settings may take; without them only the client's own limit is checked.
const WAIT: Duration = Duration::from_millis(500);

/// What a record needs besides its bytes, with some headers.
pub(crate) const HEADROOM: usize = 512;

/// A topic's settings, as far as they could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Bytes of one message on the wire.
    pub(super) limit: usize,
    /// Bytes of key, payload and headers: the limit that the backend tells.
    size: usize,
    /// Compacted: a record needs a key.
    key: bool,
    /// How far a timestamp may lie before and after the broker's clock, in milliseconds.
    before: i64,
    after: i64,
}

impl Rules {
    pub(super) fn of_client(limit: usize) -> Self {
        Self {
            limit,
            size: limit.saturating_sub(HEADROOM),
            key: false,
            before: i64::MAX,
            after: i64::MAX,
        }
    }

    /// Asks for the topic's settings. Blocks.
    pub(super) fn ask(client: &Arc<Client>, topic: &str, limit: usize) -> Option<Self> {
        let queue = client.new_queue();
        client.describe_configs(&[Resource::Topic(topic.to_owned())], &queue, 0, WAIT);
        let event = queue.poll(WAIT)?;
        if event.kind() != Kind::Answer {
            return None;
        }
        let set = event
            .configs()
            .into_iter()
            .next()
            .filter(|s| s.failure.is_none())?;
        Some(Self::read(&set, limit))
    }

    fn read(set: &ConfigSet, limit: usize) -> Self {
        let value = |key: &str| set.entries.iter().find(|(k, _)| k == key).map(|(_, v)| &**v);
        let number = |key| value(key).and_then(|v| v.parse::<i64>().ok()).unwrap_or(i64::MAX);
        let ours = value("message.timestamp.type") != Some("LogAppendTime");
        Self {
            limit: limit.min(usize::try_from(number("max.message.bytes")).unwrap_or(usize::MAX)),
            size: limit.saturating_sub(HEADROOM),
            key: value("cleanup.policy").is_some_and(|v| v.split(',').any(|p| p == "compact")),
            before: if ours {
                number("message.timestamp.before.max.ms")
            } else {
                i64::MAX
            },
            after: if ours {
                number("message.timestamp.after.max.ms")
            } else {
                i64::MAX
            },
        }
    }

    /// What is wrong with a message, if something is.
    pub(super) fn check(&self, message: &Message, partition: u32, partitions: u32) -> Option<Report> {
        let bad_header = |(name, _): (&[u8], _)| name.is_empty() || name.contains(&0);
        if wire_size(message) > self.limit || message.size() > self.size {
            Some(Report::TooLarge {
                limit: self.limit.min(self.size),
            })
        } else if partition >= partitions {
            Some(Report::BadPartition { partitions })
        } else if self.key && message.key.is_none() {
            Some(Report::NoKey)
        } else if message.timestamp.is_some_and(|t| !self.takes_time(t)) {
            Some(Report::BadTimestamp)
        } else if message.headers.iter().any(bad_header) {
            Some(Report::BadHeader)
        } else {
            None
        }
    }

    /// librdkafka takes 0 for "now", and brokers refuse what is before 1970.
    fn takes_time(&self, timestamp: i64) -> bool {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        timestamp > 0
            && timestamp <= now.saturating_add(self.after)
            && timestamp >= now.saturating_sub(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[(&str, &str)]) -> ConfigSet {
        ConfigSet {
            name: "t".to_owned(),
            failure: None,
            entries: entries
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn settings_become_rules() {
        let far = i64::MAX / 2;
        let rules = Rules::read(&set(&[]), 10_000);
        assert_eq!(rules, Rules::of_client(10_000));
        assert_eq!(rules.check(&Message::new("x").timestamp(far), 0, 1), None);
        assert_eq!(
            rules.check(&Message::new("x").timestamp(0), 0, 1),
            Some(Report::BadTimestamp)
        );
        assert_eq!(
            rules.check(&Message::new("x"), 1, 1),
            Some(Report::BadPartition { partitions: 1 })
        );
        let rules = Rules::read(
            &set(&[
                ("max.message.bytes", "500"),
                ("cleanup.policy", "compact,delete"),
                ("message.timestamp.after.max.ms", "3600000"),
                ("message.timestamp.before.max.ms", "9223372036854775807"),
            ]),
            10_000,
        );
        assert_eq!(rules.check(&Message::new("x"), 0, 1), Some(Report::NoKey));
        let keyed = Message::new("x").keyed("k");
        assert_eq!(
            rules.check(&keyed.clone().timestamp(far), 0, 1),
            Some(Report::BadTimestamp)
        );
        assert_eq!(rules.check(&keyed.timestamp(1), 0, 1), None);
        let large = Message::new(vec![0; 500]).keyed("k");
        assert_eq!(rules.check(&large, 0, 1), Some(Report::TooLarge { limit: 500 }));
    }
}
