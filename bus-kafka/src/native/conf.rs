//! A configuration on its way to a client.

use super::{Sentence, c_string};
use rdkafka::bindings::*;
use std::ptr::NonNull;

/// What librdkafka was built with, in its own words: `ssl`, `sasl_scram`, `zstd` and so on.
pub(crate) fn features() -> Vec<String> {
    let conf = Conf::new();
    let mut text = [0u8; 512];
    let mut size = text.len();
    let name = c_string("builtin.features");
    // SAFETY: the configuration is ours; the name ends with NUL; `text` has `size` bytes, and a longer value is cut.
    let result = unsafe {
        rd_kafka_conf_get(
            conf.0.as_ptr(),
            name.as_ptr(),
            text.as_mut_ptr().cast(),
            &mut size,
        )
    };
    if result != rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
        return Vec::new();
    }
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let text = String::from_utf8_lossy(&text[..end]);
    text.split(',').map(str::to_owned).collect()
}

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
