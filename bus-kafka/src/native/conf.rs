//! A configuration on its way to a client.

use super::{Sentence, c_string};
use rdkafka::bindings::*;
use std::ptr::NonNull;

/// A native configuration; [`super::Client`] takes it.
pub(crate) struct Conf(NonNull<rd_kafka_conf_t>);

/// Why an option was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SetError {
    /// There is no such option.
    Unknown,
    /// The value is wrong; librdkafka's sentence may repeat it.
    Invalid(String),
}

impl Conf {
    pub(crate) fn new() -> Self {
        // SAFETY: no preconditions; null means that memory ran out.
        let conf = unsafe { rd_kafka_conf_new() };
        match NonNull::new(conf) {
            Some(conf) => Self(conf),
            None => std::alloc::handle_alloc_error(std::alloc::Layout::new::<usize>()),
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), SetError> {
        let (name, value) = (c_string(name), c_string(value));
        let mut why = Sentence::new();
        // SAFETY: the configuration is ours; both strings end with NUL and are copied; `why` has the given room.
        let result = unsafe {
            rd_kafka_conf_set(
                self.0.as_ptr(),
                name.as_ptr(),
                value.as_ptr(),
                why.ptr(),
                why.len(),
            )
        };
        match result {
            rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => Err(SetError::Unknown),
            rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID => Err(SetError::Invalid(why.text())),
        }
    }

    /// Asks for these kinds of events (`RD_KAFKA_EVENT_*`, or-ed) instead of callbacks.
    pub(super) fn events(&mut self, kinds: i32) {
        // SAFETY: the configuration is ours.
        unsafe { rd_kafka_conf_set_events(self.0.as_ptr(), kinds) };
    }
    pub(super) fn ptr(&self) -> *mut rd_kafka_conf_t {
        self.0.as_ptr()
    }
    /// Gives the configuration away: a client owns it now.
    pub(super) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: ours, and no client took it, or `forget` would have been called.
        unsafe { rd_kafka_conf_destroy(self.0.as_ptr()) };
    }
}
