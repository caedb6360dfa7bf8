//! Publish, read, settle.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use bus_core::{Bytes, ErrorKind, Event, Message};
use common::*;

#[tokio::test(start_paused = true)]
async fn what_is_published_is_read_and_settled() {
    let memory = bus(1).await;
    let receipts = publish(&memory, numbered(0, 0..10)).await;
    let positions: Vec<_> = receipts.iter().map(|r| (r.partition, r.position)).collect();
    assert_eq!(positions, (0..10).map(|n| (0, Some(n))).collect::<Vec<_>>());
    let mut member = join(&memory, "billing").await;
    let events = member.drain(ALL).await;
    let [(shard, 0, _)] = gained(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(texts(&events), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(matches!(events.last(), Some(Event::CaughtUp(s)) if *s == shard));
    member.commit(shard, 7).await.unwrap();
    member.subscriber.close().await.unwrap();
    let mut next = join(&memory, "billing").await;
    assert_eq!(texts(&next.drain(ALL).await), ["7", "8", "9"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_altered() {
    let memory = bus(1).await;
    let mut odd = Message::new(&b"\xff\x00"[..])
        .keyed("")
        .timestamp(-5)
        .header("a", "1")
        .header(&b"\xfe"[..], "")
        .header("a", "2");
    odd.headers.push_null("n");
    let sent = vec![
        odd,
        Message::tombstone().keyed("k").timestamp(1),
        Message::new("").timestamp(2),
        Message::new(vec![7; 1 << 20]).timestamp(3),
    ];
    publish(&memory, sent.clone()).await;
    let mut member = join(&memory, "g").await;
    let got: Vec<Message> = records(&member.drain(ALL).await)
        .iter()
        .map(|(_, r)| r.to_message())
        .collect();
    assert_eq!(got, sent);
    assert_eq!(got[0].key, Some(Bytes::new()), "an empty key is a key");
}

#[tokio::test(start_paused = true)]
async fn closed_is_closed() {
    let memory = bus(1).await;
    let publisher = publisher(&memory).await;
    publisher.close().await.unwrap();
    publisher.close().await.unwrap();
    let unsent = publisher
        .publish_batch(T, numbered(0, 0..1))
        .await
        .remove(0)
        .unwrap_err();
    assert!(!unsent.is_unknown());
    assert_eq!(unsent.error().kind(), ErrorKind::Closed);
    let mut member = join(&memory, "g").await;
    let shard = shards(&member.drain(ALL).await)[0];
    member.subscriber.close().await.unwrap();
    member.subscriber.close().await.unwrap();
    let error = member.subscriber.receive(ALL, &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(
        member.commit(shard, 0).await.unwrap_err().kind(),
        ErrorKind::Fenced
    );
    member.ack.release(shard).await.unwrap();
}
