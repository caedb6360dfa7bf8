//! The conformance suite on Redis: the oldest version that is supported, a recent one, and a cluster of three.

mod harness;

mod redis_7 {
    bus_core::conformance!(crate::harness::redis::OnRedis::new("BUS_TEST_REDIS"));
}

/// Through every layer at once.
mod redis_8_layers {
    use std::sync::Arc;
    bus_core::conformance!(crate::harness::layers::stacked(Arc::new(
        crate::harness::redis::OnRedis::new("BUS_TEST_REDIS_8")
    )));
}

mod redis_8 {
    bus_core::conformance!(crate::harness::redis::OnRedis::new("BUS_TEST_REDIS_8"));
}

mod redis_cluster {
    bus_core::conformance!(crate::harness::redis::OnRedis::cluster());
}
