//! The memory backend of the message bus: partitioned logs, groups and fenced ownership in this process.
//!
//! It is the reference: where the contract of [`bus_core::driver`] leaves nothing open, this is what it means, and a
//! program that is tested on it behaves the same on Kafka and on Redis. Nothing outlives the process.
//!
//! ```
//! use bus_core::{Backend, Event, Message, Room, Scope, Source, Start, TopicSpec};
//! use bus_memory::Memory;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> bus_core::Result<()> {
//! let memory = Memory::new();
//! memory.admin().create(&[TopicSpec::new("orders").partitions(4)]).await?;
//! memory.publisher().await?.publish_batch("orders", vec![Message::new("one").keyed("customer-1")]).await;
//! let source = Source {
//!     topics: vec!["orders".into()],
//!     scope: Scope::Group("billing".into()),
//!     start: Start::Earliest,
//!     exactly_once: true,
//! };
//! let (mut subscriber, _ack) = memory.subscribe(source).await?;
//! let mut events = Vec::new();
//! subscriber.receive(Room { messages: 100, bytes: 1 << 20 }, &mut events).await?;
//! assert!(events.iter().any(|event| matches!(event, Event::Records { .. })));
//! subscriber.close().await
//! # }
//! ```
//!
//! # Instances
//!
//! [`Memory::new`] is a bus of its own; [`Memory::named`] is shared by all who name it in this process. A bus goes with
//! the last handle to it: clones, publishers, subscribers, admins.
//!
//! # Members
//!
//! A subscriber lives until it is closed or dropped; it needs no heartbeat. `close` gives everything up at once.
//! **Dropping it without `close` is a crash**: it keeps what it owns until [`MemoryConfig::session_timeout`] has passed
//! (10 s), exactly as the partitions of a killed process do, and its late commits are fenced afterwards.
//!
//! A member that joins takes partitions from those that have more. They get `Losing` and keep theirs until they
//! release them or [`MemoryConfig::grace`] (10 s) has passed. A shard that its member has not heard of moves at once.
//! Sessions and graces are looked at whenever anybody of the group does something, and parked members wake up for them;
//! there is no background task.
//!
//! # What a topic holds
//!
//! Every message that was published and not yet trimmed, so that a group that is made later sees it too. Trimmed is:
//!
//! - what is older than the topic's retention, if it has one: a group that had not read it gets `DataLoss`;
//! - at the limit ([`MemoryConfig::max_messages`], [`MemoryConfig::max_bytes`]) the oldest of what *every* group has
//!   settled, as much as is needed. A topic that no group reads thus keeps the newest up to the limit. A reader without
//!   a group is not waited for: it gets `DataLoss`;
//! - on a compacted topic, at the limit, all but the newest record of each key. Its retention is not looked at, and its
//!   messages need keys.
//!
//! A topic that is still full makes publishes wait, in order, until a group settles; who waits longer than
//! [`MemoryConfig::publish_timeout`] (30 s) gets `Unavailable` with the name of the group that holds the topic back, and
//! so does what the same publisher sent behind it to the same partition. With [`Full::DropOldest`] the oldest records
//! go instead, and their readers get `DataLoss`. A commit waits for room for its outputs as a publish does, and before
//! any publish; outputs to a topic that the committing group reads itself never wait, because only that group makes room.
//!
//! Memory is given back by whole batches of up to 256 KiB, so a partition may hold that much beyond the limit.
//!
//! # Time
//!
//! All times are tokio's, timestamps of messages included: on a paused clock wall time stands still, and advances with
//! it. Calls that wait need a tokio runtime with its timer.
//!
//! # Exactly once
//!
//! Outputs, position and notes of a commit take effect together under the group's lock, whether asked for or not. A
//! commit that is sent again is known by its position, notes and outputs, and stores nothing twice.

mod ack;
mod admin;
mod balance;
mod broadcast;
mod clock;
mod compact;
mod config;
mod cursor;
mod group;
mod hub;
mod inbox;
mod log;
mod memory;
mod publisher;
mod queue;
mod registry;
mod stock;
mod subscriber;
mod topic;
mod wakes;

pub use config::{Full, MemoryConfig};
pub use memory::Memory;
