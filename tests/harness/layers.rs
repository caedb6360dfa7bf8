//! The layers, each around a backend, and all of them at once.

use bus::{Backend, layer};
use bus_core::{
    conformance::{Harness, Layered},
    layer::Metrics,
};
use std::sync::Arc;

/// Spans; the trace context is left out, since the suite counts headers.
pub(crate) fn trace(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    Arc::new(layer::Trace::new(inner))
}

pub(crate) fn metrics(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    Arc::new(Metrics::new(inner))
}

pub(crate) fn health(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    Arc::new(layer::Health::new(inner))
}

/// None of them strikes.
pub(crate) fn faults(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    Arc::new(layer::Faults::new(inner, layer::Plan::none()))
}

/// Every layer around one backend.
pub(crate) fn all(inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
    trace(metrics(health(faults(inner))))
}

/// This harness, through every layer.
pub(crate) fn stacked(harness: Arc<dyn Harness>) -> Layered {
    Layered::new("every layer", harness, all)
}
