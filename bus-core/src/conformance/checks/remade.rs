//! A topic that is deleted and made again while everybody uses it is another topic.

use crate::{
    Bus, Delivery, ErrorKind, Outcome, Receipt, Start,
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
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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

/// What was confirmed, in order, by partition: where, which, and whether it was sent when the new topic was there.
#[derive(Default)]
struct Stored(BTreeMap<u32, Vec<(Option<u128>, String, bool)>>);

impl Stored {
    fn push(&mut self, receipt: &Receipt, id: String, is_new: bool) {
        let of = self.0.entry(receipt.partition).or_default();
        of.push((receipt.position, id, is_new));
    }
    /// What the new topic has to have: what was sent when it was there, and all since positions went back, where they do.
    fn in_the_new_one(&self) -> impl Iterator<Item = &String> {
        self.0.values().flat_map(|of| {
            let (mut begin, mut last) = (of.len(), None);
            // Where one is not told, it stands with what follows.
            let mut untold = 0;
            for (i, (position, _, is_new)) in of.iter().enumerate() {
                if *is_new {
                    begin = begin.min(i);
                }
                if let Some(position) = position {
                    if last.is_some_and(|last| *position <= last) {
                        begin = begin.min(untold);
                    }
                    (last, untold) = (Some(*position), i + 1);
                }
            }
            of[begin..].iter().map(|(_, id, _)| id)
        })
    }
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
    let is_made = AtomicBool::new(false);
    let publishing = async {
        let mut refused: Vec<(ErrorKind, String)> = Vec::new();
        let mut stored = Stored::default();
        let mut stored_again = 0;
        // Until both members were told, and 40 rounds are stored that began when the new topic was there.
        for n in 0.. {
            ensure!(
                begun.elapsed() < lab.takeover() * 4,
                "publishing does not go on: {:?}",
                refused.last()
            );
            let is_new = is_made.load(Ordering::Acquire);
            let batch = (0..8).map(|key| keyed(format_args!("k{key}"), n)).collect();
            let outcomes = lab
                .within_time(
                    lab.takeover() * 2,
                    "publishing",
                    bus.publish_batch(topic.name(), batch),
                )
                .await?;
            for (key, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Ok(Outcome::Stored(receipt)) => stored.push(receipt, format!("k{key}:{n}"), is_new),
                    Ok(other) => return Err(Failure::new(format!("a publish ended as {other:?}"))),
                    Err(unsent) => refused.push((unsent.error().kind(), unsent.to_string())),
                }
            }
            stored_again += usize::from(is_new && outcomes.iter().all(Result::is_ok));
            if stored_again == 40 {
                return Ok((refused, stored));
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
        .await?;
        is_made.store(true, Ordering::Release);
        Ok::<_, Failure>(())
    };
    let (published, remade) = tokio::join!(publishing, remaking);
    remade?;
    let (refused, stored) = published?;
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
    let lost: Vec<_> = stored
        .in_the_new_one()
        .filter(|id| expected.binary_search(id).is_err())
        .collect();
    ensure!(
        lost.is_empty(),
        "{lost:?} were confirmed, and are not in the new topic of {} messages",
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
