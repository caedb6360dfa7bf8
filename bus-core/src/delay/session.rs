//! One subscription of a mover.

use super::{
    delays::{Delays, Stop, stopped},
    held::Held,
    line::Line,
    refused::OneByOne,
    ticket::{Next, Origin, Ticket},
    tiers::TIERS,
};
use crate::{
    Bytes, Delivery, Error, ErrorKind, Expired, LossPolicy, Order, Raw, Retry, Start, Subscribe,
    Subscription, Topic, clock,
};
use futures_util::future::BoxFuture;
use std::{
    future::IntoFuture,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// Records of one tier in memory, at about half of what it may come to: what is due comes in order, so few are enough.
const RECORDS: usize = 64;
/// Bytes of the same.
const BYTES: usize = 256 << 10;
/// How often acks are stored that nobody asked for: what is moved is flushed at once, so that it is not late, and a mover
/// whose messages all wait is to sleep.
const COMMIT: Duration = Duration::from_secs(5);
/// How often the wall's clock is looked at, at least: somebody may set it.
const LOOK: Duration = Duration::from_secs(10);
/// How long the last commit may take.
const CLOSE: Duration = Duration::from_secs(5);

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The bus is closed.
    Stopped,
    /// There is no topic of delays any more.
    Gone,
    /// Nothing was refused for a while.
    Calm,
    Failed(Error),
}

/// Moves until something ends it.
pub(super) async fn session(
    delays: &Arc<Delays>,
    line: &Line,
    carefully: bool,
    stop: &mut watch::Receiver<Stop>,
) -> End {
    let joining = join(delays, line, carefully);
    let joined = tokio::select! {
        biased;
        () = stopped(stop) => return End::Stopped,
        joined = joining => joined,
    };
    let (partitions, subscription) = match joined {
        Ok(joined) => joined,
        Err(end) => return end,
    };
    let limit = delays.backend.limits().message;
    let gate = delays.gate.clone();
    let mut session = Session {
        delays,
        line,
        partitions,
        limit,
        subscription,
        spread: 0,
        moved: false,
        flushing: None,
        held: Held::default(),
        one_by_one: carefully.then(|| OneByOne::new(gate, line.topic.clone())),
    };
    let end = session.turn(stop).await;
    if *stop.borrow() == Stop::Crash {
        session.subscription.control().abort();
        return End::Stopped;
    }
    session.leave().await;
    end
}

async fn join(
    delays: &Arc<Delays>,
    line: &Line,
    carefully: bool,
) -> Result<(Partitions, Subscription<Bytes, Raw>), End> {
    let name = &line.delays;
    let admin = delays.backend.admin();
    let tiers = match admin.positions(name, Start::Earliest).await {
        Ok(tiers) => tiers.len() as u32,
        Err(error) if error.kind() == ErrorKind::TopicMissing => return Err(End::Gone),
        Err(error) => return Err(End::Failed(error)),
    };
    // A target that is gone refuses what comes, which is seen then.
    let target = admin.positions(&line.topic, Start::Earliest).await;
    let partitions = Partitions {
        tiers,
        target: target.map_or(0, |positions| positions.len() as u32),
    };
    let Some(bus) = delays.bus.get().and_then(|bus| bus.upgrade()) else {
        return Err(End::Stopped);
    };
    let largest = delays.backend.limits().message;
    // Not by `bus.subscribe`: what an application's subscriptions begin with is none of a mover's business.
    let subscribe = Subscribe::new(bus.clone(), &Topic::<Bytes, Raw>::named(&**name), Some(name))
        .order(Order::None)
        .retry(Retry::fixed(Duration::from_secs(1)).forever())
        .commit_every(COMMIT)
        .on_data_loss(LossPolicy::GoOn)
        .on_expired(Expired::Deliver)
        .share(RECORDS, BYTES)
        // So much that no tier can take another one's part: what bounds it is that part.
        .in_flight(4 * TIERS as usize * RECORDS)
        .in_flight_bytes(4 * TIERS as usize * (BYTES + largest));
    drop(bus);
    let subscribe = match carefully {
        true => subscribe.dead_letter(format!("{name}.dlq")),
        false => subscribe.no_dead_letters(),
    };
    match subscribe.into_future().await {
        Ok(subscription) => Ok((partitions, subscription)),
        Err(error) => Err(End::Failed(error)),
    }
}

/// How many there are, of the topic of delays and of its target; 0: unknown.
#[derive(Clone, Copy, Debug)]
struct Partitions {
    tiers: u32,
    target: u32,
}

struct Session<'a> {
    delays: &'a Delays,
    line: &'a Line,
    partitions: Partitions,
    limit: usize,
    subscription: Subscription<Bytes, Raw>,
    /// Counts messages that any partition will do for.
    spread: u32,
    /// Something was moved since the last flush was begun, and that one.
    moved: bool,
    flushing: Option<BoxFuture<'static, ()>>,
    held: Held,
    one_by_one: Option<OneByOne>,
}

impl Session<'_> {
    async fn turn(&mut self, stop: &mut watch::Receiver<Stop>) -> End {
        let shared = self.subscription.shared().clone();
        loop {
            let mut leaving = pin!(shared.lost.notified());
            leaving.as_mut().enable();
            if shared.is_leaving() {
                self.held.give_back(Delivery::is_leaving);
                if let Some(waiting) = &mut self.one_by_one {
                    waiting.give_back(Delivery::is_leaving);
                }
            }
            let now = clock::millis();
            while let Some((ticket, delivery)) = self.held.due(now) {
                self.pass_on(ticket, delivery, now);
            }
            if self.flushing.is_none() && std::mem::take(&mut self.moved) {
                let control = self.subscription.control();
                // Its failure ends the subscription, which is seen there.
                self.flushing = Some(Box::pin(async move { drop(control.flush().await) }));
            }
            if self.one_by_one.as_ref().is_some_and(OneByOne::is_calm) {
                return End::Calm;
            }
            let wait = |until: i64| Duration::from_millis((until - now).max(1) as u64).min(LOOK);
            let wait = self.held.next().map_or(LOOK, wait);
            let answer = async {
                match &mut self.one_by_one {
                    Some(on_the_way) => on_the_way.answer().await,
                    None => std::future::pending().await,
                }
            };
            let flushed = async {
                match &mut self.flushing {
                    Some(flushing) => flushing.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stopped(stop) => return End::Stopped,
                () = flushed => self.flushing = None,
                () = &mut leaving => {}
                answer = answer => {
                    if let Some(on_the_way) = &mut self.one_by_one {
                        on_the_way.settle(answer, &mut self.held);
                        self.moved = true;
                    }
                }
                next = self.subscription.next() => match next {
                    Some(Ok(delivery)) => self.take(delivery),
                    Some(Err(error)) => return End::Failed(error),
                    None => return End::Failed(Error::closed("the subscription")),
                },
                () = sleep(wait) => {}
            }
        }
    }
    fn take(&mut self, delivery: Delivery<Bytes>) {
        let ticket = Ticket::read(delivery.record(), delivery.partition(), clock::millis());
        self.held.push(ticket, delivery);
        self.delays.peak.fetch_max(self.held.len(), Relaxed);
    }
    fn pass_on(&mut self, ticket: Ticket, delivery: Delivery<Bytes>, now: i64) {
        let from = Origin {
            record: delivery.record(),
            topic: &self.line.delays,
            tier: delivery.partition(),
            tiers: self.partitions.tiers,
            limit: self.limit,
        };
        let (topic, message) = match (ticket.next(from, now), &mut self.one_by_one) {
            (Next::Tier(message), _) => (&self.line.delays, message),
            (Next::Target(mut message), None) => {
                // Outputs without a key stay with their origin's partition number, which here is a tier's.
                if message.key.is_none() && message.partition.is_none() && self.partitions.target > 0 {
                    message.partition = Some(self.spread % self.partitions.target);
                    self.spread = self.spread.wrapping_add(1);
                }
                (&self.line.topic, message)
            }
            (Next::Target(message), Some(waiting)) => return waiting.push(message, ticket, delivery),
        };
        delivery.ack_with_as_it_is(vec![(topic.clone(), message)]);
        self.moved = true;
    }
    /// Stores what was moved and leaves. What is held goes back once the subscription drains, which counts no attempt.
    async fn leave(self) {
        let Self {
            subscription,
            mut held,
            mut one_by_one,
            ..
        } = self;
        let shared = subscription.shared().clone();
        let give_back = async {
            while !shared.is_leaving() && !shared.is_over() {
                sleep(Duration::from_millis(1)).await;
            }
            held.give_back(|_| true);
            one_by_one = None;
        };
        if let (Err(error), ()) = tokio::join!(subscription.drain(CLOSE), give_back) {
            tracing::debug!(%error, "a mover's subscription had ended");
        }
    }
}
