//! Opening and closing: nothing is lost by it, and nothing comes twice.

use crate::{
    ErrorKind,
    conformance::{
        Failure, History, Lab, Proof, checkers,
        member::{Act, Recorded, ack_every_second, payloads},
        work::{keyed, messages, names, unkeyed},
    },
};
use futures_util::{FutureExt, future::join_all};
use std::{
    future::IntoFuture,
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) async fn reopened_mid_stream(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let publishing = lab.publish(&bus, topic.name(), &history, messages(40, 5000));
    let reading = async {
        let mut goal = 0;
        for round in 0..6 {
            let ack = |_| async { Act::Ack };
            let member = lab
                .member(lab.subscribe(&bus, &topic, &group), (round, 4), &history, ack)
                .await?;
            goal = if round == 5 {
                5000
            } else {
                (goal + 700).max(history.tally().acked + 1).min(5000)
            };
            lab.until(&history, "the next messages are acknowledged", |h| {
                h.tally().acked >= goal
            })
            .await?;
            member.close(lab).await?;
        }
        Proof::Ok(())
    };
    let (published, read) = tokio::join!(publishing, reading);
    published?;
    read?;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_graceful_close_redelivers_nothing(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 100)).await?;
    let mut reader = lab.join(lab.subscribe(&first, &topic, &group)).await?;
    let out = lab.take(&mut reader, 100).await?;
    let control = reader.control();
    // Acknowledged while it drains, and at once before its end.
    let acking = async {
        let _ = control.flush().await;
        out.into_iter().for_each(|delivery| delivery.ack());
    };
    let both = async { tokio::join!(biased; control.drain(lab.patience()), acking).0 };
    lab.within("draining", both).await??;
    let mut reader = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    let rest = lab.rest(&second, &topic, &mut reader).await?;
    ensure!(
        rest.is_empty(),
        "came again after a graceful close: {:?}",
        payloads(&rest)
    );
    Ok(())
}

pub(crate) async fn a_graceful_close_hands_over_at_once(lab: &Lab) -> Proof {
    let buses = [lab.bus().await?, lab.bus().await?];
    let topic = lab.topic(&buses[0], "t", 4).await?;
    let (group, session) = (lab.group("g"), lab.harness().session());
    let mut reader = lab.join(lab.subscribe(&buses[0], &topic, &group)).await?;
    let mut waits = Vec::new();
    // Who waits for a session does so each time; a machine that stands still does so once or twice.
    for turn in 1..=4 {
        lab.within("closing", reader.close()).await??;
        let sent = unkeyed(&format!("n{turn}"), 4, 4);
        lab.store(&buses[0], topic.name(), sent.clone()).await?;
        let closed = Instant::now();
        reader = lab.join(lab.subscribe(&buses[turn % 2], &topic, &group)).await?;
        let next = lab.take(&mut reader, 4).await?;
        waits.push(closed.elapsed());
        ensure_eq!(payloads(&next), names(&sent), "what the next member got");
        next.into_iter().for_each(|delivery| delivery.ack());
        // The broker counts a session from the last heartbeat, which may have been a while before the close.
        if waits[turn - 1] < session * 3 / 4 {
            return Ok(());
        }
    }
    Err(Failure::new(format_args!(
        "the next member waited {waits:?}, as long as for one that crashed ({session:?})"
    )))
}

pub(crate) async fn the_unsettled_go_to_the_next(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 20)).await?;
    let mut reader = lab.join(lab.subscribe(&first, &topic, &group)).await?;
    let out = ack_every_second(lab.take(&mut reader, 20).await?);
    // Dropped, not closed, with the other half out.
    drop(reader);
    let expected = payloads(&out);
    let mut reader = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    let rest = lab.rest(&second, &topic, &mut reader).await?;
    ensure_eq!(payloads(&rest), expected, "what the next member got");
    ensure!(
        rest.iter().all(|d| d.attempt() == 1),
        "what was out when its subscription ended did not fail"
    );
    Ok(())
}

pub(crate) async fn closing_and_subscribing_at_once(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let joins = |number| {
        let bus = if number % 2 == 0 { &first } else { &second };
        let ack = |_| async { Act::Ack };
        lab.member(lab.subscribe(bus, &topic, &group), (number, 2), &history, ack)
    };
    let mut member = joins(0).await?;
    for number in 1..5 {
        let batch = (0..100)
            .map(|n| keyed(format_args!("r{number}.{}", n % 10), n))
            .collect();
        lab.publish(&first, topic.name(), &history, batch).await?;
        let (closed, joined) = tokio::join!(member.close(lab), joins(number));
        closed?;
        member = joined?;
    }
    // What comes again comes before what is new.
    let last = (0..100)
        .map(|n| keyed(format_args!("last.{}", n % 10), n))
        .collect();
    lab.publish(&first, topic.name(), &history, last).await?;
    lab.until(&history, "500 messages are acknowledged", |h| {
        h.tally().acked == 500
    })
    .await?;
    member.close(lab).await?;
    checkers::all(&history.happenings())
}

pub(crate) async fn a_closed_subscription_is_over(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("m", 4, 4)).await?;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let out = lab.take(&mut reader, 4).await?;
    let control = reader.control();
    for turn in 0..2 {
        let drained = lab.within("draining", control.drain(Duration::ZERO)).await?;
        drained.map_err(|e| Failure::from(e).context(format_args!("close number {turn}")))?;
    }
    let next = lab.within("the end", reader.next()).await?;
    ensure!(next.is_none(), "{next:?} came after the close");
    let flushed = lab
        .within("a flush", control.flush())
        .await?
        .map_err(|e| e.kind());
    ensure_eq!(flushed, Err(ErrorKind::Closed), "a flush after the close");
    // Settling what was out is without effect, and does no harm.
    for (n, delivery) in out.into_iter().enumerate() {
        ensure!(
            delivery.is_lost(),
            "a delivery of a closed subscription is not lost"
        );
        if n % 2 == 0 {
            delivery.ack()
        } else {
            delivery.nack()
        }
    }
    Ok(())
}

pub(crate) async fn a_cancelled_next_leaves_no_trace(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let history = Arc::new(History::default());
    let subscribe = lab.subscribe(&bus, &topic, &lab.group("g"));
    let mut reader = lab.join(subscribe).await?;
    let publishing = lab.publish(&bus, topic.name(), &history, messages(20, 1000));
    let reading = async {
        while history.tally().acked < 1000 {
            // Asked once and given up, or asked until there is something.
            let at_once = reader.next().now_or_never().flatten();
            let delivery = match at_once {
                Some(delivery) => delivery?,
                None => lab.next(&mut reader).await?,
            };
            Recorded::new(delivery, &history, 0).settle(Act::Ack);
            drop(reader.next());
        }
        Proof::Ok(())
    };
    let (published, read) = tokio::join!(publishing, reading);
    published?;
    read?;
    ensure!(
        lab.rest(&bus, &topic, &mut reader).await?.is_empty(),
        "more came than was published"
    );
    checkers::all(&history.happenings())
}

pub(crate) async fn a_subscribe_given_up_leaves_no_member(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    for patience in [0, 1, 3, 10, 30, 100, 300].map(Duration::from_millis) {
        let subscribing = lab.subscribe(&first, &topic, &group).into_future();
        // One that was quick enough leaves as it should.
        if let Ok(reader) = tokio::time::timeout(patience, subscribing).await {
            lab.within("draining", reader?.drain(Duration::ZERO)).await??;
        }
    }
    let mut reader = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    lab.store(&second, topic.name(), unkeyed("m", 4, 40)).await?;
    let read = lab.each(&mut reader, 40, |_| Ok(())).await;
    read.map_err(|f| f.context("the only member that is left"))?;
    lab.poll("the group has one member with four partitions", || async {
        let spec = second.admin().group(&group).await?;
        Ok(spec.members.len() == 1 && spec.members[0].partitions.len() == 4)
    })
    .await
}

pub(crate) async fn many_close_at_once(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let mut members = Vec::new();
    for number in 0..4 {
        let ack = |_| async { Act::Ack };
        members.push(
            lab.member(lab.subscribe(&bus, &topic, &group), (number, 2), &history, ack)
                .await?,
        );
    }
    lab.publish(&bus, topic.name(), &history, messages(20, 500))
        .await?;
    // Some have everything behind them, some are in the middle of it, some are about to get partitions.
    lab.until(&history, "50 messages are acknowledged", |h| {
        h.tally().acked >= 50
    })
    .await?;
    for closed in join_all(members.into_iter().map(|member| member.close(lab))).await {
        closed?;
    }
    let ack = |_| async { Act::Ack };
    let last = lab
        .member(lab.subscribe(&bus, &topic, &group), (9, 4), &history, ack)
        .await?;
    // What comes again comes before what is new.
    let more = (25..35).flat_map(|n| (0..20).map(move |key| keyed(format_args!("k{key}"), n)));
    lab.publish(&bus, topic.name(), &history, more.collect()).await?;
    lab.until(&history, "700 messages are acknowledged", |h| {
        h.tally().acked == 700
    })
    .await?;
    last.close(lab).await?;
    checkers::all(&history.happenings())
}
