//! The count of attempts: what raises it, what does not, and what it survives.

use crate::{
    Delivery, Retry,
    conformance::{
        History, Lab, Proof, checkers,
        checks::settling::payload_number,
        member::Act,
        work::{id_of, keyed, messages, unkeyed},
    },
};
use std::{sync::Arc, time::Duration};

const SOON: Retry = Retry::fixed(Duration::from_millis(20)).forever();

pub(crate) async fn attempts_survive_a_restart(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 12)).await?;
    let mut reader = lab
        .join(lab.subscribe(&first, &topic, &group).retry(SOON))
        .await?;
    let mut held = Vec::new();
    while held.len() < 4 {
        let delivery = lab.next(&mut reader).await?;
        match payload_number(&delivery)? {
            // The second of each partition fails twice and is out a third time.
            4..=7 if delivery.attempt() == 3 => held.push(delivery),
            4..=7 => delivery.nack(),
            _ => delivery.ack(),
        }
    }
    lab.within("draining", reader.drain(Duration::ZERO)).await??;
    drop(held);
    let mut reader = lab
        .join(lab.subscribe(&second, &topic, &group).retry(SOON))
        .await?;
    let rest = lab.rest(&second, &topic, &mut reader).await?;
    let attempts: Vec<_> = rest.iter().map(Delivery::attempt).collect();
    ensure_eq!(
        attempts,
        [3; 4],
        "the attempts of what was out for the third time when its member closed"
    );
    Ok(())
}

pub(crate) async fn stored_attempts_survive_a_crash(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 4)).await?;
    let mut reader = lab.join(lab.subscribe(&first, &topic, &group)).await?;
    for delivery in lab.take(&mut reader, 4).await? {
        delivery.nack_after(Duration::from_millis(10));
    }
    // Out again as attempt 2, so the failures are known to the flow; then they are stored.
    let out = lab.take(&mut reader, 4).await?;
    lab.within("a flush", reader.flush()).await??;
    reader.control().abort();
    let mut reader = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    let rest = lab.take(&mut reader, 4).await?;
    let attempts: Vec<_> = rest.iter().map(Delivery::attempt).collect();
    ensure_eq!(
        attempts,
        [2; 4],
        "the attempts of what had failed once when its member crashed"
    );
    drop(out);
    Ok(())
}

pub(crate) async fn attempts_survive_a_handover(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    // The one fails everything, the other nothing, while partitions move from one to the other.
    let member_of = |bus, number| {
        let handler = move |_| async move {
            if number == 0 {
                Act::NackAfter(Duration::from_millis(200))
            } else {
                Act::Ack
            }
        };
        lab.member(
            lab.subscribe(bus, &topic, &group).retry(SOON),
            (number, 8),
            &history,
            handler,
        )
    };
    lab.publish(&first, topic.name(), &history, messages(16, 16))
        .await?;
    let leaving = member_of(&first, 0).await?;
    lab.until(&history, "16 nacks", |h| h.tally().nacked >= 16)
        .await?;
    let staying = member_of(&second, 1).await?;
    let what = "an ack of the member that joined";
    lab.within_time(lab.patience() * 2, what, history.reaches(|h| h.tally().acked > 0))
        .await?;
    leaving.close(lab).await?;
    lab.until(&history, "16 messages are acknowledged", |h| {
        h.tally().acked == 16
    })
    .await?;
    staying.close(lab).await?;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_dropped_delivery_is_a_nack(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), vec![keyed("k", 0), keyed("k", 1)])
        .await?;
    let mut reader = lab
        .join(
            lab.subscribe(&bus, &topic, &lab.group("g"))
                .retry(Retry::fixed(Duration::from_millis(500))),
        )
        .await?;
    drop(lab.next(&mut reader).await?);
    for expected in [("k:0", 2), ("k:1", 1)] {
        let delivery = lab.next(&mut reader).await?;
        ensure_eq!(
            (&*id_of(delivery.payload()), delivery.attempt()),
            expected,
            "message and attempt"
        );
        delivery.ack();
    }
    Ok(())
}

pub(crate) async fn returned_while_draining_is_no_failure(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 4)).await?;
    let mut reader = lab.join(lab.subscribe(&first, &topic, &group)).await?;
    let out = lab.take(&mut reader, 4).await?;
    let control = reader.control();
    // Commands are carried out in the order of the calls: once the flush is answered, the drain has begun.
    let dropping = async {
        let _ = control.flush().await;
        drop(out);
    };
    let both = async { tokio::join!(biased; control.drain(lab.patience()), dropping).0 };
    lab.within("draining", both).await??;
    let mut reader = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    let attempts: Vec<_> = lab
        .take(&mut reader, 4)
        .await?
        .iter()
        .map(Delivery::attempt)
        .collect();
    ensure_eq!(
        attempts,
        [1; 4],
        "the attempts of what was dropped during a drain"
    );
    Ok(())
}
