//! The thread's decisions, one by one, on a client that no broker answers.

use super::{
    part::{Part, State},
    reader::{Reader, Setup, Wait},
    watch::TWICE,
    *,
};
use crate::native::{Code, Failure, Part as NativePart, TopicInfo};
use bus_core::{Bytes, Event, Room};
use std::time::{Duration, Instant};

const OLD: (i64, i64) = (0, 1);
const NEW: (i64, i64) = (0, 2);

/// A reader of topic `t`, which has two partitions.
struct Alone {
    reader: Reader,
    health: Arc<Health>,
}

impl Alone {
    fn new(scope: Scope) -> Self {
        let config = KafkaConfig::new("127.0.0.1:1");
        // That no broker is there is told to the requests' alone.
        let health = || Arc::new(Health::new("127.0.0.1:1"));
        let requests = Arc::new(Requests::start(&config, health()).unwrap());
        let health = health();
        let (wake, sleep) = wake::pair().unwrap();
        let setup = Setup {
            config,
            source: Source {
                topics: vec![Name::from("t")],
                scope,
                start: Start::Earliest,
                exactly_once: false,
            },
            counts: vec![2],
            mail: mailbox::Mailbox::new(wake.clone()),
            inbox: mpsc::channel().1,
            ready: oneshot::channel().0,
            health: health.clone(),
            roster: session::Roster::new(requests, wake.clone()),
            turn: None,
            wake,
            sleep,
        };
        let Ok(reader) = Reader::new(setup) else {
            panic!("no reader");
        };
        Self { reader, health }
    }
    fn of_group() -> Self {
        Self::new(Scope::Group(Name::from("g")))
    }
    /// Begins a partition at offset 5.
    fn begin(&mut self, partition: u32) -> Shard {
        let place = (0, partition);
        self.reader.parts.insert(place, Part::new(place, State::Asking));
        self.reader.gain(place, 5, Bytes::new());
        self.reader.parts[&place].shard
    }
    fn look(&mut self, id: (i64, i64), partitions: u32) {
        let info = TopicInfo {
            name: "t".to_owned(),
            id,
            partitions,
            led: partitions,
            failure: None,
        };
        let tag = self.reader.tag(Wait::Topics);
        self.reader.watched(tag, Ok(vec![info]));
    }
    fn revoke(&mut self, partition: u32) {
        let part = NativePart {
            topic: "t".to_owned(),
            partition,
            offset: -1001,
            metadata: Vec::new(),
            code: Code::OK,
        };
        self.reader.revoked(&[part]);
    }
    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let room = Room {
            messages: 100,
            bytes: 1 << 20,
        };
        while self.reader.mail.take(room, &mut events).unwrap() {}
        events
    }
    fn is_lost(&self) -> bool {
        self.events().iter().any(|e| matches!(e, Event::TopicLost(_)))
    }
    fn failed_seeks(&self) -> Vec<Shard> {
        let failed = self.events().into_iter().filter_map(|event| match event {
            Event::SeekFailed(shard) => Some(shard),
            _ => None,
        });
        failed.collect()
    }
    /// A seek to 9 whose position is on its way.
    fn store_seek(&mut self, shard: Shard) -> usize {
        self.reader
            .seek(shard, &Start::Positions([(shard.partition, 9)].into()))
            .unwrap();
        let mut waits = self.reader.waits.iter();
        let storing = waits.find(|(_, w)| matches!(w, Wait::SeekStored(of, 9) if *of == shard));
        *storing.unwrap().0
    }
}

#[tokio::test]
async fn a_revocation_waits_for_whatever_may_store_what_leaves() {
    let mut alone = Alone::of_group();
    let shard = alone.begin(0);
    let proof = alone.reader.tag(Wait::Proof);
    alone.revoke(0);
    alone.reader.void_shard(shard);
    alone.reader.revoke_timer(Instant::now());
    assert!(alone.reader.revoke.is_some(), "a proof is on its way");
    alone
        .reader
        .committed(proof, Some(Failure::new(Code::TRANSPORT)), &[]);
    alone.reader.revoke_timer(Instant::now());
    assert!(alone.reader.revoke.is_none(), "nothing is on its way");

    let shard = alone.begin(1);
    let seek = alone.store_seek(shard);
    alone.revoke(1);
    assert!(alone.reader.revoke.is_some(), "a seek's position is on its way");
    alone.reader.committed(seek, None, &[]);
    alone.reader.revoke_timer(Instant::now());
    assert!(alone.reader.revoke.is_none(), "nothing is on its way");
}

#[tokio::test]
async fn what_came_of_a_seek_that_left_is_told_when_it_is_known() {
    for failure in [None, Some(Failure::new(Code::TRANSPORT))] {
        let mut alone = Alone::of_group();
        let shard = alone.begin(0);
        let tag = alone.store_seek(shard);
        alone.revoke(0);
        assert!(alone.failed_seeks().is_empty(), "it may be stored still");
        let failed = failure.is_some();
        alone.reader.committed(tag, failure, &[]);
        assert_eq!(alone.failed_seeks(), if failed { vec![shard] } else { vec![] });
    }
    // It is back before that is known.
    let mut alone = Alone::of_group();
    let shard = alone.begin(0);
    alone.store_seek(shard);
    alone.revoke(0);
    alone.begin(0);
    let events = alone.events();
    let failed = events
        .iter()
        .position(|e| matches!(e, Event::SeekFailed(of) if *of == shard));
    let gained = |e: &Event| matches!(e, Event::Gained { shard: new, .. } if *new != shard);
    assert!(failed.unwrap() < events.iter().position(gained).unwrap());
}

#[tokio::test]
async fn a_topic_that_is_read_is_another_one_when_that_is_said_twice() {
    let mut alone = Alone::of_group();
    alone.look(OLD, 2);
    let shard = alone.begin(0);
    // One broker that has not heard is no proof, however often.
    for _ in 0..TWICE {
        alone.look(NEW, 1);
        assert!(!alone.is_lost(), "one look");
        assert_eq!(alone.reader.id(0), Some(OLD), "positions are the old one's");
        assert_eq!(alone.reader.counts, [2]);
        alone.look(OLD, 2);
    }
    assert!(alone.reader.parts[&(0, 0)].is(shard));
    (0..TWICE).for_each(|_| alone.look(NEW, 1));
    assert!(alone.is_lost());
    assert_eq!(alone.reader.parts[&(0, 0)].state, State::Void);
}

#[tokio::test]
async fn what_was_read_and_given_back_counts_as_read() {
    let mut alone = Alone::of_group();
    alone.look(OLD, 2);
    let shard = alone.begin(0);
    alone.revoke(0);
    alone.reader.void_shard(shard);
    alone.reader.revoke_timer(Instant::now());
    assert!(alone.reader.parts.is_empty());
    (0..TWICE).for_each(|_| alone.look(NEW, 2));
    assert!(alone.is_lost());
}

#[tokio::test]
async fn a_topic_of_which_nothing_was_read_is_whatever_it_is_now() {
    let mut alone = Alone::of_group();
    alone.look(OLD, 2);
    alone
        .reader
        .parts
        .insert((0, 0), Part::new((0, 0), State::Asking));
    alone.look(NEW, 1);
    assert_eq!((alone.reader.id(0), &*alone.reader.counts), (Some(NEW), &[1][..]));
    assert!(!alone.is_lost());
}

/// Looks at the one before say nothing of the new one.
#[tokio::test]
async fn a_suspect_that_is_another_topic_now_is_looked_at_anew() {
    let mut alone = Alone::of_group();
    let position = || NativePart {
        topic: "t".to_owned(),
        partition: 0,
        offset: 7,
        metadata: crate::notes::encode(Some((0, 3)), &[]),
        code: Code::OK,
    };
    alone.look(OLD, 2);
    alone.reader.judge(&mut [position()]);
    alone.look(OLD, 2);
    alone.look(NEW, 2);
    for _ in 0..TWICE {
        let mut parts = [position()];
        alone.reader.judge(&mut parts);
        assert_eq!((parts[0].offset, parts[0].code), (7, Code::TRANSPORT), "unclear");
        alone.look(NEW, 2);
    }
    let mut parts = [position()];
    alone.reader.judge(&mut parts);
    assert_eq!(parts[0].offset, -1001, "a former one's");
}

#[tokio::test]
async fn whatever_waits_for_long_is_told() {
    let later = Duration::from_secs(6);
    let told = |alone: &mut Alone| {
        alone.reader.held_timer(Instant::now() + later);
        alone.health.check().unwrap_err().to_string()
    };
    let mut alone = Alone::of_group();
    let shard = alone.begin(1);
    alone.reader.held_timer(Instant::now() + later);
    alone.health.check().unwrap();
    let tag = alone.store_seek(shard);
    alone.reader.held_timer(Instant::now());
    alone.health.check().unwrap();
    alone
        .reader
        .committed(tag, Some(Failure::new(Code::TRANSPORT)), &[]);
    let why = told(&mut alone);
    assert!(
        why.contains("partition 1 of topic `t`") && why.contains(&Code::TRANSPORT.text()),
        "{why}"
    );

    let mut alone = Alone::of_group();
    alone.begin(0);
    alone.reader.trouble((0, 0), Code::OFFSET_OUT_OF_RANGE);
    assert!(told(&mut alone).contains("partition 0 of topic `t`"));

    let mut alone = Alone::new(Scope::Everyone { partitions: None });
    assert!(told(&mut alone).contains("partition 0 of topic `t`"));
}

#[tokio::test]
async fn a_first_partition_that_has_begun_begins_no_others() {
    let mut alone = Alone::of_group();
    assert!(!alone.reader.begins_topic(0), "not here");
    alone
        .reader
        .parts
        .insert((0, 0), Part::new((0, 0), State::Asking));
    assert!(alone.reader.begins_topic(0));
    alone.begin(0);
    assert!(!alone.reader.begins_topic(0));
}
