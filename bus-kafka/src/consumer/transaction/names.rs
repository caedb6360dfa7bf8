//! Transactional ids. Whoever comes with one that is in use fences its user, so each is used once at a time.

use parking_lot::Mutex;
use std::{collections::HashSet, sync::Arc};

/// The ids that one backend has in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<Mutex<HashSet<String>>>);

/// An id in use, until this is dropped.
#[derive(Debug)]
pub(crate) struct Named {
    id: String,
    names: Names,
}

impl Names {
    /// `<client id>.<group>.<instance>`; a second subscription of this process to the group gets `.2` behind it, and so
    /// on, so that the ids are the same after a restart.
    pub(crate) fn take(&self, client: &str, group: &str, instance: Option<&str>) -> Named {
        let instance = instance.map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned);
        let first = format!("{client}.{group}.{instance}");
        let mut used = self.0.lock();
        let mut id = first.clone();
        let mut next = 2;
        while !used.insert(id.clone()) {
            id = format!("{first}.{next}");
            next += 1;
        }
        Named {
            id,
            names: self.clone(),
        }
    }
}

impl Named {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.names.0.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_and_are_never_used_twice_at_a_time() {
        let names = Names::default();
        let one = names.take("c", "g", Some("pod-1"));
        assert_eq!(one.id(), "c.g.pod-1");
        let two = names.take("c", "g", Some("pod-1"));
        assert_eq!(two.id(), "c.g.pod-1.2");
        drop(one);
        assert_eq!(names.take("c", "g", Some("pod-1")).id(), "c.g.pod-1");
        let ids = [names.take("c", "g", None), names.take("c", "g", None)];
        assert!(
            ids.iter()
                .all(|n| n.id().starts_with("c.g.") && n.id().len() == 36)
        );
        assert_ne!(ids[0].id(), ids[1].id());
    }
}
