//! Lists of partitions.

use super::{Client, Code, c_string};
use rdkafka::bindings::*;
use std::{ffi::CStr, ptr, slice};

/// An owned list of partitions with offsets and metadata.
pub(crate) struct List(*mut rd_kafka_topic_partition_list_t);

// SAFETY: plain memory, owned.
unsafe impl Send for List {}
// SAFETY: whoever gets the pointer from a shared reference only reads or copies.
unsafe impl Sync for List {}

/// One entry, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
    pub(crate) metadata: Vec<u8>,
    pub(crate) code: Code,
}

impl List {
    pub(crate) fn new() -> Self {
        // SAFETY: no preconditions; it grows by itself.
        Self(unsafe { rd_kafka_topic_partition_list_new(8) })
    }
    /// Topics, for a subscription.
    pub(crate) fn topics<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let list = Self::new();
        for name in names {
            let name = c_string(name);
            // SAFETY: a live list; the name is copied. -1 stands for all partitions.
            unsafe { rd_kafka_topic_partition_list_add(list.0, name.as_ptr(), -1) };
        }
        list
    }
    pub(crate) fn add(&mut self, topic: &str, partition: u32, offset: i64) {
        self.push(topic, partition, offset);
    }
    fn push(&mut self, topic: &str, partition: u32, offset: i64) -> *mut rd_kafka_topic_partition_t {
        let topic = c_string(topic);
        // SAFETY: a live list; the name is copied; the entry stays valid until the next `add`.
        unsafe {
            let entry = rd_kafka_topic_partition_list_add(self.0, topic.as_ptr(), partition as i32);
            (*entry).offset = offset;
            entry
        }
    }
    /// Adds an offset to commit with its metadata.
    pub(crate) fn add_with(
        &mut self,
        client: &Client,
        topic: &str,
        partition: u32,
        offset: i64,
        metadata: &[u8],
    ) {
        let entry = self.push(topic, partition, offset);
        if metadata.is_empty() {
            return;
        }
        // SAFETY: the block comes from librdkafka's own allocator, which will free it with the entry; it has
        // exactly the room that is written.
        unsafe {
            let block = rd_kafka_mem_malloc(client.ptr(), metadata.len());
            if !block.is_null() {
                ptr::copy_nonoverlapping(metadata.as_ptr(), block.cast::<u8>(), metadata.len());
                (*entry).metadata = block;
                (*entry).metadata_size = metadata.len();
            }
        }
    }
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: a live list.
        unsafe { (*self.0).cnt == 0 }
    }
    pub(crate) fn read(&self) -> Vec<Part> {
        // SAFETY: a live list.
        unsafe { read(self.0) }
    }
    pub(super) fn ptr(&self) -> *mut rd_kafka_topic_partition_list_t {
        self.0
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { rd_kafka_topic_partition_list_destroy(self.0) };
    }
}

/// Reads a list that belongs to somebody else.
/// # Safety
/// `list` is null or live during the call.
pub(super) unsafe fn read(list: *const rd_kafka_topic_partition_list_t) -> Vec<Part> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: not null and live; it has `cnt` entries.
    unsafe {
        (0..(*list).cnt.max(0) as usize)
            .map(|i| part((*list).elems.add(i)))
            .collect()
    }
}

/// # Safety
/// `entry` is live during the call.
pub(super) unsafe fn part(entry: *const rd_kafka_topic_partition_t) -> Part {
    // SAFETY: live; strings are NUL-terminated, metadata has its length beside it; the code is read as an integer.
    unsafe {
        let metadata = if (*entry).metadata.is_null() {
            Vec::new()
        } else {
            slice::from_raw_parts((*entry).metadata.cast::<u8>(), (*entry).metadata_size).to_vec()
        };
        Part {
            topic: CStr::from_ptr((*entry).topic).to_string_lossy().into_owned(),
            partition: (*entry).partition.max(0) as u32,
            offset: (*entry).offset,
            metadata,
            code: Code(ptr::addr_of!((*entry).err).cast::<i32>().read()),
        }
    }
}
