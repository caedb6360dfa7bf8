//! Delayed publish, the same on every backend: a topic of tiers, and a mover.
//!
//! A message that is to wait is stored in `<topic>.delay`, whose partitions are tiers ([`tiers`]). The mover, an ordinary
//! subscription of group `<topic>.delay`, reads each tier up to what is not due yet, and carries what its tier lets go
//! into the next one, or to the topic it was sent to, with the commit that settles it. The log is the store: of each tier
//! a handful of records is in memory, whatever waits behind them.
//!
//! - [`marks`]: the headers by which a message says its time
//! - [`ticket`]: the form of a message while it waits
//! - [`delays`]: publishing, for every path of a bus; [`line`](mod@line): one topic's part of it; [`layout`]: what is known of it
//! - [`mover`]: what moves them, and [`session`]: one subscription of it; [`held`]: what it holds; [`refused`]: what the
//!   target does not take
//! - [`watch`]: movers for the topics that are subscribed to

mod delays;
mod held;
mod layout;
mod line;
pub(crate) mod marks;
mod merge;
mod mover;
mod outputs;
mod refused;
mod session;
mod ticket;
mod tiers;
mod watch;

pub(crate) use delays::Delays;
pub(crate) use merge::Merge;
pub(crate) use outputs::{Outputs, Routed};

/// What the topic of delays is named behind its origin.
const SUFFIX: &str = ".delay";
