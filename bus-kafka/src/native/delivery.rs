//! Where delivery reports of a batch are written: one block for the whole batch, no lock or channel per message.

use super::Code;
use crate::producer::{Destination, Taken};
use bus_core::Message;
use parking_lot::Mutex;
use std::{
    cell::UnsafeCell,
    ffi::c_void,
    future::Future,
    pin::Pin,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// Not reported yet.
    Open,
    /// The broker has it; the offset is negative where the broker no longer says where.
    Stored { partition: u32, offset: i64 },
    /// It failed; `maybe` where it may be stored all the same.
    Failed { code: Code, maybe: bool },
    /// The topic does not exist.
    TopicMissing,
    /// It is over the limit, in bytes on the wire.
    TooLarge { limit: usize },
    /// There is no such partition; so many there are.
    BadPartition { partitions: u32 },
    /// The topic does not take such a time.
    BadTimestamp,
    /// The topic is compacted, and there is no key.
    NoKey,
    /// A header's name has a NUL in it, which librdkafka cannot read back.
    BadHeader,
}

/// What librdkafka hands back with a report: where to write it.
pub(super) struct Entry {
    batch: *const Delivery,
    report: UnsafeCell<Report>,
}

/// A batch on its way. It owns the messages, because librdkafka reads the payloads in place.
///
/// An entry is written by one side only: by whoever submits, before the message is given to librdkafka or instead of
/// it, or by the thread that reads the reports. `open` counts down afterwards with release, and whoever reads the
/// entries has seen it at zero with acquire.
pub(crate) struct Delivery {
    /// Where it goes: what the submitter wants to find again when the reports come in.
    pub(crate) destination: Arc<Destination>,
    pub(crate) messages: Vec<Message>,
    pub(crate) taken: Taken,
    entries: Box<[Entry]>,
    /// Entries still to be written, and one for the submitter until it is through.
    open: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

// SAFETY: entries are written and read by the rule above; everything else is Sync by itself.
unsafe impl Sync for Delivery {}
// SAFETY: as above; the raw pointers point into the same block.
unsafe impl Send for Delivery {}

impl Delivery {
    pub(crate) fn new(destination: Arc<Destination>, messages: Vec<Message>) -> Arc<Self> {
        let count = messages.len();
        let taken = destination.deadlines.take();
        Arc::new_cyclic(|weak| Self {
            destination,
            messages,
            taken,
            entries: (0..count)
                .map(|_| Entry {
                    batch: weak.as_ptr(),
                    report: UnsafeCell::new(Report::Open),
                })
                .collect(),
            open: AtomicUsize::new(count + 1),
            waker: Mutex::new(None),
        })
    }

    /// The pointer that goes with message `i` through librdkafka.
    pub(super) fn opaque(&self, i: usize) -> *mut c_void {
        ptr::from_ref(&self.entries[i]).cast_mut().cast()
    }

    /// Submits the batch: `send` answers for each message with `None` (given to librdkafka, so a report will come, or
    /// held for later, so it will be given or refused) or with what became of it at once.
    pub(crate) fn submit(self: Arc<Self>, mut send: impl FnMut(&Arc<Self>, usize) -> Option<Report>) {
        let mut done = 1;
        for i in 0..self.entries.len() {
            if let Some(report) = send(&self, i) {
                // SAFETY: this message was not given to librdkafka, so the submitter is the entry's only writer,
                // and nobody reads before `open` is zero.
                unsafe { *self.entries[i].report.get() = report };
                done += 1;
            }
        }
        // One reference stands for all open reports; the last of them gives it back.
        let raw = Arc::into_raw(self);
        // SAFETY: `raw` is the reference just put aside.
        unsafe { Self::settle(raw, done) };
    }

    /// Says what became of a message that was held. Once, and never of one that was given to librdkafka.
    pub(crate) fn refuse(self: &Arc<Self>, i: usize, report: Report) {
        // SAFETY: nobody else writes the entry of a message that was held. It was not counted yet, so the reference
        // that `submit` puts aside is still there, or `submit` is still running and counts its own part later.
        unsafe {
            *self.entries[i].report.get() = report;
            Self::settle(Arc::as_ptr(self), 1);
        }
    }

    /// # Safety
    /// `batch` was put aside by `submit`, and `count` entries have been written that were not counted before.
    unsafe fn settle(batch: *const Self, count: usize) {
        // SAFETY: the reference put aside is given back only when `open` reaches zero, below.
        let this = unsafe { &*batch };
        if this.open.fetch_sub(count, Ordering::AcqRel) != count {
            return;
        }
        this.destination.deadlines.done(this.taken);
        let waker = this.waker.lock().take();
        // SAFETY: nothing is open any more, so nobody else will come here with this pointer.
        drop(unsafe { Arc::from_raw(batch) });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Resolves when every message of the batch has its report.
    pub(crate) fn finished(self: &Arc<Self>) -> Finished {
        Finished(self.clone())
    }

    /// The reports, in order; `Open` for all while any is open.
    pub(crate) fn reports(&self) -> Vec<Report> {
        if self.open.load(Ordering::Acquire) != 0 {
            return vec![Report::Open; self.entries.len()];
        }
        // SAFETY: `open` is zero, so every write happened before and none will follow.
        self.entries.iter().map(|e| unsafe { *e.report.get() }).collect()
    }
}

/// Writes reports as they come, and counts those of one batch down together.
pub(super) struct Writer {
    batch: *const Delivery,
    count: usize,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            batch: ptr::null(),
            count: 0,
        }
    }
    /// # Safety
    /// `opaque` came from [`Delivery::opaque`] of a submitted batch, and this is the only report for it.
    pub(super) unsafe fn write(
        &mut self,
        opaque: *mut c_void,
        report: Report,
        seen: impl FnOnce(&Arc<Destination>),
    ) {
        let entry = opaque.cast_const().cast::<Entry>();
        // SAFETY: the batch lives until this entry is counted down, in `flush`; no one else writes it.
        unsafe {
            let batch = (*entry).batch;
            if batch != self.batch {
                self.flush();
                self.batch = batch;
            }
            *(*entry).report.get() = report;
            self.count += 1;
            seen(&(*batch).destination);
        }
    }
    fn flush(&mut self) {
        if self.count > 0 {
            // SAFETY: `count` entries of this submitted batch were written since the last flush.
            unsafe { Delivery::settle(self.batch, self.count) };
            self.count = 0;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The future of [`Delivery::finished`].
pub(crate) struct Finished(Arc<Delivery>);

impl Future for Finished {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.open.load(Ordering::Acquire) == 0 {
            return Poll::Ready(());
        }
        *self.0.waker.lock() = Some(cx.waker().clone());
        // The last report may have come in between, before it could see the waker.
        if self.0.open.load(Ordering::Acquire) == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
