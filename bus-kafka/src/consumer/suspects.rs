//! Positions that are another topic's: of one of the same name that was deleted, or of another cluster's.
//!
//! One look at the topic is no proof. Brokers learn of a topic that was made anew one after the other, so whoever is told
//! of the old one may look at a position of the new one.

use super::{reader::Reader, watch};
use crate::{
    native::{Code, Part as NativePart},
    notes::{self, TopicId},
};
use std::time::Instant;

/// A topic of which a position was found that belongs to another one of its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    /// The tag that a look has to have at least to be newer.
    after: usize,
    looks: u8,
}

/// Whose a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// This topic's.
    Ours,
    /// One's of the same name that was before.
    Former,
    /// That cannot be told before the topic is looked at again.
    Unclear,
}

/// Whose a position of topic `of` is where `now` is what is known of the topic, after so many looks because of it. A broker
/// that has not heard of a new topic yet describes the old one: a position of the new one must not be set aside for that.
fn whose(of: TopicId, now: Option<TopicId>, looks: u8) -> Whose {
    match now {
        Some(now) if now == of => Whose::Ours,
        // Brokers without ids.
        None if looks > 0 => Whose::Ours,
        Some(_) if looks >= watch::TWICE => Whose::Former,
        _ => Whose::Unclear,
    }
}

impl Reader {
    /// How often the topic was looked at since a position of it was found that may be another's.
    fn looks(&self, topic: u32) -> u8 {
        self.suspects.get(&topic).map_or(0, |suspect| suspect.looks)
    }

    fn suspect(&mut self, topic: u32) {
        if !self.suspects.contains_key(&topic) {
            let after = self.next_tag();
            self.suspects.insert(topic, Suspect { after, looks: 0 });
            self.watch_at = Instant::now();
        }
    }

    /// Positions of another topic of the same name are none: the group is new in this one. Where that has to be looked
    /// at, it is as if they had not been answered.
    pub(super) fn judge(&mut self, parts: &mut [NativePart]) {
        for part in parts.iter_mut().filter(|p| p.code.is_ok() && p.offset >= 0) {
            let (Some(topic), Some(id)) = (self.index(&part.topic), notes::decode(&part.metadata).topic)
            else {
                continue;
            };
            match whose(id, self.id(topic), self.looks(topic)) {
                Whose::Ours => {}
                Whose::Former => {
                    tracing::warn!(
                        target: "bus::kafka", group = ?self.group, topic = part.topic, partition = part.partition,
                        "position {} is of another topic of this name, one that was deleted or one of another cluster: \
                         the group begins anew", part.offset
                    );
                    part.offset = -1001;
                }
                // It may be this member that has not noticed that the topic is another one.
                Whose::Unclear => {
                    part.code = Code::TRANSPORT;
                    self.suspect(topic);
                }
            }
        }
    }

    /// It is another one than the last look said: looks at that one say nothing of this one.
    pub(super) fn look_anew(&mut self, topic: u32) {
        let after = self.next_tag();
        if let Some(suspect) = self.suspects.get_mut(&topic) {
            *suspect = Suspect { after, looks: 0 };
            self.watch_at = Instant::now() + watch::AGAIN;
        }
    }

    /// The topic was looked at, and is what it was.
    pub(super) fn looked(&mut self, topic: u32, tag: usize) {
        let next = self.next_tag();
        if let Some(suspect) = self.suspects.get_mut(&topic).filter(|s| tag >= s.after) {
            suspect.looks = suspect.looks.saturating_add(1);
            if suspect.looks < watch::TWICE {
                suspect.after = next;
                self.watch_at = Instant::now() + watch::AGAIN;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_does_not_make_a_position_anothers() {
        let (old, new) = ((0, 1), (0, 2));
        assert_eq!(whose(new, Some(new), 0), Whose::Ours);
        for looks in 0..watch::TWICE {
            assert_eq!(whose(new, Some(old), looks), Whose::Unclear, "{looks} looks");
        }
        assert_eq!(whose(old, Some(new), watch::TWICE), Whose::Former);
        assert_eq!(whose(new, None, 0), Whose::Unclear);
        assert_eq!(whose(new, None, 1), Whose::Ours);
    }
}
