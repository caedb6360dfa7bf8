//! Dead letters that are put back: as they were, for whom they are, and not for ever.

use crate::{
    Bus, DeadLetter, DeadLetters, Delivery, ErrorKind, Message, Order, Raw, Replay, Replayed, Topic,
    TopicSpec,
    conformance::{
        Failure, Lab, Proof,
        checks::dead_letters::{dead, reasons},
        lab::Feed,
        work::{id_of, keyed, messages, names},
    },
};
use bytes::Bytes;
use std::{collections::BTreeMap, future::IntoFuture, num::NonZeroU32};

/// A topic, a group that fails, and what it gave up.
struct Stage {
    bus: Bus,
    topic: Feed,
    group: String,
}

impl Stage {
    async fn new(lab: &Lab) -> Result<Self, Failure> {
        let bus = lab.bus().await?;
        let topic = lab.topic(&bus, "t", 4).await?;
        let group = lab.group("g");
        // So that they are deleted too when the check is over.
        lab.group(&format!("t.{group}.dlq.replay"));
        lab.group(&format!("t.{group}.dlq.parked.replay"));
        Ok(Self { bus, topic, group })
    }
    /// As seen by another process.
    async fn letters(&self, lab: &Lab) -> Result<DeadLetters, Failure> {
        Ok(lab.bus().await?.dead_letters(self.topic.name(), &self.group))
    }
    /// The group gives up what comes next.
    async fn give_up(&self, lab: &Lab, count: usize) -> Proof {
        let mut reader = lab.join(self.bus.subscribe(&self.topic, &self.group)).await?;
        for _ in 0..count {
            lab.next(&mut reader).await?.reject("not today");
        }
        Ok(lab.within("closing", reader.close()).await??)
    }
    async fn store_and_give_up(&self, lab: &Lab, sent: Vec<Message>) -> Proof {
        let count = sent.len();
        lab.store(&self.bus, self.topic.name(), sent).await?;
        self.give_up(lab, count).await?;
        ensure_eq!(
            open(lab, &self.letters(lab).await?).await?.len(),
            count,
            "dead letters"
        );
        Ok(())
    }
    /// What the group gets, up to the end of the topic, acknowledged.
    async fn handled(&self, lab: &Lab) -> Result<Vec<String>, Failure> {
        let subscribe = lab.subscribe(&self.bus, &self.topic, &self.group);
        let mut reader = lab.join(subscribe.order(Order::None)).await?;
        let mut handled = Vec::new();
        let take = |delivery: Delivery<Bytes>| {
            handled.push(id_of(delivery.payload()).to_string());
            delivery.ack();
        };
        lab.drain_to_end(&self.bus, &self.topic, &mut reader, take)
            .await?;
        lab.within("closing", reader.close()).await??;
        handled.sort();
        Ok(handled)
    }
}

/// Replays, or parks; who did it before may have to be missed first.
async fn done(lab: &Lab, replay: Replay) -> Result<Replayed, Failure> {
    let lab = lab.patient(lab.takeover());
    Ok(lab.within("a replay", replay.into_future()).await??)
}

/// Those that are open.
async fn open(lab: &Lab, letters: &DeadLetters) -> Result<Vec<DeadLetter>, Failure> {
    let mut reading = lab.within("reading dead letters", letters.read()).await??;
    let mut open = Vec::new();
    while let Some(next) = lab.within("the next dead letter", reading.next()).await? {
        open.push(next?);
    }
    Ok(open)
}

/// What a replay moved: put back, parked, sent to the end.
fn moved(replayed: &Replayed) -> (u64, u64, u64) {
    (replayed.replayed, replayed.parked, replayed.requeued)
}

pub(crate) async fn a_replay_brings_back_what_was_sent(lab: &Lab) -> Proof {
    let stage = Stage::new(lab).await?;
    let other = lab.group("other");
    let mut sent = vec![
        Message::new(&b"\xc3\x28"[..])
            .keyed("a")
            .header("n", "1")
            .header("n", "2"),
        Message::tombstone().keyed("b").header("n", &b"\xff"[..]),
        Message::new("").keyed("").timestamp(1_000_000_000_000),
        Message::new("x")
            .to_partition(3)
            .expires_at(std::time::UNIX_EPOCH),
    ];
    sent[0].headers.push_null("n");
    lab.store(&stage.bus, stage.topic.name(), sent[..3].to_vec())
        .await?;
    // The first cannot be decoded, the others are rejected. What expired is as dead as these.
    let texts: Topic<String, Raw> = Topic::named(stage.topic.name());
    let joining = stage.bus.subscribe(&texts, &stage.group).into_future();
    let mut reader = lab.within("subscribing", joining).await??;
    for _ in 0..2 {
        let next = lab
            .within_time(lab.takeover(), "the next delivery", reader.next())
            .await?;
        next.ok_or_else(|| Failure::new("the subscription ended"))??
            .reject("not today");
    }
    lab.within("closing", reader.close()).await??;
    lab.store(&stage.bus, stage.topic.name(), sent[3..].to_vec())
        .await?;
    let expired = stage
        .bus
        .subscribe(&stage.topic, &stage.group)
        .on_expired(crate::Expired::DeadLetter);
    let mut reader = lab.join(expired).await?;
    let letters = stage.letters(lab).await?;
    lab.rest(&stage.bus, &stage.topic, &mut reader)
        .await?
        .into_iter()
        .for_each(Delivery::ack);
    ensure_eq!(reader.control().stats().expired, 1, "messages that expired");
    lab.within("closing", reader.close()).await??;

    let listed = open(lab, &letters).await?;
    let mut ids = BTreeMap::new();
    for expected in &sent {
        let same = |letter: &&DeadLetter| {
            let found = &letter.message;
            found.key == expected.key && found.payload == expected.payload
        };
        let letter = listed.iter().find(same);
        let letter =
            letter.ok_or_else(|| Failure::new(format_args!("{expected:?} is not among {listed:?}")))?;
        ensure_eq!(
            letter.message.headers,
            expected.headers,
            "headers of a dead letter"
        );
        ensure_eq!(
            letter.group.as_deref(),
            Some(&*stage.group),
            "the group that gave it up"
        );
        ids.insert(expected.payload.clone(), letter.id.clone());
    }
    ensure_eq!(listed.len(), sent.len(), "dead letters that are open");
    ensure_eq!(
        moved(&done(lab, letters.replay()).await?),
        (4, 0, 0),
        "what was replayed"
    );

    let mut reader = lab.join(stage.bus.subscribe(&stage.topic, &stage.group)).await?;
    let mut back = Vec::new();
    while back.len() < sent.len() {
        let delivery = lab.next(&mut reader).await?;
        if !id_of(delivery.payload()).contains("marker") {
            back.push(delivery);
        }
    }
    for expected in &sent {
        let same = |delivery: &&Delivery<Bytes>| {
            delivery.key() == expected.key.as_deref() && delivery.payload() == expected.payload.as_deref()
        };
        let delivery = back.iter().find(same);
        let delivery =
            delivery.ok_or_else(|| Failure::new(format_args!("{expected:?} did not come back")))?;
        let replay_for = format!("{}/{}", stage.topic.name(), stage.group);
        let added = [
            ("bus-origin-id", &*ids[&expected.payload]),
            ("bus-replays", "1"),
            ("bus-replay-for", &replay_for),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        ensure_eq!(
            reasons(delivery, &expected.headers)?,
            added,
            "headers that were added"
        );
        if let Some(time) = expected.timestamp {
            ensure_eq!(delivery.timestamp(), time, "the timestamp");
        }
        if let Some(partition) = expected.partition {
            ensure_eq!(delivery.partition(), partition, "the partition");
        }
    }
    back.into_iter().for_each(Delivery::ack);
    lab.within("closing", reader.close()).await??;

    // Another group had the first copy of each, and has no use for a second.
    let subscribe = lab.subscribe(&stage.bus, &stage.topic, &other);
    let mut reader = lab.join(subscribe.order(Order::None)).await?;
    let mut first = 0;
    let take = |delivery: Delivery<Bytes>| {
        first += usize::from(!id_of(delivery.payload()).contains("marker"));
        delivery.ack();
    };
    lab.drain_to_end(&stage.bus, &stage.topic, &mut reader, take)
        .await?;
    ensure_eq!(first, 3, "what another group gets, the expired apart");
    ensure_eq!(
        reader.control().stats().for_others,
        4,
        "what another group passes by"
    );
    Ok(lab.within("closing", reader.close()).await??)
}

pub(crate) async fn a_message_comes_round_three_times(lab: &Lab) -> Proof {
    let stage = Stage::new(lab).await?;
    stage
        .store_and_give_up(lab, vec![keyed("k", 1).header("h", "v")])
        .await?;
    let letters = stage.letters(lab).await?;
    let first = open(lab, &letters).await?;
    ensure_eq!(first.len(), 1, "dead letters that are open");
    for round in 1..=3 {
        let came_to = done(lab, letters.replay()).await?;
        ensure_eq!(moved(&came_to), (1, 0, 0), "what replay {round} moved");
        ensure_eq!(
            open(lab, &letters).await?.len(),
            0,
            "open dead letters after a replay"
        );
        stage.give_up(lab, 1).await?;
        let again = open(lab, &letters).await?;
        ensure_eq!(again.len(), 1, "dead letters after round {round}");
        ensure_eq!(
            (&again[0].id, again[0].replays, &again[0].message),
            (&first[0].id, round, &first[0].message),
            "id, count and message after round {round}"
        );
    }
    ensure_eq!(
        moved(&done(lab, letters.replay()).await?),
        (0, 1, 0),
        "what the fourth replay moved"
    );
    ensure_eq!(
        moved(&done(lab, letters.replay()).await?),
        (0, 0, 0),
        "what the fifth replay moved"
    );
    let parked = letters.clone().parked();
    let there = open(lab, &parked).await?;
    ensure_eq!(there.len(), 1, "what is parked");
    ensure_eq!(
        (
            &there[0].id,
            there[0].replays,
            there[0].reason.as_deref(),
            &there[0].message
        ),
        (&first[0].id, 3, Some("rejected"), &first[0].message),
        "what is parked"
    );
    // By itself it stays there; who asks for it gets it.
    ensure_eq!(stage.handled(lab).await?.len(), 0, "what comes to the group");
    ensure_eq!(
        moved(&done(lab, parked.replay()).await?),
        (1, 0, 0),
        "a replay of what is parked"
    );
    ensure_eq!(
        stage.handled(lab).await?,
        ["k:1"],
        "what comes to the group at last"
    );
    Ok(())
}

pub(crate) async fn a_crash_during_a_replay_loses_nothing(lab: &Lab) -> Proof {
    let stage = Stage::new(lab).await?;
    let sent = messages(10, 60);
    stage.store_and_give_up(lab, sent.clone()).await?;
    let rate = NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN);
    let letters = stage.letters(lab).await?;
    // Slow enough that a part of it is stored, and a part is not.
    let crash = letters.replay().rate(rate).crash_after(45);
    let lab = &lab.patient(lab.takeover());
    ensure!(
        lab.within("a crash", crash.into_future()).await?.is_err(),
        "a replay that crashes went on"
    );
    let letters = stage.letters(lab).await?;
    done(lab, letters.replay()).await?;
    ensure_eq!(open(lab, &letters).await?.len(), 0, "dead letters that are left");
    ensure_eq!(
        stage.handled(lab).await?,
        names(&sent),
        "what the group gets after a crash and a second replay"
    );
    Ok(())
}

pub(crate) async fn a_filter_leaves_the_rest(lab: &Lab) -> Proof {
    let stage = Stage::new(lab).await?;
    // In one partition, so that what is left out lies between what is wanted.
    let sent: Vec<_> = messages(4, 20)
        .into_iter()
        .map(|message| message.to_partition(2))
        .collect();
    stage.store_and_give_up(lab, sent.clone()).await?;
    let letters = stage.letters(lab).await?;
    let of_two = letters.clone().key("k1").key("k3");
    ensure_eq!(
        moved(&done(lab, of_two.replay().dry_run(true)).await?),
        (10, 0, 0),
        "a dry run"
    );
    ensure_eq!(
        open(lab, &letters).await?.len(),
        20,
        "open dead letters after a dry run"
    );
    let few = done(lab, of_two.replay().at_most(4)).await?;
    ensure_eq!(moved(&few), (4, 0, 4), "a replay of at most 4");
    ensure_eq!(
        open(lab, &of_two).await?.len(),
        6,
        "open dead letters of two keys"
    );
    let left = open(lab, &letters).await?;
    ensure_eq!(left.len(), 16, "dead letters that are left");
    let one = letters.clone().id(left[15].id.clone());
    ensure_eq!(
        done(lab, one.park()).await?.parked,
        1,
        "what was parked by its id"
    );
    let parked = open(lab, &letters.clone().parked()).await?;
    ensure_eq!(
        parked.iter().map(|letter| &letter.id).collect::<Vec<_>>(),
        [&left[15].id],
        "what is parked"
    );
    ensure_eq!(
        done(lab, letters.replay()).await?.replayed,
        15,
        "a replay of the rest"
    );
    ensure_eq!(
        done(lab, letters.clone().parked().replay()).await?.replayed,
        1,
        "a replay of what is parked"
    );
    ensure_eq!(open(lab, &letters).await?.len(), 0, "dead letters at the end");
    ensure_eq!(
        stage.handled(lab).await?,
        names(&sent),
        "what the group gets in the end"
    );
    Ok(())
}

pub(crate) async fn replaying_twice_replays_once(lab: &Lab) -> Proof {
    let stage = Stage::new(lab).await?;
    let sent = messages(10, 50);
    stage.store_and_give_up(lab, sent.clone()).await?;
    let (first, second) = (stage.letters(lab).await?, stage.letters(lab).await?);
    let (one, other) = futures_util::join!(done(lab, first.replay()), done(lab, second.replay()));
    let both = one?.replayed + other?.replayed;
    ensure!(both >= 50, "two replays at once moved {both} of 50");
    ensure_eq!(
        moved(&done(lab, first.replay()).await?),
        (0, 0, 0),
        "a replay of what was replayed"
    );
    ensure_eq!(
        stage.handled(lab).await?,
        names(&sent),
        "what the group gets after three replays"
    );
    Ok(())
}

pub(crate) async fn a_foreign_dead_letter_stays(lab: &Lab) -> Proof {
    let stage = Stage::new(lab).await?;
    stage.store_and_give_up(lab, vec![keyed("k", 1)]).await?;
    let letters = stage.letters(lab).await?;
    let foreign = lab.harness().foreign(&letters.stored_in()).await?;
    let came_to = done(lab, letters.replay()).await?;
    ensure_eq!(
        (came_to.replayed, came_to.refused),
        (1, 1),
        "replayed and refused"
    );
    let kinds: Vec<_> = came_to
        .refusals
        .iter()
        .map(|refused| refused.error.kind())
        .collect();
    ensure_eq!(kinds, [ErrorKind::Invalid], "why it was refused");
    let left = open(lab, &letters).await?;
    ensure_eq!(left.len(), 1, "dead letters that are left");
    ensure_eq!(
        (
            &left[0].message.key,
            &left[0].message.payload,
            &left[0].reason,
            &left[0].origin
        ),
        (&foreign.key, &foreign.payload, &None, &None),
        "what another program put among dead letters"
    );
    ensure_eq!(
        left[0].id,
        came_to.refusals[0].id,
        "the id by which it was refused"
    );
    // Somewhere else it can go.
    let into = lab.topic(&stage.bus, "into", 4).await?;
    let replay = letters.replay().into_topic(into.name());
    ensure_eq!(
        moved(&done(lab, replay).await?),
        (1, 0, 0),
        "a replay into a topic that is named"
    );
    let there = dead(lab, into.name()).await?;
    ensure_eq!(there.len(), 1, "messages in that topic");
    ensure_eq!(there[0].payload(), foreign.payload.as_deref(), "its payload");
    // A group that does not read the topic would never see what comes back for it alone.
    let gone = stage.bus.dead_letters(stage.topic.name(), &lab.name("gone"));
    lab.create(&stage.bus, [TopicSpec::new(gone.stored_in()).partitions(4)])
        .await?;
    let refused = lab.within("a replay", gone.replay().into_future()).await?;
    ensure_eq!(
        refused.err().map(|error| error.kind()),
        Some(ErrorKind::GroupMissing),
        "a replay for a group that is gone"
    );
    ensure_eq!(
        moved(&done(lab, gone.replay().for_every_group()).await?),
        (0, 0, 0),
        "for every group"
    );
    ensure_eq!(open(lab, &letters).await?.len(), 0, "dead letters at the end");
    Ok(())
}
