//! Workers: what reads a topic, does something for each message, and may publish what came of it.
//!
//! A [`Worker`] says what is to be done and how, a [`Runner`] runs it on a bus. It is thin over
//! [`Subscription::for_each`](crate::Subscription::for_each): it returns verdicts, and the flow of the subscription retries,
//! waits, counts attempts and keeps dead letters, on every backend alike.
//!
//! ```
//! use bus::{Bus, Delivery, Retry, Topic, handler::Failure, worker::{Worker, worker}};
//! # use std::time::Duration;
//! const NUMBERS: Topic<i64> = Topic::new("numbers").partitions(4);
//! const SQUARES: Topic<i64> = Topic::new("squares").partitions(4);
//!
//! struct Squares;
//!
//! impl Worker for Squares {
//!     type Input = i64;
//!     type Output = i64;
//!     const NAME: &'static str = "squares";
//!     const CONCURRENCY: usize = 4;
//!     const RETRY: Retry = Retry::linear(Duration::from_millis(500));
//!
//!     fn topic(&self) -> Topic<i64> {
//!         NUMBERS
//!     }
//!     fn output(&self) -> Option<Topic<i64>> {
//!         Some(SQUARES)
//!     }
//!     async fn process(&self, number: &Delivery<i64>) -> Result<Option<i64>, Failure> {
//!         let square = number.checked_mul(**number);
//!         Ok(Some(square.ok_or_else(|| Failure::permanent("too large"))?))
//!     }
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let bus = Bus::connect("memory://").await?;
//! bus.ensure_topics([NUMBERS.spec(), SQUARES.spec()]).await?;
//! let running = worker(Squares).start(&bus).await?;
//! bus.publish(&NUMBERS, &12).key("a").await?;
//! let mut squares = bus.observe(&SQUARES).await?;
//! assert_eq!(squares.next().await.transpose()?.as_deref(), Some(&144));
//! running.drain(Duration::from_secs(30)).await?;
//! # Ok::<_, bus::Error>(()) }).unwrap();
//! ```

mod call;
mod definition;
mod layered;
mod options;
mod output;
mod runner;

pub use definition::Worker;
pub use layered::{Outcomes, Work, Working};
pub use runner::{Runner, worker};
