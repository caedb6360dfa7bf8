//! Request and reply, and services that own an inbox topic.
//!
//! [`Bus::request`](crate::Bus::request) asks and waits for a [`Reply`]. A consumer that
//! [answers requests](crate::handler::Consumer::answer_requests) sends back what its handler returns, or its failure as an
//! [`ErrorReply`]; a handler with a [`Responder`] among its arguments answers by hand.
//!
//! A request names the topic and the partition in which its bus reads replies, and carries a correlation id, by which the
//! reply finds whoever waits. A bus has one inbox, opened by its first request before that is sent, so that no reply can be
//! missed; it stores nothing, and what waits is bounded: 10 000 requests at once, each for its time limit. Replies that
//! nobody waits for are counted ([`Strays`]).
//!
//! A [`Service`] has a name, a topic of that name for events and requests, and an inbox of its own. What is sent to it is
//! handled by its router, or waits to be taken by hand.

mod handle;
mod inbox;
mod letter;
mod mailbox;
mod named;
mod reply;
mod request;
mod respond;
mod slot;
mod waiting;

pub use handle::Handle;
pub(crate) use inbox::Inbox;
pub use letter::Letter;
pub use named::{RunningService, Service};
pub use reply::{ErrorReply, Reply, RequestError, header};
pub use request::Request;
pub use respond::Responder;
pub(crate) use slot::Slot;
pub use waiting::Strays;
