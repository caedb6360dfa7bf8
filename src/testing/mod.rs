//! Tests of applications: a bus for each test, waiting until everything is done, and what was published. The guide is
//! `docs/testing.md`.
//!
//! On memory unless [`BUS_TEST_URL`](URL) names a broker; there the same tests run under names of their own.

mod connect;
mod look;
mod namespace;
mod published;
mod settle;
mod sweep;
#[cfg(feature = "app")]
mod unrouted;

pub use connect::{URL, bus, faulty_bus};
pub use published::{Readable, Stored, published};
pub use settle::{Settle, settle};
#[cfg(feature = "app")]
pub use unrouted::assert_no_unrouted;
