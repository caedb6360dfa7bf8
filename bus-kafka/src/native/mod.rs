//! The only module with `unsafe`: owned handles around librdkafka's objects.
//!
//! Everything librdkafka wants to say arrives as an [`Event`] from a [`Queue`] that one of our threads polls, never
//! as a callback: nothing of ours runs on its threads, nothing can unwind into C, and a rebalance is simply data. The
//! exceptions count requests (`intercept`), put a reason into words (`certificate`) and end a producer that would count anew
//! (`guard`), and can do nothing else.
//!
//! What the safety of these handles rests on:
//! - a client is thread-safe by librdkafka's documentation; queues and topic handles keep it alive by an `Arc`;
//! - an event and what is read out of it borrow from the queue it came from;
//! - error codes are read as plain integers: a newer broker may send one the generated enum does not list.

mod certificate;
mod client;
mod code;
mod conf;
mod delivery;
mod event;
mod fetch;
mod guard;
mod intercept;
mod list;
mod produce;
mod pulse;
mod queue;
mod request;
mod results;
mod tally;
mod transaction;

pub(crate) use certificate::{FACILITY as CERTIFICATE, Flaw};
pub(crate) use client::{Client, Cluster};
pub(crate) use code::{Code, Failure};
pub(crate) use conf::{Conf, SetError, features};
pub(crate) use delivery::{Delivery, Report};
pub(crate) use event::{AnswerKind, Event, Kind};
pub(crate) use fetch::{Fetch, Fetched};
pub(crate) use guard::{Line, reason};
pub(crate) use list::{List, Part};
pub(crate) use produce::{Topic, wire_size};
pub(crate) use queue::Queue;
pub(crate) use request::{NewTopic, Resource};
pub(crate) use results::{ConfigSet, GroupInfo, Offset, TopicInfo};
pub(crate) use transaction::{Membership, Refusal};

use std::ffi::{CStr, CString, c_char};

/// Room for a sentence of librdkafka's.
struct Sentence([c_char; 512]);

impl Sentence {
    fn new() -> Self {
        Self([0; 512])
    }
    fn ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.0.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// # Safety
/// `text` is null or a NUL-terminated string that lives as long as the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A C string; an embedded NUL, which no name can have, ends it.
fn c_string(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}

/// librdkafka's version.
pub(crate) fn version() -> String {
    // SAFETY: no preconditions; a static string.
    unsafe { text(rdkafka::bindings::rd_kafka_version_str()) }
}
