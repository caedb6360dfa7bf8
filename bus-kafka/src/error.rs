//! librdkafka's codes as error kinds: what the caller can do.

use crate::native::{Code, Failure};
use bus_core::{Error, ErrorKind};

/// The error for `failure`, which happened while doing `what` (such as "creating topic `orders`").
pub(crate) fn classify(what: impl std::fmt::Display, failure: &Failure) -> Error {
    let what = what.to_string();
    let (kind, transient, hint) = judge(failure.code);
    let hint = right(&what, failure.code).or(hint.map(str::to_owned));
    let mut why = failure.text.trim_end_matches(['.', ' ']).to_owned();
    if why.is_empty() {
        why = failure.code.text();
    }
    let name = failure.code.name();
    let hint = hint.map(|h| format!("; {h}")).unwrap_or_default();
    Error::new(kind, format!("{what}: {} ({name}){hint}", lower(&why))).transient(transient)
}

/// The same where there is only a code.
pub(crate) fn of_code(what: impl std::fmt::Display, code: Code) -> Error {
    classify(what, &Failure::new(code))
}

/// The sentence with a lower-case first letter, unless its first word is an abbreviation or a name.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => first
            .to_lowercase()
            .chain(text[first.len_utf8()..].chars())
            .collect(),
        _ => text.to_owned(),
    }
}

/// Which right is missing, by what was being done.
fn right(what: &str, code: Code) -> Option<String> {
    let (kind, of) = match code {
        Code::TOPIC_AUTHORIZATION => ("topic", &TOPIC[..]),
        Code::GROUP_AUTHORIZATION => ("group", &GROUP[..]),
        _ => return None,
    };
    let (_, right) = of.iter().find(|(begin, _)| what.starts_with(begin))?;
    Some(format!(
        "allow this user (`sasl.username`, or the name in its certificate) `{right}` on this {kind}"
    ))
}

/// What needs which right on a topic, by how it begins.
const TOPIC: [(&str, &str); 10] = [
    ("publishing", "Write"),
    ("creating", "Create"),
    ("deleting", "Delete"),
    ("adding partitions", "Alter"),
    ("reading", "Read"),
    ("subscribing", "Read"),
    ("storing", "Read"),
    ("committing", "Read"),
    ("finding", "Describe"),
    ("looking up", "Describe"),
];
/// The same for groups.
const GROUP: [(&str, &str); 8] = [
    ("reading", "Read"),
    ("subscribing", "Read"),
    ("storing", "Read"),
    ("committing", "Read"),
    ("moving", "Read"),
    ("deleting", "Delete"),
    ("looking up", "Describe"),
    ("asking", "Describe"),
];

/// Kind, whether the same call may succeed later, and what to do.
fn judge(code: Code) -> (ErrorKind, bool, Option<&'static str>) {
    use ErrorKind as K;
    match code {
        Code::UNKNOWN_TOPIC_OR_PART | Code::UNKNOWN_TOPIC_LOCAL | Code::UNKNOWN_PARTITION_LOCAL => (
            K::TopicMissing,
            false,
            Some("create it with `bus topics create` or `Bus::ensure_topics`"),
        ),
        Code::GROUP_ID_NOT_FOUND | Code::NO_OFFSET => (K::GroupMissing, false, None),
        Code::TOPIC_AUTHORIZATION => (K::Denied, false, Some("ask for the right on this topic")),
        Code::GROUP_AUTHORIZATION => (K::Denied, false, Some("ask for the right on this group")),
        Code::CLUSTER_AUTHORIZATION => (
            K::Denied,
            false,
            Some(
                "allow this user `Create` on the topic (or on the cluster) to make topics, `Describe` on the cluster to list groups",
            ),
        ),
        Code::TRANSACTIONAL_ID_AUTHORIZATION => (
            K::Denied,
            false,
            Some(
                "allow this user `Write` on transactional ids that begin with `<client id>.<group>.` (`client.id`, `KAFKA_CLIENT_ID`)",
            ),
        ),
        Code::AUTHENTICATION | Code::SASL_AUTHENTICATION | Code::UNSUPPORTED_SASL_MECHANISM | Code::SSL => (
            K::Denied,
            false,
            Some("check user, password, certificates and `security.protocol`"),
        ),
        Code::MSG_SIZE_TOO_LARGE | Code::RECORD_LIST_TOO_LARGE => (
            K::TooLarge,
            false,
            Some("send less, or raise `max.message.bytes` of the topic"),
        ),
        Code::OFFSET_METADATA_TOO_LARGE => (
            K::TooLarge,
            false,
            Some("raise the broker's `offset.metadata.max.bytes` to 4096"),
        ),
        Code::ILLEGAL_GENERATION | Code::REBALANCE_IN_PROGRESS | Code::STALE_MEMBER_EPOCH => {
            (K::Unavailable, true, Some("the group is rebalancing"))
        }
        Code::UNKNOWN_MEMBER_ID | Code::FENCED_INSTANCE_ID | Code::FENCED_MEMBER_EPOCH => {
            (K::Fenced, false, Some("this member was put out of its group"))
        }
        Code::FENCED | Code::INVALID_PRODUCER_EPOCH => (
            K::Unavailable,
            true,
            Some("a transaction was too slow, or another process has the same `instance`"),
        ),
        Code::INVALID_TRANSACTION_TIMEOUT => (
            K::Invalid,
            false,
            Some("lower `transaction.timeout.ms`, or raise the broker's `transaction.max.timeout.ms`"),
        ),
        Code::NON_EMPTY_GROUP => (K::Conflict, false, Some("stop its members first")),
        Code::TOPIC_EXISTS => (K::Conflict, false, None),
        Code::OFFSET_OUT_OF_RANGE | Code::AUTO_OFFSET_RESET => (K::DataLoss, false, None),
        Code::TIMED_OUT | Code::TIMED_OUT_QUEUE | Code::REQUEST_TIMED_OUT | Code::MSG_TIMED_OUT => {
            (K::Timeout, true, Some("is the broker up, and its address right?"))
        }
        Code::TRANSPORT | Code::RESOLVE | Code::ALL_BROKERS_DOWN | Code::NETWORK => (
            K::Unavailable,
            true,
            Some("is the broker up, and its address right?"),
        ),
        Code::NOT_ENOUGH_REPLICAS | Code::NOT_ENOUGH_REPLICAS_AFTER_APPEND => {
            (K::Unavailable, true, Some("too few replicas are in sync"))
        }
        Code::WAIT_COORD
        | Code::COORDINATOR_LOADING
        | Code::COORDINATOR_UNAVAILABLE
        | Code::NOT_COORDINATOR
        | Code::LEADER_NOT_AVAILABLE
        | Code::NOT_LEADER
        | Code::NOT_CONTROLLER
        | Code::STALE_CONTROLLER_EPOCH
        | Code::FENCED_LEADER_EPOCH
        | Code::UNKNOWN_LEADER_EPOCH
        | Code::OFFSET_NOT_AVAILABLE
        | Code::UNSTABLE_OFFSET_COMMIT
        | Code::CONCURRENT_TRANSACTIONS
        | Code::INCONSISTENT
        | Code::THROTTLING_QUOTA
        | Code::STORAGE
        | Code::QUEUE_FULL => (K::Unavailable, true, None),
        Code::INVALID_ARG
        | Code::TOPIC_EXCEPTION
        | Code::INVALID_PARTITIONS
        | Code::INVALID_REPLICATION
        | Code::INVALID_CONFIG
        | Code::INVALID_REQUEST
        | Code::INVALID_GROUP_ID
        | Code::INVALID_TIMESTAMP
        | Code::INVALID_RECORD
        | Code::POLICY_VIOLATION => (K::Invalid, false, None),
        Code::UNSUPPORTED_VERSION | Code::UNSUPPORTED_FEATURE | Code::TOPIC_DELETION_DISABLED => {
            (K::Unsupported, false, None)
        }
        Code::DESTROY => (K::Closed, false, None),
        _ => (K::Other, false, None),
    }
}

/// What `connect` says when nobody answers: a few lines, with what to try.
pub(crate) fn unreachable(brokers: &str, waited: std::time::Duration, why: Option<String>) -> Error {
    let why = why.unwrap_or_else(|| "no answer".to_owned());
    Error::unavailable(format!(
        "kafka at {brokers} did not answer within {waited:?}: {why}\n  \
         is a broker listening there, and are its advertised listeners reachable from here?\n  \
         with TLS or a login, check `security.protocol` and the `sasl.*` and `ssl.*` options\n  \
         to wait longer: `connect.timeout.ms`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_codes_we_mean() {
        for (code, name) in [
            (Code::MSG_TIMED_OUT, "_MSG_TIMED_OUT"),
            (Code::UNKNOWN_PARTITION_LOCAL, "_UNKNOWN_PARTITION"),
            (Code::UNKNOWN_TOPIC_LOCAL, "_UNKNOWN_TOPIC"),
            (Code::ALL_BROKERS_DOWN, "_ALL_BROKERS_DOWN"),
            (Code::TIMED_OUT, "_TIMED_OUT"),
            (Code::ASSIGN_PARTITIONS, "_ASSIGN_PARTITIONS"),
            (Code::AUTHENTICATION, "_AUTHENTICATION"),
            (Code::NO_OFFSET, "_NO_OFFSET"),
            (Code::TIMED_OUT_QUEUE, "_TIMED_OUT_QUEUE"),
            (Code::UNSUPPORTED_FEATURE, "_UNSUPPORTED_FEATURE"),
            (Code::PURGE_QUEUE, "_PURGE_QUEUE"),
            (Code::PURGE_INFLIGHT, "_PURGE_INFLIGHT"),
            (Code::AUTO_OFFSET_RESET, "_AUTO_OFFSET_RESET"),
            (Code::TRANSPORT, "_TRANSPORT"),
            (Code::RESOLVE, "_RESOLVE"),
            (Code::QUEUE_FULL, "_QUEUE_FULL"),
            (Code::STATE, "_STATE"),
            (Code::FENCED, "_FENCED"),
            (Code::INCONSISTENT, "_INCONSISTENT"),
            (Code::FATAL, "_FATAL"),
            (Code::INVALID_PRODUCER_EPOCH, "INVALID_PRODUCER_EPOCH"),
            (Code::INVALID_TRANSACTION_TIMEOUT, "INVALID_TRANSACTION_TIMEOUT"),
            (Code::CONCURRENT_TRANSACTIONS, "CONCURRENT_TRANSACTIONS"),
            (Code::UNKNOWN_TOPIC_OR_PART, "UNKNOWN_TOPIC_OR_PART"),
            (Code::LEADER_NOT_AVAILABLE, "LEADER_NOT_AVAILABLE"),
            (Code::MSG_SIZE_TOO_LARGE, "MSG_SIZE_TOO_LARGE"),
            (Code::OFFSET_METADATA_TOO_LARGE, "OFFSET_METADATA_TOO_LARGE"),
            (Code::TOPIC_EXCEPTION, "TOPIC_EXCEPTION"),
            (Code::ILLEGAL_GENERATION, "ILLEGAL_GENERATION"),
            (Code::INVALID_GROUP_ID, "INVALID_GROUP_ID"),
            (Code::UNKNOWN_MEMBER_ID, "UNKNOWN_MEMBER_ID"),
            (Code::REBALANCE_IN_PROGRESS, "REBALANCE_IN_PROGRESS"),
            (Code::TOPIC_AUTHORIZATION, "TOPIC_AUTHORIZATION_FAILED"),
            (Code::TOPIC_EXISTS, "TOPIC_ALREADY_EXISTS"),
            (Code::INVALID_PARTITIONS, "INVALID_PARTITIONS"),
            (Code::INVALID_CONFIG, "INVALID_CONFIG"),
            (Code::NON_EMPTY_GROUP, "NON_EMPTY_GROUP"),
            (Code::GROUP_ID_NOT_FOUND, "GROUP_ID_NOT_FOUND"),
            (Code::FENCED_INSTANCE_ID, "FENCED_INSTANCE_ID"),
            (Code::SASL_AUTHENTICATION, "SASL_AUTHENTICATION_FAILED"),
            (Code::INVALID_TIMESTAMP, "INVALID_TIMESTAMP"),
            (Code::POLICY_VIOLATION, "POLICY_VIOLATION"),
        ] {
            assert_eq!(code.name(), name);
        }
    }

    #[test]
    fn kinds_say_what_to_do() {
        let error = of_code("publishing to `t`", Code::TOPIC_AUTHORIZATION);
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(!error.is_transient());
        let error = of_code("committing", Code::REBALANCE_IN_PROGRESS);
        assert!(error.is_transient() && error.kind() == ErrorKind::Unavailable);
        let error = of_code("connecting", Code::TRANSPORT);
        assert!(error.to_string().starts_with("connecting: "), "{error}");
    }
}
