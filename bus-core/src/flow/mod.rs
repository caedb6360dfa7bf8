//! The flow: what core does once, for every backend. Sans-I/O: events, verdicts and the time go in; records to hand
//! out, [`Done`](crate::Done)s to commit and shards to release come out. No async, no tokio, no clock of its own.
//!
//! - [`slots`]: what is in flight, and the bits by which an ack marks it
//! - [`ledger`]: what of a shard is settled, in any order of acks
//! - [`lanes`]: one head of a key at a time
//! - [`notes`]: what a commit says about records beyond its position
//! - [`divert`]: the message a dead letter becomes
//! - [`shard`]: one partition during one ownership
//! - [`control`]: what the application asks of partitions: stop, go on, read up to a position
//! - `collect`: when records that are gathered into one call are to go, although more could join them
//! - `gate`: what may be handed out and taken in, so that notes never outgrow their limit
//! - [`machine`]: all of it together, one step at a time; `commit`: what it stores, and when

mod collect;
mod commit;
pub mod config;
pub mod control;
pub mod divert;
mod gate;
mod intake;
pub mod lanes;
pub mod ledger;
mod lend;
pub mod machine;
pub mod notes;
mod settle;
pub mod shard;
pub mod slots;
mod status;
mod timers;

pub use collect::Collected;
pub use config::{DeadLetter, Flow as FlowConfig, LossPolicy, Order};
pub use control::{Bound, Owned, Which};
pub use lend::Claims;
pub use machine::{Flow, Handout, Now, Work};
pub(crate) use settle::LONGEST;
pub use slots::{Marks, Verdict};
