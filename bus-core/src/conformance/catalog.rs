//! The catalog: every check by theme, with the numbers of the suite's requirements and what has to hold.

/// Passes the catalog to a macro, behind its arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_catalog {
    ($then:ident ( $($argument:tt)* )) => {
        $crate::$then! {
            ($($argument)*)
            publishing {
                published_is_delivered [] "what is published is delivered, with its key and headers";
                many_publishers_many_subscribers [8] "50 publishers and 10 members: nothing is lost, nothing comes to two members";
                bulk_publish [] "10 000 messages of 20 publishers arrive, once and in the order of their keys";
                a_fresh_topic_loses_nothing [] "what is confirmed is stored, also the first batch to a topic that was just made";
                publishes_keep_their_order [] "publishes of one handle are stored in the order of the calls, whichever is awaited first";
            }
            outcomes {
                batch_outcomes [13] "each message of a batch has its own outcome, and a bad one holds up no other";
                enqueue_and_flush [] "a flush waits for what was enqueued, and says what was not stored";
                receipts_say_where [] "a receipt names the partition and position at which the message is read";
                a_dropped_publish_cancels_nothing [] "a publish whose future is dropped is stored all the same, once";
                given_up_publishes_keep_no_room [] "publishes that are given up keep no room: as many as there is room for, and more follow";
                a_closed_bus_refuses [] "after a close there is a typed refusal, a second close is a no-op, and nothing enqueued is forgotten";
            }
            fidelity {
                empty_and_null_stay_apart [16] "an empty and a null payload, an empty key and no key come back as they were sent";
                bytes_are_unaltered [16] "payloads and keys of any bytes come back as they were sent";
                the_largest_payload [16] "a payload of 1 MiB, or the largest there may be, comes back as it was sent";
                headers_are_unaltered [16] "binary, duplicate, null, empty and 300 headers keep their bytes and their order";
                odd_header_names_and_values [] "quotes, paths, control characters and other scripts in headers come back as they were sent";
                timestamps_are_kept [] "a timestamp that the publisher set is the one that is read";
                keys_go_where_kafka_puts_them [19] "a key goes to the partition that Kafka's murmur2 gives it";
                an_explicit_partition_wins [] "a partition that the publisher names wins over the key";
                messages_without_a_key_are_spread [] "messages without a key use every partition";
                what_other_programs_wrote_arrives [30] "what a program wrote that knows nothing of the bus arrives as any other message";
            }
            order {
                order_per_key [] "1 000 messages of 20 keys reach 10 members in the order of their keys";
                a_nack_keeps_the_order_of_its_key [3] "a nack keeps the order of its key";
                the_next_of_a_key_waits_for_the_ack [] "the next message of a key waits for the ack, and other keys of the partition do not";
                without_a_key_nothing_waits [] "messages without a key run side by side; an empty key is a key";
                order_of_a_partition [] "by partition, one delivery runs at a time, in log order, across nacks";
                without_order_a_nack_holds_nobody_up [] "without order, a nacked message holds up no other of its key";
                two_groups_with_failures_keep_key_order [] "two groups keep the order of keys while every 100th call fails";
                two_groups_with_failures_keep_partition_order [] "two groups keep the order of explicit partitions while every 100th call fails";
            }
            settling {
                nacked_comes_back [] "what is nacked comes back, as the next attempt";
                a_delay_is_never_cut_short [12] "what is nacked with a delay does not come back before it is over";
                a_delay_survives_a_restart [12, 11] "the delay of a nack, and the attempt, hold across a restart";
                a_hundred_nacks_by_each_of_three [] "work goes on after 100 nacks by each of 3 members";
                the_position_never_passes_the_unsettled [1] "whatever the order of acks, the stored position never passes an unsettled message, and never goes back";
                acks_beyond_the_position_are_kept [1] "acks above an unsettled message survive a restart";
            }
            attempts {
                attempts_survive_a_restart [11] "the count of attempts survives a restart";
                stored_attempts_survive_a_crash [11] "a count of attempts that was stored survives a crash";
                attempts_survive_a_handover [11] "the count of attempts goes with a partition to its next owner";
                a_dropped_delivery_is_a_nack [] "a delivery that is dropped is a nack, and keeps the order of its key";
                returned_while_draining_is_no_failure [27] "a delivery that is dropped during a drain comes back as the same attempt";
            }
            crashes {
                a_crash_redelivers_what_was_out [5] "after a crash, what was out comes again, and what was stored does not";
                flushed_acks_survive_a_crash [5] "what was acknowledged before a flush survives a crash";
                a_late_ack_changes_nothing [4] "the ack of a former owner changes nothing";
                a_crash_under_load_loses_nothing [5] "a member that crashes under load loses nothing, and its key order holds";
                a_long_handler_keeps_its_message [10] "a handler longer than the session keeps its message, with its window full";
            }
            dead_letters {
                exhausted_attempts_become_one_dead_letter [7] "after the last attempt there is one dead letter, with every header and the raw bytes";
                rejected_becomes_a_dead_letter_at_once [7] "a rejected message becomes a dead letter at once, and its key goes on";
                the_undecodable_neither_ends_nor_loops [6] "a message that cannot be decoded becomes a dead letter, and the subscription goes on";
                every_message_ends_once [7] "every message is acknowledged or dead-lettered, never both, never twice";
                a_missing_dead_letter_topic_is_named [] "a missing topic for dead letters is made at the start, or named";
            }
            replays {
                a_replay_brings_back_what_was_sent [7] "a replay puts dead letters back as they were sent, also what cannot be decoded, for the group that gave them up";
                a_message_comes_round_three_times [7] "replays are counted, the fourth time a message is parked, and nothing replays it by itself";
                a_crash_during_a_replay_loses_nothing [7] "a replay that is killed and done again replays everything once";
                a_filter_leaves_the_rest [7] "what a replay leaves out can be replayed later";
                replaying_twice_replays_once [7] "replays at the same time and one after the other replay everything once";
                a_foreign_dead_letter_stays [7, 30] "a dead letter that does not say where it came from is listed, refused with what to do, and not lost";
            }
            delays {
                a_delayed_message_is_never_early [12] "what is published with a delay does not come before it is over";
                every_path_may_be_delayed [12] "a delay holds for batches, for what is enqueued, through a publisher, and for outputs";
                equal_delays_keep_the_order_of_a_key [12] "messages of a key with equal delays come in publish order, once";
                a_delay_survives_its_owner [12] "delayed messages survive the process that published them and moved them";
                many_may_wait_at_once [12, 14] "50 000 messages may wait at once, a few of them in memory";
                delayed_bytes_are_unaltered [12, 16] "key, payload, headers, partition and timestamp of a delayed message come as they were sent";
                a_delay_to_a_missing_topic_is_typed [] "a delayed message for a missing topic, or with no place to wait, is refused with what to do";
                what_the_target_refuses_is_kept [15] "delayed messages whose topic was deleted become dead letters, and nothing else waits for them";
            }
            expiry {
                the_expired_is_not_delivered [] "a message that expired is settled without being delivered";
                a_retry_does_not_outlive_its_expiry [] "a message that expires while it waits for its retry is not tried again";
                the_expired_may_be_kept [7] "on request, expired messages become dead letters";
            }
            groups {
                every_group_gets_all [] "each of several groups gets every message, also those from before it";
                topics_are_apart [] "a group that reads two topics gets from each what was published to it";
                twenty_topics_at_once [] "20 topics are published to and read at once, five by one subscription";
                every_member_gets_work [9] "every live member gets work while there are partitions";
                a_member_joins_mid_stream [8] "a member joins under load: nothing is lost, nothing comes twice";
                a_live_group_is_not_deleted [15] "a group with live members is not deleted under them, or they are told; nothing starts over in silence";
                partitions_move_while_handlers_run [4] "members come and go while handlers run: no key is in two members at once";
            }
            lifecycle {
                reopened_mid_stream [2, 8] "5 000 messages arrive once each while their subscription is closed and opened";
                a_graceful_close_redelivers_nothing [2] "what is acknowledged before a graceful close ends never comes again";
                a_graceful_close_hands_over_at_once [] "after a graceful close the next member need not wait for a session to end";
                the_unsettled_go_to_the_next [] "what a cancelled subscription had not settled, and only that, goes to the next";
                closing_and_subscribing_at_once [] "closing one member while another joins loses nothing";
                many_close_at_once [2] "members that close at the same time lose nothing and repeat nothing";
                a_closed_subscription_is_over [] "after a close there is nothing more, a second one is a no-op, and a late settle does no harm";
                a_cancelled_next_leaves_no_trace [] "a call of next that is given up takes nothing away";
                a_subscribe_given_up_leaves_no_member [] "a subscribe that is given up leaves no member that keeps partitions from others";
            }
            cancellation {
                a_publish_may_be_given_up_anywhere [] "a publish that is dropped at any of its awaits is stored once, in order, and holds up no other";
                a_delayed_publish_may_be_given_up_anywhere [12] "a delayed publish that is dropped at any of its awaits comes once, in order";
                a_close_may_be_given_up_anywhere [] "a flush or a close that is dropped at any of its awaits forgets nothing, and the next one waits for it";
                a_subscribe_may_be_given_up_anywhere [] "a subscribe that is dropped at any of its awaits leaves no member";
                reading_may_be_given_up_anywhere [] "a call for the next message, or for what is settled to be stored, may be dropped at any of its awaits";
                a_seek_may_be_given_up_anywhere [18] "a seek that is dropped at any of its awaits does not come after a later one";
                a_drain_may_be_given_up_anywhere [2] "a drain that is dropped at any of its awaits brings back what was not acknowledged, and only that";
                administration_may_be_given_up_anywhere [] "what an administrator asks for may be dropped at any of its awaits and asked for again";
            }
            start {
                a_late_group_sees_history [] "a group that is made after the publish sees what was published";
                latest_sees_what_comes_after [] "a group that starts at the latest sees what comes after";
                a_latest_group_that_read_nothing_resumes [29] "a group stored at the latest that read nothing sees, after a restart, what came in between";
                a_known_group_resumes [] "a group with a stored position resumes there, whatever start is asked for";
                without_a_stored_position_there_is_an_error [] "who asks for the stored position and has none gets an error";
                a_time_is_a_start [] "a group that starts at a time sees what was stored since, and nothing before";
                positions_are_a_start [] "a group that starts at positions sees what follows them";
                added_partitions_are_read_from_their_start [29] "partitions that are added are read from their beginning, whatever the group's start";
                observers_see_all_and_leave_no_trace [] "observers see every message, from where they began, and leave nothing behind";
            }
            controls {
                a_paused_subscription_is_silent [18] "a subscription that is paused hands nothing out, and everything when it goes on";
                a_paused_partition_lets_others_go_on [18] "a partition that is paused holds up no other";
                a_seek_reads_again [18] "a seek reads again from there, in the partitions it is about, and is what a restart resumes from";
                a_loaded_state_is_told [] "that everything is settled which was there at the beginning is told, not before it is";
                a_range_is_replayed_and_ends [] "a range is replayed and ends, and a live group does not notice";
                gained_and_lost_are_told [] "partitions that are gained and lost are told, before their first message and at the end";
                a_pattern_finds_topics [] "a pattern reads what matches, finds topics that appear, and lets deleted ones go";
            }
            retention {
                what_retention_took_is_told [23] "what was removed before it was read is told, once, with the exact range";
                data_loss_stops_or_goes_on [23] "what was removed before it was read ends the subscription, each time, unless it was told to go on";
            }
            requests {
                an_inbox_sees_what_follows [28] "who subscribes at the latest sees what is stored after subscribing returned";
                a_reply_never_overtakes_its_inbox [28] "a reply that is sent at once finds its inbox";
            }
            chains {
                outputs_equal_inputs_under_crashes [22] "exactly once: the output is the input, once and in order, while members crash";
            }
            resets {
                a_reset_drops_notes [24] "after a reset by an administrator nothing is skipped";
                unreadable_notes_mean_redelivery [24] "notes that cannot be read settle nothing and hold nothing up";
                a_reset_moves_a_group [24] "a reset moves a group, and is refused while it has live members";
            }
            remade {
                nothing_of_a_deleted_topic_settles_the_next [15, 24] "positions and notes of a topic that was deleted settle nothing of the next one of its name";
                publishers_and_members_survive_a_new_topic [15] "a topic that is deleted and made again under load: members are told, publishers go on or say why not, and who comes anew gets the new topic from its start";
            }
            limits {
                messages_in_flight_are_bounded [14] "no more messages are in flight than were allowed";
                bytes_in_flight_are_bounded [14] "no more bytes are in flight than were allowed, but for one large message";
            }
            errors {
                a_missing_topic_is_typed [] "a missing topic is a typed error everywhere, and is not created";
                illegal_names_are_refused [] "an illegal name is refused before anything is created";
                what_is_too_large_is_refused [] "a message over the limit is refused before anything is stored";
                a_topic_deleted_under_a_consumer_ends_it [15] "a topic that is deleted under a live consumer ends it with a typed error";
                administration_is_typed [] "what an administrator may not do is a typed error; members, positions and lag are shown";
            }
            commits {
                a_released_shard_is_fenced [4] "a commit of a shard that was released is refused, and its neighbour's is stored";
                a_former_owner_is_fenced [4] "a commit of a former owner is refused, and the new owner's position stays";
                fenced_outputs_are_refused_and_others_stored [25] "the outputs of a fenced shard are refused, its neighbours' in the same commit are stored";
                a_missing_output_topic_stores_nothing [25] "an output without a topic takes its shard's commit with it, and no other's";
            }
            positions {
                a_position_never_goes_back [1] "a commit below the stored position is refused; the same again is harmless";
                notes_come_back_as_they_were [] "notes of the promised size come back with their position, byte for byte";
                a_reset_leaves_no_notes [24] "after a reset there are no notes, though the position is the same";
                a_seek_begins_a_new_epoch [18] "a seek voids the shard and begins a new epoch at the position that was asked for";
            }
            receiving {
                room_is_respected [14] "a subscriber hands out no more than there is room for";
                a_paused_shard_is_silent [18] "a paused shard hands out nothing, and all of it when it goes on";
                a_dropped_receive_loses_nothing [] "what a dropped call of receive had in hand comes with the next, in log order";
                catching_up_is_told [] "the end that was there at the beginning is told when it has been handed out, once";
                an_observers_commit_is_nothing [] "an observer reads the partitions it asked for, and its commits store nothing";
                a_closed_subscriber_is_closed [] "a closed subscriber commits nothing, gives up what it owned, and says that it is closed";
            }
            ownership {
                ownership_overtakes_records [26] "a shard that has to leave is told although records wait for room";
                nothing_follows_losing [26] "no record of a shard follows the word that it has to leave";
                a_deleted_topic_is_told [15] "a topic that is deleted is told, with every shard of it, once";
            }
            broker {
                a_restart_of_the_broker_loses_nothing [] "a server that is killed and started again at one third and one half of 10 000 messages loses none, and stores none twice";
                a_stopped_broker_is_waited_for [] "while the server is down nothing is confirmed and the bus says so; then all goes on";
            }
            network {
                a_network_that_is_cut_comes_back [] "after the network was cut for longer than a session everything goes on, and nothing is lost or stored twice";
                connections_that_are_reset_are_made_anew [] "connections that are reset are made anew, and nothing is lost or stored twice";
                a_lost_reply_makes_no_duplicate [21] "a publish whose reply is lost is stored once, and confirmed";
                a_late_request_makes_no_duplicate [21] "a publish that arrives long after it was sent again is stored once, in order";
                a_publish_that_times_out_is_honest [20] "a publish that times out is not stored, or says that it is unknown";
            }
            traces {
                nothing_is_left_after_a_close [17] "after a close no task, connection or member is left";
            }
        }
    };
}
