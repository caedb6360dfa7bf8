//! The suite bites: every check is seen to fail on a backend that is broken in a way it is about, and for that reason.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use bus_core::conformance::{
    CHECKS, Check,
    broken::{Fault, Sabotage},
    run,
};
use futures_util::{StreamExt, stream};
use harness::memory::OnMemory;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Runs one check on a broken backend, and expects it to fail with some of these words: where the fault strikes at a
/// commit, the moment decides which of its consequences is seen first.
fn bites(check: &str, fault: Fault, words: &[&str]) {
    let mut came = String::new();
    // On a slow machine something else may be late first, or a wait be over before it is looked at: then once more, with
    // patience for it. What is large takes its time, whatever is broken.
    let least = if check == "many_may_wait_at_once" { 10 } else { 1 };
    for seconds in [1, 10, 30] {
        let patience = Duration::from_secs(seconds.max(least));
        let harness = Sabotage::new(Arc::new(OnMemory::impatient()), fault, patience);
        came = match block_on(run(Check::named(check).unwrap(), Arc::new(harness))) {
            Err(failure) => failure.to_string(),
            Ok(()) => "it holds".into(),
        };
        if words.iter().any(|words| came.contains(words)) {
            println!("{fault:?}: {came}");
            return;
        }
    }
    panic!("`{check}` does not fail by the fault {fault:?} ({words:?}): {came}");
}

fn block_on<T>(f: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(f);
    runtime.shutdown_background();
    result
}

/// Check, then the faults that it has to find, each with a name for its test and words of the failure.
macro_rules! faults {
    ($($check:ident { $($name:ident = $fault:ident $(($argument:expr))? => $($words:literal)|+;)* })*) => {
        const COVERED: &[&str] = &[$(stringify!($check)),*];
        $(mod $check {
            use super::*;
            $(#[test]
            fn $name() {
                bites(stringify!($check), Fault::$fault $(($argument))?, &[$($words),+]);
            })*
        })*
    };
}

faults! {
    published_is_delivered {
        drop_headers = DropHeaders => "the headers: expected";
        lose_every = LoseEvery(50) => "after 98 of 100";
    }
    many_publishers_many_subscribers {
        no_exclusion = NoExclusion => "came again without a cause";
        duplicate_every = DuplicateEvery(1000) => "came again without a cause";
    }
    bulk_publish {
        lose_every = LoseEvery(9_999) => "1 are open";
    }
    a_fresh_topic_loses_nothing {
        lose_every = LoseEvery(900) => "messages of 40 that were confirmed";
    }
    batch_outcomes {
        fail_batches = FailBatches => "message 0: a message was not stored";
        confirm_failures = ConfirmFailures => "message 1 was stored; expected TooLarge";
    }
    enqueue_and_flush {
        confirm_failures = ConfirmFailures => "messages that were not stored: expected 1, got 0";
    }
    publishes_keep_their_order {
        take_late = TakeLate => "was settled";
    }
    receipts_say_where {
        wrong_receipts = WrongReceipts => "was stored: expected";
    }
    a_dropped_publish_cancels_nothing {
        take_late = TakeLate => "the next delivery: not within";
    }
    given_up_publishes_keep_no_room {
        stuck_when_given_up = StuckWhenGivenUp => "publishing 1 messages: not within" | "a raw publish: not within";
        lose_every = LoseEvery(30_000) => "messages are stored: not within";
    }
    a_closed_bus_refuses {
        publish_after_close = PublishAfterClose => "publishing after close";
    }
    empty_and_null_stay_apart {
        null_as_empty = NullAsEmpty => "None bytes were sent, Some(0) came";
        empty_key_as_none = EmptyKeyAsNone => "the key: expected Some([]), got None";
    }
    bytes_are_unaltered {
        lossy_text = LossyText => "the payload changed";
    }
    the_largest_payload {
        cut_payloads = CutPayloads => "Some(65536) came";
    }
    headers_are_unaltered {
        distinct_headers = DistinctHeaders => "the headers: expected";
    }
    odd_header_names_and_values {
        lowercase_headers = LowercaseHeaders => "message 17: the headers";
    }
    timestamps_are_kept {
        drop_timestamps = DropTimestamps => "the timestamp: expected 1000";
    }
    keys_go_where_kafka_puts_them {
        wrong_partitioner = WrongPartitioner => "the partition of key";
    }
    an_explicit_partition_wins {
        ignore_partition = IgnorePartition => "the receipt's partition";
    }
    messages_without_a_key_are_spread {
        one_partition = OnePartition => "went to partitions {0} only";
    }
    order_per_key {
        reverse_batches = ReverseBatches => "was settled";
    }
    a_nack_keeps_the_order_of_its_key {
        forget_once = ForgetOnce => "nacks: expected 40";
    }
    the_next_of_a_key_waits_for_the_ack {
        forget_once = ForgetOnce => "what comes while one is held: expected";
    }
    without_a_key_nothing_waits {
        key_for_all = KeyForAll => "after 1 of 50";
        empty_key_as_none = EmptyKeyAsNone => "what comes while the first of the empty key is held";
    }
    order_of_a_partition {
        reverse_batches = ReverseBatches => "was settled";
    }
    without_order_a_nack_holds_nobody_up {
        forget_once = ForgetOnce => "what comes while one waits for its retry";
    }
    two_groups_with_failures_keep_key_order {
        reverse_batches = ReverseBatches => "was settled";
    }
    two_groups_with_failures_keep_partition_order {
        reverse_batches = ReverseBatches => "was settled";
    }
    nacked_comes_back {
        forget_once = ForgetOnce => "deliveries of 100 messages that were nacked once";
    }
    a_delay_is_never_cut_short {
        forget_once = ForgetOnce => "too early";
    }
    a_delay_survives_a_restart {
        drop_notes = DropNotes => "too early";
    }
    a_hundred_nacks_by_each_of_three {
        forget_once = ForgetOnce => "came again without a cause" | "came as attempt 1 instead of";
    }
    the_position_never_passes_the_unsettled {
        commit_highest = CommitHighest => "is unsettled";
        commit_nothing = CommitNothing => "never moved";
    }
    acks_beyond_the_position_are_kept {
        drop_notes = DropNotes => "what came again after";
    }
    attempts_survive_a_restart {
        drop_notes = DropNotes => "the attempts of what was out for the third time";
    }
    stored_attempts_survive_a_crash {
        drop_notes = DropNotes => "the attempts of what had failed once";
    }
    attempts_survive_a_handover {
        drop_notes = DropNotes => "too early";
    }
    a_dropped_delivery_is_a_nack {
        forget_once = ForgetOnce => "(\"k:0\", 1)";
    }
    returned_while_draining_is_no_failure {
        commit_on_delivery = CommitOnDelivery => "after 0 of 4";
    }
    a_crash_redelivers_what_was_out {
        commit_highest = CommitHighest => "what came again after a flush";
        no_takeover = NoTakeover => "before the end of every partition";
    }
    flushed_acks_survive_a_crash {
        commit_nothing = CommitNothing => "came again after a flush and a crash";
    }
    a_late_ack_changes_nothing {
        commit_on_delivery = CommitOnDelivery => "after 0 of 4";
    }
    a_crash_under_load_loses_nothing {
        no_takeover = NoTakeover => "are open";
        commit_on_delivery = CommitOnDelivery => "are open";
    }
    a_long_handler_keeps_its_message {
        unrenewed = Unrenewed(Duration::from_millis(300)) => "came again without a cause";
    }
    exhausted_attempts_become_one_dead_letter {
        drop_outputs = DropOutputs => "dead letters: expected 1, got 0";
    }
    rejected_becomes_a_dead_letter_at_once {
        double_outputs = DoubleOutputs => "dead letters: expected 1, got 2";
    }
    the_undecodable_neither_ends_nor_loops {
        drop_outputs = DropOutputs => "dead letters: expected 1, got 0";
    }
    every_message_ends_once {
        double_outputs = DoubleOutputs => "dead letters: expected 20, got 40";
    }
    a_missing_dead_letter_topic_is_named {
        one_partition_topics = OnePartitionTopics => "expected Some(4), got Some(1)";
    }
    a_replay_brings_back_what_was_sent {
        drop_headers = InReplays(&Fault::DropHeaders) => "the headers that the message had";
        double_outputs = InReplays(&Fault::DoubleOutputs) => "what another group passes by: expected 4, got 8";
        drop_timestamps = DropTimestamps => "the timestamp";
    }
    a_message_comes_round_three_times {
        drop_headers = InReplays(&Fault::DropHeaders) => "id, count and message after round 1";
        drop_outputs = InReplays(&Fault::DropOutputs) => "the next delivery: not within";
    }
    a_crash_during_a_replay_loses_nothing {
        torn_commits = InReplays(&Fault::TornCommits) => "after a crash and a second replay";
        drop_outputs = InReplays(&Fault::DropOutputs) => "after a crash and a second replay";
        no_takeover = NoTakeover => "a replay: not within";
    }
    a_filter_leaves_the_rest {
        drop_outputs = InReplays(&Fault::DropOutputs) => "dead letters that are left: expected 16, got 12";
        commit_highest = InReplays(&Fault::CommitHighest) => "open dead letters of two keys";
    }
    replaying_twice_replays_once {
        commit_nothing = InReplays(&Fault::CommitNothing) => "are held by another member" | "a replay: not within";
        torn_commits = InReplays(&Fault::TornCommits) => "after three replays";
    }
    a_foreign_dead_letter_stays {
        skip_foreign = SkipForeign => "replayed and refused: expected (1, 1), got (1, 0)";
        drop_outputs = InReplays(&Fault::DropOutputs) => "messages in that topic: expected 1, got 0";
    }
    a_delayed_message_is_never_early {
        drop_headers = DropHeaders => "too early";
    }
    every_path_may_be_delayed {
        drop_headers = DropHeaders => "too early";
    }
    equal_delays_keep_the_order_of_a_key {
        reverse_batches = ReverseBatches => "was settled";
        double_outputs = DoubleOutputs => "came again without a cause";
    }
    a_delay_survives_its_owner {
        no_takeover = NoTakeover => "40 of 40 are missing";
    }
    many_may_wait_at_once {
        ignore_pause = IgnorePause => "were in memory at once";
    }
    delayed_bytes_are_unaltered {
        drop_timestamps = DropTimestamps => "the timestamp";
        ignore_partition = IgnorePartition => "the partition";
    }
    a_delay_to_a_missing_topic_is_typed {
        wrong_kinds = WrongKinds => "the error: expected (TopicMissing, false)";
    }
    what_the_target_refuses_is_kept {
        skip_missing_outputs = SkipMissingOutputs => "there are dead letters of delays";
    }
    the_expired_is_not_delivered {
        drop_headers = DropHeaders => "what is not expired";
        commit_nothing = CommitNothing => "what came again after it had expired";
    }
    a_retry_does_not_outlive_its_expiry {
        drop_headers = DropHeaders => "what follows";
    }
    the_expired_may_be_kept {
        drop_outputs = DropOutputs => "dead letters: expected 1, got 0";
    }
    every_group_gets_all {
        one_group = OneGroup => "the next delivery: not within";
    }
    topics_are_apart {
        mix_topics = MixTopics(7) => "of 50: the";
    }
    twenty_topics_at_once {
        mix_topics = MixTopics(7) => "the next of topic";
    }
    every_member_gets_work {
        idle_second = IdleSecond => "members [1, 2, 3] have nothing to do";
    }
    a_member_joins_mid_stream {
        no_exclusion = NoExclusion => "came again without a cause";
    }
    partitions_move_while_handlers_run {
        losing_untold = LosingUntold => "came again without a cause";
    }
    a_live_group_is_not_deleted {
        delete_live = DeleteLive => "deleting a group with live members";
    }
    reopened_mid_stream {
        commit_nothing = CommitNothing => "came again without a cause";
        lose_every = LoseEvery(4_999) => "1 are open";
    }
    a_graceful_close_redelivers_nothing {
        commit_nothing = CommitNothing => "came again after a graceful close";
    }
    a_graceful_close_hands_over_at_once {
        never_leaves = NeverLeaves => "as long as for one that crashed";
    }
    the_unsettled_go_to_the_next {
        commit_highest = CommitHighest => "what the next member got";
    }
    closing_and_subscribing_at_once {
        commit_nothing = CommitNothing => "came again without a cause";
    }
    many_close_at_once {
        commit_nothing = CommitNothing => "came again without a cause";
    }
    a_closed_subscription_is_over {
        close_hangs = CloseHangs => "draining: not within";
    }
    a_cancelled_next_leaves_no_trace {
        duplicate_every = DuplicateEvery(300) => "came";
    }
    a_subscribe_given_up_leaves_no_member {
        leave_members = LeaveMembers => "the only member that is left";
    }
    a_publish_may_be_given_up_anywhere {
        stuck_when_given_up = StuckWhenGivenUp => "not within";
        take_late = TakeLate => "are open";
    }
    a_delayed_publish_may_be_given_up_anywhere {
        double_outputs = DoubleOutputs => "two delayed messages of a key" | "a delayed message came twice";
    }
    a_close_may_be_given_up_anywhere {
        close_once = CloseOnce => "what is stored when a bus is closed whose first close was given up";
    }
    a_subscribe_may_be_given_up_anywhere {
        leave_members = LeaveMembers => "the only member that is left";
    }
    reading_may_be_given_up_anywhere {
        commit_nothing = CommitNothing => "came again after a flush";
        double_outputs = DoubleOutputs => "the outputs";
    }
    a_seek_may_be_given_up_anywhere {
        ignore_seek = IgnoreSeek => "seeking: not within";
    }
    a_drain_may_be_given_up_anywhere {
        commit_nothing = CommitNothing => "what comes after a drain";
    }
    administration_may_be_given_up_anywhere {
        half_made = HalfMade => "a topic has 4 partitions";
    }
    a_late_group_sees_history {
        start_at_latest = StartAtLatest => "what a group sees that is made after the publish";
    }
    latest_sees_what_comes_after {
        start_at_earliest = StartAtEarliest => "what a group sees that began at the latest";
    }
    a_latest_group_that_read_nothing_resumes {
        reset_to_latest = ResetToLatest => "what came in between";
    }
    a_known_group_resumes {
        reset_to_latest = ResetToLatest => "what comes to a known group";
    }
    without_a_stored_position_there_is_an_error {
        start_at_earliest = StartAtEarliest => "expected GroupMissing";
    }
    a_time_is_a_start {
        start_at_earliest = StartAtEarliest => "expected false, got true";
    }
    positions_are_a_start {
        start_at_earliest = StartAtEarliest => "what follows the positions";
    }
    added_partitions_are_read_from_their_start {
        added_at_latest = AddedAtLatest => "of 2: the next delivery";
    }
    what_retention_took_is_told {
        loss_untold = LossUntold => "an event: not within";
        loss_inexact = LossInexact => "what was lost, by partition";
    }
    data_loss_stops_or_goes_on {
        loss_untold = LossUntold => "and nobody was told" | "a loss: not within";
    }
    an_inbox_sees_what_follows {
        resolve_late = ResolveLate => "round 0";
    }
    a_reply_never_overtakes_its_inbox {
        resolve_late = ResolveLate => "the reply to request 0: the next delivery";
    }
    outputs_equal_inputs_under_crashes {
        torn_commits = TornCommits => "the next output of its key";
        drop_outputs = DropOutputs => "the next delivery: not within" | "the next output of its key";
    }
    a_reset_drops_notes {
        keep_notes = KeepNotes => "what follows a reset to the beginning";
    }
    unreadable_notes_mean_redelivery {
        commit_highest = CommitHighest => "whose notes cannot be read";
    }
    a_reset_moves_a_group {
        ignore_reset = IgnoreReset => "what follows a reset to the beginning";
    }
    observers_see_all_and_leave_no_trace {
        observer_group = ObserverGroup => "an observer of two partitions sees others";
    }
    nothing_of_a_deleted_topic_settles_the_next {
        keep_notes = KeepNotes => "what a group gets of a topic that was made anew" | "after";
        deletion_untold = DeletionUntold => "whose topic is gone: not within";
    }
    publishers_and_members_survive_a_new_topic {
        deletion_untold = DeletionUntold => "publishing does not go on" | "both members are told: not within";
    }
    messages_in_flight_are_bounded {
        ignore_room = IgnoreRoom => "more than the 10 messages there was room for";
    }
    bytes_in_flight_are_bounded {
        ignore_room = IgnoreRoom => "bytes were in flight at once";
    }
    a_missing_topic_is_typed {
        create_missing = CreateMissing => "was stored in a topic that does not exist";
        wrong_kinds = WrongKinds => "expected TopicMissing, got Other";
    }
    illegal_names_are_refused {
        any_name = AnyName => "creating is not refused";
    }
    what_is_too_large_is_refused {
        confirm_failures = ConfirmFailures => "was stored";
    }
    a_topic_deleted_under_a_consumer_ends_it {
        deletion_untold = DeletionUntold => "whose topic is gone: not within";
    }
    administration_is_typed {
        wrong_kinds = WrongKinds => "expected Invalid, got Other";
    }
    a_released_shard_is_fenced {
        no_fence = NoFence => "a commit of a shard that was released";
    }
    a_former_owner_is_fenced {
        no_fence = NoFence => "a former owner's commit of partition 0";
    }
    a_position_never_goes_back {
        go_back = GoBack => "a commit below the stored position";
    }
    fenced_outputs_are_refused_and_others_stored {
        unfenced_outputs = UnfencedOutputs => "\"stale\"";
    }
    a_missing_output_topic_stores_nothing {
        skip_missing_outputs = SkipMissingOutputs => "expected [Some(TopicMissing), None]";
    }
    notes_come_back_as_they_were {
        cut_notes = CutNotes => "the notes of partition 0 changed";
    }
    a_reset_leaves_no_notes {
        keep_notes = KeepNotes => "notes survived a reset";
    }
    a_paused_subscription_is_silent {
        pause_sticks = PauseSticks => "of 40" | "of 76";
    }
    a_paused_partition_lets_others_go_on {
        pause_sticks = PauseSticks => "of 20" | "of 50";
    }
    a_seek_reads_again {
        ignore_seek = IgnoreSeek => "seeking: not within";
    }
    a_loaded_state_is_told {
        caught_up_at_once = CaughtUpAtOnce => "while a message was being handled";
    }
    a_range_is_replayed_and_ends {
        caught_up_at_once = CaughtUpAtOnce => "a replay to the end";
    }
    gained_and_lost_are_told {
        idle_second = IdleSecond => "each of two members was told of its two partitions";
    }
    a_pattern_finds_topics {
        reset_to_latest = ResetToLatest => "of 40";
    }
    a_seek_begins_a_new_epoch {
        ignore_seek = IgnoreSeek => "waiting for a shard to be lost";
    }
    room_is_respected {
        ignore_room = IgnoreRoom => "records were handed out without room";
    }
    a_paused_shard_is_silent {
        ignore_pause = IgnorePause => "a paused shard handed out records";
    }
    a_dropped_receive_loses_nothing {
        lose_on_cancel = LoseOnCancel => "of 1000 records";
    }
    ownership_overtakes_records {
        losing_held_back = LosingHeldBack => "waiting for a shard to leave";
    }
    nothing_follows_losing {
        records_after_losing = RecordsAfterLosing => "after it was to leave";
    }
    catching_up_is_told {
        caught_up_at_once = CaughtUpAtOnce => "before its end was told";
    }
    an_observers_commit_is_nothing {
        observer_commit_fails = ObserverCommitFails => "observers commit nothing";
    }
    a_closed_subscriber_is_closed {
        never_leaves = NeverLeaves => "receiving: not within";
    }
    a_deleted_topic_is_told {
        deletion_untold = DeletionUntold => "an event: not within";
    }
    a_restart_of_the_broker_loses_nothing {
        lose_when_harmed = LoseWhenHarmed => "are open";
    }
    a_stopped_broker_is_waited_for {
        lose_when_harmed = LoseWhenHarmed => "has an outcome although";
        silent_when_harmed = SilentWhenHarmed => "more messages are acknowledged: not within";
    }
    a_network_that_is_cut_comes_back {
        silent_when_harmed = SilentWhenHarmed => "more messages are acknowledged: not within";
        lose_when_harmed = LoseWhenHarmed => "are open";
    }
    connections_that_are_reset_are_made_anew {
        silent_when_harmed = SilentWhenHarmed => "more messages are acknowledged: not within";
        lose_when_harmed = LoseWhenHarmed => "are open";
    }
    a_lost_reply_makes_no_duplicate {
        resend_anew = ResendAnew => "what is stored of key k0";
    }
    a_late_request_makes_no_duplicate {
        resend_anew = ResendAnew => "what is stored of key k0";
    }
    a_publish_that_times_out_is_honest {
        unknown_as_not_stored = UnknownAsNotStored => "was said to be not stored, and is in the log";
        confirm_failures = ConfirmFailures => "was confirmed while nothing gets through";
    }
    nothing_is_left_after_a_close {
        leak_tasks = LeakTasks => "tasks and";
        leak_connections = LeakConnections => "connections are left";
        never_leaves = NeverLeaves => "members are left";
    }
    what_other_programs_wrote_arrives {
        skip_foreign = SkipForeign => "the next delivery: not within";
    }
}

#[test]
fn every_check_has_a_fault() {
    let covered: BTreeSet<_> = COVERED.iter().copied().collect();
    let checks: BTreeSet<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(covered, checks);
}

/// It is the fault that is found, not the wrapper.
#[test]
fn without_a_fault_everything_holds() {
    let failures = block_on(async {
        let one = async |check: &'static Check| {
            let harness = Arc::new(OnMemory::new());
            let harmless = Sabotage::new(harness, Fault::LoseEvery(u64::MAX), Duration::from_secs(60));
            run(check, Arc::new(harmless))
                .await
                .err()
                .map(|failure| format!("{}: {failure}", check.name))
        };
        stream::iter(CHECKS)
            .map(one)
            .buffer_unordered(6)
            .filter_map(async |f| f)
            .collect::<Vec<_>>()
            .await
    });
    assert!(failures.is_empty(), "{failures:#?}");
}
