//! The conformance suite on Kafka.

mod harness;

bus_core::conformance!(crate::harness::kafka::OnKafka::new("BUS_TEST_KAFKA"));
