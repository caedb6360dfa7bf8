//! Exactly once behind a network that loses answers and delivers requests late, on a broker of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bus_core::{ErrorKind, Message};
use bus_proxy::{Filter, Late, Proxy, Rule};
use common::{lab::Lab, *};
use std::time::{Duration, Instant};

const PRODUCE: i16 = 0;
const ADD_PARTITIONS: i16 = 24;
const ADD_OFFSETS: i16 = 25;
const END: i16 = 26;
const OFFSETS: i16 = 28;

/// Passes messages on, one a commit, with `disturb` before every one, and fails unless a reader finds each once.
async fn pass_on(lab: &Lab, what: &str, count: usize, disturb: impl Fn(&Proxy, usize)) {
    let (input, output) = (topic(&lab.kafka, 1).await, topic(&lab.kafka, 1).await);
    let texts: Vec<String> = (0..count).map(|i| i.to_string()).collect();
    publish(
        &lab.kafka,
        &input,
        texts.iter().map(|t| Message::new(t.clone())).collect(),
    )
    .await;
    let group = unique("g");
    let mut member = Member::join(&lab.kafka, exactly_once(&input, &group)).await;
    let (mut at, mut commits) = (0, 0);
    let deadline = Instant::now() + 6 * SOON;
    loop {
        member.until("owning the partition", |m| m.owned.len() == 1).await;
        let (shard, next, _) = member.owned[&0].clone();
        if at == 0 && next as usize == count {
            break;
        }
        member
            .until("a record", |m| !m.owned.contains_key(&0) || m.records.len() > at)
            .await;
        let Some((from, record)) = member.records.get(at) else {
            continue;
        };
        assert!(
            Instant::now() < deadline,
            "{what}: {at} of {count} after {commits} commits"
        );
        if *from != shard {
            at += 1;
            continue;
        }
        let position = record.position();
        let text = String::from_utf8_lossy(record.payload().unwrap()).into_owned();
        disturb(&lab.proxy, commits);
        commits += 1;
        let done = done_with(shard, position + 1, vec![(&output, Message::new(text))]);
        match member.ack.commit(vec![done]).await.remove(0) {
            Ok(()) => at += 1,
            Err(error) if error.kind() == ErrorKind::Fenced => {
                // Given up: it comes again from where it is stored.
                let lost = member.lost.len();
                member
                    .until("losing it", |m| m.lost.len() > lost || m.owned[&0].0 != shard)
                    .await;
                member.records.clear();
                at = 0;
            }
            Err(error) => assert!(error.is_transient(), "{what}: {error}"),
        }
        if position as usize + 1 == count && at > 0 {
            break;
        }
    }
    lab.proxy.heal();
    let expected: Vec<&str> = texts.iter().map(String::as_str).collect();
    until_contents(&lab.kafka, &output, &expected).await;
    assert_eq!(stored(&lab.kafka, &group).await.0, count as u128);
    member.subscriber.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_late_requests_change_nothing() {
    let lab = Lab::start().await;
    pass_on(&lab, "no fault", 30, |_, _| {}).await;
    for key in [PRODUCE, ADD_PARTITIONS, ADD_OFFSETS, END, OFFSETS] {
        let begun = Instant::now();
        pass_on(&lab, &format!("lost answers to {key}"), 30, |proxy, i| {
            if i % 6 == 3 {
                proxy.drop_next_reply(Filter::kafka([key]));
            }
        })
        .await;
        let lost = begun.elapsed();
        pass_on(&lab, &format!("late requests {key}"), 30, |proxy, i| {
            if i % 6 == 3 {
                proxy.hold_next_request(Filter::kafka([key]), Duration::from_millis(60));
            }
        })
        .await;
        eprintln!(
            "key {key}: lost answers {lost:?}, late requests {:?}",
            begun.elapsed() - lost
        );
    }
    let before = lab.proxy.counters();
    assert!(
        before.dropped_replies >= 25 && before.held_requests >= 25,
        "{before:?}"
    );
}

/// Rebalances abort transactions, and the late copy of an abort would end a transaction that comes after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_with_kills_and_late_ends_passes_everything_on() {
    let lab = Lab::start().await;
    lab.proxy.change(|faults| {
        let late = Duration::from_millis(250);
        let all = [PRODUCE, ADD_PARTITIONS, ADD_OFFSETS, END, OFFSETS];
        faults
            .rules
            .push(Rule::hold_request(Filter::kafka([END]), 0.12, late, Late::HungUp));
        faults.rules.push(Rule::drop_reply(Filter::kafka(all), 0.01));
    });
    chain::chain(lab.kafka.clone(), 900, 8, Duration::from_secs(600)).await;
    let counters = lab.proxy.counters();
    assert!(
        counters.held_requests > 20 && counters.dropped_replies > 5,
        "{counters:?}"
    );
}
