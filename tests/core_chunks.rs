//! Chunks: when they go, what they hold, what becomes of what was collected.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod doubles;

use bus::{Bus, Delivery, Event, Message, Order, Retry};
use doubles::{Commits, Double, Fault, T, idle, soon};
use futures_util::FutureExt;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

const SECOND: Duration = Duration::from_secs(1);

async fn double(partitions: u32) -> (Bus, Commits, Fault) {
    let double = Double::default();
    let (commits, fault) = (double.commits.clone(), double.fault.clone());
    (double.bus(partitions).await, commits, fault)
}

async fn publish(bus: &Bus, messages: impl IntoIterator<Item = Message>) {
    for outcome in bus.publish_batch("t", messages.into_iter().collect()).await {
        outcome.expect("stored");
    }
}

fn plain(n: usize) -> Message {
    Message::new(n.to_string())
}

fn keyed(key: &str, value: &str) -> Message {
    Message::new(value.to_owned()).keyed(key.to_owned())
}

fn values(chunk: &[Delivery<String>]) -> Vec<String> {
    chunk.iter().map(|d| d.value().clone()).collect()
}

fn ack(chunk: Vec<Delivery<String>>) {
    chunk.into_iter().for_each(Delivery::ack);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_goes_when_it_is_full_or_its_oldest_message_has_its_age() {
    let (bus, ..) = double(1).await;
    let start = Instant::now();
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let mut chunks = subscription.chunks(10, SECOND);
    publish(&bus, (0..25).map(plain)).await;
    for _ in 0..2 {
        let chunk = soon("a full chunk", chunks.next()).await.unwrap().unwrap();
        assert_eq!((chunk.len(), start.elapsed()), (10, Duration::ZERO));
        ack(chunk);
    }
    // What comes later does not begin the age anew.
    for n in 25..28 {
        let wait = Duration::from_millis(300);
        assert!(tokio::time::timeout(wait, chunks.next()).await.is_err());
        publish(&bus, [plain(n)]).await;
    }
    let chunk = soon("the rest", chunks.next()).await.unwrap().unwrap();
    assert_eq!(chunk.len(), 8);
    assert!((SECOND..SECOND + Duration::from_millis(3)).contains(&start.elapsed()));
    ack(chunk);
}

#[tokio::test(start_paused = true)]
async fn what_waited_while_the_chunk_before_was_handled_does_not_wait_again() {
    let (bus, ..) = double(1).await;
    let mut chunks = bus.subscribe(&T, "g").await.unwrap().chunks(10, SECOND);
    publish(&bus, (0..10).map(plain)).await;
    let first = soon("a full chunk", chunks.next()).await.unwrap().unwrap();
    publish(&bus, (10..14).map(plain)).await;
    tokio::time::sleep(SECOND * 3).await;
    ack(first);
    let now = Instant::now();
    let second = soon("the rest", chunks.next()).await.unwrap().unwrap();
    assert_eq!((second.len(), now.elapsed()), (4, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_chunk_holds_one_of_a_key_and_goes_at_once_when_another_waits_behind_it() {
    let (bus, ..) = double(1).await;
    let mut chunks = bus.subscribe(&T, "g").await.unwrap().chunks(10, SECOND * 3600);
    publish(&bus, [keyed("a", "a1"), keyed("b", "b1")]).await;
    let now = Instant::now();
    let waiting = tokio::time::timeout(SECOND, chunks.next()).await;
    assert!(waiting.is_err(), "nobody waits behind these two");
    publish(&bus, [keyed("a", "a2"), keyed("a", "a3")]).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let chunk = match seen.len() {
            // Nothing is behind the last: there it is the age that counts.
            2 => chunks.next().now_or_never().is_none().then(Vec::new).unwrap(),
            _ => soon("a chunk", chunks.next()).await.unwrap().unwrap(),
        };
        seen.push(values(&chunk).join(" "));
        ack(chunk);
        idle().await;
    }
    assert_eq!(seen, ["a1 b1", "a2", ""]);
    assert_eq!(now.elapsed(), SECOND, "no time passed");
}

#[tokio::test(start_paused = true)]
async fn order_none_fills_chunks_with_one_key() {
    let (bus, ..) = double(1).await;
    let subscription = bus.subscribe(&T, "g").order(Order::None).await.unwrap();
    let mut chunks = subscription.chunks(3, SECOND);
    publish(&bus, ["1", "2", "3", "4"].map(|v| keyed("a", v))).await;
    let chunk = soon("a full chunk", chunks.next()).await.unwrap().unwrap();
    assert_eq!(values(&chunk), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_the_window_cannot_fill_goes_with_what_there_is() {
    let (bus, ..) = double(1).await;
    let subscription = bus.subscribe(&T, "g").in_flight(8).await.unwrap();
    let mut chunks = subscription.chunks(100, SECOND * 3600);
    publish(&bus, (0..20).map(plain)).await;
    let (mut all, now) = (0, Instant::now());
    while all < 16 {
        let chunk = soon("a chunk", chunks.next()).await.unwrap().unwrap();
        all += chunk.len();
        ack(chunk);
    }
    assert_eq!(now.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_was_collected_is_returned_when_its_partition_leaves_or_is_paused() {
    let (bus, commits, fault) = double(2).await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let control = subscription.control();
    let mut chunks = subscription.chunks(10, SECOND * 3600);
    let to = |partition: u32, value: &str| Message::new(value.to_owned()).to_partition(partition);
    publish(&bus, [to(0, "0"), to(1, "1")]).await;
    let collecting = tokio::time::timeout(SECOND, chunks.next()).await;
    assert!(collecting.is_err());
    control.pause_partition("t", 0).unwrap();
    assert!(chunks.next().now_or_never().is_none());
    idle().await;
    assert_eq!(control.stats().returned, 1);

    let shard = fault.gained().into_iter().find(|s| s.partition == 1).unwrap();
    let grace = SECOND * 3600;
    let next = tokio::spawn(async move { (chunks.next().await.map(|c| values(&c.unwrap())), chunks) });
    idle().await;
    fault.event(Event::Losing { shard, grace });
    // It is let go at once, not when the grace is over.
    soon("the release", async {
        while commits.released() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(control.stats().returned, 2);
    control.resume_partition("t", 0).unwrap();
    publish(&bus, (0..9).map(|_| to(0, "more"))).await;
    let (chunk, _chunks) = soon("the chunk", next).await.unwrap();
    assert_eq!(chunk.unwrap().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn whoever_collects_rests_while_another_partition_leaves() {
    let (bus, _, fault) = double(2).await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let (starting, mut started) = mpsc::unbounded_channel();
    let handler = move |chunk: Vec<Delivery<String>>| {
        let starting = starting.clone();
        async move {
            starting.send(chunk[0].partition()).unwrap();
            std::future::pending::<()>().await;
            drop(chunk);
        }
    };
    let running = tokio::spawn(subscription.for_each_chunk(2, SECOND * 3600, 2, handler));
    publish(&bus, (0..3).map(|n| plain(n).to_partition(u32::from(n == 2)))).await;
    assert_eq!(soon("a full chunk", started.recv()).await, Some(0));
    // The message of partition 1 is collected meanwhile, and the handler of partition 0 does not come to an end.
    idle().await;
    let shard = fault.gained().into_iter().find(|s| s.partition == 0).unwrap();
    let grace = SECOND * 3600;
    fault.event(Event::Losing { shard, grace });
    idle().await;
    let before = fault.asked();
    idle().await;
    assert!(fault.asked() <= before + 1, "the pump turns for nothing");
    publish(&bus, [plain(3).to_partition(1)]).await;
    assert_eq!(soon("the other chunk", started.recv()).await, Some(1));
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn what_was_collected_when_it_is_dropped_or_drained_is_the_same_attempt_later() {
    for drained in [true, false] {
        let (bus, ..) = double(1).await;
        let subscription = bus.subscribe(&T, "g").await.unwrap();
        let control = subscription.control();
        let mut chunks = subscription.chunks(10, SECOND * 3600);
        publish(&bus, (0..3).map(plain)).await;
        assert!(tokio::time::timeout(SECOND, chunks.next()).await.is_err());
        let now = Instant::now();
        if drained {
            let draining = tokio::spawn(async move { control.drain(SECOND * 3600).await });
            assert!(soon("the end", chunks.next()).await.is_none());
            soon("the drain", draining).await.unwrap().unwrap();
        } else {
            drop(chunks);
            let _ = soon("the end", control.drain(SECOND)).await;
        }
        assert!(now.elapsed() < SECOND, "nothing waited for them");
        let mut next = bus.subscribe(&T, "g").await.unwrap().chunks(3, SECOND);
        let chunk = soon("them again", next.next()).await.unwrap().unwrap();
        assert_eq!(chunk.iter().map(Delivery::attempt).collect::<Vec<_>>(), [1; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn keys_keep_their_order_in_chunks_that_run_side_by_side() {
    let (bus, ..) = double(2).await;
    let retry = Retry::fixed(Duration::from_millis(50)).max_retries(5);
    let subscription = bus.subscribe(&T, "g").retry(retry).await.unwrap();
    let control = subscription.control();
    let seen: Arc<Mutex<HashMap<String, Vec<usize>>>> = Arc::default();
    let (done, mut settled) = mpsc::unbounded_channel();
    let handler = {
        let seen = seen.clone();
        move |chunk: Vec<Delivery<String>>| {
            let (seen, done) = (seen.clone(), done.clone());
            async move {
                let mut keys: Vec<_> = chunk.iter().map(|d| d.key().unwrap().to_vec()).collect();
                keys.sort();
                keys.dedup();
                assert_eq!(keys.len(), chunk.len(), "one of a key");
                tokio::time::sleep(Duration::from_millis(7)).await;
                for delivery in chunk {
                    let key = String::from_utf8(delivery.key().unwrap().to_vec()).unwrap();
                    let number: usize = delivery.value().parse().unwrap();
                    // Every seventh fails once, and holds its key meanwhile.
                    if number.is_multiple_of(7) && delivery.attempt() == 1 {
                        delivery.fail("as told");
                        continue;
                    }
                    seen.lock().unwrap().entry(key).or_default().push(number);
                    delivery.ack();
                    done.send(()).unwrap();
                }
            }
        }
    };
    let running = tokio::spawn(subscription.for_each_chunk(5, Duration::from_millis(20), 3, handler));
    for n in 0..300 {
        publish(&bus, [keyed(&format!("k{}", n % 9), &n.to_string())]).await;
    }
    for _ in 0..300 {
        soon("a message", settled.recv()).await.unwrap();
    }
    soon("the drain", control.drain(SECOND)).await.unwrap();
    soon("the end", running).await.unwrap().unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 300);
    assert!(seen.values().all(|numbers| numbers.is_sorted()));
}

#[tokio::test(start_paused = true)]
async fn chunks_are_filled_one_after_the_other_and_run_side_by_side() {
    let (bus, ..) = double(1).await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let (starting, mut started) = mpsc::unbounded_channel();
    let running = tokio::spawn(subscription.for_each_chunk(4, SECOND, 3, move |chunk| {
        let starting = starting.clone();
        async move {
            starting.send(chunk.len()).unwrap();
            std::future::pending::<()>().await;
            drop(chunk);
        }
    }));
    // One by one, so that whoever waits longest would get the next.
    for n in 0..12 {
        publish(&bus, [plain(n)]).await;
        idle().await;
    }
    for _ in 0..3 {
        assert_eq!(soon("a chunk", started.recv()).await, Some(4));
    }
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_cancelled_when_all_that_it_still_holds_was_taken() {
    let (bus, _, fault) = double(3).await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let (ended, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (telling, mut told) = mpsc::unbounded_channel();
    struct Ended(Arc<Notify>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let handler = {
        let (ended, go) = (ended.clone(), go.clone());
        move |mut chunk: Vec<Delivery<String>>| {
            let (_ended, telling, go) = (Ended(ended.clone()), telling.clone(), go.clone());
            async move {
                let _ended = _ended;
                chunk.sort_by_key(Delivery::partition);
                chunk.remove(0).ack();
                telling
                    .send(chunk.iter().map(Delivery::is_lost).collect::<Vec<_>>())
                    .unwrap();
                loop {
                    go.notified().await;
                    telling
                        .send(chunk.iter().map(Delivery::is_lost).collect())
                        .unwrap();
                }
            }
        }
    };
    let running = tokio::spawn(subscription.for_each_chunk(3, SECOND, 1, handler));
    publish(&bus, (0..3).map(|n| plain(n).to_partition(n as u32))).await;
    assert_eq!(soon("the chunk", told.recv()).await, Some(vec![false, false]));
    let lose = |partition| {
        let shard = fault
            .gained()
            .into_iter()
            .find(|s| s.partition == partition)
            .unwrap();
        fault.event(Event::Lost(shard));
    };
    lose(1);
    idle().await;
    assert!(
        ended.notified().now_or_never().is_none(),
        "it still holds another"
    );
    go.notify_one();
    assert_eq!(soon("the flags", told.recv()).await, Some(vec![true, false]));
    lose(2);
    soon("the end of the handler", ended.notified()).await;
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_costs_its_chunk_an_attempt() {
    let (bus, ..) = double(1).await;
    let subscription = bus.subscribe(&T, "g").await.unwrap();
    let (seeing, mut seen) = mpsc::unbounded_channel();
    let running = tokio::spawn(subscription.for_each_chunk(2, SECOND, 1, move |chunk| {
        let seeing = seeing.clone();
        async move {
            seeing
                .send(chunk.iter().map(Delivery::attempt).collect::<Vec<_>>())
                .unwrap();
            assert!(chunk[0].attempt() > 1, "as told");
            ack(chunk);
        }
    }));
    publish(&bus, (0..2).map(plain)).await;
    assert_eq!(soon("the first try", seen.recv()).await, Some(vec![1, 1]));
    assert_eq!(soon("the second", seen.recv()).await, Some(vec![2, 2]));
    running.abort();
}
