//! Queues of events.

use super::{Client, Event, Fetch, Fetched};
use rdkafka::bindings::*;
use std::{os::fd::RawFd, sync::Arc, time::Duration};

/// A queue of a client, which it keeps alive.
pub(crate) struct Queue {
    queue: *mut rd_kafka_queue_t,
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues are locked inside.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    /// Takes over a reference to a queue of `client`.
    pub(super) fn own(client: &Arc<Client>, queue: *mut rd_kafka_queue_t) -> Self {
        Self {
            queue,
            client: client.clone(),
        }
    }
    pub(super) fn ptr(&self) -> *mut rd_kafka_queue_t {
        self.queue
    }
    pub(super) fn client(&self) -> &Client {
        &self.client
    }
    /// The next event, if one comes within `timeout`.
    pub(crate) fn poll(&self, timeout: Duration) -> Option<Event<'_>> {
        let timeout = timeout.as_millis().min(i32::MAX as u128) as i32;
        // SAFETY: a live queue; the event is ours.
        Event::own(self, unsafe { rd_kafka_queue_poll(self.queue, timeout) })
    }
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: a live queue.
        unsafe { rd_kafka_queue_length(self.queue) == 0 }
    }
    /// Writes one byte to `fd` when something arrives after the queue was read. `fd` must not block and must
    /// outlive the queue, or [`Queue::quiet`] be called.
    pub(crate) fn signal(&self, fd: RawFd) {
        // SAFETY: a live queue; the payload is copied.
        unsafe { rd_kafka_queue_io_event_enable(self.queue, fd, b"q".as_ptr().cast(), 1) };
    }
    /// Ends what [`Queue::signal`] began.
    pub(crate) fn quiet(&self) {
        // SAFETY: a live queue; -1 means off.
        unsafe { rd_kafka_queue_io_event_enable(self.queue, -1, std::ptr::null(), 0) };
    }
    /// Records that are there already, at most as many as `fetch` holds. Never for a consumer's main queue, whose
    /// rebalances it would swallow.
    pub(crate) fn fetch<'a>(&self, fetch: &'a mut Fetch) -> Fetched<'a> {
        let (room, len) = fetch.room();
        // SAFETY: a live queue; `room` has space for `len` pointers. Timeout 0: any other waits for a full array.
        let read = unsafe { rd_kafka_consume_batch_queue(self.queue, 0, room, len) };
        Fetched::own(fetch, read.max(0) as usize)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and given back once; the client is still alive, `self.client` goes later.
        unsafe { rd_kafka_queue_destroy(self.queue) };
    }
}
