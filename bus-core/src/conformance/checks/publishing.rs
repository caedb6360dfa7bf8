//! What is published is stored, once, and in the order of the calls.

use crate::{
    Delivery,
    conformance::{
        Failure, History, Lab, Proof, checkers,
        member::{Act, payloads},
        work::{id_of, keyed, messages, stored, unkeyed},
    },
};
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use std::{collections::HashMap, future::IntoFuture, sync::Arc};

pub(crate) async fn published_is_delivered(lab: &Lab) -> Proof {
    let (here, there) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&here, "t", 4).await?;
    let sent: Vec<_> = (0..100)
        .map(|n| keyed(format_args!("k{}", n % 10), n).header("number", n.to_string()))
        .collect();
    lab.store(&here, topic.name(), sent.clone()).await?;
    let mut subscription = lab.join(lab.subscribe(&there, &topic, &lab.group("g"))).await?;
    let mut missing: HashMap<_, _> = sent.into_iter().map(|m| (m.payload.clone(), m)).collect();
    let look = |delivery: &Delivery<Bytes>| {
        let sent = missing.remove(&Some(delivery.value().clone()));
        let sent = sent.ok_or_else(|| Failure::new(format_args!("{delivery:?} came unasked or twice")))?;
        ensure_eq!(delivery.key(), sent.key.as_deref(), "the key");
        ensure_eq!(delivery.headers().to_owned(), sent.headers, "the headers");
        ensure_eq!(delivery.topic(), topic.name(), "the topic");
        ensure_eq!(delivery.attempt(), 1, "the attempt");
        Ok(())
    };
    lab.each(&mut subscription, 100, look).await?;
    Ok(lab.within("closing", subscription.close()).await??)
}

pub(crate) async fn many_publishers_many_subscribers(lab: &Lab) -> Proof {
    let (near, far) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&near, "t", 12).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let mut members = Vec::new();
    for member in 0..10 {
        let bus = if member % 2 == 0 { &near } else { &far };
        let ack = |_| async { Act::Ack };
        members.push(
            lab.member(lab.subscribe(bus, &topic, &group), (member, 2), &history, ack)
                .await?,
        );
    }
    let publish = |publisher: usize| {
        let batch = (0..100).map(|n| keyed(format_args!("p{publisher}"), n)).collect();
        lab.publish(
            if publisher.is_multiple_of(2) { &near } else { &far },
            topic.name(),
            &history,
            batch,
        )
    };
    for outcome in join_all((0..50).map(publish)).await {
        outcome?;
    }
    lab.until(&history, "5000 messages are acknowledged", |h| {
        h.tally().acked == 5000
    })
    .await?;
    for closed in join_all(members.into_iter().map(|member| member.close(lab))).await {
        closed?;
    }
    checkers::all(&history.happenings())
}

pub(crate) async fn bulk_publish(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let history = Arc::new(History::default());
    let publish = |publisher: usize| {
        let batch = (0..500).map(|n| keyed(format_args!("p{publisher}"), n)).collect();
        lab.publish(&bus, topic.name(), &history, batch)
    };
    for outcome in join_all((0..20).map(publish)).await {
        outcome?;
    }
    let ack = |_| async { Act::Ack };
    let member = lab
        .member(
            lab.subscribe(&bus, &topic, &lab.group("g")),
            (0, 1),
            &history,
            ack,
        )
        .await?;
    lab.until(&history, "10000 messages are acknowledged", |h| {
        h.tally().acked == 10_000
    })
    .await?;
    member.close(lab).await?;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_fresh_topic_loses_nothing(lab: &Lab) -> Proof {
    // The first batch of a publisher, to a topic that was made a moment ago, is a race of its own on some servers.
    let round = async |number: usize| {
        let bus = lab.bus().await?;
        for again in 0..5 {
            let topic = lab.topic(&bus, &format!("t{number}.{again}"), 4).await?;
            let sent = unkeyed("m", 4, 40);
            lab.store(&bus, topic.name(), sent).await?;
            let mut reader = lab.join(bus.observe(&topic)).await?;
            let rest = lab.rest(&bus, &topic, &mut reader).await?;
            ensure_eq!(
                rest.len(),
                40,
                "messages of 40 that were confirmed: {:?}",
                payloads(&rest)
            );
        }
        Proof::Ok(())
    };
    try_join_all((0..5).map(round)).await.map(drop)
}

pub(crate) async fn publishes_keep_their_order(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let history = Arc::new(History::default());
    // All under way before the first answer, and then answered in reverse.
    let mut pending = Vec::new();
    for message in messages(3, 600) {
        let (id, key) = (id_of(message.payload.as_deref()), id_of(message.key.as_deref()));
        history.add(&id, &Some(key), crate::conformance::What::Published);
        pending.push(bus.publish_message(topic.name(), message).into_future());
    }
    pending.reverse();
    for outcome in lab.within("600 publishes", join_all(pending)).await? {
        stored(outcome)?;
    }
    let ack = |_| async { Act::Ack };
    let member = lab
        .member(
            lab.subscribe(&bus, &topic, &lab.group("g")),
            (0, 1),
            &history,
            ack,
        )
        .await?;
    lab.until(&history, "600 messages are acknowledged", |h| {
        h.tally().acked == 600
    })
    .await?;
    member.close(lab).await?;
    checkers::all(&history.happenings())
}
