//! `examples/event_platform`: its tour prints the same on every backend, and its command line runs its parts.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "harness/program.rs"]
mod program;

use bus::{Bus, Raw, Topic};
use bus_brokers::Awake;
use program::{Program, example, unique};
use rustix::process::Signal;
use std::time::Duration;

const PRINTED: &str = r#"== settings
kafka_bootstrap_servers = b1.example.com:9093,b2.example.com:9093
kafka_compression_type = lz4
kafka_linger_ms = 5
kafka_max_batch_size = 32768
kafka_sasl_mechanism = SCRAM-SHA-256
kafka_sasl_password = ***
kafka_sasl_username = platform
kafka_security_protocol = SASL_SSL
== avro
com.mycompany.users.UserEvent: [{"name":"user_id","type":"long"},{"name":"action","type":"string"},{"name":"timestamp","type":"string"}]
com.core.events.Note: [{"name":"text","type":"string"}]
com.shop.Note: [{"name":"text","type":"string"}]
020a6c6f67696e28323032342d30312d30315430303a30303a30305a
User 1 performed login at 2024-01-01T00:00:00Z
== events
key user-1: partition 2
User 1 performed login
key user-4: partition 1
an outcome of the batch: stored
an outcome of the batch: stored
1000 enqueued, then closed: 1000 stored
== retries
exponential: called at 0, 1, 3, 7 s; 1 message in tasks-dlq, attempts 4; on_error: broken, it always fails
linear: called at 0, 1, 3, 6 s; 1 message in tasks-linear-dlq, attempts 4; on_error: broken, it always fails
results: {"status":"completed","result":"report is written"}
on_success: report
== batches
batches of 10, 10, 5, 1
the batch of 5 went at its maximum age
25 results
== concurrency
8 keys, concurrency 4: 4 in flight"#;

/// What a registry adds: the same event behind the id of the first schema.
const WITH_REGISTRY: &str = "0000000001020a6c6f67696e28323032342d30312d30315430303a30303a30305a
User 1 performed login at 2024-01-01T00:00:00Z
== events";

/// What the application runs.
const LIST: &str = "  worker TaskWorker\n  worker BatchWorker\n  consume events --group readers\n";

fn started(url: &str, suffix: &str, command: &[&str]) -> Program {
    let mut program = example("event_platform");
    program
        .args(["--url", url, &format!("--suffix={suffix}")])
        .args(command);
    Program::start(program)
}

fn tour(url: &str) -> Duration {
    tour_with(url, &[], PRINTED)
}

/// It prints when it was called in whole seconds, and a machine that stands still for one of them adds to it: what is
/// wrong is wrong each time. How long the tour took that was right.
fn tour_with(url: &str, options: &[&str], expected: &str) -> Duration {
    let mut tries = 0;
    loop {
        let (suffix, begun) = (unique(""), Awake::begin());
        let (code, printed, logged) = started(url, &suffix, options).ends();
        assert_eq!(code, Some(0), "{url}: {}", logged.join("\n"));
        assert!(
            !(printed.join("") + &logged.join("")).contains("a-secret"),
            "the password is shown"
        );
        tries += 1;
        let printed = printed.join("\n").replace(&suffix, "");
        if printed == expected {
            return begun.elapsed();
        }
        assert!(tries < 3, "{url}, thrice: {printed}");
    }
}

/// A worker by its name: a task that comes in has its result, and what is asked to stop stops.
async fn one_worker(url: &str) {
    let suffix = unique("");
    let program = started(url, &suffix, &["worker", "TaskWorker"]);
    program.logs(1, "running; Ctrl-C stops it");
    let bus = Bus::connect(url).await.unwrap();
    bus.publish(&*format!("tasks{suffix}"), &serde_json::json!({"name": "mail"}))
        .await
        .unwrap();
    let results: Topic<String, Raw> = Topic::named(format!("results{suffix}"));
    let mut results = bus.observe(&results).await.unwrap();
    let result = tokio::time::timeout(program::LIMIT, results.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(*result, r#"{"status":"completed","result":"mail is written"}"#);
    assert_eq!(program.logged_with("started").len(), 1, "{:?}", program.logged());
    program.signal(Signal::TERM);
    let (code, _, logged) = program.ends();
    assert_eq!(code, Some(0), "{}", logged.join("\n"));
}

#[test]
fn the_tour_takes_no_time_on_memory() {
    let took = tour("memory://");
    // On a broker it waits for seven seconds.
    assert!(took < Duration::from_secs(7), "{took:?}");
}

/// A registry of its own gives the first schema the id 1.
#[test]
fn the_tour_with_a_registry() {
    let registry = bus_brokers::SchemaRegistry::start().unwrap();
    let expected = PRINTED.replace("== events", WITH_REGISTRY);
    let mut urls = vec!["memory://".to_owned()];
    #[cfg(feature = "kafka")]
    urls.push(program::server("BUS_TEST_KAFKA"));
    #[cfg(feature = "redis")]
    urls.push(program::server("BUS_TEST_REDIS"));
    for url in urls {
        tour_with(&url, &["--registry", registry.url()], &expected);
    }
}

#[test]
fn the_command_line_runs_what_it_names() {
    let listed = started("memory://", "", &["list"]).ends();
    assert_eq!((listed.0, listed.1.join("\n") + "\n"), (Some(0), LIST.to_owned()));

    let (code, _, logged) = started("memory://", "", &["worker", "Nobody"]).ends();
    assert_eq!(code, Some(2));
    assert_eq!(
        logged.join("\n"),
        format!(
            "error: no worker is called `Nobody`\n\nThere is:\n{}",
            LIST.trim_end()
        )
    );

    let one = started("memory://", "", &["worker", "TaskWorker"]);
    let all = started("memory://", "", &["worker", "--all"]);
    for (program, workers) in [
        (one, vec!["TaskWorker"]),
        (all, vec!["TaskWorker", "BatchWorker"]),
    ] {
        program.logs(1, "running; Ctrl-C stops it");
        let started = program.logged_with(" started");
        assert_eq!(started.len(), workers.len(), "{started:?}");
        for worker in workers {
            assert_eq!(
                program.logged_with(&format!("worker `{worker}` started")).len(),
                1,
                "{started:?}"
            );
        }
        program.signal(Signal::INT);
        assert_eq!(program.ends().0, Some(0));
    }
}

#[cfg(feature = "kafka")]
mod kafka {
    use super::*;

    #[test]
    fn the_tour() {
        tour(&program::server("BUS_TEST_KAFKA"));
    }

    #[tokio::test]
    async fn one_worker() {
        super::one_worker(&program::server("BUS_TEST_KAFKA")).await;
    }
}

#[cfg(feature = "redis")]
mod redis {
    use super::*;
    use ::redis::{Connection, cmd};
    use std::{collections::HashMap, thread::sleep, time::Instant};

    #[test]
    fn the_tour() {
        tour(&program::server("BUS_TEST_REDIS"));
    }

    #[test]
    fn the_tour_on_redis_8() {
        tour(&program::server("BUS_TEST_REDIS_8"));
    }

    #[tokio::test]
    async fn one_worker() {
        super::one_worker(&program::server("BUS_TEST_REDIS")).await;
    }

    #[test]
    fn entries_of_redis_cli_arrive_and_return_until_they_are_acknowledged() {
        let url = program::server("BUS_TEST_REDIS");
        let suffix = unique("");
        let (events, readers) = (format!("events{suffix}"), format!("readers{suffix}"));
        let mut server = ::redis::Client::open(&*url).unwrap().get_connection().unwrap();
        let consume = || {
            let program = started(&url, &suffix, &["consume", &events, "--group", &readers]);
            program.logs(1, "running; Ctrl-C stops it");
            program
        };
        let program = consume();
        add(&mut server, &events, r#"{"user_id":1,"action":"login"}"#);
        program.prints(1, "User 1 performed login");
        until_lag_is(&mut server, &events, 0);

        // It takes longer than whoever stops waits.
        add(
            &mut server,
            &events,
            r#"{"user_id":2,"action":"import","seconds":600}"#,
        );
        program.prints(1, "User 2 performed import");
        program.signal(Signal::TERM);
        let (code, _, logged) = program.ends();
        assert_eq!(code, Some(124), "{}", logged.join("\n"));
        until_lag_is(&mut server, &events, 1);

        let program = consume();
        program.prints(1, "User 2 performed import");
        assert_eq!(
            program.printed(),
            ["User 2 performed import"],
            "what was acknowledged does not return"
        );
    }

    fn add(server: &mut Connection, stream: &str, data: &str) {
        let _: String = cmd("XADD")
            .arg(&[stream, "*", "data", data])
            .query(server)
            .unwrap();
    }

    fn until_lag_is(server: &mut Connection, stream: &str, expected: i64) {
        let begun = Instant::now();
        loop {
            let groups: Vec<HashMap<String, ::redis::Value>> =
                cmd("XINFO").arg(&["GROUPS", stream]).query(server).unwrap();
            let [group] = &groups[..] else {
                panic!("{groups:?}")
            };
            if group["lag"] == ::redis::Value::Int(expected) {
                return;
            }
            assert!(begun.elapsed() < program::LIMIT, "{group:?}");
            sleep(Duration::from_millis(20));
        }
    }
}
