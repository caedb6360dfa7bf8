//! A topic that is deleted and made again while everybody uses it is another topic.

use crate::{
    Bus, Delivery, ErrorKind, Start,
    conformance::{
        Failure, History, Lab, Proof,
        lab::Feed,
        member::{Act, Member, payloads},
        work::{id_of, keyed, names, unkeyed},
    },
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Deletes the topic and makes it again.
async fn remake(lab: &Lab, bus: &Bus, topic: &Feed) -> Proof {
    lab.within("deleting", bus.admin().delete(topic.name())).await??;
    lab.poll("the topic can be made anew", || async {
        Ok(bus.ensure_topics([topic.spec()]).await.is_ok())
    })
    .await?;
    // A broker may still be at the removal of the old one when it takes the new one on.
    lab.poll("the topic is there anew, and empty", || async {
        let admin = bus.admin();
        let ends = (
            admin.positions(topic.name(), Start::Earliest).await,
            admin.positions(topic.name(), Start::Latest).await,
        );
        Ok(matches!(ends, (Ok(first), Ok(last)) if first.len() == 4 && first == last))
    })
    .await
}

pub(crate) async fn nothing_of_a_deleted_topic_settles_the_next(lab: &Lab) -> Proof {
    let (bus, other) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    for stays in [false, true] {
        lab.store(&bus, topic.name(), unkeyed("old", 4, 40)).await?;
        let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
        let out = lab.take(&mut reader, 40).await?;
        // Position and notes are stored: all but the first of each partition is settled.
        let first: BTreeMap<u32, u128> = out.iter().rev().map(|d| (d.partition(), d.position())).collect();
        let (held, settled): (Vec<_>, Vec<_>) = out
            .into_iter()
            .partition(|d| first.get(&d.partition()) == Some(&d.position()));
        settled.into_iter().for_each(Delivery::ack);
        lab.within("a flush", reader.flush()).await??;
        let kept = match stays {
            true => Some((reader, held)),
            false => {
                drop(held);
                lab.within("draining", reader.drain(Duration::ZERO)).await??;
                None
            }
        };
        remake(lab, &other, &topic).await?;
        let new = unkeyed("new", 4, 40);
        lab.store(&other, topic.name(), new.clone()).await?;
        // Who had it open hears of it, or reads the new one from its start; what he had in hand settles nothing of it.
        if let Some((mut reader, held)) = kept {
            let ended = lab.within_time(
                lab.takeover(),
                "the end of a subscription whose topic is gone",
                async {
                    loop {
                        match reader.next().await {
                            Some(Err(error)) => return Ok(error.kind()),
                            None => return Err(Failure::new("the subscription ended without an error")),
                            Some(Ok(_)) => {}
                        }
                    }
                },
            );
            let kind = ended.await??;
            // A broker that was quick has a shorter log of that name when it is asked again.
            ensure!(
                [ErrorKind::TopicMissing, ErrorKind::DataLoss].contains(&kind),
                "the error is {kind:?}"
            );
            held.into_iter().for_each(Delivery::ack);
            let _ = lab.within("draining", reader.drain(Duration::ZERO)).await?;
        }
        let mut reader = lab.join(lab.subscribe(&other, &topic, &group)).await?;
        let came = lab.take(&mut reader, 40).await?;
        ensure_eq!(
            payloads(&came),
            names(&new),
            "what a group gets of a topic that was made anew, stays: {stays}"
        );
        came.into_iter().for_each(Delivery::ack);
        lab.within("closing", reader.close()).await??;
        remake(lab, &other, &topic).await?;
    }
    Ok(())
}

pub(crate) async fn publishers_and_members_survive_a_new_topic(lab: &Lab) -> Proof {
    let (bus, other, third) = (lab.bus().await?, lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let old = Arc::new(History::default());
    let mut members = Vec::new();
    for (number, bus) in [(0, &bus), (1, &other)] {
        let subscribe = lab.subscribe(bus, &topic, &group);
        members.push(
            lab.member(subscribe, (number, 4), &old, async |_| Act::Ack)
                .await?,
        );
    }
    let begun = Instant::now();
    let publishing = async {
        let mut refused: Vec<(ErrorKind, String)> = Vec::new();
        let mut stored_again = 0;
        // Until both members were told, and 40 rounds are stored in the new topic.
        for n in 0.. {
            ensure!(
                begun.elapsed() < lab.takeover() * 4,
                "publishing does not go on: {:?}",
                refused.last()
            );
            let batch = (0..8).map(|key| keyed(format_args!("k{key}"), n)).collect();
            let outcomes = lab
                .within_time(
                    lab.takeover() * 2,
                    "publishing",
                    bus.publish_batch(topic.name(), batch),
                )
                .await?;
            for outcome in &outcomes {
                if let Err(unsent) = outcome {
                    refused.push((unsent.error().kind(), unsent.to_string()));
                }
            }
            stored_again +=
                usize::from(members.iter().all(Member::has_ended) && outcomes.iter().all(Result::is_ok));
            if stored_again == 40 {
                return Ok(refused);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(Failure::new("there is no end to numbers"))
    };
    let remaking = async {
        lab.until(&old, "200 messages are acknowledged", |h| h.tally().acked >= 200)
            .await
            .or_else(|f| if old.failure().is_some() { Ok(()) } else { Err(f) })?;
        lab.within("deleting", third.admin().delete(topic.name()))
            .await??;
        lab.poll("both members are told", || async {
            Ok(members.iter().all(Member::has_ended))
        })
        .await?;
        lab.poll("the topic can be made anew", || async {
            Ok(third.ensure_topics([topic.spec()]).await.is_ok())
        })
        .await
    };
    let (published, remade) = tokio::join!(publishing, remaking);
    remade?;
    let refused = published?;
    let typed = [
        ErrorKind::TopicMissing,
        ErrorKind::DataLoss,
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
    ];
    ensure!(
        refused.iter().all(|(kind, _)| typed.contains(kind)),
        "publishes were refused with {refused:?}"
    );
    for member in members {
        // It ended with the topic, which is what its end says.
        let ended = member.close(lab).await;
        ensure!(
            ended.is_err(),
            "a member of a topic that is gone ended as if nothing had happened"
        );
    }
    // Whoever comes now gets the new topic from its beginning, in order, whatever the old one's positions were.
    let mut reader = lab.join(lab.subscribe(&third, &topic, &group)).await?;
    let log = lab.join(third.observe(&topic).until(Start::Latest)).await?;
    let expected = lab.until_end(log).await?;
    ensure!(
        expected.len() >= 320,
        "{} messages are in the new topic",
        expected.len()
    );
    let (mut came, mut last) = (Vec::new(), BTreeMap::new());
    let look = |d: &Delivery<Bytes>| {
        let id = id_of(d.payload()).to_string();
        let (key, n) = id.split_once(':').unwrap_or_default();
        let n: u64 = n.parse().map_err(Failure::new)?;
        let before = last.insert(key.to_owned(), n);
        ensure!(
            before.is_none_or(|b| b < n),
            "{id} came after number {before:?} of its key"
        );
        came.push(id);
        Ok(())
    };
    lab.each(&mut reader, expected.len(), look).await?;
    came.sort();
    ensure_eq!(came, expected, "what a new member gets of the new topic");
    lab.within("closing", reader.close()).await??;
    Ok(())
}
