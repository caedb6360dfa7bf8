//! The reading half.

use super::{Pattern, ack::RoamingAck, shards::Shards};
use crate::{
    Ack, Backend, Error, ErrorKind, Event, Name, Result, Room, Shard, Source, Start, Subscriber, TopicSpec,
    flow::DeadLetter,
    subscribe::{DeadLetters, JOIN},
    topics::{Subscribed, Topics},
};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::{collections::BTreeSet, fmt, future::pending, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// How long handlers may go on when the list of topics changed: the drain time of any other handover.
const GRACE: Duration = Duration::from_secs(5);
/// How long nothing is looked at after a look that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// What to subscribe to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) pattern: Pattern,
    /// Without topics.
    pub(crate) source: Source,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) every: Duration,
}

/// What was there at one look.
type Found = Vec<(TopicSpec, Option<DeadLetter>)>;

/// A subscriber that was joined, and its topics as core numbers them.
struct Present {
    subscriber: Box<dyn Subscriber>,
    ack: Arc<dyn Ack>,
    numbers: Vec<u32>,
}

/// Another list of topics: it is joined once everything is let go.
struct Change {
    found: Found,
    /// Who has not let go by then loses it.
    until: Instant,
}

/// A subscriber of whatever matches.
pub(crate) struct Roaming {
    plan: Plan,
    topics: Arc<Topics>,
    shards: Arc<Mutex<Shards>>,
    /// None while nothing matches.
    present: Option<Present>,
    names: BTreeSet<Name>,
    look_at: Instant,
    looking: Option<BoxFuture<'static, Result<Found>>>,
    change: Option<Change>,
    joining: Option<BoxFuture<'static, Result<Option<Present>>>>,
    /// What the backend handed out and was not passed on yet.
    buffer: Vec<Event>,
    closed: bool,
}

impl Roaming {
    /// Joins what matches now.
    pub(crate) async fn start(
        plan: Plan,
        topics: Arc<Topics>,
    ) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let shards = Arc::new(Mutex::new(Shards::default()));
        let found = look(plan.clone()).await?;
        let mut this = Self {
            look_at: Instant::now() + plan.every,
            plan,
            topics,
            shards: shards.clone(),
            present: None,
            names: BTreeSet::new(),
            looking: None,
            change: None,
            joining: None,
            buffer: Vec::new(),
            closed: false,
        };
        let start = this.plan.source.start.clone();
        let joined = this.join(found, start).await;
        this.joined(joined)?;
        Ok((Box::new(this), Arc::new(RoamingAck(shards))))
    }

    /// The future that closes what there is and joins these.
    fn join(&mut self, found: Found, start: Start) -> BoxFuture<'static, Result<Option<Present>>> {
        self.names = found.iter().map(|(topic, _)| topic.name.clone()).collect();
        let source = Source {
            topics: self.names.iter().cloned().collect(),
            start,
            ..self.plan.source.clone()
        };
        let numbers = self.numbers(found);
        let (before, backend) = (self.present.take(), self.plan.backend.clone());
        Box::pin(async move {
            if let Some(mut before) = before
                && let Err(error) = before.subscriber.close().await
            {
                tracing::warn!(%error, "leaving the former list of topics failed");
            }
            if source.topics.is_empty() {
                return Ok(None);
            }
            let (subscriber, ack) = crate::again(JOIN, || backend.subscribe(source.clone())).await?;
            Ok(Some(Present {
                subscriber,
                ack,
                numbers,
            }))
        })
    }
    /// The numbers of these topics in the order of their names; those that are new get one.
    fn numbers(&self, mut found: Found) -> Vec<u32> {
        found.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let number = |(topic, dead_letter): (TopicSpec, Option<DeadLetter>)| {
            self.topics.number(&topic.name).unwrap_or_else(|| {
                let (name, number) = (topic.name, self.topics.iter().count() as u32);
                self.topics.set(number, Subscribed { name, dead_letter });
                number
            })
        };
        found.into_iter().map(number).collect()
    }
    fn joined(&mut self, joined: Result<Option<Present>>) -> Result<()> {
        match joined {
            Ok(present) => {
                self.shards.lock().ack = present.as_ref().map(|p| p.ack.clone());
                self.present = present;
                Ok(())
            }
            // It was deleted between the look and now.
            Err(error) if error.kind() == ErrorKind::TopicMissing => {
                self.names.clear();
                self.look_at = Instant::now() + AGAIN;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
    /// What a look found: if it is another list, everything has to be let go.
    fn found(&mut self, found: Result<Found>, events: &mut Vec<Event>) {
        self.looking = None;
        self.look_at = Instant::now() + self.plan.every;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the list of topics could not be read; trying again");
                self.look_at = Instant::now() + AGAIN.min(self.plan.every);
                return;
            }
        };
        let names: BTreeSet<Name> = found.iter().map(|(topic, _)| topic.name.clone()).collect();
        if names == self.names {
            return;
        }
        tracing::info!(?names, "the topics that match have changed; joining anew");
        let losing = |shard| Event::Losing { shard, grace: GRACE };
        events.extend(self.shards.lock().held().into_iter().map(losing));
        let until = Instant::now() + GRACE * 2;
        self.change = Some(Change { found, until });
    }
    /// Passes on what the backend handed out, under core's numbers.
    fn pass_on(&mut self, events: &mut Vec<Event>) {
        let mut shards = self.shards.lock();
        let changing = self.change.is_some();
        let Some(present) = &self.present else { return };
        for event in self.buffer.drain(..) {
            events.extend(match event {
                // Not worth taking: it is let go at once.
                Event::Gained { .. } | Event::Records { .. } if changing => None,
                Event::Gained {
                    shard,
                    topic,
                    next,
                    notes,
                } => {
                    let number = present.numbers.get(shard.topic as usize).copied();
                    number.map(|number| Event::Gained {
                        shard: shards.gain(shard, number),
                        topic,
                        next,
                        notes,
                    })
                }
                Event::Records { shard, batch, range } => {
                    let outer = shards.outer(shard);
                    outer.map(|shard| Event::Records { shard, batch, range })
                }
                Event::Losing { shard, grace } => {
                    let outer = shards.outer(shard);
                    outer.map(|shard| Event::Losing { shard, grace })
                }
                Event::DataLoss { shard, from, to } => {
                    let outer = shards.outer(shard);
                    outer.map(|shard| Event::DataLoss { shard, from, to })
                }
                Event::Suspended(shard) => shards.outer(shard).map(Event::Suspended),
                Event::Resumed(shard) => shards.outer(shard).map(Event::Resumed),
                Event::SeekFailed(shard) => shards.seek_failed(shard).map(Event::SeekFailed),
                Event::CaughtUp(shard) => shards.outer(shard).map(Event::CaughtUp),
                Event::Lost(shard) => shards.lose(shard).map(Event::Lost),
                // The next look leaves it out; its shards are lost by themselves.
                Event::TopicLost(_) => {
                    self.look_at = Instant::now();
                    None
                }
                changed @ Event::PartitionsChanged { .. } => Some(changed),
            });
        }
    }
    /// One step of a change: everything is let go, or it is too late for that. True: it has begun to join.
    fn change_over(&mut self, events: &mut Vec<Event>) -> bool {
        let Some(change) = &self.change else { return false };
        if Instant::now() >= change.until {
            events.extend(self.shards.lock().clear().into_iter().map(Event::Lost));
        }
        if !self.shards.lock().held().is_empty() {
            return false;
        }
        if let Some(change) = self.change.take() {
            self.shards.lock().clear();
            let unsought = self.shards.lock().unsought();
            events.extend(unsought.into_iter().map(Event::SeekFailed));
            self.buffer.clear();
            // Topics that were there have a position; what is new is read from its beginning.
            let joining = self.join(change.found, Start::Earliest);
            self.joining = Some(joining);
        }
        true
    }
}

/// What matches now, with dead-letter topics that exist.
async fn look(plan: Plan) -> Result<Found> {
    let admin = plan.backend.admin();
    let mut topics = crate::again(JOIN, || admin.topics()).await?;
    topics.retain(|topic| plan.pattern.takes(&topic.name));
    let targets = plan.dead_letters.targets(&topics);
    topics.retain(|topic| !targets.contains(&topic.name));
    let dead_letters = plan.dead_letters.of(&topics).await?;
    Ok(topics.into_iter().zip(dead_letters).collect())
}

#[async_trait]
impl Subscriber for Roaming {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        if self.closed {
            return Err(Error::closed("the subscriber"));
        }
        while events.is_empty() {
            if let Some(joining) = &mut self.joining {
                let joined = joining.await;
                self.joining = None;
                self.joined(joined)?;
                continue;
            }
            if self.change_over(events) {
                continue;
            }
            if !self.buffer.is_empty() {
                self.pass_on(events);
                continue;
            }
            // While everything is let go, only that is wanted.
            let (room, until) = match &self.change {
                Some(change) => (
                    Room {
                        messages: 0,
                        bytes: 0,
                    },
                    Some(change.until),
                ),
                None => (room, None),
            };
            let buffer = &mut self.buffer;
            tokio::select! {
                received = async {
                    match &mut self.present {
                        Some(present) => present.subscriber.receive(room, buffer).await,
                        None => pending().await,
                    }
                } => {
                    received?;
                    self.pass_on(events);
                }
                found = async {
                    match &mut self.looking {
                        Some(looking) => looking.await,
                        None => pending().await,
                    }
                } => self.found(found, events),
                () = sleep_until(self.look_at), if self.looking.is_none() && until.is_none() => {
                    self.looking = Some(Box::pin(look(self.plan.clone())));
                }
                () = sleep_until(until.unwrap_or(self.look_at)), if until.is_some() => {}
            }
        }
        Ok(())
    }
    fn pause(&mut self, shard: Shard, paused: bool) {
        let inner = self.shards.lock().inner(shard);
        if let (Some(inner), Some(present)) = (inner, &mut self.present) {
            present.subscriber.pause(inner, paused);
        }
    }
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        let inner = self.shards.lock().inner(shard);
        match (inner, &mut self.present) {
            (Some(inner), Some(present)) => {
                self.shards.lock().seek(inner, Some(shard));
                let sought = present.subscriber.seek(inner, to).await;
                if sought.is_err() {
                    self.shards.lock().seek(inner, None);
                }
                sought
            }
            _ => Err(Error::fenced(format_args!("partition {}", shard.partition))),
        }
    }
    async fn close(&mut self) -> Result<()> {
        self.closed = true;
        self.looking = None;
        if let Some(joining) = self.joining.take()
            && let Ok(joined) = tokio::time::timeout(GRACE, joining).await
        {
            let _ = self.joined(joined);
        }
        match self.present.take() {
            Some(mut present) => present.subscriber.close().await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Roaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roaming")
            .field("pattern", &self.plan.pattern)
            .field("topics", &self.names)
            .finish_non_exhaustive()
    }
}
