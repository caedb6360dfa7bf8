//! Events: who sent what, when, and because of what, beside the payload.
//!
//! An event is a message whose headers follow CloudEvents 1.0 in its binary mode for Kafka (`ce_id`, `ce_type`, …), on
//! every backend. [`EventExt`] writes them, [`Envelope`] reads them; messages in the structured mode
//! (`application/cloudevents+json`) are read as if they had come in the binary one. [`EventObject`] is for services that
//! carry everything in the body. A [`Context`] takes correlation and causation from what a handler reads to what
//! it publishes, and the [`Trail`] of where an event has been, if a bus [keeps one](crate::Bus::audit_trail).

mod audit;
mod context;
mod emit;
mod envelope;
mod ext;
mod object;
mod structured;
mod time;
mod trail;

pub use audit::Audit;
pub(crate) use audit::record;
pub(crate) use context::{Carried, inherit, scope, stamp};
pub use context::{Context, detached};
pub use emit::emit_on_ok;
pub use envelope::{Envelope, header};
pub use ext::EventExt;
pub(crate) use ext::sign;
pub use object::EventObject;
pub use structured::binary;
pub use trail::{Hop, Trail};
