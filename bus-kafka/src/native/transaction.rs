//! Transactional calls. All of them block, up to the timeout they are given.

use super::{Client, Failure, List};
use rdkafka::bindings::*;
use std::{ffi::c_int, ptr::NonNull, time::Duration};

/// Why a transactional call failed, and what may follow.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    /// The same call may be made again, to go on where it is.
    pub(crate) retriable: bool,
    /// The transaction is good for nothing but to be aborted.
    pub(crate) abort: bool,
}

impl Refusal {
    /// # Safety
    /// `error` is null or an error object that is ours to destroy.
    unsafe fn take(error: *mut rd_kafka_error_t) -> Result<(), Self> {
        // SAFETY: the flags are read before the object goes; the caller vouches for the pointer.
        unsafe {
            let (retriable, abort) = if error.is_null() {
                (false, false)
            } else {
                (
                    rd_kafka_error_is_retriable(error) != 0,
                    rd_kafka_error_txn_requires_abort(error) != 0,
                )
            };
            Failure::take(error).map_err(|failure| Self {
                failure,
                retriable,
                abort,
            })
        }
    }
}

fn millis(timeout: Duration) -> c_int {
    // 0 would ask without waiting for anything.
    timeout.as_millis().clamp(1, i32::MAX as u128) as c_int
}

impl Client {
    /// Fences former producers of the same id and waits for the end of their transactions. Once, before anything else.
    pub(crate) fn init_transactions(&self, timeout: Duration) -> Result<(), Refusal> {
        // SAFETY: a live transactional producer; the error is ours. The same holds for the calls below.
        unsafe { Refusal::take(rd_kafka_init_transactions(self.ptr(), millis(timeout))) }
    }
    pub(crate) fn begin_transaction(&self) -> Result<(), Refusal> {
        // SAFETY: see above.
        unsafe { Refusal::take(rd_kafka_begin_transaction(self.ptr())) }
    }
    /// Makes a group's offsets part of the transaction, on behalf of that member.
    pub(crate) fn send_offsets(
        &self,
        offsets: &List,
        member: &Membership,
        timeout: Duration,
    ) -> Result<(), Refusal> {
        // SAFETY: see above; list and metadata are live and copied.
        unsafe {
            Refusal::take(rd_kafka_send_offsets_to_transaction(
                self.ptr(),
                offsets.ptr(),
                member.0.as_ptr(),
                millis(timeout),
            ))
        }
    }
    /// What was produced has its reports before this is called, or it takes 100 ms longer than it must.
    pub(crate) fn commit_transaction(&self, timeout: Duration) -> Result<(), Refusal> {
        // SAFETY: see above.
        unsafe { Refusal::take(rd_kafka_commit_transaction(self.ptr(), millis(timeout))) }
    }
    pub(crate) fn abort_transaction(&self, timeout: Duration) -> Result<(), Refusal> {
        // SAFETY: see above.
        unsafe { Refusal::take(rd_kafka_abort_transaction(self.ptr(), millis(timeout))) }
    }

    /// Who this consumer is in its group now; `None` while it is no member. Brokers take offsets from generation -1
    /// without a member id unchecked, beside live members, so such metadata must never be sent.
    pub(crate) fn membership(&self) -> Option<Membership> {
        // SAFETY: a live client; null for one that is in no group; otherwise ours, with a NUL-terminated id inside.
        unsafe {
            let found = Membership(NonNull::new(rd_kafka_consumer_group_metadata(self.ptr()))?);
            let generation = rd_kafka_consumer_group_metadata_generation_id(found.0.as_ptr());
            let id = rd_kafka_consumer_group_metadata_member_id(found.0.as_ptr());
            let named = !id.is_null() && *id != 0;
            (generation >= 0 && named).then_some(found)
        }
    }
}

/// A consumer's place in its group: generation and member id, both valid when it was asked for.
pub(crate) struct Membership(NonNull<rd_kafka_consumer_group_metadata_t>);

impl Membership {
    /// The id that the coordinator knows it by.
    pub(crate) fn id(&self) -> String {
        // SAFETY: live, with a NUL-terminated id inside that is not null, and that is copied.
        unsafe { super::text(rd_kafka_consumer_group_metadata_member_id(self.0.as_ptr())) }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::Conf;
    use super::*;

    #[test]
    fn who_is_no_member_stores_nothing() {
        let mut conf = Conf::new();
        conf.set("group.id", "g").unwrap();
        let consumer = Client::consumer(conf).unwrap();
        assert!(consumer.membership().is_none());
    }
}
