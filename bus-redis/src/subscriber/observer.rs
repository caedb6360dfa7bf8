//! The task behind `Scope::Everyone`: no lease, only a look now and then whether the topics are what they were.

use super::{
    history,
    ordinals::Ordinals,
    state::{Held, Notice, Open, Reopen, Shared},
};
use crate::{
    Context,
    facts::Facts,
    id, keys,
    scripts::Script,
    start,
    topics::TopicInfo,
    wire::{Pipeline, Value, promotion},
};
use bus_core::{Error, Event, Name, Result, Shard, Start};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const LOOK: Duration = Duration::from_secs(1);

/// What there is in a stream; `None` where it is gone.
pub(crate) async fn look_at(context: &Context, info: &TopicInfo, stream: Arc<str>) -> Result<Option<Found>> {
    let mut pipeline = Pipeline::new();
    pipeline.script(Script::Facts, &[stream.as_bytes()], &[]);
    let answer = context.link.answers(&pipeline).await?.remove(0);
    let reply = context.link.check(answer.value)?;
    Ok(Facts::read(&reply, 1).map(|facts| Found {
        stream,
        run_id: answer.run_id,
        facts,
        counting: !info.compact,
    }))
}

/// Looks after the topics of one reader.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) context: Arc<Context>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) topics: Vec<Option<Arc<TopicInfo>>>,
    /// `None`: all, also those that are added.
    pub(crate) partitions: Option<Vec<u32>>,
}

/// Where a shard is read, and what was found there just now.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) stream: Arc<str>,
    pub(crate) run_id: Arc<str>,
    pub(crate) facts: Facts,
    /// Compaction deletes single entries, so that counting tells nothing.
    pub(crate) counting: bool,
}

/// Opens a shard at `to`.
pub(crate) fn open(shared: &Shared, shard: Shard, topic: &Name, found: Found, to: &Start, notes: Bytes) {
    let facts = found.facts;
    let next = match &*start::last_settled(to, shard.partition) {
        "$" => facts.tip.saturating_add(1),
        "" => 0,
        last => id::position(last.as_bytes()).unwrap_or(0).saturating_add(1),
    };
    let read = if next > facts.tip {
        Some(facts.added)
    } else {
        facts
            .first
            .is_none_or(|first| next <= first)
            .then(|| facts.removed())
    };
    let held = Held {
        shard,
        stream: found.stream.clone(),
        lease: "".into(),
        run_id: found.run_id.clone(),
        renewed: Instant::now(),
        suspended: false,
        losing: None,
        sequence: 0,
        stored: None,
        ordinals: Ordinals::new(read),
        facts: None,
        compared: None,
        read: None,
        counting: found.counting,
        heard: 0,
    };
    let open = Open {
        shard,
        topic: topic.clone(),
        next,
        notes,
        stream: found.stream,
        run_id: found.run_id,
        end: facts.newest,
    };
    shared.open(held, open);
}

/// A shard as one look sees it.
struct Seen {
    shard: Shard,
    stream: Arc<str>,
    run_id: Arc<str>,
    read: Option<u128>,
}

impl Observer {
    /// Runs until the subscription closes.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.shared.kick.notified() => {}
            }
            if self.shared.lock().closing {
                return;
            }
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "look at topics failed");
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        for index in 0..self.topics.len() {
            let Some(info) = self.topics[index].clone() else {
                continue;
            };
            let descriptor = keys::descriptor(&info.name);
            let mut pipeline = Pipeline::new();
            pipeline.add(&[b"HMGET", descriptor.as_bytes(), b"id", b"partitions"]);
            let held: Vec<Seen> = self
                .shared
                .lock()
                .held
                .values()
                .filter(|h| h.shard.topic == index as u32)
                .map(|h| Seen {
                    shard: h.shard,
                    stream: h.stream.clone(),
                    run_id: h.run_id.clone(),
                    read: h.read,
                })
                .collect();
            for seen in &held {
                pipeline.script(Script::Facts, &[seen.stream.as_bytes()], &[]);
            }
            let link = &self.context.link;
            let limit = self.context.config.connect_timeout;
            // What one node does not answer says nothing of the others.
            let answers = link.each(&pipeline, limit).await.into_iter();
            let mut answers = answers.map(|answer| {
                let answer = answer?;
                Ok::<_, Error>((answer.run_id, link.check(answer.value)?))
            });
            let descriptor = answers.next().transpose()?.map(|(_, told)| told);
            let descriptor = descriptor.unwrap_or(Value::Nil);
            let same = match descriptor.at(0).text() {
                None => info.id.is_empty(),
                Some(id) => id == info.id || info.id.is_empty(),
            };
            let answers: Vec<_> = answers.collect();
            let gone = |answer: &Result<(_, Value)>| {
                answer
                    .as_ref()
                    .is_ok_and(|(_, told)| told.at(0).text() == Some("GONE"))
            };
            if !same || answers.iter().any(gone) {
                self.lost(index, &info.name);
                continue;
            }
            for (seen, answer) in held.iter().zip(answers) {
                let (run_id, reply) = match answer {
                    Ok(answer) => answer,
                    Err(error) => {
                        tracing::debug!(topic = &*info.name, %error, "look at a partition failed");
                        continue;
                    }
                };
                let Some(facts) = Facts::read(&reply, 1) else {
                    continue;
                };
                if !promotion::same(&seen.run_id, &run_id) {
                    self.reopen(&info, seen, run_id, facts).await?;
                } else if let Some(held) = self.shared.lock().get(seen.shard) {
                    held.saw(Some(facts));
                }
            }
            self.shared.wake.notify_one();
            if descriptor
                .at(1)
                .int()
                .is_some_and(|p| p > i64::from(info.partitions))
            {
                self.grown(index, &info).await?;
            }
        }
        Ok(())
    }

    /// The server was restarted or replaced. What follows is told under a new epoch, and what was read and is gone is told.
    async fn reopen(&self, info: &TopicInfo, seen: &Seen, run_id: Arc<str>, facts: Facts) -> Result<()> {
        let mut gone = None;
        if let Some(read) = seen.read {
            let mut pipeline = Pipeline::new();
            history::compare(&mut pipeline, &[seen.stream.as_bytes()], read, info.compact, "");
            let link = &self.context.link;
            let reply = link.check(link.call(&pipeline).await?.remove(0))?;
            gone = history::gone(&reply, &info.name, seen.shard.partition, read);
        }
        let found = Found {
            stream: seen.stream.clone(),
            run_id,
            facts,
            counting: !info.compact,
        };
        let (shard, topic) = (seen.shard, info.name.clone());
        let reopen = Reopen {
            shard,
            topic,
            found,
            gone,
        };
        self.shared.lock().notices.push_back(Notice::Reopen(reopen));
        Ok(())
    }

    fn lost(&mut self, index: usize, name: &Name) {
        self.topics[index] = None;
        self.context.topics.forget(name);
        let shards: Vec<Shard> = self.shared.lock().held.values().map(|h| h.shard).collect();
        for shard in shards.into_iter().filter(|s| s.topic == index as u32) {
            self.shared.lose(shard);
        }
        self.shared.tell(Event::TopicLost(name.clone()));
    }

    async fn grown(&mut self, index: usize, old: &TopicInfo) -> Result<()> {
        let info = self.context.topics.look_up(&old.name).await?;
        self.shared.tell(Event::PartitionsChanged {
            topic: info.name.clone(),
            partitions: info.partitions,
        });
        for partition in old.partitions..info.partitions {
            if self
                .partitions
                .as_ref()
                .is_some_and(|wanted| !wanted.contains(&partition))
            {
                continue;
            }
            let stream: Arc<str> = info.stream(partition).into();
            if let Some(found) = look_at(&self.context, &info, stream).await? {
                let shard = Shard {
                    topic: index as u32,
                    partition,
                    epoch: 1,
                };
                open(
                    &self.shared,
                    shard,
                    &info.name,
                    found,
                    &Start::Earliest,
                    Bytes::new(),
                );
            }
        }
        self.topics[index] = Some(info);
        Ok(())
    }
}
