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
                batch_outcomes [13] "each message of a batch has its own outcome, and a bad one holds up no other";
                enqueue_and_flush [] "a flush waits for what was enqueued, and says what was not stored";
                publishes_keep_their_order [] "publishes of one handle are stored in the order of the calls, whichever is awaited first";
                receipts_say_where [] "a receipt names the partition and position at which the message is read";
                a_dropped_publish_cancels_nothing [] "a publish whose future is dropped is stored all the same, once";
                a_closed_bus_refuses [] "after a close there is a typed refusal, a second close is a no-op, and nothing enqueued is forgotten";
            }
            fidelity {
                empty_and_null_stay_apart [16] "an empty and a null payload, an empty key and no key come back as they were sent";
                bytes_are_unaltered [16] "payloads and keys of any bytes come back as they were sent";
                one_mebibyte_payload [16] "a payload of 1 MiB comes back as it was sent, between its neighbours";
                headers_are_unaltered [16] "binary, duplicate, null, empty and 300 headers keep their bytes and their order";
                odd_header_names_and_values [] "quotes, paths, control characters and other scripts in headers come back as they were sent";
                timestamps_are_kept [] "a timestamp that the publisher set is the one that is read";
                keys_go_where_kafka_puts_them [19] "a key goes to the partition that Kafka's murmur2 gives it";
                an_explicit_partition_wins [] "a partition that the publisher names wins over the key";
                messages_without_a_key_are_spread [] "messages without a key use every partition";
            }
            order {
                order_per_key [] "1 000 messages of 20 keys reach 10 members in the order of their keys";
                a_nack_keeps_the_order_of_its_key [3] "a nack keeps the order of its key";
                the_next_of_a_key_waits_for_the_ack [] "the next message of a key waits for the ack, and other keys of the partition do not";
                without_a_key_nothing_waits [] "messages without a key run side by side; an empty key is a key";
                order_of_a_partition [] "by partition, one delivery runs at a time, in log order, across nacks";
                without_order_a_nack_holds_nobody_up [] "without order, a nacked message holds up no other of its key";
                two_groups_with_failures_keep_key_order [] "two groups keep the order of keys while every 100th call fails";
            }
        }
    };
}
