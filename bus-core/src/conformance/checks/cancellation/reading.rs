//! What is asked of a subscription, and given up.

use super::{stopping, there};
use crate::{
    Delivery, Message, Start,
    conformance::{
        Failure, History, Lab, Proof, What, checkers,
        member::{Recorded, payloads},
        moments::Moments,
        work::{id_of, key_of, keyed, names, unkeyed},
    },
};
use bytes::Bytes;
use std::{collections::BTreeSet, future::IntoFuture, sync::Arc, time::Duration};

pub(crate) async fn a_subscribe_may_be_given_up_anywhere(lab: &Lab) -> Proof {
    let (first, second) = (stopping(lab).await?, lab.bus().await?);
    let topic = lab.topic(&second, "t", 4).await?;
    let group = lab.group("g");
    let mut moments = Moments::all();
    while moments.more()? {
        // With dead letters, whose topic is made on the way.
        let subscribing = first.subscribe(&topic, &group).into_future();
        if let Some(reader) = moments.give_up(lab, "subscribing", subscribing).await? {
            lab.within("draining", reader?.drain(Duration::ZERO)).await??;
        }
    }
    let mut reader = lab.join(second.subscribe(&topic, &group)).await?;
    lab.store(&second, topic.name(), unkeyed("m", 4, 40)).await?;
    let read = lab.each(&mut reader, 40, |_| Ok(())).await;
    read.map_err(|f| f.context("the only member that is left"))?;
    lab.poll("the group has one member with four partitions", || async {
        let spec = second.admin().group(&group).await?;
        Ok(spec.members.len() == 1 && spec.members[0].partitions.len() == 4)
    })
    .await?;
    lab.within("closing", reader.close()).await??;
    lab.within("closing a bus", first.close()).await??;
    Ok(())
}

pub(crate) async fn reading_may_be_given_up_anywhere(lab: &Lab) -> Proof {
    let (bus, other) = (stopping(lab).await?, lab.bus().await?);
    let (topic, out) = (lab.topic(&bus, "t", 4).await?, lab.topic(&bus, "out", 4).await?);
    let (group, history) = (lab.group("g"), Arc::new(History::default()));
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let control = reader.control();
    let (mut nexts, mut flushes, mut caught_up) = (Moments::all(), Moments::all(), Moments::polled());
    let mut n = 0;
    while nexts.more()? || flushes.more()? || caught_up.more()? {
        let batch = (0..8).map(|key| keyed(format_args!("k{key}"), n)).collect();
        lab.publish(&other, topic.name(), &history, batch).await?;
        // Given up on the way to each of them; what such a call had in hand comes with the next.
        for _ in 0..8 {
            let delivery = match nexts.give_up(lab, "the next delivery", reader.next()).await? {
                Some(delivery) => delivery.ok_or_else(|| Failure::new("the subscription ended"))??,
                None => lab.next(&mut reader).await?,
            };
            let mut recorded = Recorded::new(delivery, &history, 0);
            let taken = recorded.delivery.take();
            let Some(delivery) = taken else { continue };
            let (id, key) = (id_of(delivery.payload()), key_of(delivery.key()));
            history.add(&id, &key, What::Acked { member: 0 });
            let copy = Message::new(id.to_string());
            delivery.ack_with([(out.name(), copy)])?;
        }
        flushes.call(lab, "a flush", control.flush()).await?;
        caught_up.call(lab, "catching up", control.caught_up()).await?;
        n += 1;
    }
    checkers::all(&history.happenings())?;
    // What is flushed now is stored, whatever became of the flushes before: a crash brings nothing again.
    lab.within("a flush", control.flush()).await??;
    control.abort();
    lab.until_over(&mut reader).await?;
    let mut reader = lab.join(lab.subscribe(&other, &topic, &group)).await?;
    let rest = lab.rest(&other, &topic, &mut reader).await?;
    ensure!(rest.is_empty(), "came again after a flush: {:?}", payloads(&rest));
    let mut expected: Vec<_> = (0..n)
        .flat_map(|n| (0..8).map(move |key| format!("k{key}:{n}")))
        .collect();
    expected.sort();
    ensure_eq!(there(lab, &other, &out).await?, expected, "the outputs");
    Ok(())
}

pub(crate) async fn a_seek_may_be_given_up_anywhere(lab: &Lab) -> Proof {
    let bus = stopping(lab).await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("old", 4, 40)).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let control = reader.control();
    lab.each(&mut reader, 40, |_| Ok(())).await?;
    let (mut moments, mut n) = (Moments::all(), 0);
    while moments.more()? {
        let seek = control.seek(Start::Earliest);
        moments.call(lab, "a seek", seek).await?;
        // The later of two wins, whoever waited for the first.
        lab.within("seeking", control.seek(Start::Latest)).await??;
        let new = unkeyed(&format!("new{n}"), 4, 8);
        lab.store(&bus, topic.name(), new.clone()).await?;
        let mut came = Vec::new();
        let look = |d: &Delivery<Bytes>| {
            came.push(id_of(d.payload()).to_string());
            Ok(())
        };
        lab.each(&mut reader, 8, look).await?;
        came.sort();
        ensure_eq!(
            came,
            names(&new),
            "what follows a seek to the end, after one that was given up"
        );
        n += 1;
    }
    Ok(lab.within("closing", reader.close()).await??)
}

pub(crate) async fn a_drain_may_be_given_up_anywhere(lab: &Lab) -> Proof {
    let (bus, other) = (stopping(lab).await?, lab.bus().await?);
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let (mut owed, mut n) = (BTreeSet::new(), 0);
    for by in ["a handle", "itself"] {
        let mut moments = Moments::all();
        while moments.more()? {
            let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
            let new = unkeyed(&format!("m{n}"), 4, 8);
            owed.extend(names(&new));
            lab.store(&other, topic.name(), new).await?;
            let out = lab.take(&mut reader, owed.len()).await?;
            ensure_eq!(
                payloads(&out),
                owed.iter().cloned().collect::<Vec<_>>(),
                "what comes after a drain by {by} that was given up"
            );
            let mut held = Vec::new();
            for (number, delivery) in out.into_iter().enumerate() {
                if number % 2 == 0 {
                    held.push(delivery);
                } else {
                    owed.remove(&*id_of(delivery.payload()));
                    delivery.ack();
                }
            }
            if by == "a handle" {
                let control = reader.control();
                let drain = control.drain(Duration::ZERO);
                moments.call(lab, "a drain", drain).await?;
                lab.within("draining again", control.drain(Duration::ZERO))
                    .await??;
            } else {
                let drain = reader.drain(Duration::ZERO);
                moments.call(lab, "a drain", drain).await?;
            }
            n += 1;
        }
    }
    Ok(lab.within("closing a bus", bus.close()).await??)
}
