//! The message bus's core: the backend contract ([`driver`]), the message model and the flow.
//!
//! **Backends order partitions; core does everything else.** Application authors use the `bus` crate; backend authors
//! read [`driver`] first.

mod batch;
mod codec;
pub mod driver;
mod error;
pub mod flow;
mod group;
mod headers;
mod message;
pub mod partition;
pub mod position;
mod retry;
mod start;
mod topic;

pub use batch::{Batch, BatchBuilder, Entry, Record, Span};
pub use bytes::Bytes;
pub use codec::{Codec, Raw, Stateless};
pub use driver::{
    Ack, Admin, Backend, Done, Event, Limits, Outcome, Pending, Publisher, Receipt, Room, Scope, Shard,
    Source, Subscriber, Token, Unsent,
};
pub use error::{Error, ErrorKind, Result};
pub use group::{GroupSpec, MemberSpec, TopicLag};
pub use headers::{Headers, HeadersIter, HeadersView, encode as encode_headers};
pub use message::Message;
pub use retry::{Backoff, Retry};
pub use start::Start;
pub use topic::{Topic, TopicSpec, check_name};

/// A topic's or group's name: cheap to clone.
pub type Name = std::sync::Arc<str>;
