//! The Redis protocol, as much of it as the backend speaks: one connection type for reads, publishes and commits.

mod conn;
pub(crate) mod encode;
mod line;
mod link;
mod pipeline;
pub(crate) mod promotion;
mod sentinel;
mod slots;
mod stream;
mod together;
mod topology;
pub(crate) mod value;
mod watch;

pub(crate) use conn::{Conn, info_field};
pub(crate) use link::{Answer, Link};
pub(crate) use pipeline::Pipeline;
pub(crate) use stream::Stream;
pub(crate) use topology::{Node, Topology};
pub(crate) use value::Value;
