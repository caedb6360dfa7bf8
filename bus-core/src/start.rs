//! Where reading begins.

use std::{collections::BTreeMap, time::SystemTime};

/// Where a new group begins; an existing one resumes at its stored position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// At the oldest record that is there (default: a group created after a publish still sees it).
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At the first record whose timestamp is not before this.
    Time(SystemTime),
    /// At these positions, by partition; a partition that is not listed begins at its oldest record.
    Positions(BTreeMap<u32, u128>),
    /// Only where the group has a stored position; without one, subscribing is an error (`GroupMissing`).
    Stored,
}
