//! [`bus_core::Ack`]: outputs first, then the offsets.

use super::{Command, Line, mailbox::Mailbox};
use crate::{admin::Requests, kafka::Outputs};
use async_trait::async_trait;
use bus_core::{Ack, Done, Error, Message, Name, Result, Shard, mutant};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

pub(super) struct KafkaAck {
    mail: Arc<Mailbox>,
    line: Line,
    requests: Arc<Requests>,
    outputs: Arc<Outputs>,
    /// Topics that outputs have gone to: they exist.
    known: Mutex<HashSet<Name>>,
}

impl KafkaAck {
    pub(super) fn new(
        mail: Arc<Mailbox>,
        line: Line,
        requests: Arc<Requests>,
        outputs: Arc<Outputs>,
    ) -> Self {
        Self {
            mail,
            line,
            requests,
            outputs,
            known: Mutex::default(),
        }
    }

    /// Stores the outputs of shards that are ours, in order per topic. A shard whose outputs failed is not committed;
    /// its error is in `results`.
    async fn send_outputs(&self, done: &mut [Done], results: &mut [Option<Result<()>>]) {
        let mut by_topic: BTreeMap<Name, (Vec<usize>, Vec<Message>)> = BTreeMap::new();
        for (i, done) in done.iter_mut().enumerate() {
            let outputs = std::mem::take(&mut done.outputs);
            if outputs.is_empty() {
                continue;
            }
            if !self.mail.owns(done.shard) {
                results[i] = Some(Err(Error::fenced(format_args!(
                    "partition {}",
                    done.shard.partition
                ))));
                continue;
            }
            if let Err(error) = self.check_topics(outputs.iter().map(|(topic, _)| topic)).await {
                results[i] = Some(Err(error));
                continue;
            }
            for (topic, message) in outputs {
                let (owners, messages) = by_topic.entry(topic).or_default();
                owners.push(i);
                messages.push(message);
            }
        }
        for (topic, (owners, messages)) in by_topic {
            let outcomes = match self.outputs.producer() {
                Ok(producer) if mutant("dead-letter-not-awaited") => {
                    drop(producer.take(&topic, messages));
                    continue;
                }
                Ok(producer) => producer.publish(&topic, messages).await,
                Err(error) => {
                    owners
                        .iter()
                        .for_each(|i| results[*i] = Some(Err(error.duplicate())));
                    continue;
                }
            };
            for (i, outcome) in owners.into_iter().zip(outcomes) {
                if let Err(unsent) = outcome {
                    self.known.lock().remove(&topic);
                    results[i].get_or_insert_with(|| Err(Error::from(unsent).context("storing an output")));
                }
            }
        }
    }

    async fn check_topics(&self, topics: impl Iterator<Item = &Name>) -> Result<()> {
        let unknown: Vec<Name> = {
            let known = self.known.lock();
            topics.filter(|t| !known.contains(*t)).cloned().collect()
        };
        for topic in unknown {
            self.requests.partitions(&topic).await?;
            self.known.lock().insert(topic);
        }
        Ok(())
    }
}

impl fmt::Debug for KafkaAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaAck").finish_non_exhaustive()
    }
}

#[async_trait]
impl Ack for KafkaAck {
    async fn commit(&self, mut done: Vec<Done>) -> Vec<Result<()>> {
        let mut results: Vec<Option<Result<()>>> = done.iter().map(|_| None).collect();
        if done.iter().any(|d| !d.outputs.is_empty()) {
            self.send_outputs(&mut done, &mut results).await;
        }
        let open: Vec<Done> = done
            .into_iter()
            .zip(&results)
            .filter_map(|(done, result)| result.is_none().then_some(done))
            .collect();
        let count = open.len();
        let mut committed = if open.is_empty() {
            Vec::new()
        } else {
            match self.line.ask(|reply| Command::Commit(open, reply)).await {
                Ok(results) => results,
                Err(error) => (0..count).map(|_| Err(error.duplicate())).collect(),
            }
        }
        .into_iter();
        results
            .into_iter()
            .map(|result| match result {
                Some(result) => result,
                None => committed
                    .next()
                    .unwrap_or_else(|| Err(Error::closed("the subscription"))),
            })
            .collect()
    }

    async fn release(&self, shard: Shard) -> Result<()> {
        self.line.ask(|reply| Command::Release(shard, reply)).await?
    }
}
