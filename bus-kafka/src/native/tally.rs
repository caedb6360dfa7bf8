//! Counts the requests of a transactional producer, and those that were answered.
//!
//! librdkafka sends a request again by itself when no answer came. The epoch stays the same, so if the first copy was
//! only late, it takes effect in the *next* transaction: ends it, or moves its offsets. Whoever sees a request without
//! an answer must not begin another transaction with this producer.

use super::Conf;
use rdkafka::bindings::*;
use std::{
    cell::Cell,
    ffi::{c_char, c_int, c_void},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Produce, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit.
const KEYS: [i16; 5] = [0, 24, 25, 26, 28];

#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: AtomicU64,
    answered: AtomicU64,
}

thread_local! {
    /// This thread sends requests. librdkafka tells an answer twice: on the thread that read it, which is the one that
    /// had sent the request, and on the one that deals with it.
    static SENDS: Cell<bool> = const { Cell::new(false) };
}

type OnSent = unsafe extern "C" fn(
    *mut rd_kafka_t,
    c_int,
    *const c_char,
    i32,
    i16,
    i16,
    i32,
    usize,
    *mut c_void,
) -> c_int;
// As in the generated bindings, with codes as integers.
type OnAnswered = unsafe extern "C" fn(
    *mut rd_kafka_t,
    c_int,
    *const c_char,
    i32,
    i16,
    i16,
    i32,
    usize,
    i64,
    c_int,
    *mut c_void,
) -> c_int;
type OnNew =
    unsafe extern "C" fn(*mut rd_kafka_t, *const rd_kafka_conf_t, *mut c_void, *mut c_char, usize) -> c_int;

unsafe extern "C" {
    fn rd_kafka_conf_interceptor_add_on_new(
        conf: *mut rd_kafka_conf_t,
        name: *const c_char,
        on_new: OnNew,
        opaque: *mut c_void,
    ) -> c_int;
    fn rd_kafka_interceptor_add_on_request_sent(
        rk: *mut rd_kafka_t,
        name: *const c_char,
        on_sent: OnSent,
        opaque: *mut c_void,
    ) -> c_int;
    fn rd_kafka_interceptor_add_on_response_received(
        rk: *mut rd_kafka_t,
        name: *const c_char,
        on_answered: OnAnswered,
        opaque: *mut c_void,
    ) -> c_int;
}

const NAME: &std::ffi::CStr = c"bus";

impl Tally {
    /// Has a client counted that is made from `conf`. The tally must live as long as that client.
    pub(super) fn watch(self: &Arc<Self>, conf: &Conf) {
        // SAFETY: the configuration is live; the callbacks only touch the tally, which outlives the client.
        unsafe {
            rd_kafka_conf_interceptor_add_on_new(
                conf.ptr(),
                NAME.as_ptr(),
                on_new,
                Arc::as_ptr(self).cast_mut().cast(),
            );
        }
    }
    /// Requests that were sent and have no answer, yet or ever.
    pub(super) fn unanswered(&self) -> u64 {
        let answered = self.answered.load(Ordering::Acquire);
        self.sent.load(Ordering::Acquire).saturating_sub(answered)
    }
}

unsafe extern "C" fn on_new(
    rk: *mut rd_kafka_t,
    _: *const rd_kafka_conf_t,
    tally: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> c_int {
    // SAFETY: a client that is being made; the tally outlives it.
    unsafe {
        rd_kafka_interceptor_add_on_request_sent(rk, NAME.as_ptr(), on_sent, tally)
            | rd_kafka_interceptor_add_on_response_received(rk, NAME.as_ptr(), on_answered, tally)
    }
}

/// On a thread of librdkafka's, when a request was written to its socket as a whole.
unsafe extern "C" fn on_sent(
    _: *mut rd_kafka_t,
    _: c_int,
    _: *const c_char,
    _: i32,
    key: i16,
    _: i16,
    _: i32,
    _: usize,
    tally: *mut c_void,
) -> c_int {
    SENDS.set(true);
    if KEYS.contains(&key) {
        // SAFETY: the tally outlives the client, which calls this.
        unsafe {
            (*tally.cast_const().cast::<Tally>())
                .sent
                .fetch_add(1, Ordering::AcqRel)
        };
    }
    0
}

/// On a thread of librdkafka's, when a request has its answer, or will get none, which is an error.
unsafe extern "C" fn on_answered(
    _: *mut rd_kafka_t,
    _: c_int,
    _: *const c_char,
    _: i32,
    key: i16,
    _: i16,
    _: i32,
    _: usize,
    _: i64,
    code: c_int,
    tally: *mut c_void,
) -> c_int {
    if code == 0 && KEYS.contains(&key) && SENDS.get() {
        // SAFETY: as in `on_sent`.
        unsafe {
            (*tally.cast_const().cast::<Tally>())
                .answered
                .fetch_add(1, Ordering::AcqRel)
        };
    }
    0
}
