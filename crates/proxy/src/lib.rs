//! A TCP proxy for tests: it stands between a client and a broker and does to their connections what networks do.
//!
//! Faults are set and healed at run time ([`Proxy::change`], [`Proxy::heal`]) and reach live and new connections alike.
//! Those of a [`Link`] work on bytes, for each direction by itself: delay, rate, silence, a cut in the middle of a
//! frame. Those of a [`Rule`] know requests: the proxy reads the framing of its [`Protocol`], so that it can swallow
//! the answer to one request that was carried out, or let one request arrive late. [`Proxy::drop_next_reply`] and
//! [`Proxy::hold_next_request`] do so once, and say when it has happened.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use bus_proxy::{Filter, Protocol, Proxy, Rule};
//! use std::time::Duration;
//!
//! let proxy = Proxy::start(Protocol::Redis, "127.0.0.1:6379").await?;
//! println!("clients connect to {}", proxy.address());
//! proxy.change(|faults| {
//!     faults.to_server.delay = Duration::from_millis(5);
//!     faults.rules.push(Rule::drop_reply(Filter::redis(["EXEC", "EVALSHA"]), 0.01));
//! });
//! let late = proxy.hold_next_request(Filter::redis(["XADD"]), Duration::from_millis(300));
//! late.happened().await;
//! proxy.heal();
//! # Ok(()) }
//! ```
//!
//! A Kafka client connects to the address that the broker advertises, so start the proxy first, give its port to the
//! broker (`advertised.listeners`), and name the broker with [`Proxy::set_upstream`].
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

mod connection;
mod counters;
mod faults;
mod frame;
mod lane;
mod proxy;
mod requests;
mod rng;
mod shared;
mod strike;

pub use counters::Counters;
pub use faults::{Faults, Filter, Late, Link, Rule};
pub use frame::Protocol;
pub use proxy::{Builder, Proxy};
pub use rng::Rng;
pub use strike::Strike;
