//! The audit trail: which services an event has passed, and when.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Seen, every_backend, memory, read, text, unique};
use bus::{
    Bus, Bytes, Delivery, Message, Topic,
    event::{Audit, Context, EventExt, Hop, Trail, detached},
    handler::{Failure, Payload, Reply, State, consumer_with},
    router::Router,
    service::{Handle, Service},
    worker::{Worker, worker},
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const GRACE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);
/// Of the payload `"x"`, quotes included.
const X: &str = "ba2df4903a2c14e86dc3bcca58911b44ac1d2514b7227bf6eb08cfb978f55a1b";

fn names(trail: &[Hop]) -> Vec<String> {
    trail.iter().map(Hop::to_string).collect()
}

/// Every hop was sent and received in turn, between then and now.
fn in_turn(trail: &[Hop], begun: SystemTime) {
    let times = trail
        .iter()
        .flat_map(|hop| [hop.sent.unwrap(), hop.received.unwrap()]);
    let times: Vec<_> = [begun]
        .into_iter()
        .chain(times)
        .chain([SystemTime::now()])
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn a_trail_says_who_sent_what_and_when_on_every_backend() {
    async fn pass_on(me: Handle, State(to): State<String>) -> Result<(), bus::Error> {
        me.send(&to, "test.next", &()).await.map(drop)
    }
    async fn respond(State(seen): State<Seen<Trail>>, trail: Trail) -> Reply<u32> {
        seen.push(trail);
        Reply(42)
    }
    for bus in every_backend().await {
        let [a, b, c] = ["A", "B", "C"].map(unique);
        let seen = Seen::default();
        let begun = SystemTime::now();
        let at_b = Router::new("b")
            .route("test.start", pass_on)
            .with_state(c.clone());
        let at_c = Router::new("c")
            .route("test.next", respond)
            .with_state(seen.clone());
        // Only the first one has to keep it.
        let first = Service::new(&*a)
            .start(&bus.clone().audit_trail(Audit::new()))
            .await
            .unwrap();
        let middle = Service::new(&*b)
            .router(at_b.build().unwrap())
            .start(&bus)
            .await
            .unwrap();
        let last = Service::new(&*c)
            .router(at_c.build().unwrap())
            .start(&bus)
            .await
            .unwrap();

        let reply = first.request(&b, "test.start", &()).await.unwrap();
        let (start, next) = (format!("{a} test.start"), format!("{b} test.next"));
        let whole = [start.clone(), next.clone(), format!("{c} respond")];
        assert_eq!(names(&reply.trail()), whole);
        in_turn(&reply.trail(), begun);
        assert!(reply.trail().iter().map(|hop| hop.number).eq(1..=3));
        assert_eq!(names(&seen.all()[0]), [start, next]);
        in_turn(&seen.all()[0], begun);

        let id = first.send(&b, "test.start", &()).await.unwrap();
        let letter = first.take(&id, SOON).await.unwrap();
        assert_eq!(names(&letter.trail()), whole);
        in_turn(&letter.trail(), begun);
        last.stop(GRACE).await.unwrap();
        first.stop(GRACE).await.unwrap();
        middle.stop(GRACE).await.unwrap();
    }
}

struct Double {
    input: String,
    output: String,
}

impl Worker for Double {
    type Input = u32;
    type Output = u32;
    const NAME: &'static str = "double";
    const BATCH_SIZE: usize = 2;
    const BATCH_TIMEOUT: Duration = Duration::from_millis(10);
    fn topic(&self) -> Topic<u32> {
        Topic::named(&self.input)
    }
    fn output(&self) -> Option<Topic<u32>> {
        Some(Topic::named(&self.output))
    }
    async fn process(&self, task: &Delivery<u32>) -> Result<Option<u32>, Failure> {
        Ok(Some(2 * **task))
    }
}

#[tokio::test]
async fn outputs_of_workers_go_on_with_it_on_every_backend() {
    for bus in every_backend().await {
        let (input, output) = (unique("trail-in"), unique("trail-out"));
        let group = unique("double");
        let begun = SystemTime::now();
        let shop = bus.clone().event_source("shop").audit_trail(Audit::new());
        shop.publish(&*input, &21).event("asked").await.unwrap();
        bus.ensure_topics([bus::TopicSpec::new(&*output)]).await.unwrap();
        let running = worker(Double {
            input,
            output: output.clone(),
        })
        .group(group);
        let running = running.start(&bus.clone().event_source("double")).await.unwrap();
        let record = read(&bus, &output, 1).await.remove(0);
        running.drain(GRACE).await.unwrap();
        let trail = Trail::of(&record);
        assert_eq!(names(&trail), ["shop asked", "double "]);
        in_turn(&trail[..1], begun);
        assert_eq!(trail[1].received, None, "nobody has handled it");
    }
}

#[tokio::test]
async fn everything_that_is_published_begins_one_and_only_where_it_is_kept() {
    let bus = memory().await;
    bus.publish("t", "x").event("plain").await.unwrap();
    let kept = bus.clone().event_source("s").audit_trail(Audit::new().digests());
    kept.publish("t", "x").event("one").await.unwrap();
    let batch = vec![Message::new("\"x\"").event("two").source("other")];
    assert!(kept.publish_batch("t", batch).await.iter().all(Result::is_ok));
    kept.enqueue("t", Message::new("\"x\"")).await.unwrap();
    kept.flush(SOON).await.unwrap();
    let records = read(&bus, "t", 4).await;
    assert_eq!(text(&records[0], "bus-trail"), None);
    let trails: Vec<_> = records[1..].iter().map(Trail::of).collect();
    let all: Vec<_> = trails.iter().flat_map(|trail| names(trail)).collect();
    assert_eq!(all, ["s one", "other two", "s "]);
    assert!(trails.iter().all(|trail| trail[0].sha256.as_deref() == Some(X)));
}

#[tokio::test]
async fn it_is_bounded_in_hops_and_bytes() {
    let bus = memory().await;
    let event = |audit: Audit| {
        let bus = bus.clone().event_source("s").audit_trail(audit);
        async move { bus.publish("t", "x").event("e").await.unwrap() }
    };
    let long = "y".repeat(20_000);
    event(Audit::new().copies(3)).await;
    event(Audit::new().copies(2)).await;
    bus.clone()
        .audit_trail(Audit::new().copies(30_000))
        .publish("t", &long)
        .await
        .unwrap();
    let records = read(&bus, "t", 3).await;
    let hop = |at: usize| Trail::of(&records[at])[0].clone();
    assert_eq!(
        (hop(0).payload, hop(0).sha256),
        (Some(Bytes::from("\"x\"")), None)
    );
    assert_eq!(
        (hop(1).payload, hop(1).sha256.as_deref()),
        (None, Some(X)),
        "longer than two bytes"
    );
    assert!(
        hop(2).payload.is_none() && hop(2).sha256.is_some(),
        "there is no room for it"
    );

    // A loop: each goes on from the last one.
    let mut last = records[0].clone();
    let mut looped = async |audit: Audit, value: &str, rounds: u32| {
        let bus = bus.clone().audit_trail(audit);
        for _ in 0..rounds {
            let context = Context::of(&last, None::<&str>);
            let topic = unique("loop");
            Context::scope(Some(context), async {
                bus.publish(&*topic, value).await.unwrap()
            })
            .await;
            last = read(&bus, &topic, 1).await.remove(0);
        }
        last.clone()
    };
    let trail = Trail::of(&looped(Audit::new().most(3), "x", 5).await);
    assert_eq!(trail.iter().map(|hop| hop.number).collect::<Vec<_>>(), [4, 5, 6]);
    let record = looped(Audit::new().most(1000).copies(3_000), &"y".repeat(2_000), 20).await;
    let (trail, header) = (Trail::of(&record), text(&record, "bus-trail").unwrap());
    assert!(
        (4..8).contains(&trail.len()) && header.len() <= 16 * 1024,
        "{}",
        header.len()
    );
    assert_eq!(trail.last().unwrap().number, 26);
    let trail = Trail::of(&looped(Audit::new(), "x", 100).await);
    assert_eq!((trail.len(), trail.last().unwrap().number), (32, 126));
}

#[tokio::test]
async fn a_foreign_senders_trail_may_be_missing_empty_or_anything() {
    async fn handle(State((bus, seen)): State<(Bus, Seen<usize>)>, trail: Trail, Payload(()): Payload<()>) {
        seen.push(trail.len());
        bus.publish("out", &()).event("next").await.unwrap();
    }
    let bus = memory().await.event_source("us");
    let foreign = r#"[{"sender":"them","sent":"yesterday","more":1}]"#;
    for said in [
        None,
        Some(""),
        Some("[]"),
        Some("{broken"),
        Some("7"),
        Some(foreign),
    ] {
        let mut message = Message::new("null");
        said.into_iter()
            .for_each(|said| message.headers.set("bus-trail", said));
        bus.publish_message("in", message).await.unwrap();
    }
    let (kept, seen) = (bus.clone().audit_trail(Audit::new()), Seen::default());
    let state = (kept, seen.clone());
    let running = consumer_with("in", "us", handle, state)
        .start(&bus)
        .await
        .unwrap();
    assert_eq!(seen.reach(6).await, [0, 0, 0, 0, 0, 1]);
    running.drain(GRACE).await.unwrap();
    let records = read(&bus, "out", 6).await;
    for record in &records[..5] {
        assert_eq!(names(&Trail::of(record)), ["us next"]);
    }
    let trail = Trail::of(&records[5]);
    assert_eq!(names(&trail), ["them ", "us next"]);
    assert!(trail[0].sent.is_none() && trail[0].received.is_some());
}

#[tokio::test]
async fn what_is_passed_on_as_it_is_gets_one_hop_and_what_is_detached_none() {
    async fn relay(State(bus): State<Bus>, delivery: Delivery<Bytes>) {
        let message = delivery.record().to_message();
        bus.publish_message("out", message.clone()).await.unwrap();
        detached(async { bus.publish("out", &1).await }).await.unwrap();
        // It has one already.
        let mut own = Message::new("2");
        own.headers.set("bus-trail", "[]");
        bus.publish_message("out", own).await.unwrap();
        delivery.ack();
    }
    let bus = memory().await.event_source("us");
    let kept = bus.clone().audit_trail(Audit::new());
    kept.publish("in", &json!({}))
        .event("e")
        .source("a")
        .await
        .unwrap();
    let running = consumer_with("in", "relay", relay, bus.clone())
        .start(&bus)
        .await
        .unwrap();
    let records = read(&bus, "out", 3).await;
    running.drain(GRACE).await.unwrap();
    assert_eq!(names(&Trail::of(&records[0])), ["a e", "a e"]);
    assert_eq!(text(&records[1], "bus-trail"), None);
    assert_eq!(text(&records[2], "bus-trail"), Some("[]"));
}

#[tokio::test]
async fn it_is_the_same_for_every_try_and_in_the_dead_letter() {
    async fn fail(trail: Trail, State(seen): State<Seen<Trail>>) -> Result<(), &'static str> {
        seen.push(trail);
        Err("no")
    }
    let bus = memory().await.audit_trail(Audit::new()).event_source("s");
    bus.publish("in", &Value::Null).event("e").await.unwrap();
    let seen: Seen<Trail> = Seen::default();
    let failing = consumer_with("in", "f", fail, seen.clone());
    let retry = bus::Retry::fixed(Duration::from_millis(1)).max_retries(1);
    let running = failing
        .subscription(move |s| s.retry(retry))
        .start(&bus)
        .await
        .unwrap();
    let letter = read(&bus, "in.f.dlq", 1).await.remove(0);
    running.drain(GRACE).await.unwrap();
    assert_eq!(
        seen.all().iter().map(|trail| names(trail)).collect::<Vec<_>>(),
        [["s e"], ["s e"]]
    );
    assert_eq!(names(&Trail::of(&letter)), ["s e"]);
}
