//! Messages that are worth nothing after a time.

use crate::{
    Expired, Message, Retry,
    conformance::{
        Lab, Proof,
        checks::dead_letters::{dead, reasons},
        work::{id_of, keyed},
    },
};
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);

/// Two of one key that are worth something, around one that is not.
fn around_an_expired_one() -> Vec<Message> {
    let now = SystemTime::now();
    vec![
        keyed("k", 0).expires(HOUR),
        keyed("k", 1).expires_at(now - Duration::from_secs(1)),
        keyed("k", 2),
    ]
}

pub(crate) async fn the_expired_is_not_delivered(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), around_an_expired_one()).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    for expected in ["k:0", "k:2"] {
        let delivery = lab.next(&mut reader).await?;
        ensure_eq!(&*id_of(delivery.payload()), expected, "what is not expired");
        delivery.ack();
    }
    ensure_eq!(
        reader.control().stats().expired,
        1,
        "messages that were counted as expired"
    );
    lab.within("closing", reader.close()).await??;
    // It is settled: nobody looks at it again.
    let deliver = lab.subscribe(&bus, &topic, &group).on_expired(Expired::Deliver);
    let mut reader = lab.join(deliver).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure_eq!(rest.len(), 0, "what came again after it had expired");
    Ok(())
}

pub(crate) async fn a_retry_does_not_outlive_its_expiry(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut reader = lab
        .join(
            lab.subscribe(&bus, &topic, &lab.group("g"))
                .retry(Retry::default().forever()),
        )
        .await?;
    // Everything is owned now, so that the first attempt is in time.
    lab.rest(&bus, &topic, &mut reader).await?;
    // A machine that stands still for seconds may not have begun in time, which says nothing: then the life is longer.
    let mut life = Duration::from_secs(4);
    let first = loop {
        let pair = vec![keyed("k", 0).expires(life), keyed("k", 1)];
        lab.store(&bus, topic.name(), pair).await?;
        let first = lab.next(&mut reader).await?;
        if &*id_of(first.payload()) == "k:0" {
            break first;
        }
        ensure_eq!(
            reader.control().stats().expired > 0,
            true,
            "the first came too late"
        );
        ensure_eq!(life < Duration::from_secs(60), true, "an attempt within its life");
        first.ack();
        life *= 4;
    };
    first.nack_after(life);
    let what = "what follows the expired message of the key";
    let next = lab
        .within_time(lab.patience() + life, what, reader.next())
        .await?;
    let next = next.ok_or_else(|| crate::conformance::Failure::new("the subscription ended"))??;
    ensure_eq!(
        (&*id_of(next.payload()), next.attempt()),
        ("k:1", 1),
        "what follows a message whose retry came too late"
    );
    next.ack();
    Ok(())
}

pub(crate) async fn the_expired_may_be_kept(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let sent = around_an_expired_one();
    lab.store(&bus, topic.name(), sent.clone()).await?;
    let keep = bus.subscribe(&topic, &group).on_expired(Expired::DeadLetter);
    let mut reader = lab.join(keep).await?;
    for expected in ["k:0", "k:2"] {
        let delivery = lab.next(&mut reader).await?;
        ensure_eq!(&*id_of(delivery.payload()), expected, "what is not expired");
        delivery.ack();
    }
    lab.within("closing", reader.close()).await??;
    let letters = dead(lab, &format!("{}.{group}.dlq", topic.name())).await?;
    ensure_eq!(letters.len(), 1, "dead letters");
    ensure_eq!(&*id_of(letters[0].payload()), "k:1", "the dead letter");
    let told = reasons(&letters[0], &sent[1].headers)?;
    for (name, value) in [("bus-reason", "expired"), ("bus-attempts", "0")] {
        let found = told.iter().find(|(n, _)| n == name).map(|(_, value)| &**value);
        ensure_eq!(found, Some(value), "header `{name}`");
    }
    Ok(())
}
