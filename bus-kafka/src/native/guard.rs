//! What librdkafka says of a publisher's producer in the very moment, on its own threads; and the end of a producer that is
//! about to count anew.
//!
//! A broker knows a message that is sent again by its sequence number within a producer's epoch. librdkafka begins another
//! epoch, for all partitions at once, when one of them misses a number, when a message is given up, and when a broker refuses
//! one. It sends what waits under the new epoch then, also what was sent before and is stored without an answer: a broker
//! cannot know that again, and stores it twice. A producer of ours has one epoch only. It fails for good instead, which stops
//! what would be sent, and what is not answered is told to be unknown.
//!
//! A missing number is said in a line of the log, between the answer and the new epoch, on the thread that has read it, with
//! no lock held. So the line is where it has to be stopped: later is too late. What is given up is never given up by
//! librdkafka (`message.timeout.ms` is off), and what is refused fails the producer anyway (`enable.gapless.guarantee`).

use super::{Code, Conf, text};
use parking_lot::Mutex;
use rdkafka::bindings::*;
use std::{
    collections::VecDeque,
    ffi::{CStr, c_char, c_int},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

unsafe extern "C" {
    // As in the generated bindings, with the codes as integers.
    fn rd_kafka_test_fatal_error(rk: *mut rd_kafka_t, code: c_int, reason: *const c_char) -> c_int;
}

/// Lines that nobody has taken yet; more are dropped.
const LINES: usize = 1_000;

/// What librdkafka puts before the reason of a failure that was asked for.
const PREFIX: &str = "test_fatal_error: ";

/// A line of the log: facility, text, syslog level.
pub(crate) type Line = (String, String, i32);

/// The log of a producer, and its guard.
#[derive(Debug, Default)]
pub(super) struct Guard {
    lines: Mutex<VecDeque<Line>>,
    failed: AtomicBool,
}

impl Guard {
    /// Has a client watched that is made from `conf`; it must live as long as that client.
    pub(super) fn watch(self: &Arc<Self>, conf: &Conf) {
        // SAFETY: the configuration is live; the callback only touches the guard, which outlives the client and may be shared
        // between threads.
        unsafe {
            rd_kafka_conf_set_opaque(conf.ptr(), Arc::as_ptr(self).cast_mut().cast());
            rd_kafka_conf_set_log_cb(conf.ptr(), Some(on_line));
        }
    }
    /// Whether the client has failed for good.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
    /// The oldest line that was not taken yet.
    pub(super) fn line(&self) -> Option<Line> {
        self.lines.lock().pop_front()
    }
}

/// Fails a producer for good: it sends nothing any more.
///
/// # Safety
/// `rk` is a live client, and this thread holds none of its locks.
pub(super) unsafe fn fail(rk: *mut rd_kafka_t, why: &CStr) {
    // SAFETY: a live client and a NUL-terminated reason, which is copied. What had failed before stays as it is.
    unsafe { rd_kafka_test_fatal_error(rk, Code::INCONSISTENT.0, why.as_ptr()) };
}

/// The reason of a failure in the words it was given in.
pub(crate) fn reason(text: &str) -> &str {
    text.split_once(PREFIX).map_or(text, |(_, reason)| reason)
}

/// Whether a line says that another epoch is about to begin.
fn begins_anew(facility: &[u8]) -> bool {
    // A number is missing; or the broker knows nothing of the producer any more.
    matches!(facility, b"ERRSEQ" | b"UNKPID")
}

/// On a thread of librdkafka's, with a line of its log.
///
/// # Safety
/// librdkafka calls it, with a client whose opaque pointer is a live [`Guard`], or with none.
unsafe extern "C" fn on_line(
    rk: *const rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    if rk.is_null() || facility.is_null() {
        return;
    }
    // SAFETY: a NUL-terminated string that lives during the call.
    let name = unsafe { CStr::from_ptr(facility) };
    if begins_anew(name.to_bytes()) {
        let why = c"a sequence number is missing, and counting anew could store messages twice";
        // SAFETY: a live client; these lines are written where the thread holds no lock.
        unsafe { fail(rk.cast_mut(), why) };
    }
    // SAFETY: a live client, which the guard outlives.
    let guard = unsafe { &*rd_kafka_opaque(rk).cast_const().cast::<Guard>() };
    if name.to_bytes() == b"FATAL" {
        // The same comes as an error, a little later.
        guard.failed.store(true, Ordering::Release);
        return;
    }
    let mut lines = guard.lines.lock();
    if lines.len() < LINES {
        // SAFETY: both strings live during the call, and are copied.
        lines.push_back(unsafe { (text(facility), text(line), level) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_as_it_was_given() {
        assert_eq!(reason("Fatal error: Local: X: test_fatal_error: why"), "why");
        assert_eq!(reason("why"), "why");
    }
}
