//! Messages that are given up: each ends once, with its bytes as they were and the reason beside them.

use crate::{
    Delivery, ErrorKind, Headers, Message, Order, Raw, Retry, Topic,
    conformance::{
        Failure, History, Lab, Proof, What, checkers,
        lab::Feed,
        member::{Act, Seen},
        work::{id_of, keyed, messages},
    },
};
use bytes::Bytes;
use std::{
    future::IntoFuture,
    sync::Arc,
    time::{Duration, SystemTime},
};

const THRICE: Retry = Retry::fixed(Duration::from_millis(20)).max_retries(2);

/// Reads a whole topic of dead letters.
pub(crate) async fn dead(lab: &Lab, topic: &str) -> Result<Vec<Delivery<Bytes>>, Failure> {
    let bus = lab.bus().await?;
    let topic: Feed = Topic::named(topic).partitions(4);
    // Without order, so that a second letter of a key does not wait for the ack of the first.
    let mut reader = lab.join(bus.observe(&topic).order(Order::None)).await?;
    lab.rest(&bus, &topic, &mut reader).await
}

/// What the bus wrote behind the headers that were there.
pub(crate) fn reasons(letter: &Delivery<Bytes>, own: &Headers) -> Result<Vec<(String, String)>, Failure> {
    let headers = letter.headers().to_owned();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let first: Vec<_> = headers.iter().take(own.len()).collect();
    ensure_eq!(
        first,
        own.iter().collect::<Vec<_>>(),
        "the headers that the message had"
    );
    let added = headers.iter().skip(own.len());
    Ok(added
        .map(|(name, value)| (text(name), text(value.unwrap_or_default())))
        .collect())
}

/// Compares what the bus wrote, the time apart, which has to be about now.
fn compare(seen: &[(String, String)], expected: &[(&str, String)]) -> Proof {
    let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
    for (name, value) in expected {
        let found = seen.iter().find(|(seen, _)| seen == name).map(|(_, value)| value);
        ensure_eq!(found, Some(value), "header `{name}` among {names:?}");
    }
    let time = seen
        .iter()
        .find(|(name, _)| name == "bus-time")
        .and_then(|(_, t)| t.parse::<u64>().ok());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64;
    ensure!(
        time.is_some_and(|t| t.abs_diff(now) < 600_000),
        "header `bus-time` is {time:?}, now is {now}"
    );
    ensure_eq!(
        seen.len(),
        expected.len() + 1,
        "headers that were added: {names:?}"
    );
    Ok(())
}

fn expected(
    topic: &Feed,
    group: &str,
    (partition, position): (u32, u128),
    why: [&str; 3],
) -> Vec<(&'static str, String)> {
    let position = crate::position::format(position);
    let [reason, error, attempts] = why.map(str::to_owned);
    vec![
        (
            "bus-origin-id",
            format!("{}/{partition}/{position}", topic.name()),
        ),
        ("bus-reason", reason),
        ("bus-error", error),
        ("bus-attempts", attempts),
        ("bus-origin-topic", topic.name().to_owned()),
        ("bus-origin-partition", partition.to_string()),
        ("bus-origin-position", position),
        ("bus-group", group.to_owned()),
    ]
}

pub(crate) async fn exhausted_attempts_become_one_dead_letter(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let mut sent = Message::new(&b"\xff\x00raw"[..])
        .keyed(&b"\xfekey"[..])
        .header("h", "1")
        .header("h", &b"\xff"[..]);
    sent.headers.push_null("h");
    let receipt = lab.store_one(&bus, topic.name(), sent.clone()).await?;
    let mut reader = lab.join(bus.subscribe(&topic, &group).retry(THRICE)).await?;
    let mut position = 0;
    for attempt in 1..=3 {
        let delivery = lab.next(&mut reader).await?;
        ensure_eq!(
            (delivery.attempt(), delivery.is_last_attempt()),
            (attempt, attempt == 3),
            "the attempt"
        );
        position = delivery.position();
        delivery.fail(format_args!("boom {attempt}"));
    }
    lab.within("a flush", reader.flush()).await??;
    let letters = dead(lab, &format!("{}.{group}.dlq", topic.name())).await?;
    ensure_eq!(letters.len(), 1, "dead letters");
    let letter = &letters[0];
    ensure_eq!(
        (letter.key(), letter.payload()),
        (sent.key.as_deref(), sent.payload.as_deref()),
        "key and payload"
    );
    ensure_eq!(letter.partition(), receipt.partition, "the partition's number");
    let why = ["max-attempts", "boom 3", "3"];
    compare(
        &reasons(letter, &sent.headers)?,
        &expected(&topic, &group, (receipt.partition, position), why),
    )?;
    lab.within("closing", reader.close()).await??;
    let mut reader = lab.join(bus.subscribe(&topic, &group)).await?;
    let rest = lab.rest(&bus, &topic, &mut reader).await?;
    ensure!(rest.is_empty(), "the message came again after it was given up");
    Ok(())
}

pub(crate) async fn rejected_becomes_a_dead_letter_at_once(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (group, letters) = (lab.group("g"), lab.topic(&bus, "letters", 4).await?);
    let sent = [Message::tombstone().keyed("k"), keyed("k", 1)];
    let receipts = lab.store(&bus, topic.name(), sent.to_vec()).await?;
    let mut reader = lab
        .join(bus.subscribe(&topic, &group).dead_letter(letters.name()))
        .await?;
    let delivery = lab.next(&mut reader).await?;
    let position = delivery.position();
    delivery.reject("x".repeat(5000));
    let next = lab.next(&mut reader).await?;
    ensure_eq!(
        &*id_of(next.payload()),
        "k:1",
        "what follows the rejected message of the key"
    );
    next.ack();
    lab.within("a flush", reader.flush()).await??;
    let found = dead(lab, letters.name()).await?;
    ensure_eq!(found.len(), 1, "dead letters");
    ensure_eq!(found[0].payload(), None, "the payload of a tombstone");
    // Errors are bounded, so that a dead letter fits where its origin did.
    let error = "x".repeat(1024);
    let why = ["rejected", error.as_str(), "1"];
    let place = (receipts[0].partition, position);
    compare(
        &reasons(&found[0], &Headers::new())?,
        &expected(&topic, &group, place, why),
    )
}

pub(crate) async fn the_undecodable_neither_ends_nor_loops(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (group, bad) = (lab.group("g"), &b"\xc3\x28"[..]);
    let sent = vec![
        keyed("k", 0),
        Message::new(bad).keyed("k").header("h", "v"),
        keyed("k", 1),
    ];
    lab.store(&bus, topic.name(), sent).await?;
    let texts: Topic<String, Raw> = Topic::named(topic.name());
    let mut reader = lab
        .within("subscribing", bus.subscribe(&texts, &group).into_future())
        .await??;
    for expected in ["k:0", "k:1"] {
        let next = lab.within("the next delivery", reader.next()).await?;
        let delivery = next.ok_or_else(|| Failure::new("the subscription ended"))??;
        ensure_eq!(delivery.value(), expected, "the next that can be decoded");
        delivery.ack();
    }
    lab.within("a flush", reader.flush()).await??;
    let letters = dead(lab, &format!("{}.{group}.dlq", topic.name())).await?;
    ensure_eq!(letters.len(), 1, "dead letters");
    ensure_eq!(letters[0].payload(), Some(bad), "the payload's raw bytes");
    let own = Message::default().header("h", "v").headers;
    let added = reasons(&letters[0], &own)?;
    let reason = added
        .iter()
        .find(|(name, _)| name == "bus-reason")
        .map(|(_, reason)| reason.as_str());
    ensure_eq!(reason, Some("undecodable"), "the reason");
    Ok(())
}

pub(crate) async fn every_message_ends_once(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    lab.publish(&bus, topic.name(), &history, messages(20, 200))
        .await?;
    let fails = |id: &str| id.ends_with('3');
    let handler = move |seen: Seen| async move { if fails(&seen.id) { Act::Nack } else { Act::Ack } };
    let subscribe = bus.subscribe(&topic, &group).retry(THRICE);
    let member = lab.member(subscribe, (0, 8), &history, handler).await?;
    let done = |h: &History| (h.tally().acked, h.tally().nacked) == (180, 60);
    lab.until(&history, "180 messages are acknowledged and 20 given up", done)
        .await?;
    member.close(lab).await?;
    for letter in dead(lab, &format!("{}.{group}.dlq", topic.name())).await? {
        let (id, key) = (id_of(letter.payload()), id_of(letter.key()));
        history.add(&id, &Some(key), What::DeadLettered);
    }
    ensure_eq!(history.tally().dead, 20, "dead letters");
    checkers::all(&history.happenings())
}

pub(crate) async fn a_missing_dead_letter_topic_is_named(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let missing = format!("{}.{group}.dlq", topic.name());
    let subscribing = bus.subscribe(&topic, &group).create_topics(false).into_future();
    let Err(error) = lab.within("subscribing", subscribing).await? else {
        return Err(Failure::new("subscribed without a topic for dead letters"));
    };
    ensure_eq!(error.kind(), ErrorKind::TopicMissing, "the error");
    ensure!(
        error.message().contains(&missing),
        "the error does not name `{missing}`: {error}"
    );
    let topics = lab.within("listing topics", bus.admin().topics()).await??;
    ensure!(
        topics.iter().all(|t| *t.name != *missing),
        "`{missing}` was created unasked"
    );
    // By default it is made when the subscription begins, with as many partitions as the origin.
    let reader = lab.join(bus.subscribe(&topic, &group)).await?;
    let topics = lab.within("listing topics", bus.admin().topics()).await??;
    let found = topics.iter().find(|t| *t.name == *missing).map(|t| t.partitions);
    ensure_eq!(found, Some(4), "partitions of `{missing}`");
    Ok(lab.within("closing", reader.close()).await??)
}
