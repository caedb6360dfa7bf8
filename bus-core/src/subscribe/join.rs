//! Joining: what a subscription needs before its first record.

use super::{DeadLetters, JOIN, Kept, Subscribe};
use crate::{
    Ack, Codec, Error, Name, Result, Scope, Source, Start, Subscriber, Subscription,
    flow::{Bound, Flow},
    notices::Notices,
    pattern::{Pattern, Plan, Roaming},
    pump::{Ending, Pump},
    shared::Shared,
    topic::check_name,
    topics::{Subscribed, Topics},
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::mpsc;

/// More than notes can ever be, and not so much that sums of it overflow.
const UNBOUNDED: usize = 1 << 40;

type Range = (usize, Option<HashMap<(u32, u32), Bound>>);

impl<T, C: Codec<T>> Subscribe<T, C> {
    pub(super) async fn join(self) -> Result<Subscription<T, C>> {
        if let Some(group) = &self.group {
            check_name(group).map_err(|e| e.context("group"))?;
        }
        if self.settings.in_flight == 0 || self.settings.in_flight_bytes == 0 {
            return Err(Error::invalid("in_flight and in_flight_bytes must be at least 1"));
        }
        if self.dead_letters == Kept::Nowhere && !self.by_reason.is_empty() {
            return Err(Error::invalid(
                "`no_dead_letters` and `dead_letter_for` contradict each other: name a `dead_letter` topic for the other \
                 reasons, or leave one of the two out",
            ));
        }
        let dead_letters = DeadLetters::new(
            self.bus.admin(),
            self.group.clone(),
            self.dead_letters.clone(),
            self.by_reason.clone(),
            self.create_topics,
        );
        let kept = dead_letters.of(&self.topics).await?;
        // Before the subscription, so that the end it sees lies not before this one.
        let range = self.range().await?;
        let topics = self.topics.iter().zip(&kept).map(|(topic, kept)| Subscribed {
            name: topic.name.clone(),
            dead_letter: kept.clone(),
        });
        let topics = Arc::new(Topics::new(topics));
        let (subscriber, ack) = self.open(&topics, dead_letters).await?;
        let (commit_every, limits) = (self.settings.commit_every, self.settings.limits);
        let mut settings = self.settings;
        if self.group.is_none() {
            // An observer's notes go nowhere, so how large they could become must hold nothing back.
            settings.limits.notes = UNBOUNDED;
        }
        let mut flow = Flow::new(settings);
        for (number, kept) in kept.into_iter().enumerate() {
            flow.set_dead_letter(number as u32, kept);
        }
        if let Some((partitions, bounds)) = range {
            flow.expect(partitions, bounds);
        }
        if self.group.is_some() {
            self.bus.moves_delays_of(&topics);
        }
        let mut shared = Shared::new(flow, topics, limits);
        (shared.outputs, shared.expired) = (self.bus.outputs(), self.expired);
        let watch = self.bus.watch().clone();
        shared.group = self.group;
        let shared = Arc::new(shared);
        watch.joined(&shared);
        let (send, commands) = mpsc::unbounded_channel();
        tokio::spawn(
            Pump {
                subscriber,
                ack,
                shared: shared.clone(),
                commands,
                commit_every,
                notices: Notices::new(self.hook),
                ending: Ending(shared.clone()),
            }
            .run(),
        );
        let subscription = Subscription::new(shared, self.codec, send);
        watch.steered_by(subscription.control());
        Ok(subscription)
    }

    /// The two halves of the backend's reader.
    async fn open(
        &self,
        topics: &Arc<Topics>,
        dead_letters: DeadLetters,
    ) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let backend = self.bus.backend().clone();
        let scope = match self.group.clone() {
            Some(group) => Scope::Group(group),
            None => Scope::Everyone {
                partitions: self.partitions.clone(),
            },
        };
        let source = Source {
            topics: self.topics.iter().map(|t| t.name.clone()).collect::<Vec<Name>>(),
            scope,
            start: self.start.clone(),
            exactly_once: self.exactly_once,
        };
        let Some((glob, every)) = &self.pattern else {
            return crate::again(JOIN, || backend.subscribe(source.clone())).await;
        };
        let plan = Plan {
            backend,
            pattern: Pattern::new(glob)?,
            source,
            dead_letters,
            every: *every,
        };
        Roaming::start(plan, topics.clone()).await
    }

    /// How many partitions an observer will have, and where reading ends in each.
    async fn range(&self) -> Result<Option<Range>> {
        if self.group.is_some() {
            return match self.until {
                Some(_) => Err(Error::invalid(
                    "`until` ends an observer's reading; a group has no end: use `observe`",
                )),
                None => Ok(None),
            };
        }
        let admin = self.bus.admin();
        let at = self.until.clone().unwrap_or(Start::Latest);
        let at_end = !matches!(at, Start::Positions(_));
        let (mut partitions, mut bounds) = (0, HashMap::new());
        for (number, topic) in self.topics.iter().enumerate() {
            let ends = crate::again(JOIN, || admin.positions(&topic.name, at.clone())).await?;
            let asked = |p: &u32| self.partitions.as_ref().is_none_or(|list| list.contains(p));
            for (partition, position) in ends.into_iter().filter(|(p, _)| asked(p)) {
                partitions += 1;
                bounds.insert((number as u32, partition), Bound { position, at_end });
            }
        }
        Ok(Some((partitions, self.until.is_some().then_some(bounds))))
    }
}
