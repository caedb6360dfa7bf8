//! Codecs that have to fetch something first: what waits, what does not, and what becomes of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{every_backend, read, soon, text, unique, until};
use bus::{
    BoxFuture, Bus, Bytes, Codec, Encoded, Error, ErrorKind, Message, Need, Record, Result, Start, Topic,
    TopicSpec,
};
use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// What fetching is to answer, in turn; then that it is there.
#[derive(Debug, Default)]
struct Far {
    answers: Mutex<HashMap<u32, Vec<ErrorKind>>>,
    there: Mutex<HashSet<u32>>,
    fetched: AtomicUsize,
    decoded: AtomicUsize,
    open: Notify,
    closed: Mutex<bool>,
}

impl Far {
    async fn pass(&self) {
        loop {
            let opened = self.open.notified();
            if !*self.closed.lock().unwrap() {
                return;
            }
            opened.await;
        }
    }
    fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }
    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.open.notify_waiters();
    }
    fn fails(&self, id: u32, answers: &[ErrorKind]) {
        self.answers.lock().unwrap().insert(id, answers.to_vec());
    }
}

/// Text behind the number of what it takes to read it: `7 hello`.
#[derive(Clone, Debug, Default)]
struct Numbered(Arc<Far>);

impl Codec<String> for Numbered {
    fn encode(&self, text: &String) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }
    fn encode_for(&self, topic: &str, text: &String) -> Result<Encoded> {
        let Some(number) = text.strip_prefix("later ") else {
            return self.encode(text).map(Encoded::Now);
        };
        let id: u32 = number.split(' ').next().unwrap().parse().unwrap();
        if self.0.there.lock().unwrap().contains(&id) {
            return Ok(Encoded::Now(Bytes::copy_from_slice(number.as_bytes())));
        }
        let (far, payload) = (self.clone(), format!("{number} to {topic}"));
        Ok(Encoded::Later(Box::pin(async move {
            far.fetch(id).await?;
            assert_ne!(id, 13, "this one panics");
            Ok(payload.into())
        })))
    }
    fn decode(&self, record: &Record) -> Result<String> {
        self.0.decoded.fetch_add(1, Relaxed);
        let undecodable = || Error::new(ErrorKind::Undecodable, "no number");
        let text =
            String::from_utf8(record.payload().unwrap_or_default().to_vec()).map_err(|_| undecodable())?;
        let id: u32 = text
            .split(' ')
            .next()
            .and_then(|id| id.parse().ok())
            .ok_or_else(undecodable)?;
        match self.0.there.lock().unwrap().contains(&id) {
            true => Ok(text),
            false => Err(Error::needs(Need::Schema(id))),
        }
    }
    fn ready(&self, need: &Need) -> Option<BoxFuture<'static, Result<()>>> {
        let (far, id) = match need {
            Need::Schema(99) => return None,
            Need::Schema(id) => (self.clone(), *id),
            _ => return None,
        };
        Some(Box::pin(async move { far.fetch(id).await }))
    }
}

impl Numbered {
    async fn fetch(&self, id: u32) -> Result<()> {
        self.0.fetched.fetch_add(1, Relaxed);
        self.0.pass().await;
        let answer = self
            .0
            .answers
            .lock()
            .unwrap()
            .get_mut(&id)
            .and_then(|all| (!all.is_empty()).then(|| all.remove(0)));
        match answer {
            Some(kind) => Err(Error::new(kind, format!("no {id} here"))),
            None => {
                self.0.there.lock().unwrap().insert(id);
                Ok(())
            }
        }
    }
    fn fetched(&self) -> usize {
        self.0.fetched.load(Relaxed)
    }
}

async fn topic(bus: &Bus, codec: &Numbered) -> Topic<String, Numbered> {
    let topic = Topic::with_codec(unique("ready"), codec.clone());
    bus.ensure_topics([topic.spec()]).await.unwrap();
    topic
}

async fn publish(bus: &Bus, topic: &str, messages: &[(&str, &str)]) {
    let batch = messages
        .iter()
        .map(|(key, text)| Message::new(text.to_string()).keyed(key.to_string()));
    for outcome in bus.publish_batch(topic, batch.collect()).await {
        outcome.unwrap();
    }
}

/// The next delivery of a subscription as attempt and text, acknowledged.
async fn next(subscription: &mut bus::Subscription<String, Numbered>) -> (u32, String) {
    let delivery = soon("a delivery", subscription.next()).await.unwrap().unwrap();
    let seen = (delivery.attempt(), delivery.value().clone());
    delivery.ack();
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn others_go_on_while_the_head_of_a_key_waits_and_its_order_is_kept() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.there.lock().unwrap().insert(1);
        codec.0.close();
        let sent = [
            ("a", "7 first"),
            ("a", "1 second"),
            ("b", "1 other"),
            ("a", "7 third"),
        ];
        publish(&bus, topic.name(), &sent).await;
        let mut texts = bus.subscribe(&topic, "g").await.unwrap();
        assert_eq!(next(&mut texts).await, (1, "1 other".to_owned()), "{bus:?}");
        until("the wait is seen", || {
            bus.health().subscriptions.iter().any(|m| !m.awaits.is_empty())
        })
        .await;
        let awaited = bus.health().subscriptions[0].awaits[0].clone();
        assert_eq!(
            (awaited.need, awaited.messages, awaited.error),
            (Need::Schema(7), 1, None)
        );
        codec.0.open();
        // None of them has cost an attempt, and each was asked for once.
        for expected in ["7 first", "1 second", "7 third"] {
            assert_eq!(next(&mut texts).await, (1, expected.to_owned()), "{bus:?}");
        }
        assert_eq!(codec.fetched(), 1, "{bus:?}");
        assert!(bus.health().subscriptions[0].awaits.is_empty());
        soon("the end", texts.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_records_ask_once() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.close();
        let texts: Vec<_> = (0..300)
            .map(|n| (format!("{}", n % 100), format!("7 {n}")))
            .collect();
        let sent: Vec<_> = texts.iter().map(|(key, text)| (&**key, &**text)).collect();
        publish(&bus, topic.name(), &sent).await;
        let seen = apps::Seen::<String>::default();
        let all = seen.clone();
        let subscription = bus.subscribe(&topic, "g").await.unwrap();
        let control = subscription.control();
        let running = tokio::spawn(subscription.for_each(8, move |delivery| {
            all.push(delivery.value().clone());
            delivery.ack();
            async {}
        }));
        let waits = || {
            bus.health()
                .subscriptions
                .iter()
                .flat_map(|m| m.awaits.clone())
                .map(|a| a.messages)
                .sum()
        };
        until("all heads wait", || {
            let waiting: usize = waits();
            waiting == 100
        })
        .await;
        codec.0.open();
        let mut seen = seen.reach(300).await;
        assert_eq!(codec.fetched(), 1, "{bus:?}");
        // In the order of each key.
        for key in 0..100 {
            let of_key: Vec<_> = seen
                .iter()
                .filter(|t| number(t) % 100 == key)
                .map(|t| number(t))
                .collect();
            assert!(of_key.is_sorted(), "{bus:?} {of_key:?}");
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 300);
        soon("the end", control.drain(Duration::from_secs(30)))
            .await
            .unwrap();
        running.await.unwrap().unwrap();
    }
}

fn number(text: &str) -> usize {
    text.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_failure_is_waited_out_without_an_attempt() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.fails(7, &[ErrorKind::Unavailable; 4]);
        publish(&bus, topic.name(), &[("a", "7 x"), ("a", "7 y")]).await;
        let begun = std::time::Instant::now();
        let mut texts = bus.subscribe(&topic, "g").await.unwrap();
        assert_eq!(next(&mut texts).await, (1, "7 x".to_owned()), "{bus:?}");
        assert_eq!(next(&mut texts).await, (1, "7 y".to_owned()), "{bus:?}");
        // 0.1, 0.2, 0.4 and 0.8 s: no hot loop, neither of fetches nor of decoding.
        assert!(
            begun.elapsed() >= Duration::from_millis(1_500),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(codec.fetched(), 5, "{bus:?}");
        assert!(codec.0.decoded.load(Relaxed) < 20, "{:?}", codec.0.decoded);
        soon("the end", texts.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_never_come_is_a_dead_letter_with_its_bytes() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.fails(7, &[ErrorKind::Unavailable, ErrorKind::Invalid]);
        codec.0.there.lock().unwrap().insert(1);
        publish(
            &bus,
            topic.name(),
            &[("a", "7 x"), ("a", "1 y"), ("b", "99 z"), ("c", "broken")],
        )
        .await;
        let mut texts = bus.subscribe(&topic, "g").await.unwrap();
        assert_eq!(next(&mut texts).await, (1, "1 y".to_owned()), "{bus:?}");
        let mut letters = read(&bus, &format!("{}.g.dlq", topic.name()), 3).await;
        letters.sort_by_key(|letter| letter.key().map(<[u8]>::to_vec));
        let payloads: Vec<_> = letters.iter().map(|l| l.payload().unwrap()).collect();
        assert_eq!(payloads, [&b"7 x"[..], b"99 z", b"broken"], "{bus:?}");
        let reasons: Vec<_> = letters.iter().map(|l| text(l, "bus-reason").unwrap()).collect();
        assert_eq!(reasons, ["undecodable"; 3]);
        assert!(text(&letters[0], "bus-error").unwrap().contains("no 7 here"));
        assert!(text(&letters[1], "bus-error").unwrap().contains("schema 99"));
        soon("the end", texts.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_does_not_wait_for_what_waits() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.close();
        publish(&bus, topic.name(), &[("a", "7 x")]).await;
        let mut texts = bus.subscribe(&topic, "g").await.unwrap();
        tokio::select! {
            told = texts.next() => panic!("{bus:?} {told:?}"),
            () = until("it is asked for", || codec.fetched() == 1) => {}
        }
        let begun = std::time::Instant::now();
        soon("the end", texts.drain(Duration::from_secs(30)))
            .await
            .unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(25),
            "{bus:?} {:?}",
            begun.elapsed()
        );
        // It comes again as the first attempt.
        codec.0.open();
        let mut texts = bus.subscribe(&topic, "g").await.unwrap();
        assert_eq!(next(&mut texts).await, (1, "7 x".to_owned()), "{bus:?}");
        soon("the end", texts.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_hands_over_what_waits() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.close();
        publish(&bus, topic.name(), &[("a", "7 x"), ("a", "7 y")]).await;
        let texts = bus.subscribe(&topic, "g").await.unwrap();
        let control = texts.control();
        let first = tokio::spawn(texts.for_each(2, |delivery| async move { delivery.ack() }));
        until("it is asked for", || codec.fetched() == 1).await;
        let ready = Numbered::default();
        let again = Topic::with_codec(topic.name().to_owned(), ready.clone());
        let mut second = bus.subscribe(&again, "g").await.unwrap();
        soon("the end", control.drain(Duration::from_secs(30)))
            .await
            .unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(next(&mut second).await, (1, "7 x".to_owned()), "{bus:?}");
        assert_eq!(next(&mut second).await, (1, "7 y".to_owned()), "{bus:?}");
        soon("the end", second.close()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_keep_their_order_behind_one_that_waits() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.close();
        let texts = [
            "later 7 first".to_owned(),
            "1 second".to_owned(),
            "later 7 third".to_owned(),
        ];
        let mut published = Vec::new();
        for text in &texts {
            published.push(tokio::spawn(bus.publish(&topic, text).key("a").into_future()));
        }
        let other = bus.publish_bytes(topic.name(), "1 fourth").key("a").into_future();
        let elsewhere = TopicSpec::new(unique("elsewhere"));
        bus.ensure_topics([elsewhere.clone()]).await.unwrap();
        // Another topic does not wait.
        soon(
            "another topic",
            bus.publish_bytes(&elsewhere.name, "x").into_future(),
        )
        .await
        .unwrap();
        assert!(!published.iter().any(|p| p.is_finished()));
        codec.0.open();
        for published in published {
            soon("a publish", published).await.unwrap().unwrap();
        }
        soon("a publish", other).await.unwrap();
        let raw: Vec<_> = read(&bus, topic.name(), 4).await;
        let payloads: Vec<_> = raw
            .iter()
            .map(|r| String::from_utf8(r.payload().unwrap().to_vec()).unwrap())
            .collect();
        let to = topic.name();
        let expected = [
            format!("7 first to {to}"),
            "1 second".into(),
            format!("7 third to {to}"),
            "1 fourth".into(),
        ];
        assert_eq!(payloads, expected, "{bus:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_cannot_go_is_not_stored_and_holds_up_nobody() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.fails(7, &[ErrorKind::Invalid]);
        let first = bus.publish(&topic, &"later 7 x".to_owned()).into_future();
        let second = bus.publish(&topic, &"1 y".to_owned()).into_future();
        let unsent = soon("a refusal", first).await.unwrap_err();
        assert!(
            !unsent.is_unknown() && unsent.error().message().contains("no 7 here"),
            "{unsent}"
        );
        soon("a publish", second).await.unwrap();
        assert_eq!(read(&bus, topic.name(), 1).await[0].payload(), Some(&b"1 y"[..]));
        // A bus that closes waits for what is on its way.
        codec.0.close();
        let third = tokio::spawn(bus.publish(&topic, &"later 8 z".to_owned()).into_future());
        let closing = {
            let bus = bus.clone();
            tokio::spawn(async move { bus.close().await })
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!closing.is_finished());
        codec.0.open();
        soon("the publish", third).await.unwrap().unwrap();
        soon("the close", closing).await.unwrap().unwrap();
    }
}

/// What is enqueued keeps its place behind a publish that waits, and a codec that panics refuses its own message alone.
#[tokio::test(flavor = "multi_thread")]
async fn enqueued_messages_wait_behind_it_and_a_panic_is_its_own() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        let topic = topic(&bus, &codec).await;
        codec.0.close();
        let first = tokio::spawn(
            bus.publish(&topic, &"later 7 x".to_owned())
                .key("a")
                .into_future(),
        );
        let broken = tokio::spawn(bus.publish(&topic, &"later 13 broken".to_owned()).into_future());
        until("they wait", || codec.fetched() == 2).await;
        let enqueued = {
            let (bus, name) = (bus.clone(), topic.name().to_owned());
            tokio::spawn(async move { bus.enqueue(&name, Message::new("1 y").keyed("a")).await })
        };
        codec.0.open();
        soon("the first", first).await.unwrap().unwrap();
        let unsent = soon("the panic", broken).await.unwrap().unwrap_err();
        assert!(
            !unsent.is_unknown() && unsent.to_string().contains("panicked"),
            "{unsent}"
        );
        soon("the second", enqueued).await.unwrap().unwrap();
        soon("a flush", bus.flush(Duration::from_secs(30))).await.unwrap();
        let stored = read(&bus, topic.name(), 2).await;
        let stored: Vec<_> = stored.iter().map(|message| message.payload().unwrap()).collect();
        let expected = format!("7 x to {}", topic.name());
        assert_eq!(stored, [expected.as_bytes(), b"1 y"], "{bus:?}");
    }
}

/// What will never come is a dead letter at once, however long whoever reads is at work on others.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_is_a_dead_letter_while_others_are_handled() {
    for bus in every_backend().await {
        let codec = Numbered::default();
        codec.0.there.lock().unwrap().insert(1);
        let topic = topic(&bus, &codec).await;
        codec.0.fails(7, &[ErrorKind::Undecodable]);
        codec.0.close();
        publish(&bus, topic.name(), &[("a", "7 x"), ("b", "1 y")]).await;
        let mut texts = bus.subscribe(&topic, "g").await.unwrap();
        // Nobody reads on until the refused one is given up.
        let held = soon("the other", texts.next()).await.unwrap().unwrap();
        until("it is asked for", || codec.fetched() == 1).await;
        codec.0.open();
        let control = texts.control();
        until("it is given up", || control.stats().undecodable == 1).await;
        held.ack();
        soon("the end", texts.close()).await.unwrap();
        let letters = read(&bus, &format!("{}.g.dlq", topic.name()), 1).await;
        assert_eq!(letters[0].payload(), Some(&b"7 x"[..]), "{bus:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_has_to_wait_says_so_and_its_draft_waits() {
    let bus = apps::memory().await;
    let codec = Numbered::default();
    let topic = topic(&bus, &codec).await;
    let later = "later 7 x".to_owned();
    let error = topic.message(&later).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unavailable && error.message().contains("Topic::draft"),
        "{error}"
    );
    let message = topic.draft(&later).unwrap().await.unwrap();
    assert_eq!(message.payload.unwrap(), format!("7 x to {}", topic.name()));
    // A handler reads by the same rules.
    let mut texts = bus.observe(&topic).start(Start::Earliest).await.unwrap();
    publish(&bus, topic.name(), &[("a", "8 y")]).await;
    assert_eq!(next(&mut texts).await, (1, "8 y".to_owned()));
}
