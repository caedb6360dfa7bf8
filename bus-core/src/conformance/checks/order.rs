//! Order: by key unless asked otherwise, across nacks and among many members.

use crate::{
    Message, Order, Retry,
    conformance::{
        Failure, History, Lab, Proof, checkers,
        member::{Act, Seen},
        work::{id_of, keyed, messages, unkeyed},
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const SOON: Retry = Retry::fixed(Duration::from_millis(20)).forever();

pub(crate) async fn order_per_key(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 12).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let mut members = Vec::new();
    for member in 0..10 {
        let ack = |_| async { Act::Ack };
        members.push(
            lab.member(lab.subscribe(&bus, &topic, &group), (member, 4), &history, ack)
                .await?,
        );
    }
    lab.publish(&bus, topic.name(), &history, messages(20, 1000))
        .await?;
    lab.until(&history, "1000 messages are acknowledged", |h| {
        h.tally().acked == 1000
    })
    .await?;
    for closed in futures_util::future::join_all(members.into_iter().map(|m| m.close(lab))).await {
        closed?;
    }
    checkers::all(&history.happenings())
}

pub(crate) async fn a_nack_keeps_the_order_of_its_key(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let history = Arc::new(History::default());
    lab.publish(&bus, topic.name(), &history, messages(10, 100))
        .await?;
    let every_third = |seen: Seen| async move {
        let third = seen
            .id
            .rsplit(':')
            .next()
            .and_then(|n| n.parse::<u32>().ok())
            .is_some_and(|n| n % 3 == 0);
        if third && seen.attempt == 1 {
            Act::Nack
        } else {
            Act::Ack
        }
    };
    // Longer than acks wait to be stored: the key waits across commits.
    let slow = Retry::fixed(Duration::from_millis(250)).forever();
    let subscribe = lab.subscribe(&bus, &topic, &lab.group("g")).retry(slow);
    let member = lab.member(subscribe, (0, 8), &history, every_third).await?;
    lab.until(&history, "100 messages are acknowledged", |h| {
        h.tally().acked == 100
    })
    .await?;
    member.close(lab).await?;
    ensure_eq!(history.tally().nacked, 40, "nacks");
    checkers::all(&history.happenings())
}

pub(crate) async fn the_next_of_a_key_waits_for_the_ack(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut batch: Vec<_> = (0..3).map(|n| keyed("held", n).to_partition(0)).collect();
    batch.extend((0..20).map(|n| keyed(format_args!("other{n}"), 0).to_partition(0)));
    batch.extend((0..20).map(|n| keyed(format_args!("other{n}"), 1).to_partition(0)));
    lab.store(&bus, topic.name(), batch).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let mut held = None;
    // All the others of the same partition, each behind its own, while one is held.
    for _ in 0..41 {
        let delivery = lab.next(&mut reader).await?;
        match delivery.key() {
            Some(b"held") if held.is_none() => held = Some(delivery),
            Some(b"held") => {
                return Err(Failure::new(
                    "a second message of a key came before the ack of the first",
                ));
            }
            _ => delivery.ack(),
        }
    }
    let Some(first) = held else {
        return Err(Failure::new("the first message of the key never came"));
    };
    ensure_eq!(&*id_of(first.payload()), "held:0", "the first of its key");
    // The key waits across a commit, too.
    lab.within("a flush", reader.flush()).await??;
    lab.store_one(&bus, topic.name(), keyed("last", 0).to_partition(0))
        .await?;
    let last = lab.next(&mut reader).await?;
    ensure_eq!(&*id_of(last.payload()), "last:0", "what comes while one is held");
    last.ack();
    first.ack();
    for expected in ["held:1", "held:2"] {
        let next = lab.next(&mut reader).await?;
        ensure_eq!(&*id_of(next.payload()), expected, "the next of the key");
        next.ack();
    }
    Ok(())
}

pub(crate) async fn without_a_key_nothing_waits(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("m", 1, 50)).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    // All out at once, though they are of one partition; an empty key is a key and waits.
    let out = lab.take(&mut reader, 50).await?;
    lab.store(
        &bus,
        topic.name(),
        [keyed("", 0), keyed("", 1), keyed("x", 0)]
            .map(|m| m.to_partition(0))
            .to_vec(),
    )
    .await?;
    let (first, second) = (lab.next(&mut reader).await?, lab.next(&mut reader).await?);
    let mut seen = [
        id_of(first.payload()).to_string(),
        id_of(second.payload()).to_string(),
    ];
    seen.sort();
    ensure_eq!(
        seen,
        [":0", "x:0"],
        "what comes while the first of the empty key is held"
    );
    drop((out, first, second));
    Ok(())
}

/// How many handlers run at the same time, at most.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    pub(crate) fn up(&self, by: usize) {
        let now = self.now.fetch_add(by, Relaxed) + by;
        self.most.fetch_max(now, Relaxed);
    }
    pub(crate) fn down(&self, by: usize) {
        self.now.fetch_sub(by, Relaxed);
    }
    pub(crate) fn most(&self) -> usize {
        self.most.load(Relaxed)
    }
}

pub(crate) async fn order_of_a_partition(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let history = Arc::new(History::default());
    // One key for the record: in one partition, everything keeps its order.
    let batch = (0..100).map(|n| keyed("p2", n).to_partition(2)).collect();
    lab.publish(&bus, topic.name(), &history, batch).await?;
    let gauge = Arc::new(Gauge::default());
    let measured = gauge.clone();
    let handler = move |seen: Seen| {
        let gauge = measured.clone();
        async move {
            gauge.up(1);
            tokio::task::yield_now().await;
            gauge.down(1);
            if seen.attempt == 1 && seen.id.ends_with('7') {
                Act::Nack
            } else {
                Act::Ack
            }
        }
    };
    let subscribe = lab
        .subscribe(&bus, &topic, &lab.group("g"))
        .order(Order::Partition)
        .retry(SOON);
    let member = lab.member(subscribe, (0, 8), &history, handler).await?;
    lab.until(&history, "100 messages are acknowledged", |h| {
        h.tally().acked == 100
    })
    .await?;
    member.close(lab).await?;
    ensure_eq!(gauge.most(), 1, "handlers of one partition at a time");
    checkers::all(&history.happenings())
}

/// Longer than any check takes.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) async fn without_order_a_nack_holds_nobody_up(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), (0..20).map(|n| keyed("k", n)).collect())
        .await?;
    let subscribe = lab.subscribe(&bus, &topic, &lab.group("g")).order(Order::None);
    let mut reader = lab.join(subscribe.retry(Retry::fixed(LONG).forever())).await?;
    let first = lab.next(&mut reader).await?;
    ensure_eq!(&*id_of(first.payload()), "k:0", "the first");
    first.nack();
    for delivery in lab.take(&mut reader, 19).await? {
        ensure!(
            &*id_of(delivery.payload()) != "k:0",
            "the nacked message came back at once"
        );
        delivery.ack();
    }
    // Nor does it come before its time once the others are stored.
    lab.within("a flush", reader.flush()).await??;
    lab.store_one(&bus, topic.name(), keyed("k", 20)).await?;
    let last = lab.next(&mut reader).await?;
    ensure_eq!(
        &*id_of(last.payload()),
        "k:20",
        "what comes while one waits for its retry"
    );
    last.ack();
    Ok(())
}

pub(crate) async fn two_groups_with_failures_keep_key_order(lab: &Lab) -> Proof {
    two_groups_with_failures(lab, Order::Key, messages(20, 1000)).await
}

pub(crate) async fn two_groups_with_failures_keep_partition_order(lab: &Lab) -> Proof {
    // One key for the record: in one partition, everything keeps its order.
    let message = |n: usize| {
        let partition = n % 4;
        keyed(format_args!("p{partition}"), n / 4).to_partition(partition as u32)
    };
    two_groups_with_failures(lab, Order::Partition, (0..1000).map(message).collect()).await
}

async fn two_groups_with_failures(lab: &Lab, order: Order, messages: Vec<Message>) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let histories = [Arc::new(History::default()), Arc::new(History::default())];
    let mut members = Vec::new();
    for (number, history) in histories.iter().enumerate() {
        let group = lab.group(&format!("g{number}"));
        let calls = Arc::new(AtomicUsize::new(0));
        let handler = move |_| {
            let call = calls.fetch_add(1, Relaxed) + 1;
            async move {
                if call.is_multiple_of(100) {
                    Act::Nack
                } else {
                    Act::Ack
                }
            }
        };
        let subscribe = lab.subscribe(&bus, &topic, &group).order(order).retry(SOON);
        members.push(
            lab.member(subscribe, (number as u32, 8), history, handler)
                .await?,
        );
    }
    let (first, second) = (&histories[0], &histories[1]);
    lab.publish(&bus, topic.name(), first, messages.clone()).await?;
    for m in &messages {
        let (id, key) = (id_of(m.payload.as_deref()), id_of(m.key.as_deref()));
        second.add(&id, &Some(key), crate::conformance::What::Published);
    }
    for history in &histories {
        lab.until(history, "1000 messages are acknowledged", |h| {
            h.tally().acked == 1000
        })
        .await?;
        ensure!(history.tally().nacked >= 10, "every 100th call fails");
    }
    for member in members {
        member.close(lab).await?;
    }
    checkers::all(&first.happenings())?;
    // Published is on this record behind what it caused, which the checkers do not mind.
    checkers::all(&second.happenings())
}
