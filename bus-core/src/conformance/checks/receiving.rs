//! The driver's subscriber: what it hands out, and when.

use crate::{
    ErrorKind, Event, Room, Scope, Shard, Start,
    conformance::{
        Failure, Lab, Proof,
        driver::{MUCH, done, records_of},
        work::{id_of, unkeyed},
    },
};
use futures_util::FutureExt;
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

pub(crate) async fn room_is_respected(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed(&"m".repeat(100), 4, 60))
        .await?;
    let mut seat = lab
        .seat(&lab.backend().await?, topic.name(), &lab.group("g"))
        .await?;
    // Without room, none: the helper fails if there are any.
    seat.gained(4).await?;
    let mut ids = HashSet::new();
    let rooms = [
        Room {
            messages: 1,
            bytes: 1 << 20,
        },
        Room {
            messages: 7,
            bytes: 1 << 20,
        },
        Room {
            messages: 1000,
            bytes: 350,
        },
        Room {
            messages: 1000,
            bytes: 1,
        },
    ];
    for turn in 0.. {
        if ids.len() == 60 {
            break;
        }
        let room = rooms[turn % rooms.len()];
        let events = seat.receive(room).await?;
        let records: Vec<_> = events.iter().filter_map(records_of).flatten().collect();
        ensure!(
            records.len() <= room.messages,
            "{} records for {room:?}",
            records.len()
        );
        let sizes: Vec<_> = records
            .iter()
            .map(|(_, record)| record.payload().map_or(0, <[u8]>::len))
            .collect();
        let but_one: usize = sizes.iter().sum::<usize>() - sizes.iter().max().unwrap_or(&0);
        ensure!(but_one <= room.bytes, "records of {sizes:?} bytes for {room:?}");
        for (_, record) in records {
            ensure!(
                ids.insert(id_of(record.payload())),
                "{:?} came twice",
                id_of(record.payload())
            );
        }
    }
    Ok(())
}

pub(crate) async fn a_paused_shard_is_silent(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut seat = lab
        .seat(&lab.backend().await?, topic.name(), &lab.group("g"))
        .await?;
    let gains = seat.gained(4).await?;
    let unknown = Shard {
        topic: 0,
        partition: 3,
        epoch: gains[3].shard.epoch + 1_000_000,
    };
    seat.subscriber.pause(gains[1].shard, true);
    seat.subscriber.pause(unknown, true);
    lab.store(&bus, topic.name(), unkeyed("m", 4, 40)).await?;
    // The others come, all of them; a second round says that the paused one had its chance.
    let others = seat.records(30).await?;
    lab.store(&bus, topic.name(), unkeyed("n", 4, 40)).await?;
    let more = seat.records(30).await?;
    let silent = others.iter().chain(&more).all(|(shard, _)| shard.partition != 1);
    ensure!(silent, "a paused shard handed out records");
    ensure_eq!(others.len() + more.len(), 60, "records of the other shards");
    seat.subscriber.pause(gains[1].shard, false);
    let resumed = seat.records(20).await?;
    let own: Vec<_> = resumed
        .iter()
        .map(|(shard, record)| (*shard, id_of(record.payload()).to_string()))
        .collect();
    let names = (0..10)
        .map(|n| format!("m:{}", n * 4 + 1))
        .chain((0..10).map(|n| format!("n:{}", n * 4 + 1)));
    let expected: Vec<_> = names.map(|name| (gains[1].shard, name)).collect();
    ensure_eq!(
        own,
        expected,
        "what the resumed shard hands out, under the same epoch"
    );
    Ok(())
}

pub(crate) async fn a_dropped_receive_loses_nothing(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut seat = lab
        .seat(&lab.backend().await?, topic.name(), &lab.group("g"))
        .await?;
    let publishing = async {
        for round in 0..50 {
            lab.store(&bus, topic.name(), unkeyed(&format!("r{round}"), 4, 20))
                .await?;
        }
        Proof::Ok(())
    };
    let reading = async {
        let mut last: HashMap<u32, u128> = HashMap::new();
        let (mut gained, mut seen) = (HashSet::new(), 0);
        while seen < 1000 {
            // Polled once or for a moment, then dropped: what such a call had in hand comes with the next.
            let mut events = Vec::new();
            for _ in 0..3 {
                if let Some(result) = seat.subscriber.receive(MUCH, &mut events).now_or_never() {
                    result?;
                }
            }
            let moment = Duration::from_micros(500);
            if let Ok(result) = tokio::time::timeout(moment, seat.subscriber.receive(MUCH, &mut events)).await
            {
                result?;
            }
            if events.is_empty() {
                events = seat
                    .receive(MUCH)
                    .await
                    .map_err(|f| f.context(format_args!("{seen} of 1000 records")))?;
            }
            for event in &events {
                if let Event::Gained { shard, .. } = event {
                    gained.insert(*shard);
                }
                for (shard, record) in records_of(event).unwrap_or_default() {
                    ensure!(
                        gained.contains(&shard),
                        "records of {shard:?} before it was gained"
                    );
                    let before = last.insert(shard.partition, record.position());
                    ensure!(
                        before.is_none_or(|b| b < record.position()),
                        "records of {shard:?} out of log order"
                    );
                    seen += 1;
                }
            }
        }
        ensure_eq!(seen, 1000, "records");
        Proof::Ok(())
    };
    let (published, read) = tokio::join!(publishing, reading);
    published.and(read)
}

pub(crate) async fn catching_up_is_told(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    // Nothing in partition 3: its end has been handed out from the beginning.
    lab.store(&bus, topic.name(), unkeyed("m", 3, 90)).await?;
    let everyone = Scope::Everyone { partitions: None };
    let mut seat = lab
        .open(&lab.backend().await?, topic.name(), everyone, Start::Earliest)
        .await?;
    let (mut records, mut ended) = (HashMap::<u32, usize>::new(), HashSet::new());
    while ended.len() < 4 {
        for event in seat
            .receive(Room {
                messages: 8,
                bytes: 1 << 20,
            })
            .await?
        {
            if let Event::CaughtUp(shard) = event {
                ensure!(
                    ended.insert(shard.partition),
                    "the end of partition {} was told twice",
                    shard.partition
                );
                let expected = if shard.partition == 3 { 0 } else { 30 };
                let seen = records.get(&shard.partition).copied().unwrap_or(0);
                ensure_eq!(
                    seen,
                    expected,
                    "records of partition {} before its end was told",
                    shard.partition
                );
            }
            for (shard, _) in records_of(&event).unwrap_or_default() {
                *records.entry(shard.partition).or_default() += 1;
            }
        }
    }
    Ok(())
}

pub(crate) async fn an_observers_commit_is_nothing(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("m", 4, 8)).await?;
    let everyone = || Scope::Everyone {
        partitions: Some(vec![0, 2]),
    };
    for _ in 0..2 {
        let mut seat = lab
            .open(&lab.backend().await?, topic.name(), everyone(), Start::Earliest)
            .await?;
        let gains = seat.gained(2).await?;
        let partitions: Vec<_> = gains.iter().map(|gain| gain.shard.partition).collect();
        ensure_eq!(partitions, [0, 2], "the partitions that were asked for");
        let records = seat.records(4).await?;
        ensure_eq!(records.len(), 4, "records, also of whoever comes after a commit");
        for (shard, record) in records {
            seat.store(done(shard, record.position() + 1)).await?;
        }
        seat.close().await?;
    }
    Ok(())
}

pub(crate) async fn a_closed_subscriber_is_closed(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    lab.store(&bus, topic.name(), unkeyed("m", 4, 8)).await?;
    let group = lab.group("g");
    let mut seat = lab.seat(&lab.backend().await?, topic.name(), &group).await?;
    let shard = seat.gained(4).await?[0].shard;
    let record = seat.records(8).await?.into_iter().find(|(s, _)| *s == shard);
    let (_, record) = record.ok_or_else(|| Failure::new("no record of partition 0"))?;
    seat.close().await?;
    seat.close().await.map_err(|f| f.context("a second close"))?;
    let mut events = Vec::new();
    let received = lab
        .within("receiving", seat.subscriber.receive(MUCH, &mut events))
        .await?;
    ensure_eq!(
        received.map_err(|e| e.kind()),
        Err(ErrorKind::Closed),
        "receiving after the close"
    );
    ensure!(events.is_empty(), "events after the close: {events:?}");
    // Closing commits nothing, and voids what was owned.
    let error = seat
        .refused("a commit after the close", done(shard, record.position() + 1))
        .await?;
    let refused = matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Closed);
    ensure!(
        refused,
        "a commit after the close: expected Fenced, got {error:?}"
    );
    let mut next = lab.seat(&lab.backend().await?, topic.name(), &group).await?;
    let records = next.gained(4).await.map(drop).and(next.records(8).await)?;
    ensure_eq!(
        records.len(),
        8,
        "records for the next member of a group that committed nothing"
    );
    Ok(())
}
