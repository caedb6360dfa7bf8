//! Memory buses that share a name inside this process.

use crate::{MemoryConfig, hub::Hub};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

static NAMED: Mutex<BTreeMap<String, Weak<Hub>>> = Mutex::new(BTreeMap::new());

pub(crate) fn open(name: &str, config: MemoryConfig) -> Arc<Hub> {
    let mut named = NAMED.lock();
    if let Some(hub) = named.get(name).and_then(Weak::upgrade) {
        return hub;
    }
    let hub = Arc::new(Hub::new(Some(name.to_owned()), config));
    named.insert(name.to_owned(), Arc::downgrade(&hub));
    hub
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let mut named = NAMED.lock();
            // Somebody may have made it anew since the last handle went.
            if named.get(name).is_some_and(|hub| hub.strong_count() == 0) {
                named.remove(name);
            }
        }
    }
}
