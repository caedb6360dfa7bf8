//! Publishes, flushes and closes that are given up.

use super::{stopping, there};
use crate::{
    Delivery, Outcome, Unsent,
    conformance::{
        History, Lab, Proof, What, checkers,
        member::Act,
        moments::Moments,
        work::{id_of, key_of, keyed, names, stored, unkeyed},
    },
};
use bytes::Bytes;
use std::{future::IntoFuture, sync::Arc, time::Duration};

/// Each of a batch is stored, if there was an answer.
fn each(outcomes: Option<Vec<Result<Outcome, Unsent>>>) -> Proof {
    outcomes
        .into_iter()
        .flatten()
        .try_for_each(|o| stored(o).map(|_| ()))
}

pub(crate) async fn a_publish_may_be_given_up_anywhere(lab: &Lab) -> Proof {
    let bus = stopping(lab).await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let publisher = lab.within("a publisher", bus.backend().publisher()).await??;
    let history = Arc::new(History::default());
    let member = lab.subscribe(&bus, &topic, &lab.group("g"));
    let member = lab.member(member, (0, 4), &history, async |_| Act::Ack).await?;
    for way in ["one", "batch", "raw"] {
        let (mut moments, mut n) = (Moments::all(), 0);
        while moments.more()? {
            let batch: Vec<_> = (0..4).map(|key| keyed(format_args!("{way}.{key}"), n)).collect();
            for m in &batch[..if way == "one" { 1 } else { 4 }] {
                history.add(
                    &id_of(m.payload.as_deref()),
                    &key_of(m.key.as_deref()),
                    What::Published,
                );
            }
            let name = topic.name();
            match way {
                "one" => {
                    let first = batch.into_iter().next().unwrap_or_default();
                    let call = bus.publish_message(name, first).into_future();
                    moments.call(lab, "a publish", call).await?;
                }
                "batch" => each(
                    moments
                        .give_up(lab, "a batch", bus.publish_batch(name, batch))
                        .await?,
                )?,
                _ => each(
                    moments
                        .give_up(lab, "a raw publish", publisher.publish_batch(name, batch))
                        .await?,
                )?,
            }
            n += 1;
        }
    }
    // Whatever became of those, this one is answered, and so are they all.
    lab.publish(&bus, topic.name(), &history, vec![keyed("last", 0)])
        .await?;
    lab.until(
        &history,
        "every publish is acknowledged, whoever waited for it",
        |h| h.open().is_empty(),
    )
    .await?;
    member.close(lab).await?;
    lab.within("closing a publisher", publisher.close()).await??;
    lab.within("closing a bus", bus.close()).await??;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_delayed_publish_may_be_given_up_anywhere(lab: &Lab) -> Proof {
    let wait = Duration::from_millis(300);
    let (mut moments, mut n) = (Moments::all(), 0);
    while moments.more()? {
        let bus = stopping(lab).await?;
        // The topic in which it waits is made at the first one.
        let topic = lab.topic(&bus, &format!("t{n}"), 2).await?;
        let mut reader = lab
            .join(lab.subscribe(&bus, &topic, &lab.group(&format!("g{n}"))))
            .await?;
        let call = bus
            .publish_message(topic.name(), keyed("k", 0))
            .delay(wait)
            .into_future();
        moments.call(lab, "a delayed publish", call).await?;
        let second = bus.publish_message(topic.name(), keyed("k", 1)).delay(wait);
        lab.within("the publish after it", second.into_future()).await??;
        let mut came = Vec::new();
        let look = |d: &Delivery<Bytes>| {
            came.push(id_of(d.payload()).to_string());
            Ok(())
        };
        lab.each(&mut reader, 2, look).await?;
        ensure_eq!(
            came,
            ["k:0", "k:1"],
            "two delayed messages of a key, the first of them given up"
        );
        ensure!(
            lab.rest(&bus, &topic, &mut reader).await?.is_empty(),
            "a delayed message came twice"
        );
        lab.within("closing", reader.close()).await??;
        lab.within("closing a bus", bus.close()).await??;
        n += 1;
    }
    Ok(())
}

pub(crate) async fn a_close_may_be_given_up_anywhere(lab: &Lab) -> Proof {
    let other = lab.bus().await?;
    let topic = lab.topic(&other, "t", 4).await?;
    let (mut expected, mut n) = (Vec::new(), 0);
    for call in ["flush", "close"] {
        let mut moments = Moments::all();
        while moments.more()? {
            let bus = stopping(lab).await?;
            let batch = unkeyed(&format!("{call}.{n}"), 4, 20);
            expected.extend(names(&batch));
            for (number, message) in batch.into_iter().enumerate() {
                match number % 2 {
                    0 => {
                        lab.within("enqueueing", bus.enqueue(topic.name(), message))
                            .await??
                    }
                    _ => drop(bus.publish_message(topic.name(), message).into_future()),
                }
            }
            if call == "flush" {
                let flush = bus.flush(lab.patience());
                moments.call(lab, "a flush", flush).await?;
            } else {
                moments.call(lab, "a close", bus.close()).await?;
            }
            // Who closes again waits for what the first one left.
            lab.within("closing again", bus.close()).await??;
            let mut stored = there(lab, &other, &topic).await?;
            stored.sort();
            expected.sort();
            ensure_eq!(
                stored.len(),
                expected.len(),
                "what is stored when a bus is closed whose first {call} was given up"
            );
            ensure_eq!(stored, expected, "what is stored");
            n += 1;
        }
    }
    Ok(())
}
