//! `examples/task_service`: what happens to a task is told once to each service, in order, on every backend.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "harness/http.rs"]
mod http;
#[path = "harness/program.rs"]
mod program;
#[path = "harness/smtp.rs"]
mod smtp;

use bus::{
    Bus, Bytes,
    testing::{Stored, published},
};
use futures_util::StreamExt;
use http::Http;
use program::{LIMIT, Program, example, unique};
use rustix::process::Signal;
use serde_json::{Value, json};
use smtp::Smtp;
use std::{
    collections::HashMap,
    net::TcpListener,
    time::{Duration, Instant},
};
use tokio_tungstenite::connect_async;

/// An application with topics and groups of its own.
struct Tasks {
    url: String,
    names: HashMap<&'static str, String>,
}

const NAMES: [&str; 6] = [
    "KAFKA_TOPIC_TASK_EVENTS",
    "KAFKA_TOPIC_NOTIFICATION_REQUEST",
    "KAFKA_TOPIC_WEBSOCKET_UPDATES",
    "KAFKA_CONSUMER_GROUP_NOTIFICATION",
    "KAFKA_CONSUMER_GROUP_AUDIT",
    "KAFKA_CONSUMER_GROUP_WEBSOCKET",
];
const EVENTS: &str = NAMES[0];
const REQUESTS: &str = NAMES[1];
const NOTIFICATION: &str = NAMES[3];
const AUDIT: &str = NAMES[4];
const WEBSOCKET: &str = NAMES[5];

impl Tasks {
    fn at(url: &str) -> Self {
        let name = |variable: &'static str| {
            let last = variable.rsplit('_').next().unwrap_or_default().to_lowercase();
            (variable, unique(&last))
        };
        Self {
            url: url.to_owned(),
            names: NAMES.map(name).into(),
        }
    }
    fn run(&self, options: &[&str]) -> (Program, Http) {
        let mut command = example("task_service");
        command
            .envs(&self.names)
            .args(["--url", &self.url, "--listen", "127.0.0.1:0"])
            .args(options);
        listening(Program::start(command))
    }
    /// Whether somebody else can look at its bus.
    fn is_shared(&self) -> bool {
        self.url != "memory://"
    }
    async fn bus(&self) -> Bus {
        Bus::connect(&self.url).await.unwrap()
    }
    async fn stored(&self, topic: &str) -> Vec<Stored<Bytes>> {
        let bus = self.bus().await;
        published(&bus, &*self.names[topic]).await.unwrap()
    }
}

fn listening(program: Program) -> (Program, Http) {
    let web = Http::connect(&address(&program));
    (program, web)
}

fn address(program: &Program) -> String {
    let line = program.prints(1, "web: listening on ").remove(0);
    line.rsplit(' ').next().unwrap().to_owned()
}

/// What a second look at a topic needs is not there on memory.
async fn every_backend<F: Future<Output = ()>>(check: impl Fn(Tasks) -> F) {
    check(Tasks::at("memory://")).await;
    #[cfg(feature = "kafka")]
    check(Tasks::at(&program::server("BUS_TEST_KAFKA"))).await;
    #[cfg(feature = "redis")]
    check(Tasks::at(&program::server("BUS_TEST_REDIS"))).await;
}

fn create(web: &mut Http, user: &str, title: &str) -> String {
    let (status, body) = web.post("/tasks", &json!({"user_id": user, "title": title}).to_string());
    assert_eq!(status, 201, "{body}");
    let task: Value = serde_json::from_str(&body).unwrap();
    task["id"].as_str().unwrap().to_owned()
}

/// Ctrl-C: everything is finished and stored.
fn interrupt(program: Program) -> (Vec<String>, Vec<String>) {
    program.signal(Signal::INT);
    let (code, printed, logged) = program.ends();
    assert_eq!(code, Some(0), "{}", logged.join("\n"));
    (printed, logged)
}

fn with<'a>(lines: &'a [String], part: &str) -> Vec<&'a str> {
    lines
        .iter()
        .map(String::as_str)
        .filter(|line| line.contains(part))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_told_once_to_each_service() {
    every_backend(async |tasks| {
        let (program, mut web) = tasks.run(&[]);
        create(&mut web, "user-1", "Buy milk");
        program.prints(1, "audit: ");
        program.prints(1, "notification: ");
        let (printed, _) = interrupt(program);
        assert_eq!(
            with(&printed, "audit: "),
            ["audit: task_created user-1: created Buy milk"]
        );
        assert_eq!(
            with(&printed, "notification: "),
            ["notification: user-1: task created: Buy milk"]
        );
        if !tasks.is_shared() {
            return;
        }
        let stored = tasks.stored(EVENTS).await;
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].key_text(), Some("user-1"));
        assert_eq!(stored[0].headers().text("ce_type"), Some("task_created"));
        let body: Value = stored[0].json().unwrap();
        assert_eq!(
            (&body["action"], &body["task"]["title"]),
            (&json!("created"), &json!("Buy milk"))
        );

        // Nothing that was acknowledged comes again.
        let (program, mut web) = tasks.run(&[]);
        create(&mut web, "user-2", "Buy bread");
        program.prints(1, "audit: ");
        program.prints(1, "notification: ");
        let (printed, _) = interrupt(program);
        assert_eq!(
            with(&printed, "audit: "),
            ["audit: task_created user-2: created Buy bread"]
        );
        assert_eq!(
            with(&printed, "notification: "),
            ["notification: user-2: task created: Buy bread"]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_of_a_user_arrive_in_order() {
    every_backend(async |tasks| {
        let (program, mut web) = tasks.run(&[]);
        let users: Vec<_> = (0..5).map(|n| format!("user-{n}")).collect();
        let ids: Vec<_> = users.iter().map(|user| create(&mut web, user, "0")).collect();
        for update in 1..=10 {
            for (user, id) in users.iter().zip(&ids) {
                let body = json!({"user_id": user, "title": update.to_string()}).to_string();
                assert_eq!(web.ask("PUT", &format!("/tasks/{id}"), &body).0, 200);
            }
        }
        assert_eq!(
            web.ask("PUT", "/tasks/none", r#"{"user_id":"user-0","title":"x"}"#)
                .0,
            404
        );
        program.prints(55, "audit: ");
        program.prints(55, "notification: ");
        let (printed, _) = interrupt(program);
        for user in &users {
            let audit: Vec<_> = (1..=10)
                .map(|n| format!("audit: task_updated {user}: updated {n}"))
                .collect();
            assert_eq!(with(&printed, &format!("audit: task_updated {user}")), audit);
            let told: Vec<_> = (1..=10)
                .map(|n| format!("notification: {user}: task updated: {n}"))
                .collect();
            assert_eq!(
                with(&printed, &format!("notification: {user}: task updated")),
                told
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_start_in_order_and_stop_in_reverse() {
    every_backend(async |tasks| {
        let (program, mut web) = tasks.run(&[]);
        // It listens to signals once it answers.
        create(&mut web, "user-1", "Buy milk");
        let (_, logged) = interrupt(program);
        let groups = |word: &str| -> Vec<_> {
            let of = |line: &&str| {
                [NOTIFICATION, AUDIT, WEBSOCKET]
                    .into_iter()
                    .find(|group| line.contains(&tasks.names[group]))
            };
            with(&logged, word).iter().filter_map(of).collect()
        };
        let started = [NOTIFICATION, NOTIFICATION, AUDIT, WEBSOCKET];
        assert_eq!(groups("` started"), started, "{}", logged.join("\n"));
        assert_eq!(
            groups("` stopped"),
            [WEBSOCKET, AUDIT, NOTIFICATION, NOTIFICATION],
            "{}",
            logged.join("\n")
        );
    })
    .await;
}

#[test]
fn switched_off_it_opens_no_connection() {
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    broker.set_nonblocking(true).unwrap();
    let mut command = example("task_service");
    command
        .args(["--listen", "127.0.0.1:0"])
        .env("RUST_LOG", "debug")
        .env("KAFKA_ENABLED", "false");
    command.env(
        "KAFKA_BOOTSTRAP_SERVERS",
        broker.local_addr().unwrap().to_string(),
    );
    let (program, mut web) = listening(Program::start(command));
    create(&mut web, "user-1", "Buy milk");
    let (printed, logged) = interrupt(program);
    assert_eq!(printed.len(), 1, "{printed:?}");
    let has = |level: &str, text: &str| {
        logged
            .iter()
            .any(|line| line.contains(level) && line.contains(text))
    };
    assert!(
        has("DEBUG", "skipping publish to task-events"),
        "{}",
        logged.join("\n")
    );
    assert!(
        has("INFO", "task_created outcome=Disabled"),
        "{}",
        logged.join("\n")
    );
    assert!(has("INFO", "consumer not started"), "{}", logged.join("\n"));
    let nobody = broker.accept().map(drop).unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_have_a_status_whatever_happens() {
    every_backend(async |tasks| {
        let smtp = Smtp::refusing("user-4");
        let (program, mut web) = tasks.run(&["--smtp", &smtp.address]);
        for request in [
            r#"{"user_id":"user-1","message":"one"}"#,
            r#"{"user_id":"user-2","message":"two","channels":["in_app","email"]}"#,
            "{broken",
            r#"{"user_id":"user-4","message":"four","channels":["email"]}"#,
            r#"{"user_id":"user-5","message":"five","channels":["fax"]}"#,
        ] {
            assert_eq!(web.post("/notifications", request).0, 202);
        }
        program.prints(1, "five: pending");
        let (printed, logged) = interrupt(program);
        let expected = [
            "notification: user-1: one: pending",
            "notification: user-2: two: sent",
            "notification: user-4: four: pending",
            "notification: user-5: there is no channel `fax`",
            "notification: user-5: five: pending",
        ];
        assert_eq!(with(&printed, "notification: "), expected);
        assert_eq!(with(&logged, "no mail was sent").len(), 1);
        assert_eq!(smtp.taken(), ["user-2@example.org: two"]);
        if tasks.is_shared() {
            let bus = tasks.bus().await;
            let mut dead = bus
                .dead_letters(&tasks.names[REQUESTS], &tasks.names[NOTIFICATION])
                .read()
                .await
                .unwrap();
            let letter = dead.next().await.unwrap().unwrap();
            assert_eq!(letter.message.payload.as_deref(), Some(&b"{broken"[..]));
            assert!(dead.next().await.is_none());
        }
    })
    .await;
}

/// Two replicas where there can be two, with a browser each.
#[tokio::test(flavor = "multi_thread")]
async fn updates_reach_the_browsers_of_every_replica() {
    every_backend(async |tasks| {
        let count = if tasks.is_shared() { 2 } else { 1 };
        let mut replicas: Vec<_> = (0..count).map(|_| tasks.run(&[])).collect();
        let mut browsers = Vec::new();
        for (program, _) in &replicas {
            let (socket, _) = connect_async(format!("ws://{}/ws", address(program)))
                .await
                .unwrap();
            browsers.push(socket);
        }
        // They see what comes from now on; when that is, only an update tells.
        let (begun, mut waiting) = (Instant::now(), browsers.len());
        let mut seen = vec![false; waiting];
        for number in 0.. {
            assert!(begun.elapsed() < LIMIT, "{waiting} browsers have seen nothing");
            create(&mut replicas[0].1, "user-1", &format!("number {number}"));
            for (browser, seen) in browsers.iter_mut().zip(&mut seen).filter(|(_, seen)| !**seen) {
                if let Ok(Some(update)) =
                    tokio::time::timeout(Duration::from_millis(500), browser.next()).await
                {
                    let update: Value = serde_json::from_str(update.unwrap().to_text().unwrap()).unwrap();
                    assert_eq!(
                        (&update["action"], &update["task"]["user_id"]),
                        (&json!("created"), &json!("user-1"))
                    );
                    (*seen, waiting) = (true, waiting - 1);
                }
            }
            if waiting == 0 {
                break;
            }
        }
        // Open sockets hold nobody up.
        replicas
            .into_iter()
            .for_each(|(program, _)| drop(interrupt(program)));
    })
    .await;
}

#[tokio::test]
async fn a_test_sees_what_was_published() {
    let bus = bus::testing::bus().await.unwrap().create_topics(true);
    let value = json!({"type": "test", "data": "value"});
    bus.publish("test-topic", &value).key("user-123").await.unwrap();
    let published = published(&bus, "test-topic").await.unwrap();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].key_text(), Some("user-123"));
    assert_eq!(published[0].json::<Value>().unwrap(), value);
}
