//! The event router: which handler an event leads to, and what becomes of those that lead nowhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Seen, Warnings, every_backend, memory, read, text, unique};
use bus::{
    Bytes, ErrorKind, Headers, Message, Retry,
    event::{Envelope, EventExt, EventObject},
    handler::{Event, Failure, FailureExt, Origin, Payload, Reply, Route, State, Verdict, consumer},
    router::{Router, Routes},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tower::{
    Layer,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer},
};

type Calls = Seen<(&'static str, String)>;

/// A handler that says its name and what it was called with.
macro_rules! says {
    ($name:literal) => {
        |State(calls): State<Calls>, event: Event<Option<u32>>| async move { calls.push(($name, event.name)) }
    };
}

fn event(name: &str) -> Message {
    Message::new("1").event(name)
}

/// Which handler each event leads to.
async fn leads(routes: &Routes, calls: &Calls, name: &str) -> &'static str {
    let before = calls.count();
    assert!(routes.dispatch(event(name)).await.verdict.is_ack());
    match calls.all().get(before) {
        Some((handler, said)) => {
            assert_eq!(said, name);
            handler
        }
        None => "",
    }
}

#[tokio::test]
async fn a_nested_router_matches_under_its_own_name_and_the_roots_is_part_of_no_event() {
    let (calls, warnings) = (Calls::default(), Warnings::default());
    let _listening = warnings.listen();
    let test = Router::new("test").route("return", says!("return"));
    let routes = Router::new("module")
        .nest(test)
        .with_state(calls.clone())
        .build()
        .unwrap();
    let bus = memory().await;
    let names = [
        "test.return",
        "test",
        "module.test.return",
        "test.return.extra",
        "nope",
    ];
    for name in names.iter().chain(&names) {
        bus.publish("events", &1).event(*name).await.unwrap();
    }
    let running = consumer("events", "g", routes.clone()).start(&bus).await.unwrap();
    calls.reach(2).await;
    running.control().caught_up().await.unwrap();
    running.drain(Duration::from_secs(5)).await.unwrap();
    assert_eq!(
        calls.all(),
        [
            ("return", "test.return".to_owned()),
            ("return", "test.return".to_owned())
        ]
    );
    let unrouted = ["module.test.return", "nope", "test", "test.return.extra"];
    assert_eq!(routes.unrouted(), unrouted.map(|name| (name.to_owned(), 2)));
    assert_eq!(routes.unrouted_count(), 8);
    let warnings = warnings.all();
    for name in unrouted {
        let of_it = |line: &&String| line.contains(&format!("event=\"{name}\""));
        assert_eq!(warnings.iter().filter(of_it).count(), 1, "{name}: {warnings:?}");
    }
}

#[test]
fn a_route_that_is_bound_twice_names_both_places() {
    async fn nothing() {}
    let (test, again) = (Router::new("test"), Router::<()>::new("test"));
    let first = line!() + 1;
    let test = test.route("return", nothing);
    let second = line!() + 1;
    let again = again.route("return", nothing);
    let error = Router::new("module")
        .nest(test)
        .mount("test", again)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let said = error.to_string();
    for line in [first, second] {
        assert!(said.contains(&format!("{}:{line}:", file!())), "{said}");
    }
    assert!(
        said.contains("`test.return`") && said.contains("`module`"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_a_route_is_said_with_its_place() {
    async fn nothing() {}
    for pattern in ["", "a..b", "#.a", "a.b*"] {
        let line = line!() + 1;
        let error = Router::new("r").route(pattern, nothing).build().unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("{}:{line}:", file!())),
            "{error}"
        );
    }
    let (root, nested) = (Router::new("r"), Router::new("n").route("x", nothing));
    let line = line!() + 1;
    let root = root.mount("a.*", nested);
    let error = root.build().unwrap_err();
    assert!(
        error.to_string().contains(&format!("{}:{line}:", file!())),
        "{error}"
    );
    let nested = Router::new("n").route("x", nothing).event_field("event");
    let error = Router::new("r").nest(nested).build().unwrap_err();
    assert!(error.to_string().contains("at the root"), "{error}");
}

#[tokio::test]
async fn the_most_exact_route_wins_whatever_the_order_of_binding() {
    let calls = Calls::default();
    let routes = Router::new("root")
        .route("#", says!("all"))
        .route("user.#", says!("tail"))
        .route("user.*", says!("one"))
        .route("user.*.deleted", says!("deleted"))
        .route("user.created", says!("exact"))
        .mount("shop.eu", Router::new("ignored").route("order.*", says!("order")))
        .with_state(calls.clone())
        .build()
        .unwrap();
    for (name, handler) in [
        ("user.created", "exact"),
        ("user.changed", "one"),
        ("user.created.deleted", "deleted"),
        ("user.created.twice", "tail"),
        ("user", "tail"),
        ("user.", "tail"),
        ("users", "all"),
        ("shop.eu.order.paid", "order"),
        ("shop.eu.order", "all"),
        ("shop.eu.order.paid.twice", "all"),
        ("ignored.order.paid", "all"),
    ] {
        assert_eq!(leads(&routes, &calls, name).await, handler, "{name}");
    }
    assert_eq!(routes.unrouted_count(), 0);
    let listed: Vec<_> = routes.routes().map(|(pattern, _)| pattern).collect();
    assert_eq!(
        listed,
        [
            "#",
            "user.#",
            "user.*",
            "user.*.deleted",
            "user.created",
            "shop.eu.order.*"
        ]
    );
}

#[tokio::test]
async fn fallbacks_of_nested_routers_are_for_what_begins_with_their_name() {
    let calls = Calls::default();
    let inner = Router::new("inner")
        .route("x", says!("x"))
        .fallback(says!("inner"));
    let strict = Router::new("strict").route("x", says!("x")).strict();
    let routes = Router::new("root")
        .nest(Router::new("outer").nest(inner))
        .nest(strict)
        .fallback(says!("root"))
        .with_state(calls.clone())
        .build()
        .unwrap();
    for (name, handler) in [
        ("outer.inner.x", "x"),
        ("outer.inner.y", "inner"),
        ("outer.inner", "inner"),
        ("outer.y", "root"),
        ("strict.x", "x"),
    ] {
        assert_eq!(leads(&routes, &calls, name).await, handler, "{name}");
    }
    assert_eq!(routes.unrouted(), [("outer.y".to_owned(), 1)]);
    let refused = routes.dispatch(event("strict.y")).await;
    assert!(matches!(refused.verdict, Verdict::Reject { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_strict_router_sends_what_it_does_not_know_to_the_dead_letters() {
    let bus = memory().await;
    let routes = Router::new("billing")
        .route("known", || async {})
        .strict()
        .build()
        .unwrap();
    for name in ["known", "unknown"] {
        bus.publish("strict", &1).event(name).await.unwrap();
    }
    bus.publish("strict", &2).await.unwrap();
    let running = consumer("strict", "g", routes.clone()).start(&bus).await.unwrap();
    let dead = read(&bus, "strict.g.dlq", 2).await;
    assert_eq!(text(&dead[0], "ce_type"), Some("unknown"));
    let error = text(&dead[0], "bus-error").unwrap();
    assert!(
        error.contains("`billing`") && error.contains("`unknown`"),
        "{error}"
    );
    assert_eq!(text(&dead[1], "ce_type"), None);
    assert_eq!(routes.unrouted(), [(String::new(), 1), ("unknown".to_owned(), 1)]);
    running.drain(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn the_type_may_stand_in_the_body_and_the_header_wins() {
    async fn answer(Payload(object): Payload<EventObject>, origin: Origin) -> Reply<String> {
        assert_eq!(origin.partition, 0);
        Reply(format!("{} {}", object.event, object.data))
    }
    async fn by_header() -> Reply<&'static str> {
        Reply("by header")
    }
    let routes = Router::new("r")
        .event_field("event")
        .route("user.created", answer)
        .route("said", by_header)
        .build()
        .unwrap();
    let body = serde_json::to_vec(&EventObject::new("user.created", 7)).unwrap();
    let plain = routes.dispatch(Message::new(body.clone())).await;
    assert_eq!(
        plain.reply_as::<String>().unwrap().as_deref(),
        Some("user.created 7")
    );
    let both = routes.dispatch(Message::new(body.clone()).event("said")).await;
    assert_eq!(both.reply_as::<String>().unwrap().as_deref(), Some("by header"));
    let without = Router::new("r").route("user.created", answer).build().unwrap();
    assert!(without.dispatch(Message::new(body)).await.reply.is_none());
    assert_eq!(without.unrouted(), [(String::new(), 1)]);
    let structured = r#"{"specversion":"1.0","id":"1","source":"s","type":"said"}"#;
    let structured = Message::new(structured).header("content-type", "application/cloudevents+json");
    let answer = routes.dispatch(structured).await;
    assert_eq!(answer.reply_as::<String>().unwrap().as_deref(), Some("by header"));
}

#[tokio::test]
async fn dispatch_returns_what_the_handler_returned_and_carries_on() {
    async fn fails() -> Result<(), Failure> {
        Err("no").permanent()
    }
    let bus = memory().await;
    let publish = {
        let bus = bus.clone();
        move || async move { bus.publish("out", &1).event("next").await.map(drop) }
    };
    let routes = Router::new("r")
        .route("fails", fails)
        .route("publish", publish)
        .build()
        .unwrap();
    let failed = routes.dispatch(event("fails")).await;
    assert_eq!(failed.verdict, Verdict::reject("no"));
    assert_eq!(failed.reply_as::<u32>().unwrap_err().to_string(), "no");
    let broken = Message::new("{").header("content-type", "application/cloudevents+json");
    assert!(routes.dispatch(broken).await.failure.unwrap().is_undecodable());
    let first = event("publish").event_id("id-1");
    assert!(routes.dispatch(first).await.verdict.is_ack());
    let envelope = Envelope::read(&read(&bus, "out", 1).await[0]).unwrap();
    assert_eq!(envelope.causation_id.as_deref(), Some("id-1"));
}

#[tokio::test]
async fn by_hand_there_is_no_delivery_to_settle() {
    async fn by_hand(delivery: bus::Delivery<Bytes>) {
        delivery.ack();
    }
    let routes = Router::new("r").route("x", by_hand).build().unwrap();
    let answer = routes.dispatch(event("x")).await;
    assert!(answer.failure.unwrap().to_string().contains("no delivery"));
}

#[tokio::test(start_paused = true)]
async fn layers_wrap_what_was_bound_before_them() {
    async fn slow() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let timeout = tower::timeout::TimeoutLayer::new(Duration::from_secs(1));
    let routes = Router::new("r")
        .route("bounded", slow)
        .layer(timeout)
        .route("free", slow)
        .build()
        .unwrap();
    let late = routes.dispatch(event("bounded")).await.failure.unwrap();
    assert!(late.cause().is::<tower::timeout::error::Elapsed>(), "{late}");
    assert!(routes.dispatch(event("free")).await.verdict.is_ack());
}

/// A limit that is cloned for each route is counted by each; a global one by all together.
#[tokio::test(start_paused = true)]
async fn a_limit_is_of_each_route_unless_it_is_a_global_one() {
    /// How many ran at once, of eight messages of each of two routes.
    async fn most<L>(limit: L) -> usize
    where
        L: Layer<Route, Service = ConcurrencyLimit<Route>> + Clone + Send + 'static,
    {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let slow = {
            let most = most.clone();
            move || async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                now.fetch_sub(1, SeqCst);
            }
        };
        let router = Router::new("r").route("x", slow.clone()).route("y", slow);
        let routes = router.layer(limit).build().unwrap();
        let events = (0..16).map(|n| routes.dispatch(event(["x", "y"][n % 2])));
        let answers = futures_util::future::join_all(events).await;
        assert!(answers.iter().all(|answer| answer.verdict.is_ack()));
        most.load(SeqCst)
    }
    assert_eq!(most(ConcurrencyLimitLayer::new(3)).await, 6);
    assert_eq!(most(GlobalConcurrencyLimitLayer::new(3)).await, 3);
    assert_eq!(most(ConcurrencyLimitLayer::new(100)).await, 16);
}

#[tokio::test]
async fn nested_routers_may_have_states_of_their_own() {
    async fn number(State(n): State<u32>) -> Reply<u32> {
        Reply(n)
    }
    async fn word(State(word): State<&'static str>, _: Headers) -> Reply<String> {
        Reply(word.to_owned())
    }
    let numbers = Router::new("numbers").route("get", number).with_state(7);
    let routes = Router::new("r")
        .route("word", word)
        .nest(numbers)
        .with_state("seven")
        .build()
        .unwrap();
    let answer = routes.dispatch(event("numbers.get")).await;
    assert_eq!(answer.reply_as::<u32>().unwrap(), Some(7));
    let answer = routes.dispatch(event("word")).await;
    assert_eq!(answer.reply_as::<String>().unwrap().as_deref(), Some("seven"));
}

/// Through a real consumer, on every backend: retries, dead letters, and the loop goes on.
#[tokio::test]
async fn events_are_routed_tried_again_and_given_up_on_every_backend() {
    async fn flaky(State(calls): State<Calls>, attempt: bus::handler::Attempt) -> Result<(), String> {
        calls.push(("flaky", attempt.number.to_string()));
        if attempt.number < 3 {
            Err("not yet".to_owned())
        } else {
            Ok(())
        }
    }
    async fn broken(State(calls): State<Calls>, attempt: bus::handler::Attempt) -> Result<(), &'static str> {
        calls.push(("broken", format!("{} {}", attempt.number, attempt.is_last)));
        Err("as told")
    }
    for bus in every_backend().await {
        let (calls, topic) = (Calls::default(), unique("router"));
        let jobs = Router::new("job").route("flaky", flaky).route("broken", broken);
        let routes = Router::new("root").nest(jobs).route("end", says!("end"));
        let routes = routes.with_state(calls.clone()).build().unwrap();
        for name in ["job.flaky", "job.broken", "somebody.elses", "end"] {
            bus.publish(&*topic, &1).key("k").event(name).await.unwrap();
        }
        let running = consumer(&*topic, "g", routes.clone())
            .subscription(|s| s.retry(Retry::fixed(Duration::from_millis(20)).max_retries(2)))
            .start(&bus)
            .await
            .unwrap();
        let seen: Vec<_> = calls
            .reach(7)
            .await
            .into_iter()
            .map(|(name, what)| format!("{name} {what}"))
            .collect();
        assert_eq!(
            seen,
            [
                "flaky 1",
                "flaky 2",
                "flaky 3",
                "broken 1 false",
                "broken 2 false",
                "broken 3 true",
                "end end"
            ],
            "one after the other, since they are of one key, on {bus:?}"
        );
        let dead = read(&bus, &format!("{topic}.g.dlq"), 1).await.remove(0);
        assert_eq!(text(&dead, "ce_type"), Some("job.broken"));
        assert_eq!(text(&dead, "bus-attempts"), Some("3"));
        assert_eq!(text(&dead, "bus-error"), Some("as told"));
        assert_eq!(routes.unrouted(), [("somebody.elses".to_owned(), 1)]);
        running.drain(Duration::from_secs(30)).await.unwrap();
    }
}
