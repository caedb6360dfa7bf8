//! How applications end: signals while they start, starts that fail, one deadline for all parts, buses that are closed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use async_trait::async_trait;
use bus::{
    Bus, ErrorKind, Message, TopicSpec,
    app::{App, Ended, Reads, Runnable},
    handler::{Consumer, Running, consumer},
};
use doubles::{Double, Manual, soon};
use std::{
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

const SECOND: Duration = Duration::from_secs(1);

/// Signals by hand.
#[derive(Clone, Default)]
struct Signals(Arc<Notify>);

impl Signals {
    fn run(&self, app: App) -> tokio::task::JoinHandle<Ended> {
        let signal = self.0.clone();
        tokio::spawn(app.run_until(move || {
            let signal = signal.clone();
            async move { signal.notified().await }
        }))
    }
    fn send(&self) {
        self.0.notify_one();
    }
}

/// A part whose start never ends, or fails when it is told to.
struct Stuck {
    fails: bool,
    starting: Arc<Notify>,
}

#[async_trait]
impl Runnable for Stuck {
    fn kind(&self) -> &'static str {
        "stuck"
    }
    fn name(&self) -> String {
        "s".to_owned()
    }
    fn place(&self) -> &'static Location<'static> {
        Location::caller()
    }
    fn reads(&self) -> Vec<Reads> {
        Vec::new()
    }
    fn topics(&self) -> Vec<TopicSpec> {
        Vec::new()
    }
    fn check(&self) -> bus::Result<()> {
        Ok(())
    }
    fn set_concurrency(&mut self, _: usize) {}
    fn default_dead_letter(&mut self, _: &str) {}
    async fn start(self: Box<Self>, _: &Bus) -> bus::Result<Running> {
        if self.fails {
            self.starting.notified().await;
            return Err(bus::Error::invalid("as told"));
        }
        self.starting.notify_one();
        std::future::pending().await
    }
}

/// Counts messages that it begins with and that it has done, each of which takes so long.
#[derive(Clone, Default)]
struct Counted(Arc<(AtomicU32, AtomicU32)>);

impl Counted {
    fn counts(&self) -> (u32, u32) {
        (self.0.0.load(SeqCst), self.0.1.load(SeqCst))
    }
    fn consumer(&self, topic: &'static str, takes: Duration) -> Consumer {
        let counted = self.clone();
        consumer(topic, "g", move || {
            let counted = counted.clone();
            async move {
                counted.0.0.fetch_add(1, SeqCst);
                sleep(takes).await;
                counted.0.1.fetch_add(1, SeqCst);
            }
        })
    }
    async fn begun(&self) {
        soon("it is handled", async {
            while self.counts().0 == 0 {
                sleep(SECOND / 100).await;
            }
        })
        .await;
    }
}

async fn memory(messages: u32) -> Bus {
    let bus = Bus::connect("memory://").await.unwrap().create_topics(true);
    for topic in ["a", "b"] {
        for n in 0..messages {
            bus.publish(topic, &n).await.unwrap();
        }
    }
    bus
}

async fn is_closed(bus: &Bus) -> bool {
    let error = bus.publish_bytes("a", "").await.err();
    error.is_some_and(|unsent| bus::Error::from(unsent).kind() == ErrorKind::Closed)
}

#[tokio::test(start_paused = true)]
async fn a_signal_while_it_starts_stops_what_has_started() {
    let (bus, counted, starting, signals) = (
        memory(1).await,
        Counted::default(),
        Arc::new(Notify::new()),
        Signals::default(),
    );
    let stuck = Stuck {
        fails: false,
        starting: starting.clone(),
    };
    let app = App::builder("shop").bus(&bus);
    let app = app.register(counted.consumer("a", 3 * SECOND)).register(stuck);
    let running = signals.run(app.build().unwrap());
    soon("the second part starts", starting.notified()).await;
    counted.begun().await;
    signals.send();
    let ended = soon("the end", running).await.unwrap();
    assert!(matches!(ended, Ended::Drained), "{ended:?}");
    assert_eq!(counted.counts(), (1, 1), "what had begun was finished");
    assert!(is_closed(&bus).await);
    let lag = bus.admin().lag("g").await.unwrap();
    assert_eq!(lag.iter().map(|lag| lag.behind).sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_closes_the_buses_and_can_be_forced() {
    let (bus, counted, signals) = (memory(1).await, Counted::default(), Signals::default());
    let fail = Arc::new(Notify::new());
    let failing = |counted: &Counted, takes| {
        let stuck = Stuck {
            fails: true,
            starting: fail.clone(),
        };
        let app = App::builder("shop").bus(&bus);
        app.register(counted.consumer("a", takes))
            .register(stuck)
            .build()
            .unwrap()
    };
    // What has started is in the middle of a message, and a signal does not wait for it.
    let begun = Instant::now();
    let running = signals.run(failing(&counted, 3600 * SECOND));
    counted.begun().await;
    fail.notify_one();
    sleep(SECOND / 10).await;
    assert!(!running.is_finished(), "the handler has time");
    signals.send();
    let ended = soon("the end", running).await.unwrap();
    assert!(matches!(ended, Ended::Forced), "{ended:?}");
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    fail.notify_one();
    let ended = soon("the end", signals.run(failing(&Counted::default(), SECOND))).await;
    let ended = ended.unwrap();
    assert!(ended.error().is_some_and(|e| e.to_string().contains("as told")));
    assert!(is_closed(&bus).await);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_does_not_end_leaves_the_others_time_and_nobody_is_cut_early() {
    let (bus, endless, steady, signals) = (
        memory(100).await,
        Counted::default(),
        Counted::default(),
        Signals::default(),
    );
    let app = App::builder("shop")
        .bus(&bus)
        .grace(10 * SECOND)
        .register(steady.consumer("a", 3 * SECOND))
        .register(endless.consumer("b", 9 * SECOND));
    let running = signals.run(app.build().unwrap());
    steady.begun().await;
    endless.begun().await;
    let stopped = Instant::now();
    signals.send();
    let ended = soon("the end", running).await.unwrap();
    assert!(matches!(ended, Ended::Drained), "{ended:?}");
    assert!(stopped.elapsed() < 10 * SECOND, "{:?}", stopped.elapsed());
    assert_eq!(endless.counts(), (1, 1), "it had nearly all of the time");
    let (begun, done) = steady.counts();
    assert_eq!(begun, done, "and this one what it needed");
    assert!(
        (2..=3).contains(&done),
        "it went on meanwhile, and not to the end: {done}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_cannot_confirm_does_not_hold_the_end() {
    let publisher = Arc::new(Manual::default());
    let double = Double {
        publisher: Some(publisher.clone()),
        ..Double::default()
    };
    let bus = double.bus(1).await;
    bus.enqueue("t", Message::new("never confirmed")).await.unwrap();
    soon("it is sent", publisher.taken(1)).await;
    let signals = Signals::default();
    let app = App::builder("shop").bus(&bus).grace(5 * SECOND).build().unwrap();
    let running = signals.run(app);
    let stopped = Instant::now();
    signals.send();
    let ended = tokio::time::timeout(60 * SECOND, running).await;
    let ended = ended.expect("it ends").unwrap();
    let error = ended.error().expect("it says what was lost").to_string();
    assert!(error.contains("closing bus `default`"), "{error}");
    assert_eq!(stopped.elapsed().as_secs(), 5);
}
