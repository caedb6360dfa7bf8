//! Of which topics a consumer or worker reads, and for whom.

use crate::Bus;
use bus_core::{Codec, Start, Subscribe, Topic};

/// Of which topics a consumer or worker reads, and for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Its topics, as a member of its group.
    #[default]
    Group,
    /// Every topic whose name matches, as a member of its group.
    Matching,
    /// Its topics from now on, for itself.
    Everyone,
}

impl Scope {
    pub(crate) fn subscribe<T, C: Codec<T>>(
        self,
        bus: &Bus,
        topic: &Topic<T, C>,
        group: &str,
    ) -> Subscribe<T, C> {
        match self {
            Self::Group => bus.subscribe(topic, group),
            Self::Matching => bus.subscribe_pattern(topic, group),
            Self::Everyone => bus.observe(topic).start(Start::Latest),
        }
    }
}
