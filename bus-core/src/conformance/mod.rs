//! The conformance suite: what the contract promises, as checks that run over any [`Backend`](crate::Backend).
//!
//! A backend author implements [`Harness`] and writes one line, which becomes one test per check:
//!
//! ```text
//! bus_core::conformance!(MyHarness::new());
//! ```
//!
//! There are no capability flags: a backend holds every check, or is not one. Each check publishes and reads through
//! handles that know nothing of each other, as processes would, records what happened in a [`History`], and asks the
//! pure [`checkers`] about it. A check waits for events, within the harness's [patience](Harness::patience); the clock
//! is waited for only where the promise is about time.
//!
//! The suite is tested itself: [`broken`] breaks any backend in one way at a time, and every check has a fault that it
//! is seen to catch.

#[macro_use]
mod failure;
pub mod broken;
mod catalog;
mod check;
pub mod checkers;
mod checks;
mod driver;
mod harness;
mod history;
mod lab;
mod layered;
mod member;
mod moments;
mod run;
mod server;
mod standstill;
mod stops;
mod work;

pub use check::{CHECKS, Check};
pub use failure::Failure;
pub use harness::{Harness, Private};
pub use history::{Happening, History, Id, Place, Tally, What};
pub use layered::Layered;
pub use run::{prove, run, test};

pub(crate) use lab::Lab;
pub(crate) type Proof = Result<(), Failure>;
