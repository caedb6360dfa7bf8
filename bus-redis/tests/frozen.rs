//! A process that is stopped for longer than its lease, and wakes up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{Backend, Event, Message};
use bus_redis::Redis;
use common::{member::Member, *};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

const TOPIC: &str = "BUS_TEST_FROZEN_TOPIC";
const GROUP: &str = "BUS_TEST_FROZEN_GROUP";
/// The machine may stand still for most of it.
const TTL: Duration = Duration::from_secs(10);

/// The other process of the next test: joins, says what it is told, and settles what it had when it is told to doubt it.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_in_a_process_of_its_own() {
    let (Ok(topic), Ok(name)) = (std::env::var(TOPIC), std::env::var(GROUP)) else {
        return;
    };
    let backend = Redis::connect(config().ttl(TTL).grace(DEADLINE)).await.unwrap();
    let mut member = Member::join(&backend, group(&topic.into(), &name.into())).await;
    member.until(|m| m.records.len() == 5).await;
    let (stale, mut told) = (member.done(1), member.events.len());
    println!("says ready");
    loop {
        member.step(common::member::ROOM).await.unwrap();
        for event in member.events.split_off(told) {
            match event {
                Event::Suspended(_) => println!("says suspended"),
                Event::Resumed(_) => println!("says resumed"),
                Event::Lost(_) => {
                    println!("says lost");
                    let result = member.ack.commit(vec![stale]).await.remove(0);
                    println!("says commit {:?}", result.map_err(|e| e.kind()));
                    return;
                }
                _ => {}
            }
        }
        told = member.events.len();
    }
}

struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Process {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
    /// The next thing it says.
    fn says(&mut self) -> String {
        loop {
            let line = self.lines.next().expect("it goes on").unwrap();
            if let Some((_, said)) = line.split_once("says ") {
                return said.to_owned();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_owner_wakes_up_in_doubt_and_settles_nothing() {
    let backend = Redis::connect(config().ttl(TTL).grace(DEADLINE)).await.unwrap();
    let topic = new_topic(&backend, 2).await;
    let publisher = backend.publisher().await.unwrap();
    let numbered = |from: u32| {
        let numbered = (from..from + 5).map(|i| Message::new(format!("{i}")).to_partition(1));
        numbered.collect()
    };
    publish(&publisher, &topic, numbered(0)).await;
    let name = unique("g");
    let mut other = Member::join(&backend, group(&topic, &name)).await;
    other.until(|m| m.owned.len() == 2 && m.records.len() == 5).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_member_in_a_process_of_its_own", "--nocapture"])
        .env(TOPIC, &*topic)
        .env(GROUP, &*name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut frozen = Process { child, lines };
    other
        .until(|m| m.saw(|e| matches!(e, Event::Losing { .. })))
        .await;
    other.ack.release(other.shard(1)).await.unwrap();
    other.until(|m| m.owned.len() == 1).await;
    assert_eq!(tokio::task::block_in_place(|| frozen.says()), "ready");

    // A live lease is nobody else's, whatever a wall clock says: not of a member whose last sign of life looks years old.
    let lease = format!("{topic}:bus:{name}:{{1}}");
    let mut client = foreign(&url());
    let () = redis::cmd("HSET")
        .arg(&lease)
        .arg(&["seen", "1"])
        .query(&mut client)
        .unwrap();
    let quiet = tokio::time::timeout(Duration::from_secs(3), other.step(common::member::ROOM)).await;
    assert!(quiet.is_err() && other.owned.len() == 1, "{:?}", other.events);

    frozen.signal(Signal::STOP);
    let stopped = std::time::Instant::now();
    other.until(|m| m.owned.len() == 2 && m.records.len() == 10).await;
    assert!(
        stopped.elapsed() >= TTL / 2,
        "taken over after {:?}",
        stopped.elapsed()
    );
    publish(&publisher, &topic, numbered(5)).await;
    other.until(|m| m.records.len() == 15).await;
    other.commit_all().await;
    frozen.signal(Signal::CONT);
    let mut said = Vec::new();
    while !said
        .last()
        .is_some_and(|said: &String| said.starts_with("commit"))
    {
        said.push(tokio::task::block_in_place(|| frozen.says()));
    }
    // Whoever hears of the new owner before it has looked at the time has nothing to doubt any more.
    let doubted = usize::from(said[0] == "suspended");
    assert_eq!(said[doubted..], ["lost", "commit Err(Fenced)"], "{said:?}");
    let groups = native_groups(&url(), &format!("{topic}:{{1}}"));
    assert_eq!(groups[0].2, Some(0), "where the new owner left it");
    other.subscriber.close().await.unwrap();
}
