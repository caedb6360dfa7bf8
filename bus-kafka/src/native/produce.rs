//! The way of a message into librdkafka.

use super::{Client, Code, Delivery, Failure, c_string};
use bus_core::{Headers, Message};
use rdkafka::bindings::*;
use std::{
    ffi::{c_int, c_void},
    ptr::{self, NonNull},
    sync::Arc,
};

unsafe extern "C" {
    // As in the generated bindings, with the code as an integer.
    fn rd_kafka_last_error() -> c_int;
}

/// A topic of a producer, looked up once.
pub(crate) struct Topic {
    topic: NonNull<rd_kafka_topic_t>,
    client: Arc<Client>,
}

// SAFETY: topic handles are thread-safe, as clients are.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Topic {
    pub(crate) fn new(client: &Arc<Client>, name: &str) -> Option<Self> {
        let name = c_string(name);
        // SAFETY: a live client and a NUL-terminated name, which is copied.
        let topic = unsafe { rd_kafka_topic_new(client.ptr(), name.as_ptr(), ptr::null_mut()) };
        NonNull::new(topic).map(|topic| Self {
            topic,
            client: client.clone(),
        })
    }

    /// Gives message `i` of `batch` to librdkafka. `Ok`: a report will come. The payload is read in place, which is
    /// why the batch owns the messages until the last report.
    pub(crate) fn produce(
        &self,
        batch: &Delivery,
        i: usize,
        partition: u32,
        block: bool,
    ) -> Result<(), Code> {
        let message = &batch.messages[i];
        // A full queue blocks here rather than fails, unless this is the thread that reads the reports and so makes
        // room.
        let flags = if block { RD_KAFKA_MSG_F_BLOCK } else { 0 };
        let (payload, payload_len) = raw(&message.payload);
        let (key, key_len) = raw(&message.key);
        if message.headers.is_empty() && message.timestamp.is_none() {
            // SAFETY: payload and key point to bytes of `batch`, which lives until all its reports are in; the key
            // is copied; the opaque pointer is that of this message.
            let result = unsafe {
                rd_kafka_produce(
                    self.topic.as_ptr(),
                    partition as i32,
                    flags,
                    payload,
                    payload_len,
                    key,
                    key_len,
                    batch.opaque(i),
                )
            };
            if result == 0 {
                return Ok(());
            }
            // SAFETY: no preconditions; this thread's last code.
            return Err(Code(unsafe { rd_kafka_last_error() }));
        }
        let mut fields = Fields::default();
        fields.push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT, |u| {
            u.rkt = self.topic.as_ptr()
        });
        fields.push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION, |u| {
            u.i32_ = partition as i32
        });
        fields.push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS, |u| u.i = flags);
        fields.push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, |u| {
            u.mem = rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
                ptr: payload,
                size: payload_len,
            }
        });
        fields.push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, |u| {
            u.mem = rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
                ptr: key,
                size: key_len,
            }
        });
        fields.push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE, |u| {
            u.ptr = batch.opaque(i)
        });
        if let Some(timestamp) = message.timestamp {
            fields.push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP, |u| u.i64_ = timestamp);
        }
        let headers = native_headers(&message.headers);
        if !headers.is_null() {
            fields.push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS, |u| u.headers = headers);
        }
        // SAFETY: every field holds what its type says; on success librdkafka owns the headers; otherwise as above.
        let result = unsafe {
            Failure::take(rd_kafka_produceva(
                self.client.ptr(),
                fields.list.as_ptr(),
                fields.len,
            ))
        };
        if result.is_err() && !headers.is_null() {
            // SAFETY: on an error the headers are still ours.
            unsafe { rd_kafka_headers_destroy(headers) };
        }
        result.map_err(|f| f.code)
    }
}

impl Topic {
    /// How many partitions the topic has, which librdkafka learns at the same time. Blocks.
    pub(crate) fn look_up(&self, timeout: std::time::Duration) -> Result<u32, Failure> {
        let topics = self.client.metadata_of(self.topic.as_ptr(), timeout)?;
        match topics.into_iter().next() {
            Some(topic) if topic.code.is_ok() || topic.partitions > 0 => Ok(topic.partitions),
            Some(topic) => Err(Failure::new(topic.code)),
            None => Err(Failure::new(Code::UNKNOWN_TOPIC_OR_PART)),
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: ours, given back once, while `self.client` still lives.
        unsafe { rd_kafka_topic_destroy(self.topic.as_ptr()) };
    }
}

/// What an empty value points to: anything but null.
static EMPTY: [u8; 1] = [0];

/// Null for none; a pointer that is not null, whatever the length, for some: null and empty are different.
fn raw(bytes: &Option<bytes::Bytes>) -> (*mut c_void, usize) {
    match bytes {
        Some(bytes) if bytes.is_empty() => (EMPTY.as_ptr().cast_mut().cast(), 0),
        Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
        None => (ptr::null_mut(), 0),
    }
}

/// The arguments of `rd_kafka_produceva`.
struct Fields {
    list: [rd_kafka_vu_t; 8],
    len: usize,
}

impl Default for Fields {
    fn default() -> Self {
        let empty = rd_kafka_vu_s {
            vtype: rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            u: rd_kafka_vu_s__bindgen_ty_1 { _pad: [0; 64] },
        };
        Self {
            list: [empty; 8],
            len: 0,
        }
    }
}

impl Fields {
    fn push(&mut self, kind: rd_kafka_vtype_t, set: impl FnOnce(&mut rd_kafka_vu_s__bindgen_ty_1)) {
        self.list[self.len].vtype = kind;
        set(&mut self.list[self.len].u);
        self.len += 1;
    }
}

fn native_headers(headers: &Headers) -> *mut rd_kafka_headers_t {
    if headers.is_empty() {
        return ptr::null_mut();
    }
    // SAFETY: the list is ours until it is given away; names and values are copied with the lengths given.
    unsafe {
        let native = rd_kafka_headers_new(headers.len());
        for (name, value) in headers.iter() {
            let (at, size) = value.map_or((ptr::null(), 0), |v| (v.as_ptr().cast(), v.len() as isize));
            // An empty slice may dangle; null would make an empty value a null one.
            let at = if value.is_some_and(<[u8]>::is_empty) {
                EMPTY.as_ptr().cast()
            } else {
                at
            };
            rd_kafka_header_add(native, name.as_ptr().cast(), name.len() as isize, at, size);
        }
        native
    }
}

/// The most bytes that Kafka's record format needs for a message.
pub(crate) fn wire_size(message: &Message) -> usize {
    // A record batch has 61 bytes of its own; a record at most 5 + 1 + 10 + 5 + 5 + 5 + 5, a header twice 5.
    message.size() + 61 + 36 + 10 * message.headers.len()
}
