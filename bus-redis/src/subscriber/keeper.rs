//! The task that keeps leases: shows this member alive, renews what it owns, takes what is free or expired, gives away
//! what is over its quota, and watches that topics stay what they are.

use super::{
    history::{self, History},
    state::{Notice, Shared},
    watch::Watched,
};
use crate::{
    Context,
    facts::Facts,
    janitor::Janitor,
    keys,
    scripts::Script,
    wire::{Link, Node, Pipeline, Value, promotion},
};
use bus_core::{ErrorKind, Event, Name, Result, Shard};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a member looks around: a new member gets its share, and a freed partition its next owner, within two of
/// these. Polling needs no right, no connection and no key of its own, and costs a few commands a second.
const TICK: Duration = Duration::from_millis(500);
/// The longest pause between attempts to reach the server.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One member's keeper.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) context: Arc<Context>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) link: Link,
    pub(crate) group: Name,
    pub(crate) member: String,
    pub(crate) topics: Vec<Watched>,
    /// The run of each node, and where each partition was: another of either may be another history.
    pub(crate) runs: Vec<(Node, Arc<str>)>,
    pub(crate) places: BTreeMap<(u32, u32), (Node, Arc<str>)>,
    pub(crate) history: History,
}

/// What a command of a round asked.
enum Ask {
    Members(usize),
    Descriptor(usize),
    Renew(Shard),
    Lease(usize, u32),
}

impl Keeper {
    /// Runs until the subscription closes.
    pub(crate) async fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            match self.round().await {
                Ok(again) => pause = if again { Duration::ZERO } else { self.tick() },
                // Deleted between two commands of a round: the next one tells which topic it was.
                Err(error) if error == ErrorKind::TopicMissing => {
                    pause = Duration::from_millis(50);
                }
                Err(error) if !error.is_transient() => {
                    tracing::error!(group = %self.group, %error, "partitions cannot be kept");
                    self.lose_all();
                    self.shared.lock().fatal = Some(error);
                    self.shared.wake.notify_one();
                    return;
                }
                Err(error) => {
                    tracing::debug!(group = %self.group, %error, "lease round failed");
                    pause = (pause * 2).clamp(Duration::from_millis(50), LONGEST_PAUSE);
                }
            }
            if self.shared.lock().closing {
                return self.leave().await;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shared.kick.notified() => {}
            }
            if self.shared.lock().closing {
                return self.leave().await;
            }
        }
    }

    /// A look costs a command a partition, so that a thousand partitions are looked at less often.
    fn tick(&self) -> Duration {
        let partitions: u32 = self.topics.iter().map(|t| t.info.partitions).sum();
        let third = self.context.config.ttl / 3;
        TICK.max(Duration::from_millis(u64::from(partitions))).min(third)
    }

    /// How long one node may take, so that the others' leases are renewed all the same.
    pub(super) fn limit(&self) -> Duration {
        let share = match self.context.topology.nodes().len() {
            0 | 1 => 2,
            _ => 4,
        };
        let config = &self.context.config;
        config.connect_timeout.min(config.ttl / share)
    }

    /// One look around; whether to look again at once.
    async fn round(&mut self) -> Result<bool> {
        let sent = Instant::now();
        let (asks, pipeline) = self.ask(sent).await;
        let limit = self.limit();
        let answers = self.link.each(&pipeline, limit).await;
        let (mut failed, mut answered) = (None, false);
        let mut told = Vec::new();
        for (ask, answer) in asks
            .into_iter()
            .map(Some)
            .chain(std::iter::repeat_with(|| None))
            .zip(answers)
        {
            match answer {
                Ok(answer) => {
                    self.ran(&answer.node, &answer.run_id);
                    answered = true;
                    told.extend(ask.map(|ask| (ask, answer.value)));
                }
                Err(error) => failed = Some(error),
            }
        }
        let moved = self.moved();
        if !moved.is_empty() {
            // Its history may have gone back: nothing of before holds there, not even our own leases.
            tracing::warn!(group = %self.group, address = %self.context.config.address(), partitions = ?moved, "the server was restarted or replaced, partitions are acquired anew");
            for key in &moved {
                self.history.remember(&self.shared, *key);
                self.lose_one(*key);
            }
        }
        match self
            .history
            .look(&self.link, limit, &self.group, &self.topics)
            .await
        {
            Err(error) if error.is_transient() => failed = Some(error),
            result => result?,
        }
        let mut live = vec![None; self.topics.len()];
        for (ask, reply) in told {
            let reply = match self.link.check(reply) {
                Err(error) if error.is_transient() => {
                    failed = Some(error);
                    continue;
                }
                reply => reply?,
            };
            match ask {
                Ask::Members(topic) => live[topic] = Some(members(&reply)),
                Ask::Descriptor(topic) => self.descriptor(topic, &reply).await?,
                Ask::Renew(shard) => self.renewed(shard, sent, &reply),
                Ask::Lease(topic, partition) if moved.contains(&(self.topics[topic].index, partition)) => {}
                Ask::Lease(topic, partition) => self.topics[topic].sight(partition, &reply, sent),
            }
        }
        if !moved.is_empty() {
            return Ok(true);
        }
        for (topic, live) in live.iter().enumerate() {
            let Some(live) = live else { continue };
            if !self.topics[topic].lost {
                self.share(topic, live).await?;
            }
        }
        self.overdue().await?;
        for topic in self.topics.iter().filter(|t| !t.lost) {
            Janitor::uses(&self.context, &topic.info);
        }
        match failed {
            // What one node does not answer must not slow down the rest.
            Some(error) if answered => {
                tracing::debug!(group = %self.group, %error, "part of a lease round failed");
                Ok(false)
            }
            failed => failed.map_or(Ok(false), Err),
        }
    }

    /// A node answered, in this run.
    fn ran(&mut self, node: &Node, run_id: &Arc<str>) {
        match self.runs.iter_mut().find(|(known, _)| known == node) {
            Some((_, known)) => *known = run_id.clone(),
            None => self.runs.push((node.clone(), run_id.clone())),
        }
    }

    /// The partitions that are on another node now, or behind another history of it.
    fn moved(&mut self) -> Vec<(u32, u32)> {
        let mut moved = Vec::new();
        for topic in self.topics.iter().filter(|t| !t.lost) {
            for (partition, stream) in topic.streams.iter().enumerate() {
                let (key, node) = (
                    (topic.index, partition as u32),
                    self.context.topology.node_of(stream.as_bytes()),
                );
                let Some((_, run_id)) = self.runs.iter().find(|(known, _)| *known == node) else {
                    continue;
                };
                if let Some((before, known)) = self.places.insert(key, (node.clone(), run_id.clone()))
                    && (before != node || !promotion::same(&known, run_id))
                {
                    moved.push(key);
                }
            }
        }
        moved
    }

    async fn ask(&mut self, now: Instant) -> (Vec<Ask>, Pipeline) {
        let (mut asks, mut pipeline) = (Vec::new(), Pipeline::new());
        let host = self.link.local().await;
        let ttl = self.context.config.ttl;
        let millis = ttl.as_millis().to_string();
        for (index, topic) in self.topics.iter().enumerate().filter(|(_, t)| !t.lost) {
            let table = keys::members(&self.group, &topic.info.name);
            let words = [self.member.as_bytes(), millis.as_bytes(), host.as_bytes()];
            pipeline.script(Script::Member, &[table.as_bytes()], &words);
            asks.push(Ask::Members(index));
            let descriptor = keys::descriptor(&topic.info.name);
            pipeline.add(&[b"HMGET", descriptor.as_bytes(), b"id", b"partitions"]);
            asks.push(Ask::Descriptor(index));
            let mut state = self.shared.lock();
            for partition in 0..topic.info.partitions {
                match state.held.get_mut(&(topic.index, partition)) {
                    Some(held) if now.duration_since(held.renewed) < ttl / 3 && !held.suspended => {}
                    Some(held) => {
                        let epoch = held.shard.epoch.to_string();
                        let words = [self.group.as_bytes(), self.member.as_bytes(), epoch.as_bytes()];
                        pipeline.script(
                            Script::Renew,
                            &[held.lease.as_bytes(), held.stream.as_bytes()],
                            &words,
                        );
                        asks.push(Ask::Renew(held.shard));
                    }
                    None => {
                        let lease = topic.leases[partition as usize].as_bytes();
                        pipeline.add(&[b"HMGET", lease, b"owner", b"epoch", b"beat", b"ttl"]);
                        asks.push(Ask::Lease(index, partition));
                    }
                }
            }
        }
        if pipeline.is_empty() {
            // Even with nothing left to keep, the connection's loss is to be seen.
            pipeline.add(&[b"PING"]);
        }
        (asks, pipeline)
    }

    fn renewed(&mut self, shard: Shard, sent: Instant, reply: &Value) {
        match reply.at(0).text() {
            Some("OK") => {
                let mut state = self.shared.lock();
                let Some(held) = state.get(shard) else { return };
                held.renewed = sent;
                held.saw(Facts::read(reply, 1));
                let gone = held.hear(history::ranges(reply.at(7)));
                if std::mem::take(&mut held.suspended) {
                    state.notices.push_back(Notice::Event(Event::Resumed(shard)));
                }
                state.notices.extend(gone.map(Notice::Event));
                drop(state);
                self.shared.wake.notify_one();
            }
            Some("GONE") => self.topic_lost(shard.topic as usize),
            // Of a destroyed group too: it is made again, where it was, when the partition is acquired.
            _ => self.shared.lose(shard),
        }
    }

    async fn descriptor(&mut self, topic: usize, reply: &Value) -> Result<()> {
        let (id, partitions) = (reply.at(0).text(), reply.at(1).int());
        let watched = &mut self.topics[topic];
        match id {
            None if watched.info.id.is_empty() => {}
            Some(id) if id == watched.info.id || watched.info.id.is_empty() => {
                let known = watched.info.partitions;
                let partitions = partitions.and_then(|p| u32::try_from(p).ok()).unwrap_or(known);
                if partitions > known || watched.info.id.is_empty() {
                    let info = self.context.topics.look_up(&watched.info.name).await?;
                    watched.update(info, &self.group);
                    if partitions > known {
                        let topic = watched.info.name.clone();
                        self.shared.tell(Event::PartitionsChanged { topic, partitions });
                    }
                }
            }
            _ => self.topic_lost(topic),
        }
        Ok(())
    }

    pub(super) fn topic_lost(&mut self, topic: usize) {
        let watched = &mut self.topics[topic];
        if std::mem::replace(&mut watched.lost, true) {
            return;
        }
        self.context.topics.forget(&watched.info.name);
        let mut state = self.shared.lock();
        let shards: Vec<Shard> = state
            .held
            .values()
            .map(|h| h.shard)
            .filter(|s| s.topic == watched.index)
            .collect();
        for shard in shards {
            state.lose(shard);
        }
        state
            .notices
            .push_back(Notice::Event(Event::TopicLost(watched.info.name.clone())));
        drop(state);
        self.shared.wake.notify_one();
    }

    fn lose_all(&mut self) {
        let mut state = self.shared.lock();
        let shards: Vec<Shard> = state.held.values().map(|h| h.shard).collect();
        for shard in shards {
            state.lose(shard);
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    fn lose_one(&mut self, key: (u32, u32)) {
        let shard = self.shared.lock().held.get(&key).map(|held| held.shard);
        if let Some(shard) = shard {
            self.shared.lose(shard);
        }
        if let Some(topic) = self.topics.iter_mut().find(|t| t.index == key.0) {
            topic.forget_sighting(key.1);
        }
    }

    /// Leaves the group: everything still owned is given back at once, in one round.
    async fn leave(self) {
        let mut pipeline = Pipeline::new();
        for held in std::mem::take(&mut self.shared.lock().held).into_values() {
            let epoch = held.shard.epoch.to_string();
            pipeline.script(
                Script::Release,
                &[held.lease.as_bytes()],
                &[self.member.as_bytes(), epoch.as_bytes()],
            );
        }
        for topic in &self.topics {
            let table = keys::members(&self.group, &topic.info.name);
            pipeline.add(&[b"HDEL", table.as_bytes(), self.member.as_bytes()]);
        }
        let answers = self.link.each(&pipeline, self.limit()).await;
        if let Some(Err(error)) = answers.iter().find(|answer| answer.is_err()) {
            tracing::warn!(group = %self.group, %error, "left the group without saying so, its partitions are free after the ttl");
        }
    }
}

fn members(reply: &Value) -> Vec<String> {
    reply
        .list()
        .chunks_exact(2)
        .filter_map(|row| row[0].text().map(str::to_owned))
        .collect()
}
