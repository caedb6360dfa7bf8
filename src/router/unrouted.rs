//! Events that no route matched.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Types that are told apart. A topic may hold any number of them, and memory may not.
const TYPES: usize = 1_000;
/// Bytes of a type's name that are kept.
const NAME: usize = 256;

/// How many there were, by type.
#[derive(Debug, Default)]
pub(super) struct Unrouted {
    all: AtomicU64,
    types: Mutex<HashMap<Box<str>, u64>>,
}

impl Unrouted {
    /// Counts one; true: the first of its type.
    pub(super) fn count(&self, event: &str) -> bool {
        self.all.fetch_add(1, Relaxed);
        let event = &event[..event.floor_char_boundary(NAME)];
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = types.get_mut(event) {
            *count += 1;
            return false;
        }
        let is_told_apart = types.len() < TYPES;
        if is_told_apart {
            types.insert(event.into(), 1);
        }
        if types.len() == TYPES && is_told_apart {
            tracing::warn!("{TYPES} types of events have no route; others are counted in silence");
        }
        is_told_apart
    }
    pub(super) fn all(&self) -> u64 {
        self.all.load(Relaxed)
    }
    pub(super) fn types(&self) -> Vec<(String, u64)> {
        let types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        let mut types: Vec<_> = types
            .iter()
            .map(|(name, count)| (name.to_string(), *count))
            .collect();
        types.sort();
        types
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_counts_go_on() {
        let unrouted = Unrouted::default();
        assert!(unrouted.count("a") && !unrouted.count("a"));
        for n in 0..2 * TYPES {
            unrouted.count(&format!("{n}{}", "é".repeat(NAME)));
        }
        assert_eq!(unrouted.all(), 2 + 2 * TYPES as u64);
        let types = unrouted.types();
        assert_eq!(types.len(), TYPES);
        assert!(types.iter().all(|(name, _)| name.len() <= NAME));
    }
}
