//! The metrics by name, as `docs/observability.md` lists them.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const PUBLISHED: &str = "bus_published_messages_total";
pub(super) const PUBLISHED_BYTES: &str = "bus_published_bytes_total";
pub(super) const PUBLISH_SECONDS: &str = "bus_publish_seconds";
pub(super) const PUBLISHING: &str = "bus_publishing_messages";
pub(super) const RECEIVED: &str = "bus_received_messages_total";
pub(super) const RECEIVED_BYTES: &str = "bus_received_bytes_total";
pub(super) const COMMITS: &str = "bus_commits_total";
pub(super) const COMMIT_SECONDS: &str = "bus_commit_seconds";
pub(super) const COMMIT_NOTES: &str = "bus_commit_notes_bytes";
pub(super) const OUTPUTS: &str = "bus_outputs_total";
pub(super) const GAINED: &str = "bus_partitions_gained_total";
pub(super) const LOST: &str = "bus_partitions_lost_total";
pub(super) const OWNED: &str = "bus_partitions_owned";
pub(super) const PAUSED: &str = "bus_partitions_paused";
pub(super) const DATA_LOSS: &str = "bus_data_loss_total";
pub(super) const ERRORS: &str = "bus_errors_total";
pub(super) const DELIVERED: &str = "bus_delivered_messages_total";
pub(super) const SETTLED: &str = "bus_settled_messages_total";
pub(super) const IN_FLIGHT: &str = "bus_in_flight_messages";
pub(super) const IN_FLIGHT_BYTES: &str = "bus_in_flight_bytes";
pub(super) const UNSTORED: &str = "bus_unstored_messages";
pub(super) const HANDLED: &str = "bus_handled_messages_total";
pub(super) const HANDLING: &str = "bus_handling_microseconds_total";
pub(super) const SLOWEST: &str = "bus_handling_slowest_seconds";

/// Tells the recorder what each of them is.
pub(super) fn describe() {
    let messages = Unit::Count;
    describe_counter!(PUBLISHED, messages, "messages that were published, by outcome");
    describe_counter!(
        PUBLISHED_BYTES,
        Unit::Bytes,
        "bytes that were given to the backend"
    );
    describe_histogram!(
        PUBLISH_SECONDS,
        Unit::Seconds,
        "from the call to the outcomes of a batch"
    );
    describe_gauge!(
        PUBLISHING,
        messages,
        "messages given to the backend that have no outcome yet"
    );
    describe_counter!(RECEIVED, messages, "records that were received");
    describe_counter!(RECEIVED_BYTES, Unit::Bytes, "bytes that were received");
    describe_counter!(COMMITS, messages, "commits of a partition, by result");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "how long a commit took");
    describe_histogram!(COMMIT_NOTES, Unit::Bytes, "notes of a partition's commit");
    describe_counter!(
        OUTPUTS,
        messages,
        "messages stored with a commit: outputs and dead letters"
    );
    describe_counter!(GAINED, messages, "partitions that came");
    describe_counter!(LOST, messages, "partitions that went");
    describe_gauge!(OWNED, messages, "partitions that are owned");
    describe_gauge!(
        PAUSED,
        messages,
        "partitions that are paused, because too much of them is unsettled"
    );
    describe_counter!(
        DATA_LOSS,
        messages,
        "ranges that were removed before they were read"
    );
    describe_counter!(ERRORS, messages, "calls that failed, by operation and kind");
    describe_counter!(DELIVERED, messages, "deliveries, later attempts included");
    describe_counter!(SETTLED, messages, "deliveries that were settled, by verdict");
    describe_gauge!(IN_FLIGHT, messages, "messages received and not settled");
    describe_gauge!(IN_FLIGHT_BYTES, Unit::Bytes, "the same in bytes");
    describe_gauge!(UNSTORED, messages, "messages settled and not stored");
    describe_counter!(HANDLED, messages, "handlers that ended");
    describe_counter!(HANDLING, Unit::Microseconds, "how long they ran, together");
    describe_gauge!(SLOWEST, Unit::Seconds, "how long the slowest of them ran");
}
