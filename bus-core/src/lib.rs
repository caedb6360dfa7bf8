//! The message bus's core: the backend contract ([`driver`]), the message model, the flow, and the [`Bus`] that
//! applications hold.
//!
//! **Backends order partitions; core does everything else.** Application authors use the `bus` crate; backend authors
//! read [`driver`] first.

mod again;
mod awaiting;
mod batch;
mod bus;
mod chunks;
mod clock;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod control;
mod dead_letters;
mod defaults;
mod delay;
mod delivery;
mod disabled;
pub mod driver;
mod enqueue;
mod ensure;
mod error;
mod expired;
mod failures;
pub mod flow;
mod gate;
mod group;
mod headers;
mod health;
pub mod layer;
mod line;
mod message;
mod mutant;
mod need;
mod notices;
pub mod partition;
mod pattern;
mod pending;
pub mod position;
mod publish;
mod pump;
mod retry;
mod shared;
mod stamp;
mod start;
mod stats;
mod subscribe;
mod subscription;
mod sync;
mod topic;
mod topics;
mod working;

pub(crate) use again::again;
pub use awaiting::Awaited;
pub use batch::{Batch, BatchBuilder, Entry, Record, Span};
pub use bus::Bus;
pub use bytes::Bytes;
pub use chunks::Chunks;
pub use codec::{Codec, Raw, Stateless};
pub use control::Control;
pub use dead_letters::{
    DeadLetter, DeadLetters, OpenLetters, Origin, Refused, Replay, ReplayProgress, Replayed,
};
pub use defaults::Defaults;
pub use delivery::{Delivery, Prepared};
pub use driver::{
    Ack, Admin, Backend, Done, Event, Limits, Outcome, Publisher, Receipt, Room, Scope, Shard, Source,
    Subscriber, Token, Unsent,
};
pub use enqueue::Unconfirmed;
pub use ensure::{Difference, Ensured};
pub use error::{Error, ErrorKind, Result};
pub use expired::Expired;
pub use failures::Failed;
pub use flow::{LossPolicy, Order, Owned};
pub use futures_util::future::BoxFuture;
pub use group::{GroupSpec, MemberSpec, TopicLag};
pub use headers::{Headers, HeadersIter, HeadersView, encode as encode_headers};
pub use health::{Health, Member, Seen};
#[doc(hidden)]
pub use line::Line;
pub use message::Message;
#[doc(hidden)]
pub use mutant::mutant;
pub use need::{Draft, Encoded, Need, decode_when_ready};
pub use notices::Notice;
pub use pending::Pending;
pub use publish::{Publish, Published, PublisherExt};
pub use retry::{Backoff, Retry};
pub use stamp::{Scope as StampScope, Stamp};
pub use start::Start;
pub use stats::Stats;
pub use subscribe::{Subscribe, dead_letter_topic};
pub use subscription::Subscription;
pub use topic::{DERIVED, Topic, TopicSpec, check_name, derived_from, is_derived};
pub use working::Working;

/// A topic's or group's name: cheap to clone.
pub type Name = std::sync::Arc<str>;
