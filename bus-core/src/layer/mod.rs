//! Layers: backends around another backend. They see every call of the driver and are held to the same contract; the
//! conformance suite runs through each of them.
//!
//! | layer | what it adds |
//! |---|---|
//! | [`Trace`] | `tracing` spans with OpenTelemetry's messaging attributes, and a hook that puts the trace context into headers |
//! | `Metrics` (feature `metrics`) | counters, gauges and histograms through the `metrics` facade |
//! | [`Health`] | since when the broker answers, what fails, who owns what |
//! | [`Faults`] | lost replies, refusals, delays, outages and lost partitions, by a seeded plan or one by one, for tests |
//!
//! A layer is put around a backend before the bus is made, in any order and number:
//!
//! ```
//! # use bus_core::{Backend, Bus, layer::{Health, Trace}};
//! # use std::sync::Arc;
//! # async fn layered(backend: Arc<dyn Backend>) -> bus_core::Result<()> {
//! let health = Health::new(backend);
//! let bus = Bus::new(Arc::new(Trace::new(Arc::new(health.clone())))).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What a layer sees is batches, so its cost is a batch's: a box for each call that is asynchronous, and what it counts.
//! What happens to a single message after it was received is counted by core ([`crate::Stats`]).

#[macro_use]
mod around;
mod faults;
mod health;
#[cfg(feature = "metrics")]
mod metrics;
mod op;
mod trace;

pub use faults::{Fault, Faults, Plan};
pub use health::{Failing, Health, LastError, Membership, Report};
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use trace::Trace;

use crate::{Scope, Source};
use op::Op;

/// The group's name; empty for an observer.
fn group_of(source: &Source) -> &str {
    match &source.scope {
        Scope::Group(group) => group,
        Scope::Everyone { .. } => "",
    }
}
