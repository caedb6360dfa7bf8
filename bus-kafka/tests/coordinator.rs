//! Questions to a group's coordinator, while there is none and when it is back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bus_brokers::{Awake, KafkaOptions};
use bus_core::{Backend, ErrorKind};
use bus_kafka::{Kafka, KafkaConfig};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(120);

/// librdkafka 2.12 ends the process when the coordinator comes back to a question that it gave up itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_was_given_up_harms_nobody_when_the_coordinator_is_back() {
    let start = || bus_brokers::Kafka::start(KafkaOptions::new().heap(256));
    let server = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
    let config = KafkaConfig::new(server.address()).request_timeout(Duration::from_secs(1));
    let backend = Kafka::connect(config).await.unwrap();
    let admin = backend.admin();
    let answered = async || {
        let begin = Instant::now();
        loop {
            let error = admin.lag("nobody").await.unwrap_err();
            if error.kind() == ErrorKind::GroupMissing {
                return;
            }
            assert!(begin.elapsed() < DEADLINE, "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    answered().await;
    let server = std::sync::Arc::new(server);
    for _ in 0..2 {
        server.kill9().unwrap();
        let asked = Awake::begin();
        for _ in 0..3 {
            let error = admin.lag("nobody").await.unwrap_err();
            assert!(
                error.is_transient() && error.kind() != ErrorKind::GroupMissing,
                "{error}"
            );
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
        // A cluster that is gone is asked for again, calmly: the process has next to nothing to do.
        let before = processor();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let used = processor() - before;
        assert!(
            used < Duration::from_millis(800),
            "{used:?} of processor time in 4 s of waiting"
        );
        // Given up by the caller.
        let short = Duration::from_millis(200);
        assert!(tokio::time::timeout(short, admin.lag("nobody")).await.is_err());
        let again = server.clone();
        tokio::task::spawn_blocking(move || again.restart())
            .await
            .unwrap()
            .unwrap();
        answered().await;
    }
}

/// The processor time that this process has had.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap();
    let ticks: u64 = fields
        .split(' ')
        .skip(12)
        .take(2)
        .map(|t| t.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}
