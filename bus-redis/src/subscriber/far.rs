//! Outputs in another slot of a cluster than the position that they belong to. No script reaches both, so they are stored
//! first, once for each commit however often it is sent, and the position afterwards: at least once. Who wants exactly
//! once is refused.

use super::ack::Output;
use crate::{
    Context, keys,
    scripts::Script,
    wire::{Answer, Link, Pipeline, encode},
};
use bus_core::{Error, Name, Result, Shard};

/// How long the server recognises a batch that it has, in seconds: far longer than one commit is tried.
const MARKER_LIFE: &[u8] = b"3600";

/// What goes to one stream.
#[derive(Debug)]
pub(super) struct Batch {
    topic: Name,
    words: usize,
    bytes: Vec<u8>,
}

/// The batches of one commit, by their streams. `number` grows with each commit of this member.
pub(super) fn batches(member: &str, shard: Shard, number: u64, outputs: Vec<Output>) -> Vec<Batch> {
    let publisher = format!("{member}-{}-{}", shard.topic, shard.partition);
    let number = number.to_string();
    let mut batches: Vec<(String, Batch)> = Vec::new();
    for output in outputs {
        let known = batches.iter().position(|(stream, _)| *stream == output.stream);
        let at = known.unwrap_or_else(|| {
            let marker = keys::marker(&output.stream, &output.topic, output.partition, &publisher);
            let mut bytes = Vec::new();
            encode::number(&mut bytes, 2);
            for word in [
                marker.as_bytes(),
                output.stream.as_bytes(),
                b"0",
                number.as_bytes(),
            ] {
                encode::bulk(&mut bytes, word);
            }
            encode::bulk(&mut bytes, MARKER_LIFE);
            let topic = output.topic.clone();
            let batch = Batch {
                topic,
                words: 6,
                bytes,
            };
            batches.push((output.stream, batch));
            batches.len() - 1
        });
        let batch = &mut batches[at].1;
        encode::number(&mut batch.bytes, output.words as i64);
        batch.bytes.extend_from_slice(&output.fields);
        batch.words += 1 + output.words;
    }
    batches.into_iter().map(|(_, batch)| batch).collect()
}

/// Stores what is left of them, as durably as configured, and forgets what is stored.
pub(super) async fn store(context: &Context, link: &Link, batches: &mut Vec<Batch>) -> Result<()> {
    let config = &context.config;
    while let Some(batch) = batches.last() {
        let mut pipeline = Pipeline::new();
        pipeline.encoded_script(Script::Produce, batch.words, batch.bytes.clone());
        config.durability.add(config.confirm_timeout(), &mut pipeline);
        let answers: Result<Vec<Answer>> = link
            .each(&pipeline, config.connect_timeout)
            .await
            .into_iter()
            .collect();
        let mut answers = answers?.into_iter();
        let reply = answers
            .next()
            .map(|answer| link.check(answer.value))
            .transpose()?;
        match reply.as_ref().and_then(|reply| reply.at(0).text()) {
            Some("OK" | "DUP") => {}
            _ => {
                context.topics.forget(&batch.topic);
                return Err(Error::topic_missing(&batch.topic));
            }
        }
        if let Some(told) = answers.next()
            && !config.durability.is_enough(&told.value)
        {
            return Err(config
                .durability
                .unconfirmed(&batch.topic, &config.address())
                .transient(true));
        }
        batches.pop();
    }
    Ok(())
}
