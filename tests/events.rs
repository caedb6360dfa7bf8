//! Events: the envelope in headers, both modes of CloudEvents, what is carried on, and what follows a success.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Seen, every_backend, memory, read, text, unique};
use bus::{
    Bus, ErrorKind, Message, Outcome, Record, Topic,
    event::{Context, Envelope, EventExt, EventObject, detached, emit_on_ok, header},
    handler::{Attempt, Payload, State, consumer_with},
    service::RequestError,
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[tokio::test]
async fn an_event_is_a_cloud_event_in_binary_mode_on_every_backend() {
    for bus in every_backend().await {
        let bus = bus.event_source("shop");
        let topic = unique("events-binary");
        let before = SystemTime::now();
        bus.publish(&*topic, &json!({"name": "Ada"}))
            .key("user-1")
            .event("user.created")
            .subject("user-1")
            .correlation_id("c-1")
            .reply_to("answers")
            .header("tenant", "blue")
            .await
            .unwrap();
        let record = read(&bus, &topic, 1).await.remove(0);
        assert_eq!(record.payload(), Some(&br#"{"name":"Ada"}"#[..]));
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_type", "user.created"),
            ("ce_source", "shop"),
            ("ce_subject", "user-1"),
            ("ce_correlationid", "c-1"),
            ("bus-reply-to", "answers"),
            ("content-type", "application/json"),
            ("tenant", "blue"),
        ] {
            assert_eq!(text(&record, name), Some(value), "{name} on {bus:?}");
        }
        let envelope = Envelope::read(&record).unwrap();
        let id = uuid::Uuid::parse_str(envelope.id.as_deref().unwrap()).unwrap();
        assert_eq!(id.get_version_num(), 7);
        let time = envelope.time.unwrap();
        assert!(before <= time && time <= SystemTime::now(), "{time:?}");
        assert_eq!(envelope.event.as_deref(), Some("user.created"));
        assert_eq!(envelope.correlation_id.as_deref(), Some("c-1"));
        assert_eq!(envelope.causation_id, None);
    }
}

#[tokio::test]
async fn batches_and_enqueued_messages_are_events_too_each_with_its_own_id() {
    let bus = memory().await;
    let like = Message::new("{}").header(header::TYPE, "user.viewed");
    let outcomes = bus.publish_batch("t", vec![like.clone(), like.clone()]).await;
    assert!(outcomes.iter().all(|o| matches!(o, Ok(Outcome::Stored(_)))));
    bus.enqueue("t", like).await.unwrap();
    bus.flush(Duration::from_secs(60)).await.unwrap();
    let mut ids = Vec::new();
    for record in read(&bus, "t", 3).await {
        let envelope = Envelope::read(&record).unwrap();
        // Nobody said who this program is.
        let program = std::env::current_exe().unwrap();
        assert_eq!(envelope.source.as_deref(), program.file_stem().unwrap().to_str());
        assert_eq!(text(&record, "ce_specversion"), Some("1.0"));
        ids.push(envelope.id.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn what_an_event_leaves_empty_is_refused_alone_and_before_anything_is_stored() {
    let bus = memory().await;
    let error = bus.publish("t", &1).event("").await.unwrap_err();
    assert!(!error.is_unknown());
    assert_eq!(error.error().kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`ce_type`"), "{error}");
    let batch = ["a", "", "c"].map(|event| Message::new(event).event(event));
    let outcomes = bus.publish_batch("t", batch.to_vec()).await;
    let stored: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(stored, [true, false, true]);
    assert!(
        bus.enqueue("t", Message::new("x").event("x").subject(""))
            .await
            .is_err()
    );
    let there = read(&bus, "t", 2).await;
    assert_eq!(there[0].payload(), Some(&b"a"[..]));
    assert_eq!(there[1].payload(), Some(&b"c"[..]));
}

#[tokio::test]
async fn a_message_that_is_no_event_stays_as_it_is() {
    let bus = memory().await.event_source("shop");
    bus.publish_bytes("t", "bytes").await.unwrap();
    let record = read(&bus, "t", 1).await.remove(0);
    assert_eq!(record.headers().iter().count(), 0);
    assert_eq!(Envelope::read(&record).unwrap(), Envelope::default());
}

async fn structured(bus: &Bus, body: &str) -> Record {
    let topic = unique("structured");
    let message = Message::new(body.to_owned())
        .keyed("k")
        .header("content-type", "application/cloudevents+json; charset=UTF-8")
        .header("tenant", "blue");
    bus.publish_message(&topic, message).await.unwrap();
    read(bus, &topic, 1).await.remove(0)
}

#[tokio::test]
async fn the_structured_mode_is_read_as_the_binary_one() {
    let bus = memory().await;
    let body = r#"{"specversion":"1.0","id":"7","type":"user.created","source":"/shop","time":"2024-04-10T07:00:27.5Z",
        "subject":null,"correlationid":"c","sequence":12,"datacontenttype":"application/json",
        "data":{"n":1.10,  "u":"三"}}"#;
    let record = structured(&bus, body).await;
    let binary = bus::event::binary(&record).unwrap().unwrap();
    assert_eq!(
        binary.payload(),
        Some(r#"{"n":1.10,  "u":"三"}"#.as_bytes()),
        "byte by byte"
    );
    assert_eq!(binary.key(), Some(&b"k"[..]));
    assert_eq!(
        (binary.position(), binary.timestamp()),
        (record.position(), record.timestamp())
    );
    assert_eq!(text(&binary, "tenant"), Some("blue"));
    assert_eq!(text(&binary, "ce_sequence"), Some("12"));
    let envelope = Envelope::read(&record).unwrap();
    assert_eq!(envelope.event.as_deref(), Some("user.created"));
    assert_eq!(envelope.id.as_deref(), Some("7"));
    assert_eq!(envelope.subject, None);
    assert_eq!(envelope.correlation_id.as_deref(), Some("c"));
    assert_eq!(envelope.content_type.as_deref(), Some("application/json"));
    assert_eq!(
        envelope.time,
        Some(UNIX_EPOCH + Duration::from_millis(1_712_732_427_500))
    );
}

#[tokio::test]
async fn data_of_other_types_and_in_base64_is_what_was_meant() {
    let bus = memory().await;
    let with = |rest: &str| format!(r#"{{"specversion":"1.0","id":"7","type":"t","source":"s",{rest}}}"#);
    for (rest, payload) in [
        (
            r#""datacontenttype":"text/plain","data":"a\nb""#,
            Some(&b"a\nb"[..]),
        ),
        (r#""data":"a""#, Some(br#""a""#)),
        (r#""data_base64":"/wA=""#, Some(b"\xff\x00")),
        (
            r#""datacontenttype":"application/x+json","data":[1]"#,
            Some(b"[1]"),
        ),
        (r#""subject":"x""#, None),
    ] {
        let record = structured(&bus, &with(rest)).await;
        let binary = bus::event::binary(&record).unwrap().unwrap();
        assert_eq!(binary.payload(), payload, "{rest}");
    }
    for wrong in [
        "{",
        "[]",
        r#"{"specversion":"1.0","id":"7","type":"t"}"#,
        &with(r#""data_base64":"?""#),
        &with(r#""subject":{}"#),
    ] {
        let record = structured(&bus, wrong).await;
        let error = Envelope::read(&record).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{wrong}");
    }
}

#[test]
fn the_event_object_has_exactly_five_fields_and_missing_ones_default() {
    let mut event = EventObject::new("user.created", json!({"id": 1}));
    event.correlation_id = Some("c".to_owned());
    let written = serde_json::to_value(&event).unwrap();
    let mut fields: Vec<_> = written.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["audit_log", "correlation_id", "data", "event", "status"]);
    assert_eq!(serde_json::from_value::<EventObject>(written).unwrap(), event);
    let empty: EventObject = serde_json::from_str("{}").unwrap();
    assert_eq!(empty, EventObject::default());
    let nulls = r#"{"correlation_id":null,"event":null,"data":null,"status":null,"audit_log":null}"#;
    assert_eq!(
        serde_json::from_str::<EventObject>(nulls).unwrap(),
        EventObject::default()
    );
    let typed: EventObject<Vec<u8>> =
        serde_json::from_str(r#"{"event":"e","data":[1,2],"status":201}"#).unwrap();
    assert_eq!((typed.data, typed.status), (vec![1, 2], json!(201)));
}

#[derive(Clone)]
struct Relay {
    bus: Bus,
    out: String,
    done: Seen<()>,
}

/// Publishes in each of the ways there are.
async fn relay(State(relay): State<Relay>, Payload(n): Payload<u32>, attempt: Attempt) {
    let Relay { bus, out, done } = relay;
    assert_eq!(attempt.number, 1);
    bus.publish(&*out, &n).event("plain").await.unwrap();
    bus.publish(&*out, &n)
        .event("said")
        .correlation_id("mine")
        .causation_id("too")
        .header("tenant", "own")
        .await
        .unwrap();
    bus.publish_batch(&out, vec![Message::new("1").event("batch")])
        .await
        .remove(0)
        .unwrap();
    bus.enqueue(&out, Message::new("1").event("enqueued"))
        .await
        .unwrap();
    bus.flush(Duration::from_secs(60)).await.unwrap();
    bus.publish_bytes(&out, "1").await.unwrap();
    detached(async { bus.publish(&*out, &n).event("detached").await })
        .await
        .unwrap();
    let context = Context::current();
    let (bus, out) = (bus.clone(), out.clone());
    let spawned = async move { bus.publish(&*out, &n).event("spawned").await.unwrap() };
    tokio::spawn(Context::scope(context, spawned)).await.unwrap();
    done.push(());
}

use std::future::IntoFuture;

#[tokio::test]
async fn correlation_causation_and_chosen_headers_are_carried_on_every_backend() {
    for bus in every_backend().await {
        let bus = bus.event_source("relay");
        let (from, out) = (unique("carry-in"), unique("carry-out"));
        let done = Seen::default();
        let state = Relay {
            bus: bus.clone(),
            out: out.clone(),
            done: done.clone(),
        };
        let first = Message::new("1")
            .event("first")
            .event_id("id-1")
            .header("tenant", "blue")
            .header("secret", "x");
        bus.publish_message(&from, first).await.unwrap();
        let running = consumer_with(&*from, "g", relay, state)
            .carry(["tenant"])
            .start(&bus)
            .await
            .unwrap();
        done.reach(1).await;
        running.drain(Duration::from_secs(30)).await.unwrap();
        for record in read(&bus, &out, 7).await {
            let envelope = Envelope::read(&record).unwrap();
            let said = (
                envelope.correlation_id.as_deref(),
                envelope.causation_id.as_deref(),
                text(&record, "tenant"),
            );
            let carried = (Some("id-1"), Some("id-1"), Some("blue"));
            let expected = match envelope.event.as_deref() {
                Some("said") => (Some("mine"), Some("too"), Some("own")),
                Some("detached") => (None, None, None),
                _ => carried,
            };
            assert_eq!(said, expected, "{envelope:?} on {bus:?}");
            assert_eq!(text(&record, "secret"), None);
            if envelope.event.is_some() {
                assert_eq!(envelope.source.as_deref(), Some("relay"));
            }
        }
    }
}

#[tokio::test]
async fn a_chain_keeps_its_first_correlation_and_names_the_last_cause() {
    let bus = memory().await;
    let (context, made) = (
        Message::new("").event("b").event_id("b-1").correlation_id("c-1"),
        Message::new("").event("c"),
    );
    bus.publish_message("chain", context).await.unwrap();
    let record = read(&bus, "chain", 1).await.remove(0);
    let context = Context::of(&record, [] as [&str; 0]);
    let publishing = async { bus.publish_message("chain", made).await.unwrap() };
    Context::scope(Some(context), publishing).await;
    let envelope = Envelope::read(&read(&bus, "chain", 2).await[1]).unwrap();
    assert_eq!(envelope.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(envelope.causation_id.as_deref(), Some("b-1"));
}

#[tokio::test]
async fn outputs_of_an_ack_carry_what_their_message_does() {
    async fn forward() -> bus::handler::Verdict {
        bus::handler::Verdict::AckWith(vec![("outputs".into(), Message::new("2").event("second"))])
    }
    let bus = memory().await.event_source("forwarder");
    bus.ensure_topics([bus::TopicSpec::new("outputs")]).await.unwrap();
    bus.publish("inputs", &1)
        .event("first")
        .event_id("id-1")
        .await
        .unwrap();
    let running = bus::handler::consumer("inputs", "g", forward)
        .start(&bus)
        .await
        .unwrap();
    let envelope = Envelope::read(&read(&bus, "outputs", 1).await[0]).unwrap();
    assert_eq!(envelope.correlation_id.as_deref(), Some("id-1"));
    assert_eq!(envelope.causation_id.as_deref(), Some("id-1"));
    assert_eq!(envelope.source.as_deref(), Some("forwarder"));
    assert!(envelope.id.is_some_and(|id| id != "id-1"));
    running.drain(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn a_result_is_published_only_after_success_and_a_failed_publish_is_no_failure() {
    let bus = memory().await;
    let failed = emit_on_ok(async { Err::<u32, _>("no") }, |n| bus.publish("results", n)).await;
    assert_eq!(failed, Err("no"));
    let made = emit_on_ok(async { Ok::<_, ()>(7) }, |n| {
        bus.publish("results", n).event("made")
    })
    .await;
    assert_eq!(made, Ok(7));
    let there = read(&bus, "results", 1).await;
    assert_eq!(there[0].payload(), Some(&b"7"[..]), "the failure left nothing");
    let strict = Bus::connect("memory://").await.unwrap();
    let made = emit_on_ok(async { Ok::<_, ()>(8) }, |n| strict.publish("missing", n)).await;
    assert_eq!(made, Ok(8));
}

#[tokio::test]
async fn missing_topics_are_errors_unless_they_may_be_made_and_keep_the_order_of_calls() {
    const FOUR: Topic<Value> = Topic::new("four").partitions(4);
    for bus in every_backend().await {
        let (name, strict) = (unique("made"), bus.clone().create_topics(false));
        let error = strict.publish(&*name, &1).await.unwrap_err();
        assert_eq!(error.error().kind(), ErrorKind::TopicMissing, "{error}");
        let calls: Vec<_> = (0..20)
            .map(|n| bus.publish(&*name, &n).key("k").into_future())
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        let payloads: Vec<u32> = read(&bus, &name, 20)
            .await
            .iter()
            .map(|record| serde_json::from_slice(record.payload().unwrap()).unwrap())
            .collect();
        assert_eq!(payloads, (0..20).collect::<Vec<_>>());
        let default = bus.clone().default_topic(&*unique("default"));
        default.publish_default("text").await.unwrap();
        // An illegal name is refused before anything is made.
        assert_eq!(
            bus.publish("a/b", &1).await.unwrap_err().error().kind(),
            ErrorKind::Invalid
        );
    }
    let bus = memory().await;
    bus.publish(&FOUR, &json!(1)).await.unwrap();
    let there = bus.admin().topics().await.unwrap();
    assert_eq!(
        there.iter().find(|t| &*t.name == "four").unwrap().partitions,
        4,
        "by its definition"
    );
}

#[tokio::test]
async fn a_bus_that_is_off_makes_no_topics_and_says_so() {
    let off = bus::Settings::new().enabled(false);
    let bus = Bus::from_settings(&off).await.unwrap().create_topics(true);
    let outcome = bus.publish("t", &1).event("x").await.unwrap();
    assert_eq!(outcome, Outcome::Disabled);
    bus.enqueue("t", Message::new("x")).await.unwrap();
    let made = emit_on_ok(async { Ok::<_, ()>(7) }, |n| bus.publish("t", n)).await;
    assert_eq!(made, Ok(7));
    let error = bus.request("t", &1).await.unwrap_err();
    let is_off =
        |error: &RequestError| matches!(error, RequestError::Bus(e) if e.kind() == ErrorKind::Disabled);
    assert!(is_off(&error), "{error}");
}

/// What is published is taken at once, also where its topic has to be made first.
#[tokio::test]
async fn closing_waits_for_what_waits_for_its_topic() {
    let bus = memory().await;
    let stored = bus.publish("not-there-yet", &1).into_future();
    bus.close().await.unwrap();
    assert!(matches!(stored.await, Ok(bus::Outcome::Stored(_))));
}
