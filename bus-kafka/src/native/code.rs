//! Error codes and failures.

use super::text;
use rdkafka::bindings::{
    rd_kafka_error_destroy, rd_kafka_error_is_fatal, rd_kafka_error_string, rd_kafka_error_t,
};
use std::{
    ffi::{c_char, c_int},
    fmt,
};

// The same symbols as in the generated bindings, with the code as the integer that it is in C.
unsafe extern "C" {
    fn rd_kafka_error_code(error: *const rd_kafka_error_t) -> c_int;
    fn rd_kafka_err2name(code: c_int) -> *const c_char;
    fn rd_kafka_err2str(code: c_int) -> *const c_char;
}

/// An error code of librdkafka (negative) or of the protocol (positive).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Code(pub(crate) i32);

#[rustfmt::skip]
impl Code {
    pub(crate) const OK: Code = Code(0);
    // librdkafka's own.
    pub(crate) const TRANSPORT: Code = Code(-195);
    pub(crate) const MSG_TIMED_OUT: Code = Code(-192);
    pub(crate) const UNKNOWN_PARTITION_LOCAL: Code = Code(-190);
    pub(crate) const UNKNOWN_TOPIC_LOCAL: Code = Code(-188);
    pub(crate) const ALL_BROKERS_DOWN: Code = Code(-187);
    pub(crate) const TIMED_OUT: Code = Code(-185);
    pub(crate) const QUEUE_FULL: Code = Code(-184);
    pub(crate) const SSL: Code = Code(-181);
    pub(crate) const WAIT_COORD: Code = Code(-180);
    pub(crate) const ASSIGN_PARTITIONS: Code = Code(-175);
    pub(crate) const RESOLVE: Code = Code(-193);
    pub(crate) const INVALID_ARG: Code = Code(-186);
    pub(crate) const STATE: Code = Code(-172);
    pub(crate) const AUTHENTICATION: Code = Code(-169);
    pub(crate) const NO_OFFSET: Code = Code(-168);
    pub(crate) const UNSUPPORTED_FEATURE: Code = Code(-165);
    pub(crate) const TIMED_OUT_QUEUE: Code = Code(-166);
    pub(crate) const PURGE_QUEUE: Code = Code(-152);
    pub(crate) const PURGE_INFLIGHT: Code = Code(-151);
    pub(crate) const AUTO_OFFSET_RESET: Code = Code(-140);
    pub(crate) const DESTROY: Code = Code(-197);
    pub(crate) const FENCED: Code = Code(-144);
    pub(crate) const INCONSISTENT: Code = Code(-149);
    pub(crate) const FATAL: Code = Code(-150);
    // The protocol's.
    pub(crate) const OFFSET_OUT_OF_RANGE: Code = Code(1);
    pub(crate) const UNKNOWN_TOPIC_OR_PART: Code = Code(3);
    pub(crate) const LEADER_NOT_AVAILABLE: Code = Code(5);
    pub(crate) const NOT_LEADER: Code = Code(6);
    pub(crate) const REQUEST_TIMED_OUT: Code = Code(7);
    pub(crate) const MSG_SIZE_TOO_LARGE: Code = Code(10);
    pub(crate) const OFFSET_METADATA_TOO_LARGE: Code = Code(12);
    pub(crate) const NETWORK: Code = Code(13);
    pub(crate) const COORDINATOR_LOADING: Code = Code(14);
    pub(crate) const COORDINATOR_UNAVAILABLE: Code = Code(15);
    pub(crate) const NOT_COORDINATOR: Code = Code(16);
    pub(crate) const TOPIC_EXCEPTION: Code = Code(17);
    pub(crate) const RECORD_LIST_TOO_LARGE: Code = Code(18);
    pub(crate) const NOT_ENOUGH_REPLICAS: Code = Code(19);
    pub(crate) const NOT_ENOUGH_REPLICAS_AFTER_APPEND: Code = Code(20);
    pub(crate) const ILLEGAL_GENERATION: Code = Code(22);
    pub(crate) const INVALID_GROUP_ID: Code = Code(24);
    pub(crate) const UNKNOWN_MEMBER_ID: Code = Code(25);
    pub(crate) const REBALANCE_IN_PROGRESS: Code = Code(27);
    pub(crate) const TOPIC_AUTHORIZATION: Code = Code(29);
    pub(crate) const GROUP_AUTHORIZATION: Code = Code(30);
    pub(crate) const CLUSTER_AUTHORIZATION: Code = Code(31);
    pub(crate) const INVALID_TIMESTAMP: Code = Code(32);
    pub(crate) const UNSUPPORTED_SASL_MECHANISM: Code = Code(33);
    pub(crate) const UNSUPPORTED_VERSION: Code = Code(35);
    pub(crate) const TOPIC_EXISTS: Code = Code(36);
    pub(crate) const INVALID_PARTITIONS: Code = Code(37);
    pub(crate) const INVALID_REPLICATION: Code = Code(38);
    pub(crate) const INVALID_CONFIG: Code = Code(40);
    pub(crate) const INVALID_REQUEST: Code = Code(42);
    pub(crate) const POLICY_VIOLATION: Code = Code(44);
    pub(crate) const INVALID_PRODUCER_EPOCH: Code = Code(47);
    pub(crate) const INVALID_TRANSACTION_TIMEOUT: Code = Code(50);
    pub(crate) const CONCURRENT_TRANSACTIONS: Code = Code(51);
    pub(crate) const TRANSACTIONAL_ID_AUTHORIZATION: Code = Code(53);
    pub(crate) const STORAGE: Code = Code(56);
    pub(crate) const SASL_AUTHENTICATION: Code = Code(58);
    pub(crate) const NON_EMPTY_GROUP: Code = Code(68);
    pub(crate) const GROUP_ID_NOT_FOUND: Code = Code(69);
    pub(crate) const TOPIC_DELETION_DISABLED: Code = Code(73);
    pub(crate) const STALE_CONTROLLER_EPOCH: Code = Code(11);
    pub(crate) const NOT_CONTROLLER: Code = Code(41);
    pub(crate) const FENCED_LEADER_EPOCH: Code = Code(74);
    pub(crate) const UNKNOWN_LEADER_EPOCH: Code = Code(75);
    pub(crate) const OFFSET_NOT_AVAILABLE: Code = Code(78);
    pub(crate) const FENCED_INSTANCE_ID: Code = Code(82);
    pub(crate) const INVALID_RECORD: Code = Code(87);
    pub(crate) const UNSTABLE_OFFSET_COMMIT: Code = Code(88);
    pub(crate) const THROTTLING_QUOTA: Code = Code(89);
    pub(crate) const FENCED_MEMBER_EPOCH: Code = Code(110);
    pub(crate) const STALE_MEMBER_EPOCH: Code = Code(113);
}

impl Code {
    pub(crate) fn is_ok(self) -> bool {
        self == Self::OK
    }
    /// Such as `REQUEST_TIMED_OUT`.
    pub(crate) fn name(self) -> String {
        // SAFETY: the function accepts any integer and answers with a string that lives for ever (or a buffer of
        // this thread that the next call may reuse, after we have copied it).
        unsafe { text(rd_kafka_err2name(self.0)) }
    }
    /// librdkafka's sentence.
    pub(crate) fn text(self) -> String {
        // SAFETY: as in `name`.
        unsafe { text(rd_kafka_err2str(self.0)) }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

/// What went wrong, as librdkafka tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) fatal: bool,
}

impl Failure {
    pub(crate) fn new(code: Code) -> Self {
        Self {
            code,
            text: code.text(),
            fatal: false,
        }
    }
    /// # Safety
    /// `error` is null or a live error object.
    pub(super) unsafe fn borrow(error: *const rd_kafka_error_t) -> Option<Self> {
        if error.is_null() {
            return None;
        }
        // SAFETY: not null and live; the strings are copied before anybody can free them.
        let failure = unsafe {
            Self {
                code: Code(rd_kafka_error_code(error)),
                text: text(rd_kafka_error_string(error)),
                fatal: rd_kafka_error_is_fatal(error) != 0,
            }
        };
        (!failure.code.is_ok()).then_some(failure)
    }
    /// # Safety
    /// `error` is null or an error object that is ours to destroy.
    pub(super) unsafe fn take(error: *mut rd_kafka_error_t) -> Result<(), Self> {
        // SAFETY: the caller vouches for the pointer; it is destroyed once, after its content was copied.
        unsafe {
            let failure = Self::borrow(error);
            if !error.is_null() {
                rd_kafka_error_destroy(error);
            }
            failure.map_or(Ok(()), Err)
        }
    }
}
