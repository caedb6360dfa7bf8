//! Codecs: the bytes they write, what they refuse, and what becomes of a payload that is none.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apps;

use apps::{every_backend, read, soon, text, unique};
use bus::{Avro, AvroSchema, Bytes, Codec, Json, Message, MessagePack, Protobuf, Stateless, Topic};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

#[derive(Clone, PartialEq, Serialize, Deserialize, AvroSchema, prost::Message)]
struct Reading {
    #[prost(string, tag = "1")]
    room: String,
    #[prost(sint64, repeated, tag = "2")]
    degrees: Vec<i64>,
}

fn reading() -> Reading {
    Reading {
        room: "Küche".to_owned(),
        degrees: vec![-3, 21],
    }
}

/// What is published arrives in these bytes, with this content type; each of `broken` goes to the dead letters as it is,
/// once, and what follows is delivered.
async fn holds<C>(written: &[u8], content_type: &str, broken: &[Option<&[u8]>])
where
    C: Codec<Reading> + Stateless + Debug,
{
    for bus in every_backend().await {
        let topic: Topic<Reading, C> = Topic::named(unique("codec"));
        bus.publish(&topic, &reading()).await.unwrap();
        let record = read(&bus, topic.name(), 1).await.remove(0);
        assert_eq!(record.payload(), Some(written), "{bus:?}");
        assert_eq!(text(&record, "content-type"), Some(content_type));

        for payload in broken {
            let message = Message {
                payload: payload.map(Bytes::copy_from_slice),
                ..Message::default()
            };
            let outcome = bus
                .publish_batch(topic.name(), vec![message.header("from", "afar")])
                .await;
            outcome.into_iter().next().unwrap().unwrap();
        }
        bus.publish(&topic, &reading()).await.unwrap();
        let mut readings = bus.subscribe(&topic, "g").await.unwrap();
        for _ in 0..2 {
            let delivery = soon("a reading", readings.next()).await.unwrap().unwrap();
            assert_eq!(*delivery, reading(), "{bus:?}");
            delivery.ack();
        }
        soon("the end", readings.drain(std::time::Duration::ZERO))
            .await
            .unwrap();
        let letters = format!("{}.g.dlq", topic.name());
        let letters = read(&bus, &letters, broken.len()).await;
        let kept: Vec<_> = letters.iter().map(|r| r.payload()).collect();
        assert_eq!(kept, broken, "{bus:?}");
        assert!(letters.iter().all(|r| text(r, "from") == Some("afar")));
        let mut again = bus.subscribe(&topic, "g").await.unwrap();
        bus.publish(&topic, &reading()).await.unwrap();
        let delivery = soon("what is new", again.next()).await.unwrap().unwrap();
        assert_eq!(delivery.attempt(), 1);
        delivery.ack();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json() {
    let written = "{\"room\":\"Küche\",\"degrees\":[-3,21]}".as_bytes();
    let broken: [Option<&[u8]>; 4] = [
        Some(&written[..20]),
        Some(b"\xff\xfe\x00"),
        Some(b"{\"room\":\"a\",\"degrees\":[]} {}"),
        None,
    ];
    holds::<Json>(written, "application/json", &broken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn message_pack() {
    // A map of two: str 4 and str 6, array of two: -3 and 21.
    let written = b"\x82\xa4room\xa6K\xc3\xbcche\xa7degrees\x92\xfd\x15";
    let mut behind = written.to_vec();
    behind.push(0);
    let broken: [Option<&[u8]>; 5] = [
        Some(&written[..12]),
        Some(&behind),
        // An array that says it has 4 294 967 295 elements.
        Some(b"\x82\xa4room\xa1a\xa7degrees\xdd\xff\xff\xff\xff"),
        Some(b"\xc1"),
        None,
    ];
    holds::<MessagePack>(written, "application/vnd.msgpack", &broken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf() {
    // Field 1, 6 bytes; field 2, two zigzag numbers.
    let written = b"\x0a\x06K\xc3\xbcche\x12\x02\x05\x2a";
    let broken: [Option<&[u8]>; 4] = [
        Some(&written[..5]),
        // Field 1 says that it has more bytes than any memory.
        Some(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        Some(b"\x0a\x02\xff\xfe"),
        None,
    ];
    holds::<Protobuf>(written, "application/protobuf", &broken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn avro() {
    // 6 bytes; a block of two zigzag numbers, and the end.
    let written = b"\x0cK\xc3\xbcche\x04\x05\x2a\x00";
    let mut behind = written.to_vec();
    behind.push(0);
    let broken: [Option<&[u8]>; 6] = [
        Some(&written[..5]),
        Some(&behind),
        // Text that is longer than any memory, and one of less than nothing.
        Some(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        Some(b"\x01"),
        Some(b"\x04\xff\xfe\x00"),
        None,
    ];
    holds::<Avro>(written, "avro/binary", &broken).await;
}
