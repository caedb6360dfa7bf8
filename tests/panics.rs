//! Panics of an application's code, and outputs that are refused: failures of their message, and of no other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Seen, memory, read, soon, text};
use bus::{
    Bus, Codec, Delivery, Json, Message, Order, Record, Retry, Stateless, Topic, TopicSpec,
    event::EventExt,
    handler::{Failure, Payload, Reply, Running, consumer},
    router::Router,
    service::{RequestError, Service},
    worker::{Worker, worker},
};
use std::{future::IntoFuture, time::Duration};

const GRACE: Duration = Duration::from_secs(60);

async fn double(Payload(n): Payload<u32>) -> Reply<u32> {
    assert_ne!(n, 13, "thirteen");
    Reply(2 * n)
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_is_told_of_a_panic_and_others_find_it_in_the_dead_letter() {
    let bus = memory().await;
    bus.ensure_topics([TopicSpec::new("sums")]).await.unwrap();
    let running = consumer("sums", "g", double)
        .subscription(|s| s.retry(Retry::fixed(Duration::from_secs(1)).max_retries(1)))
        .answer_requests()
        .start(&bus)
        .await
        .unwrap();
    let error = soon("an answer", bus.request("sums", &13).into_future()).await;
    let RequestError::Refused(error) = error.unwrap_err() else {
        panic!("it was answered");
    };
    assert_eq!(error.status, 500);
    assert!(error.message.starts_with("panicked: "), "{error}");
    assert!(error.message.contains("thirteen"), "{error}");
    let reply = soon("an answer", bus.request("sums", &4).into_future()).await;
    assert_eq!(reply.unwrap().json::<u32>().unwrap(), 8, "it goes on");
    bus.publish("sums", &13).await.unwrap();
    let dead = read(&bus, "sums.g.dlq", 1).await.remove(0);
    assert!(text(&dead, "bus-error").unwrap().contains("thirteen"), "{dead:?}");
    assert_eq!(text(&dead, "bus-attempts"), Some("2"));
    running.drain(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_no_event_is_refused_and_no_dead_letter() {
    let bus = memory().await;
    bus.ensure_topics([TopicSpec::new("sums")]).await.unwrap();
    let running = consumer("sums", "g", double).answer_requests();
    let running = running.start(&bus).await.unwrap();
    let request = bus
        .request("sums", &4)
        .edit_headers(|headers| headers.set("content-type", "application/cloudevents+json"));
    let error = soon("an answer", request.into_future()).await.unwrap_err();
    assert!(
        matches!(&error, RequestError::Refused(error) if error.status == 400),
        "{error}"
    );
    running.drain(GRACE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_run_by_hand_may_panic_too() {
    let bus = memory().await;
    let routes = Router::new("r").route("double", double).build().unwrap();
    let sums = Service::new("sums").router(routes).by_hand();
    let sums = sums.start(&bus).await.unwrap();
    let asker = Service::new("asker").start(&bus).await.unwrap();
    let id = asker.send("sums", "double", &13).await.unwrap();
    let letter = soon("the event", sums.receive()).await;
    let response = sums.dispatch(letter).await.unwrap();
    assert!(response.verdict.is_ack(), "done with its answer");
    let reply = asker.take(&id, GRACE).await.unwrap();
    assert!(reply.into_result().unwrap_err().message.contains("thirteen"));
    sums.stop(GRACE).await.unwrap();
    asker.stop(GRACE).await.unwrap();
}

/// A codec that panics.
#[derive(Clone, Copy, Debug)]
struct Frail;

impl Stateless for Frail {
    const CODEC: Self = Frail;
}

impl Codec<u32> for Frail {
    fn encode(&self, value: &u32) -> bus::Result<bus::Bytes> {
        assert_ne!(*value, 4, "encoding");
        Json.encode(value)
    }
    fn decode(&self, record: &Record) -> bus::Result<u32> {
        Json.decode(record)
    }
}

static IN: Topic<u32> = Topic::new("in");
static OUT: Topic<u32, Frail> = Topic::new("out");

struct Items {
    bus: Bus,
    succeeded: Seen<u32>,
    failed: Seen<(u32, String)>,
}

impl Worker<Json, Frail> for Items {
    type Input = u32;
    type Output = u32;
    const NAME: &'static str = "items";
    const BATCH_SIZE: usize = 4;
    const ORDER: Order = Order::None;
    const RETRY: Retry = Retry::never();
    fn topic(&self) -> Topic<u32> {
        IN.clone()
    }
    fn output(&self) -> Option<Topic<u32, Frail>> {
        Some(OUT.clone())
    }
    async fn process(&self, task: &Delivery<u32>) -> Result<Option<u32>, Failure> {
        assert_ne!(**task, 1, "processing");
        let aside = Message::new(task.to_string()).event("aside");
        self.bus.publish_message("aside", aside).await?;
        Ok(Some(2 * **task))
    }
    fn shape(&self, _: &Delivery<u32>, output: &u32, message: Message) -> Message {
        assert_ne!(*output, 6, "shaping");
        // An empty subject is no event's: refused where the output is.
        if *output == 10 {
            message.event("e").subject("")
        } else {
            message
        }
    }
    async fn on_success(&self, task: &Delivery<u32>, _: Option<&u32>) {
        self.succeeded.push(**task);
    }
    async fn on_error(&self, task: &Delivery<u32>, error: &Failure) {
        self.failed.push((**task, error.to_string()));
    }
}

async fn items(bus: &Bus, batch: usize) -> (Running, Seen<u32>, Seen<(u32, String)>) {
    bus.ensure_topics([IN.spec(), OUT.spec(), TopicSpec::new("aside")])
        .await
        .unwrap();
    let (succeeded, failed) = (Seen::default(), Seen::default());
    let items = Items {
        bus: bus.clone(),
        succeeded: succeeded.clone(),
        failed: failed.clone(),
    };
    let runner = worker(items).batch_size(batch).carry(["tenant"]);
    (runner.start(bus).await.unwrap(), succeeded, failed)
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_the_message_fails_that_panics_or_whose_output_is_refused() {
    for batch in [1, 6] {
        let bus = memory().await;
        for n in 0..6 {
            let event = bus.publish(&IN, &n).header("tenant", format!("t-{n}"));
            event.correlation_id(format!("c-{n}")).await.unwrap();
        }
        let (running, succeeded, failed) = items(&bus, batch).await;
        let errors = failed.reach(4).await;
        for ((number, error), (expected, what)) in
            errors
                .iter()
                .zip([(1, "processing"), (2, "encoding"), (3, "shaping"), (5, "subject")])
        {
            assert!(*number == expected && error.contains(what), "{errors:?}");
        }
        assert_eq!(succeeded.reach(2).await, [0, 4], "a refused output is no success");
        // What was published aside belongs to its own message, in a batch as well.
        let aside = read(&bus, "aside", 5).await;
        for record in &aside {
            let n = String::from_utf8(record.payload().unwrap().to_vec()).unwrap();
            assert_eq!(text(record, "ce_correlationid"), Some(&*format!("c-{n}")));
            assert_eq!(text(record, "tenant"), Some(&*format!("t-{n}")));
        }
        assert_eq!(read(&bus, "in.items.dlq", 4).await.len(), 4);
        assert_eq!(read(&bus, "out", 2).await.len(), 2);
        running.drain(GRACE).await.unwrap();
    }
}
