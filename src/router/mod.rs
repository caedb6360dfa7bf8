//! The event router: an event's dotted name leads to its handler.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use bus::{Bus, Message, event::EventExt, handler::{Event, Failure, Payload, State, consumer}, router::Router};
//! # use std::time::Duration;
//!
//! async fn created(State(shop): State<&'static str>, user: Event<String>) -> Result<(), Failure> {
//!     println!("{shop}: {} because of {}", user.data, user.name);
//!     Ok(())
//! }
//! async fn any_order(Payload(order): Payload<u32>) {}
//! async fn everything_else() {}
//!
//! let orders = Router::new("order").route("*", any_order);         // order.placed, order.paid, …
//! let router = Router::new("shop")                                 // the root's name is part of no event
//!     .route("user.created", created)
//!     .nest(orders)
//!     .route("audit.#", everything_else)                           // audit, audit.login, audit.login.failed, …
//!     .with_state("corner shop")
//!     .build()?;
//!
//! let bus = Bus::connect("memory://").await?.create_topics(true);
//! bus.publish("events", "Ada").event("user.created").await?;
//! let running = consumer("events", "shop", router.clone()).start(&bus).await?;
//! running.drain(Duration::from_secs(30)).await?;
//!
//! let answer = router.dispatch(Message::new("7").event("order.paid")).await;     // by hand, without a bus
//! assert!(answer.verdict.is_ack());
//! # Ok::<_, bus::Error>(()) }).unwrap();
//! ```
//!
//! # Which handler
//! A route is a list of segments with dots between: words, which match themselves, `*` for one segment, and at the end `#`
//! for any number of them, none included. An event matches as a whole: segments that are left over are no match. Of
//! several routes that match the one wins that is the most exact at the first segment where they differ: a word before
//! `*` before `#`; and an end before `#`.
//!
//! The type of an event is its `ce_type`, else the field of the body that [`Router::event_field`] names.
//!
//! # What no route matches
//! A shared topic carries other people's events, so by default they are skipped, counted ([`Routes::unrouted`]), and one
//! line a type says so. [`Router::strict`] sends them to the dead letters; [`Router::fallback`] handles them.

mod build;
mod name;
mod pattern;
mod routes;
mod tree;
mod unrouted;

pub use build::Router;
pub use routes::Routes;
