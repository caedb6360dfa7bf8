//! Request and reply: who answers, what comes back, and what becomes of replies that nobody waits for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Seen, every_backend, memory, read, soon, text, unique, until};
use bus::{
    Bus, ErrorKind, Message, Result, TopicSpec,
    event::{Envelope, EventExt, header},
    handler::{Failure, Payload, Reply, Running, State, Verdict, consumer, consumer_with},
    router::Router,
    service::{RequestError, Responder, Strays},
};
use std::time::Duration;
use tokio::time::Instant;

const GRACE: Duration = Duration::from_secs(60);

async fn double(Payload(n): Payload<u32>) -> std::result::Result<Reply<u32>, Failure> {
    match n {
        0 => Err("boom".into()),
        1 => Err(Failure::permanent("no such thing").with_status(404)),
        n => Ok(Reply(2 * n)),
    }
}

/// Makes the topic, and has it answered.
async fn answered(bus: &Bus, topic: &str) -> Running {
    bus.ensure_topics([TopicSpec::new(topic)]).await.unwrap();
    consumer(topic, "answers", double)
        .answer_requests()
        .start(bus)
        .await
        .unwrap()
}

#[tokio::test]
async fn whoever_asks_gets_the_reply_or_the_error_on_every_backend() {
    for bus in every_backend().await {
        let (topic, replies) = (unique("ask"), unique("replies"));
        let bus = bus.reply_topic(&*replies).event_source("asker");
        let running = answered(&bus, &topic).await;
        for n in 2..20 {
            let reply = soon(
                "a reply",
                bus.request(&*topic, &n)
                    .correlation_id(format!("c-{n}"))
                    .into_future(),
            );
            let reply = reply.await.unwrap();
            assert_eq!(reply.json::<u32>().unwrap(), 2 * n, "{bus:?}");
            let envelope = Envelope::read(reply.record()).unwrap();
            assert_eq!(envelope.correlation_id, Some(format!("c-{n}")));
            assert_eq!(envelope.event.as_deref(), Some("respond"));
        }
        // At once, although errors of messages that nobody asks for are tried again after a second.
        let error = bus.request(&*topic, &0).await.unwrap_err();
        assert_eq!(error.to_string(), "error 500 \"boom\"");
        let RequestError::Refused(refused) = bus.request(&*topic, &1).await.unwrap_err() else {
            panic!("it was refused");
        };
        assert_eq!((refused.status, &*refused.message), (404, "no such thing"));
        let wrong = bus.request(&*topic, "text").await.unwrap_err();
        assert!(
            matches!(&wrong, RequestError::Refused(error) if error.status == 400),
            "{wrong}"
        );
        assert_eq!(bus.stray_replies(), Strays::default());
        running.drain(GRACE).await.unwrap();
    }
}

use std::future::IntoFuture;

#[tokio::test(start_paused = true)]
async fn nobody_there_is_a_timeout_and_a_missing_topic_is_said_at_once() {
    let bus = memory().await;
    let begun = Instant::now();
    let error = bus
        .request("nobody", &1)
        .timeout(Duration::from_secs(1))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "timeout after 1s");
    assert_eq!(begun.elapsed().as_secs(), 1);
    let error = bus.request("nobody", &1).await.unwrap_err();
    assert_eq!(error.to_string(), "timeout after 30s");
    let strict = bus.create_topics(false);
    let error = strict.request("missing", &1).await.unwrap_err();
    assert!(
        matches!(&error, RequestError::Bus(error) if error.kind() == ErrorKind::TopicMissing),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_is_addressed_and_a_request_in_a_handler_begins_its_own_correlation() {
    let bus = memory().await;
    let asking = {
        let bus = bus.clone();
        move || async move {
            let _ = bus.request("asked", &1).timeout(Duration::from_secs(2)).await;
        }
    };
    bus.publish("t", &1)
        .event("first")
        .event_id("id-1")
        .await
        .unwrap();
    let running = consumer("t", "g", asking).start(&bus).await.unwrap();
    let request = read(&bus, "asked", 1).await.remove(0);
    assert_eq!(text(&request, header::REPLY_TO), Some("bus.replies"));
    for name in ["bus-reply-partition", "bus-reply-instance"] {
        assert!(text(&request, name).is_some(), "{name}");
    }
    let envelope = Envelope::read(&request).unwrap();
    assert!(envelope.correlation_id.is_some_and(|id| id != "id-1"));
    assert_eq!(
        envelope.causation_id.as_deref(),
        Some("id-1"),
        "what led to it is said all the same"
    );
    running.drain(GRACE).await.unwrap();
}

#[tokio::test]
async fn replies_find_their_requests_in_any_order_and_those_of_others_are_left() {
    let bus = memory().await;
    let other = bus.clone();
    // Answers the first one after the second.
    async fn reversed(
        State(held): State<Seen<Responder>>,
        Payload(n): Payload<u32>,
        responder: Responder,
    ) -> Result<()> {
        if n == 1 {
            responder.later();
            held.push(responder);
            return Ok(());
        }
        held.reach(1).await;
        responder.respond(&2).await?;
        held.all()[0].respond(&1).await
    }
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    let running = consumer_with("t", "g", reversed, Seen::default());
    let running = running
        .concurrency(2)
        .answer_requests()
        .start(&bus)
        .await
        .unwrap();
    let (first, second) = tokio::join!(
        async { bus.request("t", &1).await.unwrap().json::<u32>().unwrap() },
        async { other.request("t", &2).await.unwrap().json::<u32>().unwrap() },
    );
    assert_eq!((first, second), (1, 2));
    running.drain(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn several_replies_are_gathered_or_those_that_came_in_time() {
    let bus = memory().await;
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    let mut running = Vec::new();
    for group in ["a", "b"] {
        let handler = move |Payload(n): Payload<u32>| async move {
            if n == 2 {
                Err(format!("not {group}"))
            } else {
                Ok(Reply(group))
            }
        };
        running.push(
            consumer("t", group, handler)
                .answer_requests()
                .start(&bus)
                .await
                .unwrap(),
        );
    }
    let mut all: Vec<String> = Vec::new();
    for reply in bus.request("t", &1).gather(2).await.unwrap() {
        all.push(reply.unwrap().json().unwrap());
    }
    all.sort();
    assert_eq!(all, ["a", "b"]);
    let begun = Instant::now();
    let two = bus
        .request("t", &1)
        .timeout(Duration::from_secs(3))
        .gather(3)
        .await
        .unwrap();
    assert_eq!(
        (two.len(), begun.elapsed().as_secs()),
        (2, 3),
        "what came in time"
    );
    let errors = bus.request("t", &2).gather(2).await.unwrap();
    assert!(errors.iter().all(Result::is_err));
    for running in running {
        running.drain(GRACE).await.unwrap();
    }
}

#[tokio::test]
async fn replies_that_nobody_waits_for_are_counted() {
    let bus = memory().await;
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    async fn twice(Payload(wait): Payload<u64>, responder: Responder) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        responder.respond("one").await?;
        responder.respond("two").await
    }
    let running = consumer("t", "g", twice)
        .answer_requests()
        .start(&bus)
        .await
        .unwrap();
    assert_eq!(
        bus.request("t", &0).await.unwrap().json::<String>().unwrap(),
        "one"
    );
    until("the duplicate", || {
        bus.stray_replies()
            == Strays {
                late: 0,
                duplicate: 1,
            }
    })
    .await;
    let error = bus
        .request("t", &2_000)
        .timeout(Duration::from_millis(10))
        .await
        .unwrap_err();
    assert!(matches!(error, RequestError::Timeout(_)));
    until("the late ones", || {
        bus.stray_replies()
            == Strays {
                late: 2,
                duplicate: 1,
            }
    })
    .await;
    running.drain(GRACE).await.unwrap();
}

#[tokio::test]
async fn only_who_is_to_answer_answers_and_nothing_returned_is_null() {
    let (bus, seen) = (memory().await, Seen::default());
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    let audit = {
        let seen = seen.clone();
        move || async move {
            seen.push(());
            Reply("from the audit")
        }
    };
    let audit = consumer("t", "audit", audit).start(&bus).await.unwrap();
    let quiet = Router::new("r").route("known", || async {}).build().unwrap();
    let answers = consumer("t", "answers", quiet)
        .answer_requests()
        .start(&bus)
        .await
        .unwrap();
    let reply = bus.request("t", &1).event("known").await.unwrap();
    assert_eq!(reply.json::<Option<u32>>().unwrap(), None);
    let error = bus.request("t", &1).event("unknown").await.unwrap_err();
    assert!(
        matches!(&error, RequestError::Refused(error) if error.status == 404),
        "{error}"
    );
    // A message that asks for nothing is handled as ever.
    bus.publish_message("t", Message::new("1").event("known"))
        .await
        .unwrap();
    seen.reach(3).await;
    assert_eq!(bus.stray_replies(), Strays::default());
    audit.drain(GRACE).await.unwrap();
    answers.drain(GRACE).await.unwrap();
}

#[tokio::test]
async fn a_correlation_id_belongs_to_one_request_at_a_time() {
    let bus = memory().await;
    let ask = || {
        bus.request("t", &1)
            .timeout(Duration::from_secs(2))
            .correlation_id("same")
    };
    let (first, second) = tokio::join!(ask().into_future(), ask().into_future());
    assert!(matches!(first.unwrap_err(), RequestError::Timeout(_)));
    assert!(matches!(&second.unwrap_err(), RequestError::Bus(error) if error.kind() == ErrorKind::Invalid));
    assert!(
        matches!(ask().await.unwrap_err(), RequestError::Timeout(_)),
        "it is free again"
    );
}

#[tokio::test]
async fn a_verdict_that_settles_nothing_is_a_refusal_and_said_once() {
    let bus = memory().await;
    bus.ensure_topics([TopicSpec::new("asked")]).await.unwrap();
    async fn refuses(Payload(n): Payload<u32>) -> Verdict {
        match n {
            0 => Verdict::reject("not that one"),
            _ => Verdict::Nack {
                after: None,
                error: "not now".to_owned(),
            },
        }
    }
    let running = consumer("asked", "g", refuses).answer_requests();
    let running = running.start(&bus).await.unwrap();
    for (n, expected) in [(0, "error 500 \"not that one\""), (1, "error 500 \"not now\"")] {
        let error = soon("an answer", bus.request("asked", &n).into_future()).await;
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
    // Done with their answers: neither is tried again.
    running.drain(GRACE).await.unwrap();
    assert_eq!(bus.stray_replies(), Strays::default());
}

#[tokio::test]
async fn who_waits_is_told_when_replies_are_not_read_any_more_and_the_next_one_asks_anew() {
    let bus = memory().await.reply_topic("replies");
    let running = answered(&bus, "sums").await;
    assert!(bus.request("sums", &2).await.is_ok());
    bus.ensure_topics([TopicSpec::new("nobody")]).await.unwrap();
    let asking = {
        let bus = bus.clone();
        tokio::spawn(async move { bus.request("nobody", &1).timeout(10 * GRACE).await })
    };
    read(&bus, "nobody", 1).await;
    bus.admin().delete("replies").await.unwrap();
    let error = soon("being told", asking).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, RequestError::Bus(error) if error.kind() == ErrorKind::Closed),
        "{error}"
    );
    let reply = soon("a reply", bus.request("sums", &3).into_future()).await;
    assert_eq!(reply.unwrap().json::<u32>().unwrap(), 6);
    running.drain(GRACE).await.unwrap();
}
