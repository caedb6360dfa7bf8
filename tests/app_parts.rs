//! What an application is made of: services beside workers and consumers, whose events are whose, what is told of groups.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{Warnings, memory, read, soon, text};
use bus::{
    Bus, Delivery, ErrorKind, Topic, TopicSpec,
    app::{App, Builder, Ended},
    event::EventExt,
    handler::{Failure, Payload, Reply, State, consumer, consumer_with},
    router::{Router, Routes},
    service::Service,
    worker::{Worker, worker},
};
use std::{future::IntoFuture, time::Duration};
use tokio::sync::Notify;

const GRACE: Duration = Duration::from_secs(10);

async fn double(Payload(n): Payload<u32>) -> Reply<u32> {
    Reply(2 * n)
}

fn sums() -> Routes {
    Router::new("sums").route("double", double).build().unwrap()
}

struct Named(&'static str);

impl Worker for Named {
    type Input = u32;
    type Output = ();
    const NAME: &'static str = "named";
    fn topic(&self) -> Topic<u32> {
        Topic::new(self.0)
    }
    async fn process(&self, _: &Delivery<u32>) -> Result<Option<()>, Failure> {
        Ok(None)
    }
}

struct Another;

impl Worker for Another {
    type Input = u32;
    type Output = ();
    const NAME: &'static str = "another";
    const GROUP: Option<&'static str> = Some("named");
    fn topic(&self) -> Topic<u32> {
        Topic::new("t")
    }
    async fn process(&self, _: &Delivery<u32>) -> Result<Option<()>, Failure> {
        Ok(None)
    }
}

fn refused(builder: Builder, expected: &str) -> usize {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains(expected), "{text}");
    text.matches("tests/app_parts.rs:").count()
}

#[tokio::test(start_paused = true)]
async fn a_service_is_a_part_of_an_application() {
    let bus = memory().await;
    let app = || App::builder("shop").bus(&bus);
    let sums_service = || Service::new("sums").router(sums());
    let built = app()
        .register(worker(Named("t")))
        .service(sums_service().partitions(2))
        .build()
        .unwrap();
    let listed = [("worker", "named".to_owned()), ("service", "sums".to_owned())];
    assert_eq!(built.list(), listed);
    let started = built.start().await.unwrap();
    let titles: Vec<_> = started.controls().map(|(title, _)| title.to_owned()).collect();
    assert_eq!(titles, ["worker `named`", "service `sums`"]);
    let asking = bus.request("sums", &21).event("double").into_future();
    let reply = soon("a reply", asking).await.unwrap();
    assert_eq!(reply.json::<u32>().unwrap(), 42);
    let topics = bus.admin().topics().await.unwrap();
    assert_eq!(topics.iter().find(|t| &*t.name == "sums").unwrap().partitions, 2);
    started.stop(GRACE).await.unwrap();

    let twice = app().service(sums_service()).service(sums_service());
    assert_eq!(refused(twice, "two are called service `sums`"), 2);
    let by_hand = app().service(Service::new("desk"));
    assert_eq!(refused(by_hand, "nobody would take its events"), 1);
    let illegal = app().service(Service::new("my desk").router(sums()));
    assert_eq!(refused(illegal, "illegal name `my desk`"), 1);
    let idle = app().service(sums_service().concurrency(0));
    assert_eq!(refused(idle, "concurrency is 0"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_is_run_by_its_name() {
    let bus = memory().await;
    let build = || {
        let app = App::builder("shop").bus(&bus).register(worker(Named("t")));
        app.service(Service::new("sums").router(sums())).build().unwrap()
    };
    let Ended::Usage(text) = build().command(["service", "nobody"]).await else {
        panic!("there is none");
    };
    assert!(text.contains("no service is called `nobody`"), "{text}");
    assert!(text.contains("  worker named\n  service sums\n"), "{text}");
    let signal = Notify::new();
    let until = build().command_until(["service", "sums"], || signal.notified());
    let asks = async {
        let reply = soon("a reply", async {
            loop {
                let asking = bus.request("sums", &4).event("double");
                if let Ok(reply) = asking.timeout(Duration::from_secs(1)).await {
                    return reply;
                }
            }
        });
        assert_eq!(reply.await.json::<u32>().unwrap(), 8);
        let groups = bus.admin().groups().await.unwrap();
        assert!(groups.iter().all(|group| &**group != "named"), "{groups:?}");
        signal.notify_one();
    };
    let (ended, ()) = tokio::join!(until, asks);
    assert!(matches!(ended, Ended::Drained), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn events_are_from_the_application_unless_their_bus_says_who_it_is() {
    for (source, expected) in [(None, "shop"), (Some("till"), "till")] {
        let plain = memory().await;
        let bus = match source {
            Some(source) => plain.clone().event_source(source),
            None => plain.clone(),
        };
        // The handler's own handle knows nothing of the application.
        async fn follow(State(bus): State<Bus>) -> bus::Result<()> {
            bus.publish("out", &1).event("followed").await?;
            Ok(())
        }
        let part = consumer_with("in", "g", follow, plain.clone());
        let app = App::builder("shop").bus(&bus).register(part).build().unwrap();
        let own = app.bus("default").unwrap().clone();
        own.publish("in", &1).event("first").await.unwrap();
        let started = app.start().await.unwrap();
        for topic in ["in", "out"] {
            let record = read(&bus, topic, 1).await.remove(0);
            assert_eq!(text(&record, "ce_source"), Some(expected), "{topic}");
        }
        started.stop(GRACE).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn two_workers_of_one_group_are_warned_about_and_consumers_are_looked_at_too() {
    let bus = memory().await;
    let app = || App::builder("shop").bus(&bus);
    let warnings = Warnings::default();
    let listening = warnings.listen();
    let shared = app().register(worker(Named("t"))).register(worker(Another));
    shared.build().unwrap();
    drop(listening);
    let said = warnings.all().join("\n");
    for expected in ["worker `named` and worker `another`", "members of one group"] {
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(said.matches("tests/app_parts.rs:").count(), 2, "{said}");

    let nothing = async || {};
    let group = app().register(consumer("t", "my group", nothing));
    assert_eq!(refused(group, "illegal name `my group`"), 1);
    // `a.b` in `c`, and `a` in `b.c`.
    let one = || consumer("a.b", "c", nothing);
    let letters = app().register(one()).register(consumer("a", "b.c", nothing));
    assert_eq!(refused(letters, "would both go to `a.b.c.dlq`"), 2);
    let apart = consumer("a", "b.c", nothing).dead_letter("elsewhere");
    assert!(app().register(one()).register(apart).build().is_ok());
    let patterns = consumer("a.*", "g", nothing).and(TopicSpec::new("b")).matching();
    assert_eq!(refused(app().register(patterns), "a pattern stands alone"), 1);
    let everyone = worker(Named("t")).everyone();
    assert!(app().register(everyone).register(worker(Another)).build().is_ok());
}
