//! Subscriptions to every topic whose name matches, the same on every backend: a subscriber around the backend's own,
//! which lets everything go and joins anew when the list of topics changes.

mod ack;
mod glob;
mod shards;
mod subscriber;

pub(crate) use glob::Pattern;
pub(crate) use subscriber::{Plan, Roaming};
