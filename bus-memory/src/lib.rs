//! The memory backend of the message bus: the reference.

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
