//! Applications: what is refused before anything runs, order of start and stop, signals, the command line.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use async_trait::async_trait;
use bus::{
    Bus, Delivery, ErrorKind, Topic, TopicSpec,
    app::{App, Builder, Ended, Reads, Runnable},
    handler::{Acknowledge, Consumer, Failure, Running, consumer},
    worker::{Runner, Worker, worker},
};
use doubles::soon;
use std::{
    panic::Location,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

const SECOND: Duration = Duration::from_secs(1);

/// Tells when it begins with a message, and ends it when it may.
#[derive(Clone)]
struct Slow {
    topic: &'static str,
    starting: mpsc::UnboundedSender<&'static str>,
    go: Arc<Notify>,
}

impl Worker for Slow {
    type Input = u32;
    type Output = ();
    const NAME: &'static str = "slow";
    fn topic(&self) -> Topic<u32> {
        Topic::new(self.topic).partitions(2)
    }
    async fn process(&self, _: &Delivery<u32>) -> Result<Option<()>, Failure> {
        self.starting.send("began")?;
        self.go.notified().await;
        self.starting.send("done")?;
        Ok(None)
    }
}

struct Other;

impl Worker for Other {
    type Input = u32;
    type Output = ();
    const NAME: &'static str = "other";
    fn topic(&self) -> Topic<u32> {
        Topic::new("t").partitions(2)
    }
    async fn process(&self, _: &Delivery<u32>) -> Result<Option<()>, Failure> {
        Ok(None)
    }
}

struct Rig {
    bus: Bus,
    told: mpsc::UnboundedReceiver<&'static str>,
    slow: Slow,
}

impl Rig {
    async fn new() -> Self {
        let (starting, told) = mpsc::unbounded_channel();
        let (topic, go) = ("t", Arc::default());
        let slow = Slow { topic, starting, go };
        let bus = Bus::connect("memory://").await.unwrap();
        Self { bus, told, slow }
    }
    fn slow(&self) -> Runner<Slow> {
        worker(self.slow.clone())
    }
    fn app(&self) -> Builder {
        App::builder("shop").bus(&self.bus)
    }
    /// An application with the slow worker, in the middle of a message.
    async fn busy(&mut self, grace: Duration) -> (tokio::task::JoinHandle<Ended>, Arc<Notify>) {
        let signal = Arc::new(Notify::new());
        let app = self.app().register(self.slow()).grace(grace).build().unwrap();
        let running = tokio::spawn({
            let signal = signal.clone();
            async move {
                let signals = || {
                    let signal = signal.clone();
                    async move { signal.notified().await }
                };
                app.run_until(signals).await
            }
        });
        // The application makes the topic.
        soon("a message is stored", async {
            let topic = Topic::<u32>::new("t");
            while self.bus.publish(&topic, &1).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        assert_eq!(soon("it is handled", self.told.recv()).await, Some("began"));
        (running, signal)
    }
}

/// A consumer that writes down when it starts and stops.
struct Noted {
    name: &'static str,
    inner: Consumer,
    notes: Arc<Mutex<Vec<String>>>,
    fails: bool,
}

impl Noted {
    fn new(name: &'static str, notes: &Arc<Mutex<Vec<String>>>) -> Self {
        let stops = notes.clone();
        let inner = consumer(TopicSpec::new("n"), name, async || {}).subscription(move |s| {
            s.on_notice(move |notice| {
                if matches!(notice, bus::Notice::Lost { .. }) {
                    stops.lock().unwrap().push(format!("-{name}"));
                }
                async {}
            })
        });
        Self {
            name,
            inner,
            notes: notes.clone(),
            fails: false,
        }
    }
}

#[async_trait]
impl Runnable for Noted {
    fn kind(&self) -> &'static str {
        "noted"
    }
    fn name(&self) -> String {
        self.name.to_owned()
    }
    fn place(&self) -> &'static Location<'static> {
        self.inner.place()
    }
    fn reads(&self) -> Vec<Reads> {
        self.inner.reads()
    }
    fn topics(&self) -> Vec<TopicSpec> {
        self.inner.topics().to_vec()
    }
    fn check(&self) -> bus::Result<()> {
        Ok(())
    }
    fn set_concurrency(&mut self, _: usize) {}
    fn default_dead_letter(&mut self, _: &str) {}
    async fn start(self: Box<Self>, bus: &Bus) -> bus::Result<Running> {
        if self.fails {
            return Err(bus::Error::invalid("as told"));
        }
        let this = *self;
        let running = this.inner.start(bus).await?;
        // It owns its partition before the next one starts.
        soon("the partition", async {
            while running.control().assignment().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        this.notes.lock().unwrap().push(format!("+{}", this.name));
        Ok(running)
    }
}

#[tokio::test(start_paused = true)]
async fn parts_start_in_order_and_stop_in_reverse_and_a_failed_start_stops_those_before_it() {
    let rig = Rig::new().await;
    let notes = Arc::default();
    let noted = |name| Noted::new(name, &notes);
    let app = rig
        .app()
        .register(noted("a"))
        .register(noted("b"))
        .register(noted("c"))
        .build()
        .unwrap();
    let started = app.start().await.unwrap();
    started.stop(SECOND).await.unwrap();
    assert_eq!(
        notes.lock().unwrap().drain(..).collect::<Vec<_>>(),
        ["+a", "+b", "+c", "-c", "-b", "-a"]
    );

    let failing = Noted {
        fails: true,
        ..noted("c")
    };
    let app = rig
        .app()
        .register(noted("a"))
        .register(noted("b"))
        .register(failing)
        .register(noted("d"));
    let error = app.build().unwrap().start().await.unwrap_err();
    assert_eq!(error.to_string(), "noted `c` could not be started: as told");
    assert_eq!(*notes.lock().unwrap(), ["+a", "+b", "-b", "-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_dropped_stops_everything() {
    let rig = Rig::new().await;
    let notes = Arc::default();
    let app = rig
        .app()
        .register(Noted::new("a", &notes))
        .register(Noted::new("b", &notes));
    drop(app.build().unwrap().start().await.unwrap());
    soon("the stops", async {
        while notes.lock().unwrap().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_with_both_places() {
    let rig = Rig::new().await;
    let refused = |builder: Builder, expected: &[&str]| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        let places = text.matches("tests/app.rs:").count();
        for expected in expected {
            assert!(text.contains(expected), "{text}");
        }
        places
    };
    let twice = rig
        .app()
        .register(rig.slow())
        .register(rig.slow().group("another"));
    assert_eq!(refused(twice, &["two are called worker `slow`"]), 2);
    let elsewhere = rig
        .app()
        .named_bus("redis", &rig.bus)
        .register_on("kafka", rig.slow());
    let known = ["worker `slow`", "there is no bus `kafka`", "`default`, `redis`"];
    assert_eq!(refused(elsewhere, &known), 1);
    let range = rig.app().register(rig.slow().concurrency(0));
    assert_eq!(refused(range, &["concurrency is 0"]), 1);
    let name = rig.app().register(consumer("my topic", "g", async || {}));
    assert_eq!(refused(name, &["illegal name `my topic`"]), 1);
    let topics = rig.app().register(rig.slow()).register(consumer(
        TopicSpec::new("t").partitions(3),
        "g",
        async || {},
    ));
    assert_eq!(refused(topics, &["topic `t` is defined in two ways"]), 2);
    // `a.b` in `c`, and `a` in `b.c`.
    let [one, other] = [("a.b", "c"), ("a", "b.c")].map(|(topic, group)| {
        let slow = Slow {
            topic,
            ..rig.slow.clone()
        };
        (worker(slow).group(group), worker(Renamed(topic)).group(group))
    });
    let letters = rig.app().register(one.0).register(other.1);
    assert_eq!(
        refused(letters, &["would both go to `a.b.c.dlq`", "`a.b` in group `c`"]),
        2
    );
    let template = rig.app().dead_letter("{tpic}.dlq").register(rig.slow());
    assert_eq!(refused(template, &["`{topic}` and `{group}`"]), 0);
    // A name that is only used says nothing of how the topic is made.
    let named = rig
        .app()
        .register(consumer("t", "g", async || {}))
        .register(rig.slow())
        .build()
        .unwrap();
    assert!(named.bus("default").is_ok() && named.bus("kafka").is_err());
    let started = named.start().await.unwrap();
    let topics = rig.bus.admin().topics().await.unwrap();
    assert_eq!(topics.iter().find(|t| &*t.name == "t").unwrap().partitions, 2);
    started.stop(SECOND).await.unwrap();
}

struct Renamed(&'static str);

impl Worker for Renamed {
    type Input = u32;
    type Output = ();
    const NAME: &'static str = "renamed";
    fn topic(&self) -> Topic<u32> {
        Topic::new(self.0)
    }
    async fn process(&self, _: &Delivery<u32>) -> Result<Option<()>, Failure> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_signal_drains() {
    let mut rig = Rig::new().await;
    let (running, signal) = rig.busy(SECOND * 10).await;
    signal.notify_one();
    tokio::time::sleep(SECOND * 2).await;
    assert!(!running.is_finished(), "a handler still runs");
    rig.slow.go.notify_one();
    let ended = soon("the end", running).await.unwrap();
    assert!(matches!(ended, Ended::Drained), "{ended:?}");
    assert_eq!((ended.code(), rig.told.recv().await), (0, Some("done")));
    let lag = rig.bus.admin().lag("slow").await.unwrap();
    assert_eq!(
        lag.iter().map(|lag| lag.behind).sum::<u64>(),
        0,
        "what was done is stored"
    );
}

#[tokio::test(start_paused = true)]
async fn the_second_signal_forces_the_end_and_a_deadline_ends_it_too() {
    let mut rig = Rig::new().await;
    let (running, signal) = rig.busy(SECOND * 3600).await;
    signal.notify_one();
    tokio::time::sleep(SECOND).await;
    let now = Instant::now();
    signal.notify_one();
    let ended = soon("the end", running).await.unwrap();
    assert!(matches!(ended, Ended::Forced), "{ended:?}");
    assert_eq!((ended.code(), now.elapsed()), (130, Duration::ZERO));

    let mut rig = Rig::new().await;
    let (running, signal) = rig.busy(SECOND * 5).await;
    let now = Instant::now();
    signal.notify_one();
    let ended = soon("the end", running).await.unwrap();
    assert!(matches!(ended, Ended::Late), "{ended:?}");
    assert_eq!(ended.code(), 124);
    assert!(
        (SECOND * 5..SECOND * 6).contains(&now.elapsed()),
        "{:?}",
        now.elapsed()
    );
}

/// Acknowledged before it is handled, so nothing is in flight; the handler runs all the same.
#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_before_is_finished_too() {
    for (grace, finishes) in [(10 * SECOND, true), (SECOND, false)] {
        let rig = Rig::new().await;
        rig.bus.ensure_topics([TopicSpec::new("clicks")]).await.unwrap();
        let (began, done) = (Arc::new(Notify::new()), Arc::new(Mutex::new(false)));
        let handler = {
            let (began, done) = (began.clone(), done.clone());
            move || {
                let (began, done) = (began.clone(), done.clone());
                async move {
                    began.notify_one();
                    tokio::time::sleep(5 * SECOND).await;
                    *done.lock().unwrap() = true;
                }
            }
        };
        let clicks = consumer("clicks", "g", handler).acknowledge(Acknowledge::Before);
        let app = rig.app().register(clicks).grace(grace).build().unwrap();
        let signal = Arc::new(Notify::new());
        let stop = signal.clone();
        let running = tokio::spawn(app.run_until(move || {
            let stop = stop.clone();
            async move { stop.notified().await }
        }));
        rig.bus.publish("clicks", &1).await.unwrap();
        soon("it is handled", began.notified()).await;
        let now = Instant::now();
        signal.notify_one();
        let ended = soon("the end", running).await.unwrap();
        assert_eq!(
            (ended.code(), *done.lock().unwrap()),
            if finishes { (0, true) } else { (124, false) }
        );
        assert!(now.elapsed() <= 6 * SECOND, "{:?}", now.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_ends_the_others() {
    let rig = Rig::new().await;
    let notes = Arc::default();
    let app = rig
        .app()
        .register(Noted::new("a", &notes))
        .register(worker(Other))
        .build()
        .unwrap();
    let running = tokio::spawn(app.run_until(std::future::pending));
    soon("the topic is gone", async {
        while notes.lock().unwrap().is_empty() || rig.bus.admin().delete("t").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let ended = soon("the end", running).await.unwrap();
    let text = ended.error().expect("it failed").to_string();
    assert!(text.starts_with("worker `other` ended: "), "{text}");
    assert_eq!((ended.code(), &*notes.lock().unwrap().join(" ")), (1, "+a -a"));
}

#[tokio::test(start_paused = true)]
async fn the_command_line_runs_what_it_names() {
    let rig = Rig::new().await;
    let build = || {
        let audit = consumer("t", "audit", async || {});
        rig.app()
            .register(rig.slow())
            .register(worker(Other))
            .register(audit)
            .build()
            .unwrap()
    };
    let listed = [
        ("worker", "slow".to_owned()),
        ("worker", "other".to_owned()),
        ("consumer", "t --group audit".to_owned()),
    ];
    assert_eq!(build().list(), listed);
    for (line, expected) in [
        (vec!["worker", "nobody"], "no worker is called `nobody`"),
        (
            vec!["consume", "t", "--group", "nobody"],
            "no consumer reads `t` in group `nobody`",
        ),
        (vec!["worker"], "`worker` needs a name"),
    ] {
        let ended = build().command(line).await;
        assert_eq!(ended.code(), 2);
        let Ended::Usage(text) = ended else {
            panic!("{ended:?}")
        };
        assert!(text.contains(expected), "{text}");
        if expected.contains("nobody") {
            assert!(
                text.contains("  worker slow\n  worker other\n  consume t --group audit\n"),
                "{text}"
            );
        }
    }
    // Which groups there are says what ran.
    for (line, expected) in [
        (vec!["worker", "other", "--concurrency", "4"], vec!["other"]),
        (vec!["consume", "t", "--group=audit"], vec!["audit"]),
        (vec!["worker", "--all"], vec!["other", "slow"]),
        (vec![], vec!["audit", "other", "slow"]),
    ] {
        let signal = Notify::new();
        let until = build().command_until(line, || signal.notified());
        let stop = async {
            soon("the groups", async {
                while members(&rig.bus).await != expected {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
            .await;
            signal.notify_one();
        };
        let (ended, ()) = tokio::join!(until, stop);
        assert!(matches!(ended, Ended::Drained), "{ended:?}");
    }
}

/// The groups that have members.
async fn members(bus: &Bus) -> Vec<String> {
    let admin = bus.admin();
    let mut live = Vec::new();
    for group in admin.groups().await.unwrap() {
        if !admin.group(&group).await.unwrap().members.is_empty() {
            live.push(group.to_string());
        }
    }
    live
}

#[tokio::test(start_paused = true)]
async fn dead_letters_go_where_the_part_says_else_the_application_else_the_settings() {
    let settings = bus::Settings::default()
        .set("backend", "memory")
        .set("messaging_dead_letter_topic", "set.{topic}");
    let bus = Bus::from_settings(&settings).await.unwrap();
    type Register = fn(Builder) -> Builder;
    let builders: [(Register, &str); 3] = [
        (|app| app.register(worker(Renamed("t"))), "set.t"),
        (
            |app| app.dead_letter("app.{group}").register(worker(Renamed("t"))),
            "app.renamed",
        ),
        (
            |app| {
                app.dead_letter("app")
                    .register(worker(Renamed("t")).dead_letter("own"))
            },
            "own",
        ),
    ];
    for (register, expected) in builders {
        let app = register(App::builder("shop").bus(&bus)).build().unwrap();
        // Topics of dead letters are made when something starts.
        app.start().await.unwrap().stop(SECOND).await.unwrap();
        let topics = bus.admin().topics().await.unwrap();
        assert!(
            topics.iter().any(|topic| &*topic.name == expected),
            "{expected} of {topics:?}"
        );
        assert!(topics.iter().all(|topic| &*topic.name != "t.renamed.dlq"));
    }
}
