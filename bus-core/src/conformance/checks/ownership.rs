//! The driver's word on ownership: told in time, once, and before anything else.

use crate::{
    Event,
    conformance::{
        Failure, History, Lab, Proof,
        driver::{MUCH, NONE, Seat, done},
        work::unkeyed,
    },
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

pub(crate) async fn ownership_overtakes_records(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    lab.store(&bus, topic.name(), unkeyed("m", 4, 2000)).await?;
    let mut first = lab.seat(&lab.backend().await?, topic.name(), &group).await?;
    first.gained(4).await?;
    // Records wait now and have no room. A second member joins: the first has to hear of it all the same.
    let mut second = lab.seat(&lab.backend().await?, topic.name(), &group).await?;
    let giving = async {
        let leaving = |event: &Event| match event {
            Event::Losing { shard, .. } => Some((*shard, false)),
            Event::Lost(shard) => Some((*shard, true)),
            _ => None,
        };
        let (shard, lost) = first.find(NONE, "a shard to leave", leaving).await?;
        if !lost {
            lab.within("releasing", first.ack.release(shard)).await??;
            first.lost(shard).await?;
        }
        Result::<Seat, Failure>::Ok(first)
    };
    // Both are live: a group may wait for the one while it serves the other.
    let (given, gained) = tokio::join!(giving, second.gained(1));
    let _first = given?;
    let gain = gained?.remove(0);
    second.store(done(gain.shard, gain.next)).await
}

pub(crate) async fn nothing_follows_losing(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let mut first = lab.seat(&lab.backend().await?, topic.name(), &group).await?;
    let gains = first.gained(4).await?;
    let history = Arc::new(History::default());
    let steady = lab.publish_steadily(&bus, topic.name(), &history, 40);
    first.records(200).await?;
    let mut second = lab.seat(&lab.backend().await?, topic.name(), &group).await?;
    let mut owned: HashSet<_> = gains.iter().map(|gain| gain.shard).collect();
    let reading = async {
        let mut leaving = HashMap::new();
        let mut lost = HashSet::new();
        while lost.is_empty() {
            for event in first.receive(MUCH).await? {
                match &event {
                    Event::Losing { shard, .. } => {
                        ensure!(
                            owned.contains(shard),
                            "{shard:?} is to leave and was never gained"
                        );
                        leaving.insert(*shard, 0);
                    }
                    Event::Lost(shard) => {
                        ensure!(owned.remove(shard), "{shard:?} was lost twice, or never gained");
                        lost.insert(*shard);
                    }
                    Event::Gained { shard, .. } => drop(owned.insert(*shard)),
                    Event::Records { shard, .. } => {
                        ensure!(owned.contains(shard), "records of {shard:?}, which is not owned");
                        ensure!(
                            !leaving.contains_key(shard),
                            "records of {shard:?} after it was to leave"
                        );
                    }
                    _ => {}
                }
            }
            for (shard, rounds) in &mut leaving {
                *rounds += 1;
                // Not at once, so that there is time for what must not come.
                if *rounds == 3 && owned.contains(shard) {
                    lab.within("releasing", first.ack.release(*shard)).await??;
                }
            }
            if !leaving.is_empty() && leaving.len() == 4 {
                break;
            }
        }
        Proof::Ok(())
    };
    let (read, gained) = tokio::join!(reading, second.gained(1));
    steady.stop().await?;
    read?;
    gained.map(drop)
}

pub(crate) async fn a_deleted_topic_is_told(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut seat = lab
        .seat(&lab.backend().await?, topic.name(), &lab.group("g"))
        .await?;
    let mut owned: HashSet<_> = seat.gained(4).await?.iter().map(|gain| gain.shard).collect();
    lab.within("deleting", bus.admin().delete(topic.name())).await??;
    let (mut told, mut events) = (false, 0);
    while !told || !owned.is_empty() {
        for event in seat.receive(MUCH).await? {
            events += 1;
            match event {
                Event::TopicLost(name) => {
                    ensure_eq!(&*name, topic.name(), "the topic that is gone");
                    told = true;
                }
                Event::Lost(shard) => {
                    ensure!(owned.remove(&shard), "{shard:?} was lost twice, or never gained")
                }
                Event::Gained { shard, .. } => drop(owned.insert(shard)),
                Event::Records { .. } => return Err(Failure::new("records of a topic that is gone")),
                _ => {}
            }
            ensure!(events < 1000, "a thousand events and no end");
        }
    }
    Ok(())
}
