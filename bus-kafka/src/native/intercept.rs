//! Interceptors: the only code of ours that runs on threads of librdkafka's. They count, and can do nothing else.

use super::Conf;
use rdkafka::bindings::*;
use std::{
    cell::Cell,
    ffi::{CStr, c_char, c_int, c_void},
    sync::Arc,
    time::Duration,
};

/// What is told of a client's requests, on its threads.
pub(super) trait Witness: Send + Sync + 'static {
    /// A request of this kind was written to its socket as a whole.
    fn sent(&self, key: i16);
    /// Its answer was read, so long after it had been sent.
    fn answered(&self, key: i16, after: Duration);
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

const NAME: &CStr = c"bus";

/// Has a client watched that is made from `conf`. The witness must live as long as that client.
pub(super) fn watch<W: Witness>(witness: &Arc<W>, conf: &Conf) {
    // SAFETY: the configuration is live; the callbacks only touch the witness, which outlives the client and may be
    // shared between threads.
    unsafe {
        rd_kafka_conf_interceptor_add_on_new(
            conf.ptr(),
            NAME.as_ptr(),
            on_new::<W>,
            Arc::as_ptr(witness).cast_mut().cast(),
        );
    }
}

/// # Safety
/// librdkafka calls it with a client that it is making, and `witness` is a `W` that outlives that client.
unsafe extern "C" fn on_new<W: Witness>(
    rk: *mut rd_kafka_t,
    _: *const rd_kafka_conf_t,
    witness: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> c_int {
    // SAFETY: a client that is being made; the witness outlives it.
    unsafe {
        rd_kafka_interceptor_add_on_request_sent(rk, NAME.as_ptr(), on_sent::<W>, witness)
            | rd_kafka_interceptor_add_on_response_received(rk, NAME.as_ptr(), on_answered::<W>, witness)
    }
}

/// On a thread of librdkafka's, when a request was written to its socket as a whole.
///
/// # Safety
/// `witness` is a live `W`.
unsafe extern "C" fn on_sent<W: Witness>(
    _: *mut rd_kafka_t,
    _: c_int,
    _: *const c_char,
    _: i32,
    key: i16,
    _: i16,
    _: i32,
    _: usize,
    witness: *mut c_void,
) -> c_int {
    SENDS.set(true);
    // SAFETY: the witness outlives the client, which calls this.
    unsafe { (*witness.cast_const().cast::<W>()).sent(key) };
    0
}

/// On a thread of librdkafka's, when a request has its answer, or will get none, which is an error.
///
/// # Safety
/// `witness` is a live `W`.
unsafe extern "C" fn on_answered<W: Witness>(
    _: *mut rd_kafka_t,
    _: c_int,
    _: *const c_char,
    _: i32,
    key: i16,
    _: i16,
    _: i32,
    _: usize,
    micros: i64,
    code: c_int,
    witness: *mut c_void,
) -> c_int {
    if code == 0 && SENDS.get() {
        let after = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        // SAFETY: as in `on_sent`.
        unsafe { (*witness.cast_const().cast::<W>()).answered(key, after) };
    }
    0
}
