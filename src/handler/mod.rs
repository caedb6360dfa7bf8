//! Handlers: async functions that are called for each message, with extractors and layers.

mod caught;
mod consumer;
mod extract;
mod extractors;
mod failure;
#[allow(clippy::module_inception)]
mod handler;
mod incoming;
mod response;
mod route;
mod running;
mod scope;

pub(crate) use caught::{caught, caught_call};
pub use consumer::{Acknowledge, Consumer, consumer, consumer_with};
pub use extract::{FromIncoming, FromParts, FromRef, InPart, Whole, is_extractor};
pub use extractors::{Attempt, Coded, Correlation, Event, Extension, Key, Origin, Payload, State};
pub use failure::{Failure, FailureExt};
pub use handler::Handler;
pub(crate) use handler::HandlerService;
pub(crate) use incoming::Slot;
pub use incoming::{Extensions, Incoming, Parts};
pub use response::{IntoResponse, Reply, Response, Verdict};
pub use route::Route;
pub use running::Running;
pub(crate) use scope::Scope;
