//! Back-pressure: what is in flight is bounded, in messages and in bytes.

use crate::{
    Message, Order,
    conformance::{
        History, Lab, Proof, checkers,
        checks::order::Gauge,
        member::{Act, Seen},
        work::unkeyed,
    },
};
use std::{sync::Arc, time::Duration};

pub(crate) async fn messages_in_flight_are_bounded(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (history, gauge) = (Arc::new(History::default()), Arc::new(Gauge::default()));
    lab.publish(&bus, topic.name(), &history, unkeyed("m", 4, 400))
        .await?;
    let measured = gauge.clone();
    let handler = move |_| {
        let gauge = measured.clone();
        async move {
            gauge.up(1);
            tokio::time::sleep(Duration::from_millis(2)).await;
            gauge.down(1);
            Act::Ack
        }
    };
    let subscribe = lab
        .subscribe(&bus, &topic, &lab.group("g"))
        .in_flight(10)
        .order(Order::None);
    let member = lab.member(subscribe, (0, 50), &history, handler).await?;
    lab.until(&history, "400 messages are acknowledged", |h| {
        h.tally().acked == 400
    })
    .await?;
    member.close(lab).await?;
    let most = gauge.most();
    ensure!(
        (2..=10).contains(&most),
        "{most} messages were in flight at once, with a limit of 10 and 50 workers"
    );
    checkers::all_but_order(&history.happenings())
}

pub(crate) async fn bytes_in_flight_are_bounded(lab: &Lab) -> Proof {
    const SIZE: usize = 10_000;
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (history, gauge) = (Arc::new(History::default()), Arc::new(Gauge::default()));
    // One is larger than the whole bound: it passes, alone.
    let message = |n: usize| {
        let size = if n == 50 { 20 * SIZE } else { SIZE };
        Message::new(format!("{n}:{}", "x".repeat(size))).to_partition(n as u32 % 4)
    };
    lab.publish(&bus, topic.name(), &history, (0..100).map(message).collect())
        .await?;
    let measured = gauge.clone();
    let handler = move |seen: Seen| {
        let (gauge, size) = (measured.clone(), seen.id.len());
        async move {
            gauge.up(size);
            tokio::time::sleep(Duration::from_millis(2)).await;
            gauge.down(size);
            Act::Ack
        }
    };
    let subscribe = lab
        .subscribe(&bus, &topic, &lab.group("g"))
        .in_flight_bytes(10 * SIZE)
        .order(Order::None);
    let member = lab.member(subscribe, (0, 50), &history, handler).await?;
    lab.until(&history, "100 messages are acknowledged", |h| {
        h.tally().acked == 100
    })
    .await?;
    member.close(lab).await?;
    // What one record may pass the bound by: the largest, where there was room for a little.
    let (most, bound) = (gauge.most(), 30 * SIZE);
    ensure!(
        most <= bound,
        "{most} bytes were in flight at once; the limit and one large record are {bound}"
    );
    checkers::all_but_order(&history.happenings())
}
