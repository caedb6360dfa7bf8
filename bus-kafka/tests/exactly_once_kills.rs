//! Members that lose a partition or their life in the middle of a transaction, on a broker of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, ErrorKind, Message, Start};
use bus_kafka::{Kafka, KafkaConfig};
use bus_proxy::Filter;
use common::{lab::Lab, *};
use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PRODUCE: i16 = 0;
const END: i16 = 26;

fn texts(count: usize) -> Vec<Message> {
    (0..count).map(|i| Message::new(format!("{i}"))).collect()
}

/// In a process of its own: one commit, in which it will be killed.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    // No child, but one of the tests: nothing to do.
    let Ok(address) = std::env::var("CHILD_ADDRESS") else {
        return;
    };
    let [input, output, group, timeout] = ["CHILD_INPUT", "CHILD_OUTPUT", "CHILD_GROUP", "CHILD_TIMEOUT"]
        .map(|name| std::env::var(name).unwrap());
    let config = KafkaConfig::new(address)
        .instance("pod-1")
        .transaction_timeout(Duration::from_secs(timeout.parse().unwrap()));
    let kafka = Kafka::connect(config).await.unwrap();
    let mut member = Member::join(&kafka, exactly_once(&input, &group)).await;
    member.until_records(10).await;
    let outputs = vec![(&*output, Message::new("from the dead"))];
    member
        .ack
        .commit(vec![done_with(member.shard(0), 10, outputs)])
        .await;
}

/// A process that holds an open transaction with outputs and positions, when it is killed.
async fn killed(lab: &Lab, timeout: Duration, [input, output, group]: [&str; 3]) {
    let held = lab
        .proxy
        .delay_next_request(Filter::kafka([END]).containing("pod-1"), Duration::from_secs(600));
    let mut process: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("CHILD_ADDRESS", lab.proxy.address())
        .env("CHILD_INPUT", input)
        .env("CHILD_OUTPUT", output)
        .env("CHILD_GROUP", group)
        .env("CHILD_TIMEOUT", timeout.as_secs().to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = tokio::time::timeout(2 * SOON, held.begun()).await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(begun.expect("its transaction ends"), "not called off");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_transaction() {
    let lab = Lab::start().await;
    a_partition_leaves_when_the_transaction_has_ended(&lab).await;
    the_next_owner_waits_for_the_transaction_timeout(&lab).await;
    a_process_that_comes_back_under_its_name_frees_its_readers(&lab).await;
}

async fn a_partition_leaves_when_the_transaction_has_ended(lab: &Lab) {
    let kafka = &lab.kafka;
    let (input, output, group) = (topic(kafka, 2).await, topic(kafka, 1).await, unique("g"));
    for partition in 0..2 {
        let messages = texts(10).into_iter().map(|m| m.to_partition(partition)).collect();
        publish(kafka, &input, messages).await;
    }
    let mut first = Member::join(kafka, exactly_once(&input, &group)).await;
    first.until_records(20).await;
    // Its outputs are under way, and who it is in its group is asked for when they are there.
    let late = Filter::kafka([PRODUCE]).containing(output.as_str());
    let held = lab.proxy.delay_next_request(late, Duration::from_secs(4));
    let ack = first.ack.clone();
    let dones = (0..2).map(|p| {
        done_with(
            first.shard(p),
            10,
            vec![(&*output, Message::new(format!("p{p}")))],
        )
    });
    let dones: Vec<_> = dones.collect();
    let commit = tokio::spawn(async move { ack.commit(dones).await });
    assert!(held.begun().await);
    let mut second = Member::join(kafka, exactly_once(&input, &group)).await;
    first
        .until("a partition to leave", |m| !m.losing.is_empty())
        .await;
    let leaving = first.losing[0];
    let (ack, begun) = (first.ack.clone(), Instant::now());
    let release = tokio::spawn(async move { ack.release(leaving).await });
    second.until_owned(1).await;
    eprintln!("handed over {:?} after it was given up", begun.elapsed());
    release.await.unwrap().unwrap();
    let results = commit.await.unwrap();
    let mut expected = Vec::new();
    for (partition, result) in results.iter().enumerate() {
        match result {
            Ok(()) => expected.push(format!("p{partition}")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Fenced, "{error}"),
        }
    }
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    until_contents(kafka, &output, &expected).await;
    // Where it goes on is where the outputs end, or something would be done twice, or never.
    let (_, next, _) = &second.owned[&leaving.partition];
    let done = results[leaving.partition as usize].is_ok();
    assert_eq!(*next, if done { 10 } else { 0 });
    first.subscriber.close().await.unwrap();
    second.subscriber.close().await.unwrap();
}

async fn the_next_owner_waits_for_the_transaction_timeout(lab: &Lab) {
    let kafka = &lab.kafka;
    let (input, output, group) = (topic(kafka, 1).await, topic(kafka, 1).await, unique("g"));
    publish(kafka, &input, texts(10)).await;
    // Long enough that the next owner is there before it is over.
    killed(lab, Duration::from_secs(20), [&input, &output, &group]).await;
    let begun = Instant::now();
    let mut next = Member::join(kafka, exactly_once(&input, &group)).await;
    let deadline = begun + 6 * SOON;
    let mut told = None;
    while next.owned.is_empty() {
        assert!(Instant::now() < deadline, "never owned");
        next.step(Duration::from_millis(50)).await;
        if let Err(error) = kafka.health() {
            told = Some(error);
        }
    }
    let told = told.expect("health says what it waits for").to_string();
    assert!(told.contains(&input) && told.contains("transaction"), "{told}");
    kafka.health().unwrap();
    eprintln!("owned {:?} after the kill", begun.elapsed());
    next.until_records(10).await;
    assert_eq!(next.owned[&0].1, 0);
    let done = done_with(
        next.shard(0),
        10,
        vec![(&output, Message::new("from the living"))],
    );
    next.ack.commit(vec![done]).await.remove(0).unwrap();
    until_contents(kafka, &output, &["from the living"]).await;
    next.subscriber.close().await.unwrap();
}

async fn a_process_that_comes_back_under_its_name_frees_its_readers(lab: &Lab) {
    let kafka = &lab.kafka;
    let (input, output, group) = (topic(kafka, 1).await, topic(kafka, 1).await, unique("g"));
    publish(kafka, &input, texts(10)).await;
    // Its readers would wait that long for the broker to end the transaction.
    let timeout = Duration::from_secs(300);
    killed(lab, timeout, [&input, &output, &group]).await;
    publish(kafka, &output, vec![Message::new("behind")]).await;
    let mut reader = Member::join(kafka, everyone(&output, None, Start::Earliest)).await;
    reader.until("the end", |m| m.caught_up.len() == 1).await;
    assert!(reader.records.is_empty(), "behind an open transaction");
    let begun = Instant::now();
    let back = Kafka::connect(KafkaConfig::new(lab.proxy.address()).instance("pod-1"))
        .await
        .unwrap();
    let mut member = Member::join(&back, exactly_once(&input, &group)).await;
    reader.until_records(1).await;
    let waited = begun.elapsed();
    eprintln!("readers freed after {waited:?}");
    assert!(waited < timeout / 2, "no sooner than the timeout: {waited:?}");
    assert_eq!(reader.payloads(), ["behind"]);
    member.until_records(10).await;
    member.subscriber.close().await.unwrap();
    reader.subscriber.close().await.unwrap();
}
