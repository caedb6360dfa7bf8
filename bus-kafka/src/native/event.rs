//! What librdkafka has to say.

use super::{Code, Failure, Line, Part, Queue, Report, delivery::Writer, list, text};
use crate::producer::Destination;
use rdkafka::bindings::*;
use std::{
    ffi::{c_char, c_int, c_void},
    marker::PhantomData,
    ptr::{self, NonNull},
    sync::Arc,
};

unsafe extern "C" {
    // As in the generated bindings, with the code as an integer.
    fn rd_kafka_event_error(event: *mut rd_kafka_event_t) -> c_int;
}

/// An event, borrowed from its queue.
pub(crate) struct Event<'q> {
    event: NonNull<rd_kafka_event_t>,
    queue: &'q Queue,
    borrow: PhantomData<&'q ()>,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deliveries,
    Rebalance,
    Commit,
    Error,
    Log,
    Token,
    /// The answer to a request of `request.rs`.
    Answer,
    Other,
}

impl<'q> Event<'q> {
    pub(super) fn own(queue: &'q Queue, event: *mut rd_kafka_event_t) -> Option<Self> {
        NonNull::new(event).map(|event| Self {
            event,
            queue,
            borrow: PhantomData,
        })
    }
    pub(super) fn ptr(&self) -> *mut rd_kafka_event_t {
        self.event.as_ptr()
    }
    pub(super) fn native_kind(&self) -> i32 {
        // SAFETY: a live event.
        unsafe { rd_kafka_event_type(self.ptr()) }
    }
    pub(crate) fn kind(&self) -> Kind {
        match self.native_kind() {
            RD_KAFKA_EVENT_DR => Kind::Deliveries,
            RD_KAFKA_EVENT_REBALANCE => Kind::Rebalance,
            RD_KAFKA_EVENT_OFFSET_COMMIT => Kind::Commit,
            RD_KAFKA_EVENT_ERROR => Kind::Error,
            RD_KAFKA_EVENT_LOG => Kind::Log,
            RD_KAFKA_EVENT_OAUTHBEARER_TOKEN_REFRESH => Kind::Token,
            RD_KAFKA_EVENT_STATS | RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_NONE => Kind::Other,
            _ => Kind::Answer,
        }
    }
    pub(crate) fn code(&self) -> Code {
        // SAFETY: a live event.
        Code(unsafe { rd_kafka_event_error(self.ptr()) })
    }
    pub(crate) fn failure(&self) -> Option<Failure> {
        let code = self.code();
        // SAFETY: a live event; the string is copied.
        (!code.is_ok()).then(|| unsafe {
            Failure {
                code,
                text: text(rd_kafka_event_error_string(self.ptr())),
                fatal: self.native_kind() == RD_KAFKA_EVENT_ERROR
                    && rd_kafka_event_error_is_fatal(self.ptr()) != 0,
            }
        })
    }
    /// The number that the request or commit was sent with.
    pub(crate) fn tag(&self) -> usize {
        // SAFETY: a live event; we send numbers where C has pointers.
        unsafe { rd_kafka_event_opaque(self.ptr()) as usize }
    }
    /// The partitions of a rebalance or a commit.
    pub(crate) fn parts(&self) -> Vec<Part> {
        // SAFETY: a live event; the list belongs to it.
        unsafe { list::read(rd_kafka_event_topic_partition_list(self.ptr())) }
    }
    pub(crate) fn log(&self) -> Option<Line> {
        let (mut facility, mut line, mut level): (*const c_char, *const c_char, c_int) =
            (ptr::null(), ptr::null(), 0);
        // SAFETY: a live event; both strings belong to it and are copied.
        unsafe {
            (rd_kafka_event_log(self.ptr(), &mut facility, &mut line, &mut level) == 0)
                .then(|| (text(facility), text(line), level))
        }
    }
    /// Writes the reports of a deliveries event into their batches, and shows each to `seen` with where its
    /// batch goes.
    pub(crate) fn deliver(&self, mut seen: impl FnMut(&Arc<Destination>, u32, Report)) {
        let mut writer = Writer::new();
        loop {
            // SAFETY: a live deliveries event; the message belongs to it. Its opaque pointer is one of
            // `Delivery::opaque`, because nothing else is produced through a client of ours.
            unsafe {
                let message = rd_kafka_event_message_next(self.ptr());
                if message.is_null() {
                    return;
                }
                let code = Code(ptr::addr_of!((*message).err).cast::<i32>().read());
                let report = if code.is_ok() {
                    Report::Stored {
                        partition: (*message).partition.max(0) as u32,
                        offset: (*message).offset,
                    }
                } else {
                    Report::Failed {
                        code,
                        maybe: rd_kafka_message_status(message)
                            != rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED,
                    }
                };
                let opaque: *mut c_void = (*message)._private;
                if !opaque.is_null() {
                    let partition = (*message).partition.max(0) as u32;
                    writer.write(opaque, report, |destination| seen(destination, partition, report));
                }
            }
        }
    }
    /// Refuses an OAuth token refresh with a reason: librdkafka tries again later.
    pub(crate) fn refuse_token(&self, why: &str) {
        let why = super::c_string(why);
        // SAFETY: a live client and a NUL-terminated string, which is copied.
        unsafe { rd_kafka_oauthbearer_set_token_failure(self.queue.client().ptr(), why.as_ptr()) };
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once, while its queue and client live.
        unsafe { rd_kafka_event_destroy(self.ptr()) };
    }
}

/// Which request an answer belongs to, among those a consumer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerKind {
    GroupOffsets,
    Topics,
    Offsets,
}

impl Event<'_> {
    pub(crate) fn answer_kind(&self) -> AnswerKind {
        match self.native_kind() {
            RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT => AnswerKind::GroupOffsets,
            RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => AnswerKind::Topics,
            _ => AnswerKind::Offsets,
        }
    }
}
