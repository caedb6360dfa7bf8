//! Records as they were fetched: borrowed, to be copied and given back at once.

use super::Code;
use rdkafka::bindings::*;
use std::{marker::PhantomData, ptr, slice};

/// Room for so many records, reused from one read to the next.
pub(crate) struct Fetch(Vec<*mut rd_kafka_message_t>);

// SAFETY: between two reads it holds no live pointer.
unsafe impl Send for Fetch {}

impl Fetch {
    pub(crate) fn new(records: usize) -> Self {
        Self(vec![ptr::null_mut(); records])
    }
    pub(super) fn room(&mut self) -> (*mut *mut rd_kafka_message_t, usize) {
        (self.0.as_mut_ptr(), self.0.len())
    }
}

/// What one read brought. Dropping it gives everything back, which a client waits for when it is destroyed.
pub(crate) struct Fetched<'a> {
    records: &'a [*mut rd_kafka_message_t],
}

impl<'a> Fetched<'a> {
    pub(super) fn own(fetch: &'a mut Fetch, read: usize) -> Self {
        Self {
            records: &fetch.0[..read],
        }
    }
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = RawRecord<'_>> {
        self.records.iter().map(|m| RawRecord(*m, PhantomData))
    }
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        for record in self.records {
            // SAFETY: ours since the read, destroyed once; nothing borrowed from it outlives `self`.
            unsafe { rd_kafka_message_destroy(*record) };
        }
    }
}

/// One record, or an error of its partition.
#[derive(Clone, Copy)]
pub(crate) struct RawRecord<'a>(*mut rd_kafka_message_t, PhantomData<&'a ()>);

impl<'a> RawRecord<'a> {
    pub(crate) fn code(self) -> Code {
        // SAFETY: live while `'a`; read as the integer it is in C.
        Code(unsafe { ptr::addr_of!((*self.0).err).cast::<i32>().read() })
    }
    pub(crate) fn offset(self) -> i64 {
        // SAFETY: live while `'a`.
        unsafe { (*self.0).offset }
    }
    /// Milliseconds since 1970, -1 without one.
    pub(crate) fn timestamp(self) -> i64 {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: live while `'a`.
        unsafe { rd_kafka_message_timestamp(self.0, &mut kind) }
    }
    pub(crate) fn key(self) -> Option<&'a [u8]> {
        // SAFETY: live while `'a`; librdkafka keeps pointer and length together, null is no key.
        unsafe { bytes((*self.0).key.cast_const().cast(), (*self.0).key_len) }
    }
    pub(crate) fn payload(self) -> Option<&'a [u8]> {
        // SAFETY: as in `key`.
        unsafe { bytes((*self.0).payload.cast_const().cast(), (*self.0).len) }
    }
    /// The error's sentence.
    pub(crate) fn text(self) -> String {
        // SAFETY: live; an error carries its sentence as payload.
        unsafe { super::text(rd_kafka_message_errstr(self.0)) }
    }
    /// Names and values as bytes: librdkafka measures names by `strlen`, so a name ends at its first NUL.
    pub(crate) fn headers(self) -> Headers<'a> {
        let mut headers = ptr::null_mut();
        // SAFETY: live while `'a`; the headers belong to the message.
        unsafe { rd_kafka_message_headers(self.0, &mut headers) };
        Headers {
            headers,
            at: 0,
            message: PhantomData,
        }
    }
}

/// # Safety
/// `at` is null or points to `len` bytes that live as long as `'a`.
unsafe fn bytes<'a>(at: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!at.is_null()).then(|| unsafe { slice::from_raw_parts(at, len) })
}

/// The headers of a record, in order.
pub(crate) struct Headers<'a> {
    headers: *mut rd_kafka_headers_t,
    at: usize,
    message: PhantomData<&'a ()>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);
    fn next(&mut self) -> Option<Self::Item> {
        if self.headers.is_null() {
            return None;
        }
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers live as long as their message, `'a`; past the end the call says so.
        unsafe {
            let code = rd_kafka_header_get_all(self.headers, self.at, &mut name, &mut value, &mut size);
            if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            self.at += 1;
            Some((
                std::ffi::CStr::from_ptr(name).to_bytes(),
                bytes(value.cast(), size),
            ))
        }
    }
}
