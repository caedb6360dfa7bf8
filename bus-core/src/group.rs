//! What a backend tells about a group.

use crate::Name;

/// A group: its live members and its positions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupSpec {
    /// Its name.
    pub name: Name,
    /// Live members, sorted by id.
    pub members: Vec<MemberSpec>,
    /// Stored positions and lag, by topic and partition.
    pub positions: Vec<TopicLag>,
}

/// A live member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberSpec {
    /// The id the backend knows it by.
    pub id: String,
    /// Where it runs, as far as the backend knows; else empty.
    pub host: String,
    /// What it owns: topic and partition.
    pub partitions: Vec<(Name, u32)>,
}

/// A group's stored position in one partition, and how far behind the end it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicLag {
    /// The topic.
    pub topic: Name,
    /// The partition.
    pub partition: u32,
    /// The first position that is not settled.
    pub position: u128,
    /// One past the last record.
    pub end: u128,
    /// Records from `position` to the end.
    pub behind: u64,
}

impl GroupSpec {
    /// A group; `members` and `positions` are sorted.
    pub fn new(name: impl Into<Name>, mut members: Vec<MemberSpec>, mut positions: Vec<TopicLag>) -> Self {
        members.sort_by(|a, b| a.id.cmp(&b.id));
        positions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Self {
            name: name.into(),
            members,
            positions,
        }
    }
}

impl MemberSpec {
    /// A member and what it owns.
    pub fn new(id: impl Into<String>, host: impl Into<String>, mut partitions: Vec<(Name, u32)>) -> Self {
        partitions.sort();
        Self {
            id: id.into(),
            host: host.into(),
            partitions,
        }
    }
}

impl TopicLag {
    /// A position and its distance to the end, counted in records.
    pub fn new(topic: impl Into<Name>, partition: u32, position: u128, end: u128, behind: u64) -> Self {
        Self {
            topic: topic.into(),
            partition,
            position,
            end,
            behind,
        }
    }
}
