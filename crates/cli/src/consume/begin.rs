//! The subscription that the flags ask for.

use super::args::{Args, Order};
use crate::{failure::Done, session::Session};
use bus::{Bytes, Raw, Retry, Subscription};

/// The payloads as they are.
pub(super) type Messages = Subscription<Bytes, Raw>;
type Topic = bus::Topic<Bytes, Raw>;

/// The most messages that `--no-ack` shows, because all of them stay in memory, unsettled.
pub(super) const UNSETTLED: usize = 65_536;

/// Joins the group, or opens the partitions.
pub(super) async fn subscribe(session: &Session, args: &Args) -> Done<Messages> {
    args.topics
        .iter()
        .chain(&args.group)
        .try_for_each(|name| bus::check_name(name))?;
    let mut partitions = 0;
    for topic in &args.topics {
        // Asked also where the number is not needed: a missing topic or a broker that is down is said in seconds.
        partitions = partitions.max(session.partitions(topic).await?);
    }
    let mut topics = args.topics.iter().map(|name| Topic::named(name.as_str()));
    let Some(first) = topics.next() else {
        return Err(crate::failure::Failure::usage("no topic is named"));
    };
    let subscribe = match &args.group {
        Some(group) => session.bus.subscribe(&first, group),
        None => session.bus.observe(&first),
    };
    let order = args
        .order
        .unwrap_or(if args.keeps() { Order::None } else { Order::Key });
    let mut subscribe = topics
        .fold(subscribe, |subscribe, topic| subscribe.and(&topic))
        .start(args.from.clone().on(partitions))
        .order(order.into())
        // Printing never gives a message up: what could not be written comes again.
        .retry(Retry::default().forever())
        .no_dead_letters();
    if args.keeps() {
        subscribe = subscribe.in_flight(UNSETTLED).in_flight_bytes(1 << 30);
    }
    subscribe.await.map_err(|error| session.failure(error))
}
