//! What the hot path shares between threads: the standard library's atomics and a lock, or, under `cfg(loom)`, those
//! of a model checker that tries every order in which threads can meet.

#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(all(test, loom))]
pub(crate) use modelled::check;
#[cfg(loom)]
pub(crate) use modelled::{AtomicU32, AtomicU64, Mutex};

#[cfg(loom)]
#[path = "sync_loom.rs"]
mod modelled;
