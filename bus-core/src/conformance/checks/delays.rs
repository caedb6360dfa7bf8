//! Messages that wait: never early, in order, whatever happens to whoever moves them.

use crate::{
    Bus, Delivery, ErrorKind, Message, Publisher, PublisherExt, Raw, Subscription,
    conformance::{
        Failure, History, Lab, Proof, checkers,
        lab::Feed,
        member::Act,
        work::{id_of, keyed, messages, names, stored, unkeyed},
    },
};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    future::IntoFuture,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// Where the delays of a topic wait.
pub(crate) fn waiting(topic: &Feed) -> String {
    format!("{}.delay", topic.name())
}

/// How long delays of this length may take to arrive: whoever moves them may have to join, and more than once.
fn slow(lab: &Lab, wait: Duration) -> Duration {
    lab.takeover() + wait + Duration::from_secs(5)
}

/// By payload, when each may come.
type Due = HashMap<String, Instant>;

/// Looks at when they come, and that all of them do and nothing else.
async fn arrive(lab: &Lab, reader: &mut Subscription<Bytes, Raw>, due: &Due) -> Proof {
    let last = due.values().max().copied().unwrap_or_else(Instant::now);
    let mut missing: HashSet<&str> = due.keys().map(|id| &**id).collect();
    while !missing.is_empty() {
        let limit = slow(lab, last.saturating_duration_since(Instant::now()));
        let next = lab.within_time(limit, "the next delivery", reader.next()).await;
        let next =
            next.map_err(|f| f.context(format_args!("{} of {} are missing", missing.len(), due.len())))?;
        let delivery = next.ok_or_else(|| Failure::new("the subscription ended"))??;
        let (now, id) = (Instant::now(), id_of(delivery.payload()));
        let Some(due) = due.get(&*id) else {
            return Err(Failure::new(format_args!("{id:?} was never sent")));
        };
        ensure!(now >= *due, "{id:?} came {:?} too early", *due - now);
        missing.remove(&*id);
        delivery.ack();
    }
    Ok(())
}

pub(crate) async fn a_delayed_message_is_never_early(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let mut due = Due::new();
    for (n, wait) in [0, 120, 900, 1_000, 1_400, 2_000, 2_700, 3_300]
        .into_iter()
        .enumerate()
    {
        let wait = Duration::from_millis(wait);
        for way in ["delay", "at"] {
            let id = format!("{way}:{n}");
            due.insert(id.clone(), Instant::now() + wait);
            let publish = bus.publish_message(topic.name(), Message::new(id));
            let publish = match way {
                "delay" => publish.delay(wait),
                _ => publish.at(SystemTime::now() + wait),
            };
            stored(lab.within("publishing", publish.into_future()).await?)?;
        }
    }
    arrive(lab, &mut reader, &due).await
}

pub(crate) async fn every_path_may_be_delayed(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let (topic, from) = (lab.topic(&bus, "t", 4).await?, lab.topic(&bus, "from", 4).await?);
    let mut arriving = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let wait = Duration::from_millis(2_500);
    let due = Instant::now() + wait;
    let delayed = |id: &str| Message::new(id.to_owned()).delay(wait);
    let at_once = Message::new("at once");
    let batch = vec![delayed("batch"), at_once, delayed("batch too")];
    let receipts = lab.store(&bus, topic.name(), batch).await?;
    ensure_eq!(receipts.len(), 3, "receipts of a batch");
    lab.within("enqueueing", bus.enqueue(topic.name(), delayed("enqueued")))
        .await??;
    let publisher: Arc<dyn Publisher> = Arc::new(bus.clone());
    let publish = publisher.publish_message(topic.name(), delayed("through a publisher"));
    stored(lab.within("publishing", publish.into_future()).await?)?;
    lab.store_one(&bus, from.name(), Message::new("x")).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &from, &lab.group("from"))).await?;
    let origin = lab.next(&mut reader).await?;
    // To a topic of which this bus knows nothing yet, and to one that it knows.
    let other = lab.topic(&bus, "other", 4).await?;
    let mut elsewhere = lab.join(lab.subscribe(&bus, &other, &lab.group("other"))).await?;
    origin.ack_with([
        (other.name(), delayed("first output")),
        (topic.name(), delayed("output")),
    ])?;
    let names = ["batch", "batch too", "enqueued", "output", "through a publisher"];
    let mut expected: Due = names.into_iter().map(|id| (id.to_owned(), due)).collect();
    expected.insert("at once".to_owned(), Instant::now());
    arrive(lab, &mut arriving, &expected).await?;
    arrive(lab, &mut elsewhere, &[("first output".to_owned(), due)].into()).await?;
    Ok(lab.within("closing", reader.close()).await??)
}

pub(crate) async fn equal_delays_keep_the_order_of_a_key(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let history = Arc::new(History::default());
    // At the edge of a tier, so that what the clock says in between would part them.
    let wait = Duration::from_secs(2);
    let steady = messages(20, 600);
    for batch in steady.chunks(60) {
        let batch = batch.iter().cloned().map(|m| m.delay(wait)).collect();
        lab.publish(&bus, topic.name(), &history, batch).await?;
    }
    let subscribe = lab.subscribe(&bus, &topic, &lab.group("g"));
    let member = lab
        .member(subscribe, (0, 4), &history, async |_| Act::Ack)
        .await?;
    lab.until_for(
        slow(lab, wait),
        &history,
        "600 delayed messages are acknowledged",
        |h| h.tally().acked == 600,
    )
    .await?;
    member.close(lab).await?;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_delay_survives_its_owner(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let wait = Duration::from_secs(3);
    let mut due = Due::new();
    for n in 0..40 {
        let message = keyed("k", n).delay(wait);
        due.insert(
            String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned(),
            Instant::now() + wait,
        );
        lab.store_one(&first, topic.name(), message).await?;
    }
    // Whoever moves them owns the tiers, and is killed before their time comes.
    let group = waiting(&topic);
    lab.poll("the tiers are owned", async || {
        let found = first.admin().group(&group).await;
        Ok(found.is_ok_and(|g| g.members.iter().any(|m| !m.partitions.is_empty())))
    })
    .await?;
    first.crash_movers();
    let mut reader = lab.join(lab.subscribe(&second, &topic, &lab.group("g"))).await?;
    arrive(lab, &mut reader, &due).await
}

pub(crate) async fn many_may_wait_at_once(lab: &Lab) -> Proof {
    const COUNT: usize = 50_000;
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 8).await?;
    let history = Arc::new(History::default());
    let wait = |n: usize| Duration::from_millis(1_000 + (n % 5) as u64 * 900);
    for (at, batch) in messages(500, COUNT).chunks(500).enumerate() {
        let batch = batch.iter().cloned().map(|m| m.delay(wait(at))).collect();
        lab.publish(&bus, topic.name(), &history, batch).await?;
    }
    let subscribe = lab.subscribe(&bus, &topic, &lab.group("g"));
    let member = lab
        .member(subscribe, (0, 8), &history, async |_| Act::Ack)
        .await?;
    lab.until_for(
        slow(lab, wait(4)),
        &history,
        "all delayed messages are acknowledged",
        |h| h.tally().acked == COUNT,
    )
    .await?;
    member.close(lab).await?;
    let happenings = history.happenings();
    checkers::lost(&happenings)?;
    checkers::duplicated(&happenings)?;
    let held = bus.most_delayed_in_memory();
    ensure!(
        (1..=18 * 128).contains(&held),
        "{held} of {COUNT} delayed messages were in memory at once"
    );
    Ok(lab.within("closing the bus", bus.close()).await??)
}

pub(crate) async fn delayed_bytes_are_unaltered(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    // An hour ago, which every topic allows.
    let stamp = now.as_millis() as i64 - 3_600_000;
    let mut odd = Message::new(&b"\xff\x00\r\n"[..])
        .keyed(&b"\xfe"[..])
        .header("a", "1")
        .header("a", &b"\xff"[..]);
    odd.headers.push_null("a");
    let sent = [
        odd,
        Message::tombstone().keyed(""),
        Message::new("").to_partition(3).timestamp(stamp),
        Message::new("both")
            .keyed("k")
            .to_partition(2)
            .header("bus-origin-id", "mine"),
    ];
    let wait = Duration::from_millis(1_100);
    for message in sent.iter().cloned() {
        lab.store_one(&bus, topic.name(), message.delay(wait)).await?;
    }
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    tokio::time::sleep(wait).await;
    let mut arrived = lab.take(&mut reader, sent.len()).await?;
    arrived.sort_by_key(|d| {
        sent.iter()
            .position(|m| (m.key.as_deref(), m.payload.as_deref()) == (d.key(), d.payload()))
    });
    for (at, (sent, came)) in sent.iter().zip(&arrived).enumerate() {
        same(sent, came).map_err(|f| f.context(format_args!("message {at}")))?;
    }
    arrived.into_iter().for_each(Delivery::ack);
    Ok(lab.within("closing", reader.close()).await??)
}

/// Compares what was sent with what came; the bus adds where it first waited.
fn same(sent: &Message, came: &Delivery<Bytes>) -> Proof {
    ensure_eq!(
        (came.key(), came.payload()),
        (sent.key.as_deref(), sent.payload.as_deref()),
        "key and payload"
    );
    let headers = came.headers().to_owned();
    let (own, added): (Vec<_>, Vec<_>) = headers
        .iter()
        .enumerate()
        .partition(|(at, _)| *at < sent.headers.len());
    ensure_eq!(
        own.into_iter().map(|(_, h)| h).collect::<Vec<_>>(),
        sent.headers.iter().collect::<Vec<_>>(),
        "the headers"
    );
    let added: Vec<_> = added.into_iter().map(|(_, (name, _))| name).collect();
    let known = sent.headers.contains("bus-origin-id");
    ensure_eq!(
        added,
        if known {
            vec![]
        } else {
            vec![&b"bus-origin-id"[..]]
        },
        "headers that were added"
    );
    let partitions = 4;
    let expected = match (&sent.partition, &sent.key) {
        (Some(partition), _) => Some(*partition),
        (None, Some(key)) => Some(crate::partition::Partitioner::Murmur2.partition(key, partitions)),
        (None, None) => None,
    };
    ensure_eq!(
        Some(came.partition()),
        expected.or(Some(came.partition())),
        "the partition"
    );
    match sent.timestamp {
        Some(stamp) => ensure_eq!(came.timestamp(), stamp, "the timestamp"),
        None => {
            let now = crate::clock::millis();
            ensure!(
                (now - came.timestamp()).abs() < 600_000,
                "the timestamp is {}, now is {now}",
                came.timestamp()
            );
        }
    }
    Ok(())
}

pub(crate) async fn a_delay_to_a_missing_topic_is_typed(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let missing = lab.name("missing");
    let publish = bus
        .publish_message(&missing, Message::new("x"))
        .delay(Duration::from_secs(1));
    let outcome = lab.within("publishing", publish.into_future()).await?;
    let Err(unsent) = outcome else {
        return Err(Failure::new("a delayed message for a missing topic was stored"));
    };
    ensure_eq!(
        (unsent.error().kind(), unsent.is_unknown()),
        (ErrorKind::TopicMissing, false),
        "the error"
    );
    ensure!(
        unsent.error().message().contains(&missing),
        "the error does not name the topic: {unsent}"
    );
    let topic = lab.topic(&bus, "t", 4).await?;
    // Where it may not be made, what is missing is named, and how to make it.
    bus.create_delay_topics(false);
    let publish = bus
        .publish_message(topic.name(), Message::new("x"))
        .delay(Duration::from_secs(1));
    let Err(unsent) = lab.within("publishing", publish.into_future()).await? else {
        return Err(Failure::new("a delayed message was stored nowhere"));
    };
    let command = format!("bus topics create {} --partitions 18", waiting(&topic));
    ensure_eq!(unsent.error().kind(), ErrorKind::TopicMissing, "the error");
    ensure!(
        unsent.error().message().contains(&command),
        "the error does not say `{command}`: {unsent}"
    );
    let topics = lab.within("listing topics", bus.admin().topics()).await??;
    let made = topics
        .iter()
        .find(|t| t.name.ends_with(".delay") && t.name.starts_with(&*lab.name("")));
    ensure!(made.is_none(), "{made:?} was created unasked");
    Ok(())
}

/// A topic that was deleted before the delayed messages for it were due. Where they were due first, because the machine
/// is slow, they have arrived and say nothing: then once more, with more time.
async fn deleted_before_due(lab: &Lab, bus: &Bus, sent: &[Message]) -> Result<Feed, Failure> {
    for (round, seconds) in [2, 4, 8, 16].into_iter().enumerate() {
        let gone = lab.topic(bus, &format!("gone{round}"), 4).await?;
        let wait = Duration::from_secs(seconds);
        let due = Instant::now() + wait;
        let batch = sent.iter().cloned().map(|m| m.delay(wait)).collect();
        lab.store(bus, gone.name(), batch).await?;
        lab.within("deleting a topic", bus.admin().delete(gone.name()))
            .await??;
        // Not everybody hears of it at once.
        if Instant::now() + wait / 2 < due {
            return Ok(gone);
        }
    }
    Err(Failure::new("no topic could be deleted within 16 s of a publish"))
}

pub(crate) async fn what_the_target_refuses_is_kept(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let sent: Vec<_> = unkeyed("m", 4, 5);
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let gone = deleted_before_due(lab, &bus, &sent).await?;
    let wait = Duration::from_secs(2);
    let due = Instant::now() + wait;
    let expected: Due = names(&sent).into_iter().map(|id| (id, due)).collect();
    let batch = sent.iter().cloned().map(|m| m.delay(wait)).collect();
    lab.store(&bus, topic.name(), batch).await?;
    arrive(lab, &mut reader, &expected).await?;
    // Those of the topic that is gone are dead letters of its delays.
    let letters: Feed = crate::Topic::named(format!("{}.dlq", waiting(&gone))).partitions(18);
    lab.poll("there are dead letters of delays", async || {
        let topics = bus.admin().topics().await?;
        Ok(topics.iter().any(|t| *t.name == *letters.name()))
    })
    .await?;
    let mut reader = lab.join(bus.observe(&letters)).await?;
    let found = lab.take(&mut reader, sent.len()).await?;
    for letter in &found {
        let reason = letter.headers().text("bus-error").unwrap_or_default().to_owned();
        ensure!(
            reason.contains(gone.name()),
            "the reason does not name the topic: {reason}"
        );
    }
    ensure_eq!(
        crate::conformance::member::payloads(&found),
        names(&sent),
        "dead letters"
    );
    Ok(())
}
