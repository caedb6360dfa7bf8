//! Settling: one script call per `Done`, all of them pipelined on a connection of their own.

use super::{
    far, fenced, gained, shown,
    state::{Notice, Shared},
};
use crate::{
    Context, cluster, entry,
    facts::Facts,
    id,
    scripts::Script,
    wire::{Link, Pipeline, Value, encode, promotion},
};
use async_trait::async_trait;
use bus_core::{Ack, Done, Error, ErrorKind, Event, Message, Name, Result, Shard};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The settling half of a subscription.
#[derive(Debug)]
pub(crate) struct RedisAck {
    context: Arc<Context>,
    shared: Arc<Shared>,
    link: Link,
    /// `None`: everyone.
    member: Option<String>,
    group: Name,
    topics: Vec<Name>,
    exactly_once: bool,
    /// Numbers of commits with outputs in other slots.
    far: AtomicU64,
}

/// A message beside a position.
pub(super) struct Output {
    pub(super) topic: Name,
    pub(super) partition: u32,
    pub(super) stream: String,
    pub(super) words: usize,
    pub(super) fields: Vec<u8>,
    far: bool,
}

/// A `Done` as a call, and what it changes when it has been made.
struct Call {
    index: usize,
    sequence: u64,
    words: usize,
    bytes: Vec<u8>,
    run_id: Arc<str>,
    /// What has to be stored first.
    far: Vec<far::Batch>,
}

impl RedisAck {
    pub(crate) fn new(
        context: Arc<Context>,
        shared: Arc<Shared>,
        member: Option<String>,
        group: Name,
        topics: Vec<Name>,
        exactly_once: bool,
    ) -> Self {
        let link = context.link("ack");
        Self {
            context,
            shared,
            link,
            member,
            group,
            topics,
            exactly_once,
            far: AtomicU64::new(1),
        }
    }

    /// The stream and the fields of each output. Keys decide as for a publisher; without one the partition's number
    /// is kept, so that what is derived from a partition stays together.
    async fn outputs(&self, shard: Shard, outputs: &[(Name, Message)]) -> Result<Vec<Output>> {
        let mut all = Vec::with_capacity(outputs.len());
        for (topic, message) in outputs {
            let info = self.context.topics.get(topic).await?;
            let limit = self.context.config.message_max;
            if message.size() > limit {
                return Err(Error::too_large(topic, message.size(), limit));
            }
            let partition = match (message.partition, &message.key) {
                (Some(partition), _) if partition < info.partitions => partition,
                (Some(partition), _) => {
                    let sentence = format!(
                        "topic `{topic}` has {} partitions, there is no partition {partition}",
                        info.partitions
                    );
                    return Err(Error::invalid(sentence));
                }
                (None, Some(key)) => self.context.config.partitioner.partition(key, info.partitions),
                (None, None) => shard.partition % info.partitions,
            };
            if info.compact && message.key.is_none() {
                return Err(Error::invalid(format!(
                    "topic `{topic}` is compacted: give each message a key"
                )));
            }
            let stream = info.stream(partition);
            let far = self.is_far(shard, topic, &stream)?;
            let mut fields = Vec::new();
            entry::encode(message, &mut fields);
            all.push(Output {
                topic: topic.clone(),
                partition,
                stream,
                words: entry::words(message),
                fields,
                far,
            });
        }
        Ok(all)
    }

    /// Whether an output lies in another slot. A cluster carries out no script across slots: where both have to take effect
    /// together, that is said before anything is stored.
    fn is_far(&self, shard: Shard, output: &Name, stream: &str) -> Result<bool> {
        if !self.context.clustered.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let own = self.shared.lock().get(shard).map(|held| held.stream.clone());
        if own.is_none_or(|own| cluster::slot(&own) == cluster::slot(stream)) {
            return Ok(false);
        }
        if !self.exactly_once {
            return Ok(true);
        }
        let topic = &self.topics[shard.topic as usize];
        let sentence = format!(
            "an output to topic `{output}` lies in another slot of the cluster than partition {} of topic `{topic}`, so that \
             they cannot take effect together; give both topics the same number of partitions (above 1), and keep the key",
            shard.partition
        );
        Err(Error::new(ErrorKind::Unsupported, sentence))
    }

    /// The call for one `Done`; `None` where the server has it already.
    async fn prepare(&self, index: usize, done: &Done, member: &str) -> Result<Option<Call>> {
        if done.notes.len() > crate::NOTES_MAX {
            let sentence = format!(
                "notes of {} bytes are over the limit of {} bytes",
                done.notes.len(),
                crate::NOTES_MAX
            );
            return Err(Error::invalid(sentence));
        }
        let outputs = self.outputs(done.shard, &done.outputs).await?;
        let (far, outputs): (Vec<_>, Vec<_>) = outputs.into_iter().partition(|output| output.far);
        let number = self.far.fetch_add(1, Ordering::Relaxed);
        let far = far::batches(member, done.shard, number, far);
        let mut state = self.shared.lock();
        let held = state
            .get(done.shard)
            .ok_or_else(|| fenced(&self.topics, done.shard))?;
        if let Some((next, notes)) = &held.stored {
            if done.next < *next {
                return Err(back(&self.topics, done, shown(*next)));
            }
            // What belongs to records that are settled for the first time comes with a position or notes that changed.
            if done.next == *next && done.notes == *notes {
                return Ok(None);
            }
        }
        let last = id::before(done.next);
        let read = held.ordinals.before(done.next).map_or(-1, |n| n as i64);
        let (epoch, sequence) = (done.shard.epoch.to_string(), held.sequence + 1);
        let mut streams: Vec<&str> = Vec::new();
        for output in &outputs {
            if !streams.contains(&&*output.stream) {
                streams.push(&output.stream);
            }
        }
        let mut bytes = Vec::with_capacity(
            256 + done.notes.len() + outputs.iter().map(|o| o.fields.len() + 64).sum::<usize>(),
        );
        encode::number(&mut bytes, 2 + streams.len() as i64);
        for key in [&*held.lease, &*held.stream]
            .into_iter()
            .chain(streams.iter().copied())
        {
            encode::bulk(&mut bytes, key.as_bytes());
        }
        for word in [&*self.group, member, &epoch, &sequence.to_string(), &last] {
            encode::bulk(&mut bytes, word.as_bytes());
        }
        encode::number(&mut bytes, read);
        encode::bulk(&mut bytes, &done.notes);
        encode::bulk(&mut bytes, promotion::of(&held.run_id).as_bytes());
        let mut words = 11 + streams.len();
        for output in &outputs {
            let key = streams.iter().position(|s| *s == output.stream).unwrap_or(0);
            encode::number(&mut bytes, key as i64 + 1);
            encode::number(&mut bytes, output.words as i64);
            bytes.extend_from_slice(&output.fields);
            words += 2 + output.words;
        }
        Ok(Some(Call {
            index,
            sequence,
            words,
            bytes,
            run_id: held.run_id.clone(),
            far,
        }))
    }

    /// What the server said to one call. `None`: nothing that counts, it is made again.
    fn settle(&self, done: &Done, sequence: u64, reply: &Value) -> Option<Result<()>> {
        let shard = done.shard;
        match (reply, reply.at(0).text()) {
            (_, Some("OK" | "DUP")) => {
                let mut state = self.shared.lock();
                if let Some(held) = state.get(shard) {
                    held.sequence = sequence;
                    held.stored = Some((done.next, done.notes.clone()));
                    held.saw(Facts::read(reply, 1));
                    drop(state);
                }
                Some(Ok(()))
            }
            // A group that was destroyed is made again, where it was, by whoever acquires the partition next.
            (_, Some("FENCED" | "NOGROUP")) => {
                self.shared.lose(shard);
                Some(Err(fenced(&self.topics, shard)))
            }
            (_, Some("GONE")) => {
                self.shared.lose(shard);
                Some(Err(Error::topic_missing(&self.topics[shard.topic as usize])))
            }
            (_, Some("BACK")) => Some(Err(back(
                &self.topics,
                done,
                reply.at(1).text().unwrap_or_default().into(),
            ))),
            (_, Some("MISSING")) => Some(Err(self.missing(done, reply))),
            (Value::Error(text), _) => {
                let error = crate::error::classify(&self.context.config.address(), text);
                (!error.is_transient()).then_some(Err(error))
            }
            _ => Some(Err(crate::error::unexpected(
                &self.context.config.address(),
                "a commit",
            ))),
        }
    }

    fn missing(&self, done: &Done, reply: &Value) -> Error {
        let mut error = None;
        for (topic, _) in &done.outputs {
            self.context.topics.forget(topic);
            error.get_or_insert_with(|| Error::topic_missing(topic));
        }
        match reply.at(2).text() {
            Some("none") | None => error.unwrap_or_else(|| Error::topic_missing("?")),
            Some(kind) => Error::new(
                ErrorKind::Conflict,
                format!("an output's stream holds a {kind}; rename that key or the topic"),
            ),
        }
    }

    /// Gives shards up whose commit has no clear end.
    fn give_up(&self, shard: Shard) -> Error {
        self.shared.lose(shard);
        let topic = &self.topics[shard.topic as usize];
        let sentence = format!(
            "commit of partition {} of topic `{topic}` could not be confirmed by redis at {} in {:?}; the partition was given up",
            shard.partition,
            self.context.config.address(),
            self.context.config.publish_timeout
        );
        Error::new(ErrorKind::Fenced, sentence)
    }

    /// Makes the calls, the same ones again after every unclear end.
    async fn make(&self, done: &[Done], mut calls: Vec<Call>, results: &mut [Option<Result<()>>]) {
        let deadline = Instant::now() + self.context.config.publish_timeout;
        let mut pause = Duration::from_millis(10);
        while let Some(first) = calls.first() {
            // A replica that was promoted knows the lease too, with the same owner and epoch: what was delivered out of
            // another history must not even be sent to it.
            let run_id = first.run_id.clone();
            let (near, others): (Vec<_>, Vec<_>) = calls.into_iter().partition(|c| c.run_id == run_id);
            calls = others;
            let mut asked = Vec::with_capacity(near.len());
            for mut call in near {
                match far::store(&self.context, &self.link, &mut call.far).await {
                    Ok(()) => asked.push(call),
                    Err(error) if error.is_transient() => calls.push(call),
                    Err(error) => results[call.index] = Some(Err(error)),
                }
            }
            let mut pipeline = Pipeline::new();
            for call in &asked {
                pipeline.encoded_script(Script::Commit, call.words, call.bytes.clone());
            }
            // Outputs are published by it. A position that is lost only brings records again.
            let config = &self.context.config;
            let waits = config.durability.waits() && asked.iter().any(|c| !done[c.index].outputs.is_empty());
            if waits {
                config.durability.add(config.confirm_timeout(), &mut pipeline);
            }
            let mut answers = self.link.each_on(&run_id, &pipeline).await;
            let reply = if waits { answers.pop() } else { None };
            let durable =
                reply.is_none_or(|reply| reply.is_ok_and(|a| config.durability.is_enough(&a.value)));
            let mut fatal = None;
            for (call, answer) in asked.into_iter().zip(answers) {
                let shard = done[call.index].shard;
                match answer {
                    Ok(answer) if !promotion::same(&run_id, &answer.run_id) => {
                        self.shared.lose(shard);
                        results[call.index] = Some(Err(fenced(&self.topics, shard)));
                    }
                    Ok(answer) => match self.settle(&done[call.index], call.sequence, &answer.value) {
                        // Made again, it is a duplicate that is waited for.
                        Some(Ok(())) if !durable => calls.push(call),
                        Some(result) => results[call.index] = Some(result),
                        None => calls.push(call),
                    },
                    Err(error) if error.is_transient() => {
                        tracing::debug!(group = %self.group, %error, "commit is sent again");
                        calls.push(call);
                    }
                    Err(error) => {
                        results[call.index] = Some(Err(error.duplicate()));
                        fatal = Some(error);
                    }
                }
            }
            if let Some(error) = fatal {
                for call in calls {
                    results[call.index] = Some(Err(error.duplicate()));
                }
                return;
            }
            if calls.is_empty() {
                return;
            }
            // Who lost the shard meanwhile need not wait for an answer about it.
            calls.retain(|call| {
                let shard = done[call.index].shard;
                let ours = self.shared.lock().get(shard).is_some();
                if !ours || Instant::now() >= deadline {
                    results[call.index] = Some(Err(if ours {
                        self.give_up(shard)
                    } else {
                        fenced(&self.topics, shard)
                    }));
                    return false;
                }
                true
            });
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[async_trait]
impl Ack for RedisAck {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        let Some(member) = &self.member else {
            // Nothing is stored; but after a restart of the server it goes on from there.
            let mut state = self.shared.lock();
            for done in &done {
                if let Some(held) = state.get(done.shard) {
                    held.stored = Some((done.next, done.notes.clone()));
                }
            }
            return done.iter().map(|_| Ok(())).collect();
        };
        let mut results: Vec<Option<Result<()>>> = Vec::with_capacity(done.len());
        let mut calls = Vec::with_capacity(done.len());
        for (index, done) in done.iter().enumerate() {
            results.push(match self.prepare(index, done, member).await {
                Ok(Some(call)) => {
                    calls.push(call);
                    None
                }
                Ok(None) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            });
        }
        self.make(&done, calls, &mut results).await;
        self.shared.wake.notify_one();
        let unanswered = || Err(Error::closed("subscription"));
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(unanswered))
            .collect()
    }

    async fn release(&self, shard: Shard) -> Result<()> {
        let Some(member) = &self.member else {
            self.shared.lose(shard);
            return Ok(());
        };
        let Some(lease) = self.shared.lock().get(shard).map(|held| held.lease.clone()) else {
            return Ok(());
        };
        gained::release(&self.link, &lease, member, shard).await?;
        let mut state = self.shared.lock();
        state
            .released
            .insert((shard.topic, shard.partition), Instant::now());
        if state.get(shard).is_some() {
            state.held.remove(&(shard.topic, shard.partition));
            state.notices.push_back(Notice::Event(Event::Lost(shard)));
        }
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }
}

fn back(topics: &[Name], done: &Done, stored: String) -> Error {
    let topic = topics.get(done.shard.topic as usize).map_or("?", |t| t);
    Error::invalid(format!(
        "position of partition {} of topic `{topic}` would go back from {stored} to {}",
        done.shard.partition,
        shown(done.next)
    ))
}
