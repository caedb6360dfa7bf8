//! An application: everything that reads messages in one process, started in order and stopped in reverse.
//!
//! ```
//! use bus::{Bus, Delivery, Topic, app::App, handler::{Failure, consumer}, worker::{Worker, worker}};
//! # use std::time::Duration;
//! const ORDERS: Topic<String> = Topic::new("orders").partitions(4);
//!
//! struct Billing;
//! impl Worker for Billing {
//!     type Input = String;
//!     type Output = ();
//!     const NAME: &'static str = "billing";
//!     fn topic(&self) -> Topic<String> {
//!         ORDERS
//!     }
//!     async fn process(&self, order: &Delivery<String>) -> Result<Option<()>, Failure> {
//!         println!("billing {}", **order);
//!         Ok(None)
//!     }
//! }
//! async fn audit() {}
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let bus = Bus::connect("memory://").await?;
//! let app = App::builder("shop").bus(&bus).register(worker(Billing)).register(consumer(&ORDERS, "audit", audit)).build()?;
//! // A whole program: `app.main().await` runs everything, or what its command line names, until Ctrl-C.
//! // Beside a web server:
//! let started = app.start().await?;
//! bus.publish(&ORDERS, &"bread".to_owned()).await?;
//! started.stop(Duration::from_secs(30)).await?;
//! # Ok::<_, bus::Error>(()) }).unwrap();
//! ```

mod builder;
mod check;
mod command;
mod ended;
mod runnable;
mod running;
mod started;
mod stopping;

pub use builder::{App, Builder};
pub use ended::Ended;
pub use runnable::{Reads, Runnable};
pub use running::interrupted;
pub use started::Started;
