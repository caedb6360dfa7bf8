//! Acks in any order, nacks and delays.

use crate::{
    Delivery, Retry,
    conformance::{
        Failure, History, Lab, Proof, checkers,
        member::{Act, Seen, payloads},
        work::{id_of, messages, unkeyed},
    },
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const SOON: Retry = Retry::fixed(Duration::from_millis(20)).forever();

pub(crate) async fn nacked_comes_back(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let history = Arc::new(History::default());
    lab.publish(&bus, topic.name(), &history, messages(10, 100))
        .await?;
    let once = |seen: Seen| async move { if seen.attempt == 1 { Act::Nack } else { Act::Ack } };
    let subscribe = lab.subscribe(&bus, &topic, &lab.group("g")).retry(SOON);
    let member = lab.member(subscribe, (0, 4), &history, once).await?;
    lab.until(&history, "100 messages are acknowledged", |h| {
        h.tally().acked == 100
    })
    .await?;
    member.close(lab).await?;
    ensure_eq!(
        history.tally().delivered,
        200,
        "deliveries of 100 messages that were nacked once"
    );
    checkers::all(&history.happenings())
}

pub(crate) async fn a_delay_is_never_cut_short(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let history = Arc::new(History::default());
    lab.publish(&bus, topic.name(), &history, messages(20, 40))
        .await?;
    let later = |seen: Seen| async move {
        match seen.attempt {
            1 => Act::NackAfter(Duration::from_millis(700)),
            _ => Act::Ack,
        }
    };
    let subscribe = lab.subscribe(&bus, &topic, &lab.group("g"));
    let member = lab.member(subscribe, (0, 4), &history, later).await?;
    lab.until(&history, "40 messages are acknowledged", |h| {
        h.tally().acked == 40
    })
    .await?;
    member.close(lab).await?;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_delay_survives_a_restart(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    lab.publish(&first, topic.name(), &history, messages(4, 8))
        .await?;
    // Longer than closing and joining again take, so that the time left is known to the second member only by notes.
    let wait = Duration::from_secs(4);
    let later = move |seen: Seen| async move {
        match (seen.attempt, seen.id.ends_with(":0")) {
            (1, true) => Act::NackAfter(wait),
            _ => Act::Ack,
        }
    };
    let member = lab
        .member(lab.subscribe(&first, &topic, &group), (0, 4), &history, later)
        .await?;
    lab.until(&history, "4 messages are nacked", |h| h.tally().nacked == 4)
        .await?;
    member.close(lab).await?;
    let member = lab
        .member(lab.subscribe(&second, &topic, &group), (1, 4), &history, later)
        .await?;
    let slow = lab.patience() + wait;
    lab.until_for(slow, &history, "8 messages are acknowledged", |h| {
        h.tally().acked == 8
    })
    .await?;
    member.close(lab).await?;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_hundred_nacks_by_each_of_three(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 6).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let (mut members, mut counts) = (Vec::new(), Vec::new());
    for number in 0..3 {
        let nacks = Arc::new(AtomicUsize::new(0));
        counts.push(nacks.clone());
        let handler = move |_| {
            let nack = nacks
                .fetch_update(Relaxed, Relaxed, |n| (n < 100).then_some(n + 1))
                .is_ok();
            async move { if nack { Act::Nack } else { Act::Ack } }
        };
        let subscribe = lab.subscribe(&bus, &topic, &group).retry(SOON);
        members.push(lab.member(subscribe, (number, 8), &history, handler).await?);
    }
    let steady = lab.publish_steadily(&bus, topic.name(), &history, 40);
    let all = |_: &History| counts.iter().all(|count| count.load(Relaxed) == 100);
    lab.until(&history, "each of 3 members has nacked 100 times", all)
        .await?;
    steady.stop().await?;
    let done = |h: &History| h.tally().acked == h.tally().published;
    lab.until(&history, "everything is acknowledged", done).await?;
    for member in members {
        member.close(lab).await?;
    }
    checkers::all(&history.happenings())
}

pub(crate) async fn the_position_never_passes_the_unsettled(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), unkeyed("m", 4, 80)).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    let mut out: Vec<_> = lab.take(&mut reader, 80).await?.into_iter().map(Some).collect();
    let mut seen: HashMap<u32, Vec<u128>> = HashMap::new();
    // 7 and 80 have no common factor, so every message has its turn, in no order that a log would have.
    for turn in 0..80 {
        if let Some(delivery) = out[(turn * 7 + 40) % 80].take() {
            delivery.ack();
        }
        if turn % 10 != 9 {
            continue;
        }
        lab.within("a flush", reader.flush()).await??;
        for lag in lab.within("the lag", bus.admin().lag(&group)).await?? {
            let unsettled = out.iter().flatten().filter(|d| d.partition() == lag.partition);
            if let Some(lowest) = unsettled.map(Delivery::position).min() {
                let position = lag.position;
                ensure!(
                    position <= lowest,
                    "after {turn} acks the stored position is {position}, and {lowest} is unsettled"
                );
            }
            seen.entry(lag.partition).or_default().push(lag.position);
        }
    }
    ensure_eq!(seen.len(), 4, "partitions with a stored position");
    for positions in seen.values() {
        checkers::went_back(positions)?;
        ensure!(
            positions.first() < positions.last(),
            "the stored position never moved: {positions:?}"
        );
    }
    let behind: u64 = lab
        .within("the lag", bus.admin().lag(&group))
        .await??
        .iter()
        .map(|lag| lag.behind)
        .sum();
    ensure_eq!(behind, 0, "records behind the position once all are settled");
    Ok(())
}

pub(crate) async fn acks_beyond_the_position_are_kept(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 40)).await?;
    let mut reader = lab.join(lab.subscribe(&first, &topic, &group)).await?;
    let mut held = Vec::new();
    for delivery in lab.take(&mut reader, 40).await? {
        // One near the front of each partition stays out, and one further on.
        let number: usize = payload_number(&delivery)?;
        match number / 4 {
            1 | 6 => held.push(delivery),
            _ => delivery.ack(),
        }
    }
    ensure_eq!(held.len(), 8, "messages held");
    let expected = payloads(&held);
    lab.within("draining", reader.drain(Duration::ZERO)).await??;
    drop(held);
    let mut reader = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    let rest = lab.rest(&second, &topic, &mut reader).await?;
    ensure_eq!(
        payloads(&rest),
        expected,
        "what came again after all the others were acknowledged"
    );
    ensure!(
        rest.iter().all(|d| d.attempt() == 1),
        "what was never nacked comes as attempt 1"
    );
    Ok(())
}

/// The number that a payload ends with.
pub(crate) fn payload_number(delivery: &Delivery<Bytes>) -> Result<usize, Failure> {
    let id = id_of(delivery.payload());
    let number = id.rsplit(':').next().and_then(|n| n.parse().ok());
    number.ok_or_else(|| Failure::new(format_args!("the payload {id:?} was not published here")))
}
