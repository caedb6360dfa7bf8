//! Servers as containers.

mod image;
mod start;

pub(crate) use start::start;
