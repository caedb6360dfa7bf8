//! What consumers, workers and services can read, and what settings and a switched-off bus mean for them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Seen, every_backend, memory, read, soon, text, unique, until};
use bus::{
    Bus, Delivery, ErrorKind, Message, Order, Outcome, Settings, Start, Topic, TopicSpec,
    event::{EventExt, header},
    handler::{Failure, Origin, Payload, State, consumer, consumer_with},
    service::{RequestError, Service},
    worker::{Worker, worker},
};
use serde_json::{Value, json};
use std::{future::IntoFuture, time::Duration};

const GRACE: Duration = Duration::from_secs(60);

/// Writes down what it is given, by topic, and passes it on.
#[derive(Clone)]
struct Notes {
    topic: String,
    bus: Bus,
    seen: Seen<(String, u32)>,
}

impl Worker for Notes {
    type Input = u32;
    type Output = ();
    const NAME: &'static str = "notes";
    fn topic(&self) -> Topic<u32> {
        Topic::named(&*self.topic)
    }
    async fn process(&self, task: &Delivery<u32>) -> Result<Option<()>, Failure> {
        self.seen.push((task.topic().to_owned(), **task));
        self.bus.publish("noted", &**task).event("noted").await?;
        Ok(None)
    }
}

async fn note(State(seen): State<Seen<(String, u32)>>, from: Origin, Payload(n): Payload<u32>) {
    seen.push((from.topic.to_string(), n));
}

#[tokio::test]
async fn topics_by_pattern_and_everything_for_everybody_on_every_backend() {
    for bus in every_backend().await {
        let prefix = unique("faces");
        let topic = |name: &str| format!("{prefix}.{name}");
        bus.ensure_topics([TopicSpec::new(topic("a")), TopicSpec::new(topic("b"))])
            .await
            .unwrap();
        bus.publish(&*topic("a"), &1).await.unwrap();
        let (all, worked) = (Seen::default(), Seen::default());
        let matching = consumer_with(&*topic("*"), &*topic("g"), note, all.clone()).matching();
        let matching = matching.start(&bus).await.unwrap();
        let notes = |name: &str, seen: &Seen<_>| Notes {
            topic: topic(name),
            bus: bus.clone(),
            seen: seen.clone(),
        };
        let group = topic("w");
        let by_worker = worker(notes("?", &worked)).group(&*group).matching();
        let by_worker = by_worker.start(&bus).await.unwrap();
        // Two of each that share nothing.
        let [heard, also, worker_heard] = [(); 3].map(|()| Seen::default());
        let mut running = vec![matching, by_worker];
        for seen in [&heard, &also] {
            let everyone = consumer_with(&*topic("b"), "same", note, seen.clone()).everyone();
            running.push(everyone.start(&bus).await.unwrap());
        }
        let everyone = worker(notes("b", &worker_heard)).everyone();
        running.push(everyone.start(&bus).await.unwrap());
        bus.publish(&*topic("b"), &2).await.unwrap();
        let expected = [(topic("a"), 1), (topic("b"), 2)];
        for seen in [&all, &worked] {
            let mut seen = seen.reach(2).await;
            seen.sort();
            assert_eq!(seen, expected, "{bus:?}");
        }
        for seen in [&heard, &also, &worker_heard] {
            assert_eq!(seen.reach(1).await, [(topic("b"), 2)], "from now on; {bus:?}");
        }
        // Or from where it is said.
        let before = Seen::default();
        let everyone = consumer_with(&*topic("a"), "same", note, before.clone()).everyone();
        let everyone = everyone.subscription(|s| s.start(Start::Earliest));
        running.push(everyone.start(&bus).await.unwrap());
        assert_eq!(before.reach(1).await, [(topic("a"), 1)]);
        for running in running {
            running.drain(GRACE).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn structured_events_are_read_by_workers_and_typed_subscriptions() {
    for batch in [1, 2] {
        let bus = memory().await;
        bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
        let event = json!({"specversion": "1.0", "id": "e-1", "type": "made", "source": "elsewhere",
            "correlationid": "c-1", "data": 7});
        let message = Message::new(event.to_string());
        let message = message.header(header::CONTENT_TYPE, "application/cloudevents+json");
        bus.publish_message("t", message).await.unwrap();
        let typed = Topic::<u32>::new("t");
        let mut typed = bus.subscribe(&typed, "typed").await.unwrap();
        let delivery = soon("the event", typed.next()).await.unwrap().unwrap();
        assert_eq!(*delivery, 7);
        let notes = Notes {
            topic: "t".to_owned(),
            bus: bus.clone(),
            seen: Seen::default(),
        };
        let running = worker(notes.clone()).batch_size(batch).start(&bus).await.unwrap();
        assert_eq!(notes.seen.reach(1).await, [("t".to_owned(), 7)]);
        let noted = read(&bus, "noted", 1).await.remove(0);
        assert_eq!(text(&noted, header::CORRELATION), Some("c-1"));
        assert_eq!(text(&noted, header::CAUSATION), Some("e-1"));
        running.drain(GRACE).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_reply_has_a_message_a_status_and_a_payload() {
    async fn refuse() -> Result<(), Failure> {
        let failure = Failure::permanent("not valid").with_status(422);
        Err(failure.with_payload(&json!({"field": "amount"})))
    }
    let bus = memory().await;
    bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
    let running = consumer("t", "g", refuse).answer_requests().start(&bus).await;
    let asked = soon("an answer", bus.request("t", &1).into_future()).await;
    let RequestError::Refused(error) = asked.unwrap_err() else {
        panic!("it was refused");
    };
    assert_eq!((error.status, &*error.message), (422, "not valid"));
    assert_eq!(error.json::<Value>().unwrap(), json!({"field": "amount"}));
    running.unwrap().drain(GRACE).await.unwrap();
}

/// Tells how many messages each batch has.
struct Sizes(Seen<usize>);

impl Worker for Sizes {
    type Input = u32;
    type Output = ();
    const NAME: &'static str = "sizes";
    const BATCH_SIZE: usize = 2_000;
    const ORDER: Order = Order::None;
    fn topic(&self) -> Topic<u32> {
        Topic::new("t")
    }
    async fn process(&self, _: &Delivery<u32>) -> Result<Option<()>, Failure> {
        Ok(None)
    }
    async fn process_batch(&self, tasks: &[Delivery<u32>]) -> Vec<Result<Option<()>, Failure>> {
        self.0.push(tasks.len());
        tasks.iter().map(|_| Ok(None)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_the_settings_say_is_not_widened_for_large_batches() {
    for (window, largest) in [(None, 2_000), (Some("50"), 50)] {
        let mut settings = Settings::default().set("backend", "memory");
        if let Some(window) = window {
            settings = settings.set("kafka_max_poll_records", window);
        }
        let bus = Bus::from_settings(&settings).await.unwrap();
        bus.ensure_topics([TopicSpec::new("t")]).await.unwrap();
        let messages = (0..2_000).map(|n| Message::new(n.to_string())).collect();
        bus.publish_batch("t", messages).await;
        let sizes = Seen::default();
        let running = worker(Sizes(sizes.clone())).start(&bus).await.unwrap();
        until("all are worked on", || sizes.all().iter().sum::<usize>() == 2_000).await;
        assert_eq!(sizes.all().into_iter().max(), Some(largest));
        running.drain(GRACE).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_on_a_bus_that_is_off_does_as_publishes_and_consumers_do() {
    let settings = Settings::default()
        .set("backend", "memory")
        .set("enabled", "false");
    let bus = Bus::from_settings(&settings).await.unwrap();
    let service = Service::new("s").start(&bus).await.unwrap();
    let id = service.send("other", "e", &1).await.unwrap();
    assert!(!id.is_empty());
    assert!(service.poll(Duration::from_secs(1)).await.is_none());
    let error = service.request("other", "e", &1).await.unwrap_err();
    assert!(
        matches!(&error, RequestError::Bus(error) if error.kind() == ErrorKind::Disabled),
        "{error}"
    );
    soon("the stop", service.stop(GRACE)).await.unwrap();
}

#[tokio::test]
async fn a_topic_that_was_deleted_is_made_again_or_said_to_be_missing_on_every_backend() {
    for bus in every_backend().await {
        let topic = unique("deleted");
        bus.publish(&*topic, &1).await.unwrap();
        bus.admin().delete(&topic).await.unwrap();
        let again = soon("a publish that is stored", async {
            loop {
                match bus.publish(&*topic, &2).await {
                    Ok(Outcome::Stored(_)) => break,
                    // A client may still know the topic that was.
                    Ok(other) => panic!("{other:?}"),
                    Err(unsent) => {
                        let kind = bus::Error::from(unsent).kind();
                        assert_eq!(kind, ErrorKind::TopicMissing, "{bus:?}");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        });
        again.await;
        let there = bus.admin().topics().await.unwrap();
        assert!(there.iter().any(|there| *there.name == *topic), "{bus:?}");
        bus.publish_message(&topic, Message::new("3").event("e"))
            .await
            .unwrap();
    }
}
