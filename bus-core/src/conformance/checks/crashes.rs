//! Crashes: what was stored stays, what was out comes again, and a former owner changes nothing.

use crate::{
    ErrorKind, Retry,
    conformance::{
        Failure, History, Lab, Proof, checkers,
        member::{Act, ack_every_second, payloads},
        work::unkeyed,
    },
};
use std::{sync::Arc, time::Duration};

pub(crate) async fn a_crash_redelivers_what_was_out(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 40)).await?;
    let mut reader = lab.join(lab.subscribe(&first, &topic, &group)).await?;
    let out = ack_every_second(lab.take(&mut reader, 40).await?);
    lab.within("a flush", reader.flush()).await??;
    reader.control().abort();
    let expected = payloads(&out);
    let mut reader = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    let rest = lab.rest(&second, &topic, &mut reader).await?;
    ensure_eq!(
        payloads(&rest),
        expected,
        "what came again after a flush of the others and a crash"
    );
    Ok(())
}

pub(crate) async fn flushed_acks_survive_a_crash(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 40)).await?;
    // Nothing but the flush stores anything.
    let subscribe = lab
        .subscribe(&first, &topic, &group)
        .commit_every(Duration::from_secs(3600));
    let mut reader = lab.join(subscribe).await?;
    for delivery in lab.take(&mut reader, 40).await? {
        delivery.ack();
    }
    lab.within("a flush", reader.flush()).await??;
    reader.control().abort();
    let mut reader = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    let rest = lab.rest(&second, &topic, &mut reader).await?;
    ensure!(
        rest.is_empty(),
        "came again after a flush and a crash: {:?}",
        payloads(&rest)
    );
    Ok(())
}

pub(crate) async fn a_late_ack_changes_nothing(lab: &Lab) -> Proof {
    let (first, second, third) = (lab.bus().await?, lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&first, topic.name(), unkeyed("m", 4, 4)).await?;
    let mut crashed = lab.join(lab.subscribe(&first, &topic, &group)).await?;
    let late = lab.take(&mut crashed, 4).await?;
    crashed.control().abort();
    let mut owner = lab.join(lab.subscribe(&second, &topic, &group)).await?;
    let out = lab.take(&mut owner, 4).await?;
    ensure!(
        late.iter().all(|d| d.is_lost()),
        "deliveries of a member that is gone say that they are lost"
    );
    for delivery in late {
        delivery.ack();
    }
    ensure!(
        out.iter().all(|d| !d.is_lost()),
        "the new owner's deliveries are lost by a former owner's ack"
    );
    lab.within("draining", owner.drain(Duration::ZERO)).await??;
    drop(out);
    let mut reader = lab.join(lab.subscribe(&third, &topic, &group)).await?;
    let rest = lab.rest(&third, &topic, &mut reader).await?;
    ensure_eq!(
        rest.len(),
        4,
        "messages that nobody but a former owner acknowledged"
    );
    Ok(())
}

pub(crate) async fn a_crash_under_load_loses_nothing(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 6).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let mut members = Vec::new();
    for (number, bus) in [&first, &second, &first].into_iter().enumerate() {
        // Slower than a key's messages come, so that something is always out.
        let ack = |_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Act::Ack
        };
        members.push(
            lab.member(
                lab.subscribe(bus, &topic, &group),
                (number as u32, 8),
                &history,
                ack,
            )
            .await?,
        );
    }
    let steady = lab.publish_steadily(&first, topic.name(), &history, 12);
    let working = |h: &History| (0..3).all(|member| h.acks_of(member) >= 20);
    lab.until(&history, "3 members have acknowledged 20 messages each", working)
        .await?;
    members.remove(0).crash(lab).await?;
    let before = history.tally().acked;
    lab.until(&history, "the others go on", |h| h.tally().acked >= before + 200)
        .await?;
    steady.stop().await?;
    let done = |h: &History| h.tally().acked == h.tally().published;
    lab.until_for(lab.takeover(), &history, "everything is acknowledged", done)
        .await?;
    for member in members {
        member.close(lab).await?;
    }
    checkers::after_crashes(&history.happenings())
}

pub(crate) async fn a_long_handler_keeps_its_message(lab: &Lab) -> Proof {
    let (first, second) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&first, "t", 4).await?;
    let (history, group) = (Arc::new(History::default()), lab.group("g"));
    let long = lab.harness().session() * 3 / 2;
    let mut members = Vec::new();
    for (number, bus) in [&first, &second].into_iter().enumerate() {
        // The window is full all the while, so that nothing but the member itself keeps it alive.
        let subscribe = lab
            .subscribe(bus, &topic, &group)
            .in_flight(4)
            .retry(Retry::never());
        let handler = move |_| async move {
            tokio::time::sleep(long).await;
            Act::Ack
        };
        members.push(
            lab.member(subscribe, (number as u32, 4), &history, handler)
                .await?,
        );
    }
    // Only once both have their share: a partition that moves under a handler is another matter.
    let admin = first.admin();
    let shared = || async {
        match admin.group(&group).await {
            Ok(spec) => Ok(spec.members.len() == 2 && spec.members.iter().all(|m| m.partitions.len() == 2)),
            // Nobody has told the server yet.
            Err(error) if error.kind() == ErrorKind::GroupMissing => Ok(false),
            Err(error) => Err(Failure::from(error)),
        }
    };
    lab.poll("both members have two partitions", shared).await?;
    lab.publish(&first, topic.name(), &history, unkeyed("m", 4, 16))
        .await?;
    let slow = lab.patience() + long;
    lab.until_for(slow, &history, "16 messages are acknowledged", |h| {
        h.tally().acked == 16
    })
    .await?;
    for member in members {
        member.close(lab).await?;
    }
    checkers::all(&history.happenings())
}
