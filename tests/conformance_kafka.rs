//! The conformance suite on Kafka.

mod harness;

bus_core::conformance!(crate::harness::kafka::OnKafka::new("BUS_TEST_KAFKA"));

/// Through every layer at once.
mod layers {
    use std::sync::Arc;
    bus_core::conformance!(crate::harness::layers::stacked(Arc::new(
        crate::harness::kafka::OnKafka::new("BUS_TEST_KAFKA")
    )));
}
