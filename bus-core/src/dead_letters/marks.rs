//! The headers by which a dead letter says why it is one, and a replayed message that it was one.

use crate::{HeadersView, delay::marks::EXPIRES};

/// The place of the first copy: it stays through every replay.
pub(crate) const ORIGIN_ID: &str = "bus-origin-id";
/// A word: `max-attempts`, `rejected`, `undecodable`, `expired`.
pub(crate) const REASON: &str = "bus-reason";
pub(crate) const ERROR: &str = "bus-error";
pub(crate) const ATTEMPTS: &str = "bus-attempts";
/// Where the copy was that was given up.
pub(crate) const ORIGIN_TOPIC: &str = "bus-origin-topic";
pub(crate) const ORIGIN_PARTITION: &str = "bus-origin-partition";
pub(crate) const ORIGIN_POSITION: &str = "bus-origin-position";
/// Who gave it up.
pub(crate) const GROUP: &str = "bus-group";
/// When, in milliseconds since 1970 UTC.
pub(crate) const TIME: &str = "bus-time";
/// How often it was put back. Stays with the message, so that its next dead letter says it too.
pub(crate) const REPLAYS: &str = "bus-replays";
/// `topic/group`: in this topic, groups with another name have handled it before.
pub(crate) const REPLAY_FOR: &str = "bus-replay-for";

/// What a dead letter says and the message that it was did not.
pub(super) const TOLD: [&str; 8] = [
    REASON,
    ERROR,
    ATTEMPTS,
    ORIGIN_TOPIC,
    ORIGIN_PARTITION,
    ORIGIN_POSITION,
    GROUP,
    TIME,
];

/// What a record's headers say about whether it is delivered: looked at for every record that has headers, so once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told<'a> {
    /// When its time is over; said by what has neither failed nor come back.
    expires: Option<&'a [u8]>,
    replay_for: Option<&'a [u8]>,
    is_letter: bool,
    is_replayed: bool,
}

impl<'a> Told<'a> {
    pub(crate) fn by(headers: HeadersView<'a>) -> Self {
        let mut told = Self::default();
        for (name, value) in headers.iter().filter(|(name, _)| name.starts_with(b"bus-")) {
            match std::str::from_utf8(name) {
                Ok(EXPIRES) => told.expires = value,
                Ok(REPLAY_FOR) => told.replay_for = value,
                Ok(REASON) => told.is_letter = true,
                Ok(REPLAYS) => told.is_replayed = true,
                _ => {}
            }
        }
        told
    }
    /// When its time is over, in milliseconds since 1970 UTC. Dead letters have time, and who puts one back wants it
    /// handled after all.
    pub(crate) fn expires(&self) -> Option<i64> {
        if self.is_letter || self.is_replayed {
            return None;
        }
        std::str::from_utf8(self.expires?).ok()?.parse().ok()
    }
    /// Whether it was put back into this topic for another group than this one.
    pub(crate) fn is_for_others(&self, topic: &str, group: &str) -> bool {
        let Some(whom) = self.replay_for.filter(|_| !self.is_letter) else {
            return false;
        };
        // Names have no slash. What was copied into another topic is nobody's replay there.
        let rest = whom
            .strip_prefix(topic.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"/"));
        rest.is_some_and(|whose| whose != group.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    fn told(headers: &[(&'static str, &'static str)], f: impl FnOnce(Told<'_>)) {
        let mut all = Headers::new();
        headers.iter().for_each(|(name, value)| all.push(*name, *value));
        let mut bytes = Vec::new();
        all.encode(&mut bytes);
        f(Told::by(HeadersView::new(&bytes)));
    }

    #[test]
    fn only_other_groups_of_the_same_topic_pass_it_by() {
        told(&[("a", "1"), (REPLAY_FOR, "orders/billing")], |told| {
            assert!(told.is_for_others("orders", "shipping"));
            assert!(!told.is_for_others("orders", "billing"));
            assert!(!told.is_for_others("copies", "shipping"));
            assert!(!told.is_for_others("order", "shipping"));
        });
        told(&[(REPLAY_FOR, "orders/billing"), (REASON, "rejected")], |told| {
            assert!(
                !told.is_for_others("orders", "shipping"),
                "a dead letter is for whoever reads it"
            );
        });
    }

    #[test]
    fn what_comes_back_has_no_end() {
        told(&[(EXPIRES, "5")], |told| assert_eq!(told.expires(), Some(5)));
        told(&[(EXPIRES, "5"), (REASON, "x")], |told| {
            assert_eq!(told.expires(), None)
        });
        told(&[(REPLAYS, "1"), (EXPIRES, "5")], |told| {
            assert_eq!(told.expires(), None)
        });
        told(&[(EXPIRES, "soon")], |told| assert_eq!(told.expires(), None));
    }
}
