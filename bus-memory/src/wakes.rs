//! Wakers to call once the locks are gone.

use std::task::Waker;

/// Wakes when it is dropped. Declared before a lock's guard it is dropped after it, so that whoever wakes up does not
/// run into that lock.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    // One is the rule; a vector would allocate for it.
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakes {
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        if self.first.is_none() {
            self.first = waker;
        } else {
            self.rest.extend(waker);
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        if let Some(first) = self.first.take() {
            first.wake();
            self.rest.drain(..).for_each(Waker::wake);
        }
    }
}
