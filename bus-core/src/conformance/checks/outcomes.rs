//! Every message has its own outcome, and the outcome is true.

use crate::{
    Bus, Delivery, ErrorKind, Message, Outcome, Receipt, Unsent,
    conformance::{
        Failure, Lab, Proof,
        checks::commits::left,
        lab::Feed,
        member::payloads,
        work::{id_of, messages, stored, unkeyed},
    },
};
use bytes::Bytes;
use std::{collections::HashMap, future::IntoFuture, time::Duration};

pub(crate) async fn batch_outcomes(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let large = vec![0; bus.backend().limits().message + 1];
    let batch = vec![
        Message::new("first").to_partition(0),
        Message::new(large).to_partition(0),
        Message::new("third").to_partition(0),
        Message::new("nowhere").to_partition(4),
        Message::new("fifth").to_partition(0),
    ];
    let outcomes = lab
        .within("publishing", bus.publish_batch(topic.name(), batch))
        .await?;
    ensure_eq!(outcomes.len(), 5, "outcomes");
    for (at, outcome) in outcomes.into_iter().enumerate() {
        let expected = match at {
            1 => ErrorKind::TooLarge,
            3 => ErrorKind::Invalid,
            _ => {
                let receipt = stored(outcome).map_err(|f| f.context(format_args!("message {at}")))?;
                ensure_eq!(receipt.partition, 0, "the partition of message {at}");
                continue;
            }
        };
        let Err(unsent) = outcome else {
            return Err(Failure::new(format_args!(
                "message {at} was stored; expected {expected:?}"
            )));
        };
        ensure_eq!(unsent.error().kind(), expected, "the error of message {at}");
        ensure!(
            !unsent.is_unknown(),
            "message {at} cannot be stored, and its outcome says unknown: {unsent}"
        );
    }
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure_eq!(payloads(&rest), ["fifth", "first", "third"], "what is stored");
    Ok(())
}

pub(crate) async fn enqueue_and_flush(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    for message in messages(10, 1000) {
        lab.within("enqueueing", bus.enqueue(topic.name(), message))
            .await??;
    }
    let unconfirmed = lab.within("flushing", bus.flush(lab.patience())).await??;
    ensure_eq!(unconfirmed.messages, 0, "messages that were not stored");
    let mut reader = lab
        .join(lab.subscribe(&bus, &topic, &lab.group("g")).in_flight(2000))
        .await?;
    let mut next: HashMap<_, usize> = HashMap::new();
    for _ in 0..1000 {
        let delivery = lab.next(&mut reader).await?;
        let next = next.entry(id_of(delivery.key())).or_default();
        let expected = format!("{}:{next}", id_of(delivery.key()));
        ensure_eq!(
            &*id_of(delivery.payload()),
            expected,
            "the next message of the key"
        );
        *next += 1;
        delivery.ack();
    }
    let large = Message::new(vec![0; bus.backend().limits().message + 1]);
    lab.within("enqueueing", bus.enqueue(topic.name(), large))
        .await??;
    let unconfirmed = lab.within("flushing", bus.flush(lab.patience())).await??;
    ensure_eq!(unconfirmed.messages, 1, "messages that were not stored");
    let kinds: Vec<_> = unconfirmed
        .errors
        .iter()
        .map(|(_, unsent)| unsent.error().kind())
        .collect();
    ensure_eq!(kinds, [ErrorKind::TooLarge], "why");
    let unconfirmed = lab.within("flushing", bus.flush(lab.patience())).await??;
    ensure_eq!(
        unconfirmed.messages,
        0,
        "messages that were not stored since the last flush"
    );
    Ok(())
}

pub(crate) async fn receipts_say_where(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let sent = messages(20, 100);
    let receipts = lab.store(&bus, topic.name(), sent.clone()).await?;
    let place = |(m, r): (Message, Receipt)| (m.payload.unwrap_or_default(), r);
    let mut places: HashMap<_, _> = sent.into_iter().zip(receipts).map(place).collect();
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let look = |delivery: &Delivery<Bytes>| {
        let seen = (delivery.partition(), Some(delivery.position()));
        let receipt = places.remove(delivery.value());
        ensure_eq!(
            receipt.map(|r| (r.partition, r.position)),
            Some(seen),
            "where {delivery:?} was stored"
        );
        Ok(())
    };
    lab.each(&mut reader, 100, look).await
}

pub(crate) async fn a_dropped_publish_cancels_nothing(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    // Through the bus, and through the driver's own publisher.
    let publisher = lab.within("a publisher", bus.backend().publisher()).await??;
    for (number, message) in messages(10, 100).into_iter().enumerate() {
        match number % 2 {
            0 => drop(bus.publish_message(topic.name(), message).into_future()),
            _ => drop(publisher.publish_batch(topic.name(), vec![message])),
        }
    }
    let mut expected: Vec<_> = messages(10, 100)
        .iter()
        .map(|m| id_of(m.payload.as_deref()).to_string())
        .collect();
    expected.sort();
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let mut seen = Vec::new();
    while seen.len() < 100 {
        let delivery = lab.next(&mut reader).await?;
        seen.push(id_of(delivery.payload()).to_string());
        delivery.ack();
    }
    seen.extend(payloads(&lab.rest(&bus, &topic, &mut reader).await?));
    seen.sort();
    ensure_eq!(
        seen,
        expected,
        "what arrived of 100 publishes whose futures were dropped"
    );
    Ok(())
}

pub(crate) async fn given_up_publishes_keep_no_room(lab: &Lab) -> Proof {
    // More than may be in flight at once, so that the last have to wait for the room of the first.
    let (batches, each) = (crate::gate::MESSAGES / 500 + 10, 500);
    let (bus, reader) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    // Somebody whose distance to the end tells how many were stored; he has room for none of them.
    let member = lab
        .join(lab.subscribe(&reader, &topic, &group).in_flight(1))
        .await?;
    super::start::owned(lab, &reader, &group, 4).await?;
    lab.within("draining", member.drain(Duration::ZERO)).await??;
    let publisher = lab.within("a publisher", bus.backend().publisher()).await??;
    for number in 0..batches {
        let batch = unkeyed(&format!("b{number}"), 4, each);
        match number % 2 {
            0 => drop(bus.publish_batch(topic.name(), batch)),
            _ => drop(publisher.publish_batch(topic.name(), batch)),
        }
    }
    lab.store_one(&bus, topic.name(), Message::new("last")).await?;
    for outcome in lab
        .within(
            "a raw publish",
            publisher.publish_batch(topic.name(), vec![Message::new("raw")]),
        )
        .await?
    {
        stored(outcome)?;
    }
    lab.within("closing", bus.close()).await??;
    let expected = (batches * each + 2) as u64;
    let arrived = || async {
        let behind: u64 = left(lab, &reader, &group).await?.values().sum();
        ensure!(behind <= expected, "{behind} messages are stored of {expected}");
        Ok(behind == expected)
    };
    lab.poll(&format!("{expected} messages are stored"), arrived)
        .await
}

pub(crate) async fn a_closed_bus_refuses(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.within("enqueueing", bus.enqueue(topic.name(), Message::new("last")))
        .await??;
    let publisher = lab.within("a publisher", bus.backend().publisher()).await??;
    for _ in 0..2 {
        lab.within("closing", bus.close())
            .await?
            .map_err(|e| Failure::from(e).context("a close"))?;
        lab.within("closing", publisher.close())
            .await?
            .map_err(|e| Failure::from(e).context("a raw close"))?;
    }
    let refused = |outcomes: Vec<Result<Outcome, Unsent>>| {
        let closed = |o: &Result<_, Unsent>| {
            o.as_ref()
                .is_err_and(|u| u.error().kind() == ErrorKind::Closed && !u.is_unknown())
        };
        ensure!(
            outcomes.len() == 1 && outcomes.iter().all(closed),
            "publishing after close: {outcomes:?}"
        );
        Ok(())
    };
    refused(
        lab.within(
            "publishing",
            bus.publish_batch(topic.name(), vec![Message::new("x")]),
        )
        .await?,
    )?;
    refused(
        lab.within(
            "publishing",
            publisher.publish_batch(topic.name(), vec![Message::new("x")]),
        )
        .await?,
    )?;
    let enqueued = lab
        .within("enqueueing", bus.enqueue(topic.name(), Message::new("x")))
        .await?;
    ensure_eq!(
        enqueued.map_err(|e| e.kind()),
        Err(ErrorKind::Closed),
        "enqueueing after close"
    );
    stored_by_close(lab, &topic).await
}

/// What was enqueued before the close is stored.
async fn stored_by_close(lab: &Lab, topic: &Feed) -> Proof {
    let other: Bus = lab.bus().await?;
    let mut reader = lab.join(lab.subscribe(&other, topic, &lab.group("g"))).await?;
    ensure_eq!(
        payloads(&lab.rest(&other, topic, &mut reader).await?),
        ["last"],
        "what was stored"
    );
    Ok(())
}
