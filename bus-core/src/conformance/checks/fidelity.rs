//! Nothing is altered, and placement is the same as other clients choose.

use crate::{
    Delivery, Headers, Message, Order,
    conformance::{Failure, Lab, Proof, work::stored},
};
use bytes::Bytes;
use std::collections::HashSet;

/// Sends these through one partition, in order, and compares all there is to a message.
async fn round_trip(lab: &Lab, sent: Vec<Message>) -> Proof {
    let (here, there) = (lab.bus().await?, lab.bus().await?);
    let topic = lab.topic(&here, "t", 4).await?;
    let sent: Vec<_> = sent.into_iter().map(|m| m.to_partition(2)).collect();
    lab.store(&here, topic.name(), sent.clone()).await?;
    let subscribe = lab
        .subscribe(&there, &topic, &lab.group("g"))
        .order(Order::Partition);
    let mut reader = lab.join(subscribe).await?;
    for (number, sent) in sent.iter().enumerate() {
        let delivery = lab
            .next(&mut reader)
            .await
            .map_err(|f| f.context(format_args!("message {number}")))?;
        compare(&delivery, sent).map_err(|f| f.context(format_args!("message {number}")))?;
        delivery.ack();
    }
    Ok(())
}

fn compare(delivery: &Delivery<Bytes>, sent: &Message) -> Proof {
    // Megabytes are no help in a failure's text.
    let same = delivery.payload() == sent.payload.as_deref();
    let length = |payload: Option<&[u8]>| payload.map(<[u8]>::len);
    let (sent_bytes, seen_bytes) = (length(sent.payload.as_deref()), length(delivery.payload()));
    ensure!(
        same,
        "the payload changed: {sent_bytes:?} bytes were sent, {seen_bytes:?} came"
    );
    ensure_eq!(delivery.key(), sent.key.as_deref(), "the key");
    ensure_eq!(delivery.headers().to_owned(), sent.headers, "the headers");
    if let Some(timestamp) = sent.timestamp {
        ensure_eq!(delivery.timestamp(), timestamp, "the timestamp");
    }
    ensure_eq!(Some(delivery.partition()), sent.partition, "the partition");
    Ok(())
}

pub(crate) async fn empty_and_null_stay_apart(lab: &Lab) -> Proof {
    let sent = vec![
        Message::new("").keyed(""),
        Message::new(""),
        Message::tombstone().keyed("k"),
        Message::tombstone().keyed(""),
        Message::tombstone(),
        Message::new("p").keyed(""),
        Message::new("p"),
        Message::tombstone().header("only", "headers"),
    ];
    round_trip(lab, sent).await
}

pub(crate) async fn bytes_are_unaltered(lab: &Lab) -> Proof {
    let all: Vec<u8> = (0..=255).collect();
    let sent = vec![
        Message::new(all.clone())
            .keyed(all.clone())
            .header("all", all.clone()),
        Message::new(&b"\xff\xfe\xc3\x28"[..]).keyed(&b"\xc3\x28"[..]),
        Message::new(&b"\r\n$5\r\n\0\0"[..]).keyed(&b"\0"[..]),
        Message::new("{\"not\": \"touched\"}").header("content-type", "text/plain"),
    ];
    round_trip(lab, sent).await
}

pub(crate) async fn the_largest_payload(lab: &Lab) -> Proof {
    // A mebibyte where the server takes one; by default Kafka takes some hundred bytes less, frame included.
    let size = lab.backend().await?.limits().message.min(1 << 20);
    ensure!(
        size >= 1_000_000,
        "a message may have {size} bytes; a megabyte is promised"
    );
    let payload: Vec<u8> = (0..size as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    round_trip(
        lab,
        vec![
            Message::new("before"),
            Message::new(payload),
            Message::new("after"),
        ],
    )
    .await
}

pub(crate) async fn headers_are_unaltered(lab: &Lab) -> Proof {
    let mut twice = Message::new("twice")
        .header("b", "1")
        .header("a", "2")
        .header("b", "1")
        .header("b", "3");
    twice.headers.push_null("b");
    twice.headers.push("empty", "");
    let mut many = Message::new("many");
    many.headers = (0..300)
        .map(|n| (format!("name-{n}").into(), Some(Bytes::from(vec![n as u8; 20]))))
        .collect();
    let mut binary = Message::new("binary");
    binary
        .headers
        .push(&b"\xff\xc3\x28name"[..], &b"\x00\xff\r\n"[..]);
    let mut none = Message::new("none");
    none.headers = Headers::new();
    round_trip(lab, vec![twice, many, binary, none]).await
}

pub(crate) async fn odd_header_names_and_values(lab: &Lab) -> Proof {
    let odd = [
        "a.b/c",
        "../../etc/passwd",
        "\"quoted\"",
        "'single'",
        "`tick`",
        "a=b&c=d",
        "{\"json\":1}",
        "<xml/>",
        "%41%0a",
        "ä ö ü",
        "日本語",
        "🚌",
        "\u{200b}zero width",
        "tab\tnew\nline\rreturn",
        "\u{1}\u{1f}\u{7f}",
        "$(command)",
        " leading and trailing ",
        "CamelCase",
        "camelcase",
        "__proto__",
        "*",
        "data",
        "key",
        "headers",
        "null",
    ];
    let sent = odd
        .iter()
        .map(|text| Message::new(*text).header(*text, "value").header("name", *text));
    round_trip(lab, sent.collect()).await
}

pub(crate) async fn timestamps_are_kept(lab: &Lab) -> Proof {
    let sent =
        [1_000, 1_234_567_890_123, 1_700_000_000_000].map(|t| Message::new(t.to_string()).timestamp(t));
    round_trip(lab, sent.to_vec()).await
}

/// Hashes that Apache Kafka publishes in the tests of its own partitioner.
const MURMUR2: [(&str, i32); 6] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ("abc", 479_470_107),
];

pub(crate) async fn keys_go_where_kafka_puts_them(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    for partitions in [7, 12] {
        let topic = lab.topic(&bus, &format!("t{partitions}"), partitions).await?;
        let batch = MURMUR2.map(|(key, _)| Message::new("x").keyed(key)).to_vec();
        let receipts = lab.store(&bus, topic.name(), batch).await?;
        for ((key, hash), receipt) in MURMUR2.iter().zip(receipts) {
            let expected = (hash & 0x7fff_ffff) as u32 % partitions;
            ensure_eq!(
                receipt.partition,
                expected,
                "the partition of key {key:?} of {partitions}"
            );
        }
        let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
        for delivery in lab.take(&mut reader, MURMUR2.len()).await? {
            let known = MURMUR2
                .iter()
                .find(|(key, _)| delivery.key() == Some(key.as_bytes()));
            let Some((key, hash)) = known else {
                return Err(Failure::new(format_args!("{delivery:?} has a foreign key")));
            };
            let expected = (hash & 0x7fff_ffff) as u32 % partitions;
            ensure_eq!(
                delivery.partition(),
                expected,
                "the partition that {key:?} was read from"
            );
            delivery.ack();
        }
    }
    Ok(())
}

pub(crate) async fn an_explicit_partition_wins(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    for partition in 0..4 {
        let batch = vec![
            Message::new("k").keyed("same key").to_partition(partition),
            Message::new("n").to_partition(partition),
        ];
        for receipt in lab.store(&bus, topic.name(), batch).await? {
            ensure_eq!(receipt.partition, partition, "the receipt's partition");
        }
    }
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &lab.group("g"))).await?;
    let mut seen = [0; 4];
    for delivery in lab.take(&mut reader, 8).await? {
        seen[delivery.partition() as usize % 4] += 1;
        delivery.ack();
    }
    ensure_eq!(seen, [2; 4], "messages by partition");
    Ok(())
}

pub(crate) async fn messages_without_a_key_are_spread(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let mut used = HashSet::new();
    // Some clients stay with one partition for a while, so it may take some thousands.
    for _ in 0..100 {
        let batch = (0..100).map(|n| Message::new(vec![n; 200])).collect();
        let outcomes = lab
            .within("publishing", bus.publish_batch(topic.name(), batch))
            .await?;
        for outcome in outcomes {
            used.insert(stored(outcome)?.partition);
        }
        if used.len() == 4 {
            return Ok(());
        }
    }
    Err(Failure::new(format_args!(
        "10000 messages without a key went to partitions {used:?} only"
    )))
}

pub(crate) async fn what_other_programs_wrote_arrives(lab: &Lab) -> Proof {
    let bus = lab.bus().await?;
    let topic = lab.topic(&bus, "t", 4).await?;
    let group = lab.group("g");
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    for round in 0..3 {
        lab.store_one(&bus, topic.name(), Message::new("ours").keyed(format!("{round}")))
            .await?;
        let foreign = lab
            .within("writing as another program", lab.harness().foreign(topic.name()))
            .await??;
        let mut missing = 2;
        while missing > 0 {
            let delivery = lab.next(&mut reader).await?;
            missing -= 1;
            if delivery.payload() == Some(b"ours") {
                delivery.ack();
                continue;
            }
            ensure_eq!(delivery.payload(), foreign.payload.as_deref(), "the payload");
            ensure_eq!(delivery.key(), foreign.key.as_deref(), "the key");
            ensure_eq!(delivery.headers().to_owned(), foreign.headers, "the headers");
            delivery.ack();
        }
    }
    // They count as any other: acknowledged is acknowledged.
    lab.within("closing", reader.close()).await??;
    let mut reader = lab.join(lab.subscribe(&bus, &topic, &group)).await?;
    ensure!(
        lab.rest(&bus, &topic, &mut reader).await?.is_empty(),
        "records came again after they were acknowledged"
    );
    Ok(())
}
