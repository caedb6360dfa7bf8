//! The checker's atomics and lock, with the interface of the real ones.
//!
//! The checker takes a sequentially consistent access for an acquire and release one, which is weaker, so that code
//! that needs the total order would be found wrong. It does know sequentially consistent fences: one between two such
//! accesses of a thread makes the order total. There is none beside a single one, so an access whose order is too weak
//! is not made good by its neighbour's. Where a weaker access lies between the two, the fence stands either before or
//! behind it; [`check`] tries both.

use loom::sync::{
    MutexGuard,
    atomic::{self, Ordering, fence},
};
use std::{cell::Cell, sync::atomic::AtomicBool};

/// Whether a fence comes as early as it may: before whatever follows.
static EARLY: AtomicBool = AtomicBool::new(false);

loom::thread_local! {
    /// The last access of this thread was sequentially consistent, and no fence came since.
    static STRICT: Cell<bool> = Cell::new(false);
}

/// Tries every order in which threads can meet.
#[cfg(test)]
pub(crate) fn check(builder: &loom::model::Builder, run: impl Fn() + Send + Sync + 'static) {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    // Also after a test that failed.
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let run = std::sync::Arc::new(run);
    for early in [false, true] {
        EARLY.store(early, Ordering::SeqCst);
        let run = run.clone();
        builder.check(move || run());
    }
}

/// Goes before every access; what remains of its order: for loads, stores, and both at once.
fn before(order: Ordering) -> [Ordering; 3] {
    let strict = order == Ordering::SeqCst;
    if (strict || EARLY.load(Ordering::SeqCst)) && STRICT.with(|last| last.replace(false)) {
        fence(Ordering::SeqCst);
    }
    if !strict {
        return [order; 3];
    }
    STRICT.with(|last| last.set(true));
    [Ordering::Acquire, Ordering::Release, Ordering::AcqRel]
}

macro_rules! atomic {
    ($name:ident, $number:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name(atomic::$name);

        #[allow(dead_code, reason = "each has what either of them needs")]
        impl $name {
            pub(crate) fn new(value: $number) -> Self {
                Self(atomic::$name::new(value))
            }
            pub(crate) fn load(&self, order: Ordering) -> $number {
                self.0.load(before(order)[0])
            }
            pub(crate) fn store(&self, value: $number, order: Ordering) {
                self.0.store(value, before(order)[1]);
            }
            pub(crate) fn swap(&self, value: $number, order: Ordering) -> $number {
                self.0.swap(value, before(order)[2])
            }
            pub(crate) fn fetch_add(&self, value: $number, order: Ordering) -> $number {
                self.0.fetch_add(value, before(order)[2])
            }
            pub(crate) fn fetch_or(&self, value: $number, order: Ordering) -> $number {
                self.0.fetch_or(value, before(order)[2])
            }
            pub(crate) fn fetch_and(&self, value: $number, order: Ordering) -> $number {
                self.0.fetch_and(value, before(order)[2])
            }
            pub(crate) fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                change: impl FnMut($number) -> Option<$number>,
            ) -> Result<$number, $number> {
                let (set, fetch) = (before(set)[2], before(fetch)[0]);
                self.0.fetch_update(set, fetch, change)
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }
    #[allow(clippy::expect_used, reason = "a model that panicked has failed")]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no thread panicked")
    }
}
