//! Services that own an inbox topic: asked, sent to, and read by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;
mod logs;

use apps::{Seen, every_backend, memory, unique, until};
use bus::{
    App, Bus, TopicSpec,
    event::EventExt,
    handler::{Attempt, Event, Reply, State},
    router::{Router, Routes},
    service::{Handle, RunningService, Service, Strays},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const GRACE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);

async fn answer() -> Reply<Value> {
    Reply(json!({"answer": 42}))
}

async fn boom() -> Result<(), &'static str> {
    Err("boom")
}

fn module() -> Routes {
    let test = Router::new("test").route("return", answer).route("fail", boom);
    Router::new("module").nest(test).build().unwrap()
}

#[tokio::test]
async fn a_service_answers_what_it_is_asked_on_every_backend() {
    for bus in every_backend().await {
        let (name, asker) = (unique("SomeModule"), unique("asker"));
        let some = Service::new(&*name).router(module()).start(&bus).await.unwrap();
        let asker = Service::new(&*asker).start(&bus).await.unwrap();
        let request = asker
            .request(&name, "test.return", &json!({}))
            .correlation_id("c-1");
        let reply = request.await.unwrap();
        let envelope = bus::event::Envelope::read(reply.record()).unwrap();
        let text = String::from_utf8(reply.bytes().to_vec()).unwrap();
        assert_eq!(
            format!("{} {text}", envelope.event.unwrap()),
            r#"respond {"answer":42}"#
        );
        assert_eq!(envelope.correlation_id.as_deref(), Some("c-1"));
        assert_eq!(envelope.source.as_deref(), Some(&*name));
        let error = asker.request(&name, "test.fail", &()).await.unwrap_err();
        assert_eq!(error.to_string(), "error 500 \"boom\"");
        let error = asker.request(&name, "nope", &()).await.unwrap_err();
        assert!(error.to_string().starts_with("error 404"), "{error}");
        let nobody = unique("nobody");
        let error = asker
            .request(&nobody, "x", &())
            .timeout(Duration::from_secs(1))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "timeout after 1s");
        assert_eq!(asker.stray_replies(), Strays::default());
        some.stop(GRACE).await.unwrap();
        asker.stop(GRACE).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_hears_what_could_not_be_passed_on() {
    async fn next(me: Handle) -> Result<(), bus::handler::Failure> {
        me.send("no topic has such a name", "go.on", &()).await?;
        Ok(())
    }
    async fn broken(responder: bus::service::Responder) -> Result<(), &'static str> {
        // Larger than what a topic takes.
        let answer = responder.respond(&"x".repeat(64 << 20)).await;
        assert!(answer.is_err());
        Err("no answer fits")
    }
    let bus = memory().await;
    let routes = Router::new("b").route("next", next).route("broken", broken);
    let (b, asker) = pair(&bus, Service::new("B").router(routes.build().unwrap())).await;
    let error = asker.request("B", "next", &()).await.unwrap_err().to_string();
    assert!(
        error.contains("illegal name `no topic has such a name`"),
        "{error}"
    );
    let error = asker.request("B", "broken", &()).await.unwrap_err().to_string();
    assert!(error.contains("no answer fits"), "{error}");
    b.stop(GRACE).await.unwrap();
    asker.stop(GRACE).await.unwrap();
}

async fn pair(bus: &Bus, by_hand: Service) -> (RunningService, RunningService) {
    let asker = Service::new("asker").start(bus).await.unwrap();
    (by_hand.start(bus).await.unwrap(), asker)
}

#[tokio::test(start_paused = true)]
async fn replies_to_what_was_sent_are_taken_by_their_id() {
    async fn echo(event: Event<u32>) -> Reply<u32> {
        Reply(event.data)
    }
    let bus = memory().await;
    let routes = Router::new("r").route("echo", echo).build().unwrap();
    let (echo, asker) = pair(&bus, Service::new("echo").router(routes).by_hand()).await;
    let first = asker.send("echo", "echo", &1).await.unwrap();
    let second = asker.send("echo", "echo", &2).await.unwrap();
    let (one, two) = (echo.receive().await, echo.receive().await);
    assert_eq!((one.id(), two.id()), (&*first, &*second));
    // Answered in reverse.
    assert!(echo.dispatch(two).await.unwrap().verdict.is_ack());
    assert!(echo.dispatch(one).await.unwrap().verdict.is_ack());
    assert_eq!(asker.take(&first, SOON).await.unwrap().json::<u32>().unwrap(), 1);
    assert_eq!(asker.take(&second, SOON).await.unwrap().json::<u32>().unwrap(), 2);
    let error = asker.take("unknown", Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "timeout after 1s");
    assert!(asker.poll(Duration::from_secs(1)).await.is_none());
    assert!(
        asker.dispatch(self_addressed(&asker).await).await.is_err(),
        "it has no router"
    );
    echo.stop(GRACE).await.unwrap();
    asker.stop(GRACE).await.unwrap();
}

async fn self_addressed(service: &RunningService) -> bus::service::Letter {
    service.send(service.name(), "x", &0).await.unwrap();
    service.poll(SOON).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn draining_takes_all_once_and_never_what_somebody_waits_for() {
    let bus = memory().await;
    let seen: Seen<String> = Seen::default();
    let routes = Router::new("r")
        .route(
            "#",
            |State(seen): State<Seen<String>>, event: Event<u32>| async move { seen.push(event.name) },
        )
        .with_state(seen.clone())
        .build()
        .unwrap();
    let (service, asker) = pair(&bus, Service::new("s").router(routes).by_hand()).await;
    let service = Arc::new(service);
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(asker.send("s", name, &1).await.unwrap());
    }
    let waits = {
        let service = service.clone();
        tokio::spawn(async move {
            service
                .take("awaited", SOON)
                .await
                .map(|letter| letter.id().to_owned())
        })
    };
    tokio::task::yield_now().await;
    let mut drained = std::collections::BTreeMap::new();
    until("three events", || {
        drained.extend(service.drain());
        drained.len() == 3
    })
    .await;
    ids.sort();
    assert_eq!(drained.keys().cloned().collect::<Vec<_>>(), ids);
    for (_, letter) in drained {
        assert!(service.dispatch(letter).await.unwrap().verdict.is_ack());
    }
    let mut all = seen.all();
    all.sort();
    assert_eq!(all, ["a", "b", "c"]);
    assert!(service.drain().is_empty());
    // Whoever waits gets it, whoever drains at the same time.
    bus.publish("s", &1)
        .event("d")
        .correlation_id("awaited")
        .await
        .unwrap();
    until("what is awaited", || {
        assert!(service.drain().is_empty());
        waits.is_finished()
    })
    .await;
    assert_eq!(waits.await.unwrap().unwrap(), "awaited");
    asker.stop(GRACE).await.unwrap();
    Arc::into_inner(service).unwrap().stop(GRACE).await.unwrap();
}

#[tokio::test]
async fn the_answer_goes_to_whoever_asked_first() {
    async fn pass_on(me: Handle) -> Result<(), bus::Error> {
        assert_eq!(me.name(), "B");
        me.send("C", "next", &()).await.map(drop)
    }
    let bus = memory().await;
    // B passes it on, and so leaves the answer to C.
    let routes = Router::new("b").route("start", pass_on).build().unwrap();
    let b = Service::new("B").router(routes).start(&bus).await.unwrap();
    let routes = Router::new("c").route("next", answer).build().unwrap();
    let c = Service::new("C").router(routes).start(&bus).await.unwrap();
    let a = Service::new("A").start(&bus).await.unwrap();
    let id = a.send("B", "start", &()).await.unwrap();
    let reply = a.take(&id, SOON).await.unwrap();
    assert_eq!(reply.json::<Value>().unwrap(), json!({"answer": 42}));
    assert_eq!(reply.envelope().source.as_deref(), Some("C"));
    assert!(b.drain().is_empty(), "nothing of it came to B");
    assert!(
        a.poll(Duration::from_millis(100)).await.is_none(),
        "B gave no answer of its own"
    );
    let reply = a.request("B", "start", &()).await.unwrap();
    assert_eq!(
        reply.json::<Value>().unwrap(),
        json!({"answer": 42}),
        "awaited as well as taken"
    );
    b.stop(GRACE).await.unwrap();
    c.stop(GRACE).await.unwrap();
    a.stop(GRACE).await.unwrap();
}

#[tokio::test]
async fn what_nobody_took_is_left_as_it_was() {
    let bus = memory().await;
    let (service, asker) = pair(&bus, Service::new("s")).await;
    asker.send("s", "x", &1).await.unwrap();
    assert!(service.poll(SOON).await.is_some_and(|letter| {
        letter.ack();
        true
    }));
    asker.send("s", "y", &2).await.unwrap();
    until("it waits to be taken", || {
        service.control().stats().in_flight == 1
    })
    .await;
    service.stop(GRACE).await.unwrap();
    let seen: Seen<(u32, u32)> = Seen::default();
    let routes = Router::new("r")
        .route(
            "#",
            |State(seen): State<Seen<(u32, u32)>>, event: Event<u32>, attempt: Attempt| async move {
                seen.push((event.data, attempt.number));
            },
        )
        .with_state(seen.clone())
        .build()
        .unwrap();
    let next = Service::new("s").router(routes).start(&bus).await.unwrap();
    assert_eq!(seen.reach(1).await, [(2, 1)]);
    next.stop(GRACE).await.unwrap();
    asker.stop(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn replies_that_nobody_takes_are_given_up_after_a_while() {
    let bus = memory().await;
    let (some, asker) = pair(&bus, Service::new("some").router(module())).await;
    let id = asker.send("some", "test.return", &()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(250)).await;
    assert_eq!(asker.stray_replies(), Strays::default());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(asker.take(&id, Duration::from_secs(1)).await.is_err());
    assert_eq!(
        asker.stray_replies(),
        Strays {
            late: 1,
            duplicate: 0
        }
    );
    some.stop(GRACE).await.unwrap();
    asker.stop(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_that_are_lost_with_their_partition_are_another_members() {
    let bus = memory().await;
    let service = || Service::new("s").partitions(2);
    let first = service().start(&bus).await.unwrap();
    for partition in [0, 1] {
        for n in [0, 1] {
            let event = bus.publish("s", &n).partition(partition).event("e");
            event.correlation_id(format!("{partition}-{n}")).await.unwrap();
        }
    }
    until("all wait to be taken", || first.control().stats().in_flight == 4).await;
    let held = first.take("0-0", SOON).await.unwrap();
    let other = first.take("1-0", SOON).await.unwrap();
    let second = service().start(&bus).await.unwrap();
    // It is given up once its time for a handover is over.
    until("a partition is lost", || held.is_lost() || other.is_lost()).await;
    let lost = if held.is_lost() { "0" } else { "1" };
    let mut there = vec![
        second.poll(SOON).await.unwrap().id().to_owned(),
        second.poll(SOON).await.unwrap().id().to_owned(),
    ];
    there.sort();
    assert_eq!(there, [format!("{lost}-0"), format!("{lost}-1")]);
    until("its room is free", || first.control().stats().in_flight <= 3).await;
    let left = first.drain();
    let left: Vec<_> = left.keys().cloned().collect();
    assert_eq!(left, [format!("{}-1", if lost == "0" { 1 } else { 0 })]);
    drop((held, other));
    first.stop(GRACE).await.unwrap();
    second.stop(GRACE).await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_only_named_differs_in_nothing() {
    let bus = memory().await;
    let wide = |name: &str| TopicSpec::new(name.to_owned()).partitions(4);
    bus.ensure_topics([wide("s"), wide("m"), wide("t")])
        .await
        .unwrap();
    let logs = logs::Logs::default();
    let _guard = logs.install();
    let alone = Service::new("s").start(&bus).await.unwrap();
    let parts = App::builder("a")
        .bus(&bus)
        .register(Service::new("m").router(module()));
    let parts = parts.build().unwrap().start().await.unwrap();
    assert_eq!(logs.with("was asked for"), [""; 0]);
    // What was said is compared.
    let two = Service::new("t").partitions(2).start(&bus).await.unwrap();
    let said = logs.with("topic `t`: partitions 2 was asked for, there is 4");
    assert_eq!((said.len(), logs.with("was asked for").len()), (1, 1));
    for service in [alone, two] {
        service.stop(GRACE).await.unwrap();
    }
    parts.stop(GRACE).await.unwrap();
}
