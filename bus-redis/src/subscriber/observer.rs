//! The task behind `Scope::Everyone`: no lease, only a look now and then whether the topics are what they were.

use super::{
    ordinals::Ordinals,
    state::{Held, Open, Shared},
};
use crate::{Context, facts::Facts, id, keys, scripts::Script, start, topics::TopicInfo, wire::Pipeline};
use bus_core::{Event, Name, Result, Shard, Start};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const LOOK: Duration = Duration::from_secs(1);

/// Looks after the topics of one reader.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(crate) context: Arc<Context>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) topics: Vec<Option<Arc<TopicInfo>>>,
    /// `None`: all, also those that are added.
    pub(crate) partitions: Option<Vec<u32>>,
}

/// Opens a shard at `to`; `facts` were taken just now.
pub(crate) fn open(shared: &Shared, shard: Shard, topic: &Name, stream: &Arc<str>, to: &Start, facts: Facts) {
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
        stream: stream.clone(),
        lease: "".into(),
        run_id: "".into(),
        renewed: Instant::now(),
        suspended: false,
        losing: None,
        sequence: 0,
        stored: None,
        ordinals: Ordinals::new(read),
        facts: None,
        counting: true,
    };
    let open = Open {
        shard,
        topic: topic.clone(),
        next,
        notes: Bytes::new(),
        stream: stream.clone(),
        run_id: "".into(),
        end: facts.newest,
    };
    shared.open(held, open);
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
            let held = |s: &Shared| -> Vec<(Shard, Arc<str>)> {
                s.lock()
                    .held
                    .values()
                    .filter(|h| h.shard.topic == index as u32)
                    .map(|h| (h.shard, h.stream.clone()))
                    .collect()
            };
            let held = held(&self.shared);
            for (_, stream) in &held {
                pipeline.script(Script::Facts, &[stream.as_bytes()], &[]);
            }
            let link = &self.context.link;
            let values: Result<Vec<_>> = link
                .call(&pipeline)
                .await?
                .values
                .into_iter()
                .map(|v| link.check(v))
                .collect();
            let values = values?;
            let same = match values[0].at(0).text() {
                None => info.id.is_empty(),
                Some(id) => id == info.id || info.id.is_empty(),
            };
            if !same || values[1..].iter().any(|v| v.at(0).text() == Some("GONE")) {
                self.lost(index, &info.name);
                continue;
            }
            for ((shard, _), reply) in held.iter().zip(&values[1..]) {
                if let Some(held) = self.shared.lock().get(*shard) {
                    held.saw(Facts::read(reply, 1));
                }
            }
            self.shared.wake.notify_one();
            if values[0]
                .at(1)
                .int()
                .is_some_and(|p| p > i64::from(info.partitions))
            {
                self.grown(index, &info).await?;
            }
        }
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
            let reply = self
                .context
                .link
                .run(Script::Facts, &[stream.as_bytes()], &[])
                .await?;
            if let Some(facts) = Facts::read(&reply, 1) {
                let shard = Shard {
                    topic: index as u32,
                    partition,
                    epoch: 1,
                };
                open(&self.shared, shard, &info.name, &stream, &Start::Earliest, facts);
            }
        }
        self.topics[index] = Some(info);
        Ok(())
    }
}
