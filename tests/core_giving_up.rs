//! What core does with the futures of a backend's subscription: a commit and a close are dropped with the subscription and
//! nobody calls it again, so that a backend has to survive there what it survives when its process ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use async_trait::async_trait;
use bus::{
    Ack, Admin, Backend, Bus, Control, Done, Event, Limits, Message, Publisher, Raw, Result, Room, Shard,
    Source, Start, Subscriber, Subscription, Topic, TopicSpec, backend::Memory,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{sleep, timeout};

const T: Topic<String, Raw> = Topic::new("t");
/// How long a commit takes, and a third of it.
const COMMIT: Duration = Duration::from_millis(30);
const THIRD: Duration = Duration::from_millis(10);
const FOR_EVER: Duration = Duration::from_secs(1 << 20);

/// What became of the calls of one subscription.
#[derive(Debug, Default)]
struct Calls {
    commits: usize,
    /// Calls whose futures were dropped before they ended.
    given_up: Vec<&'static str>,
    /// Calls that came after one.
    late: Vec<&'static str>,
}

type Seen = Arc<Mutex<Calls>>;

/// A call under way.
struct Call(Seen, Option<&'static str>);

impl Call {
    fn begin(seen: &Seen, name: &'static str) -> Self {
        let mut calls = seen.lock().unwrap();
        if !calls.given_up.is_empty() {
            calls.late.push(name);
        }
        calls.commits += usize::from(name == "commit");
        Self(seen.clone(), Some(name))
    }
    fn ended(mut self) {
        self.1 = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.lock().unwrap().given_up.extend(self.1);
    }
}

/// The memory backend with slow commits and closes, and an account of each subscription's calls.
#[derive(Clone, Debug)]
struct Slow {
    memory: Arc<Memory>,
    commit: Duration,
    close: Duration,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[async_trait]
impl Backend for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }
    fn limits(&self) -> Limits {
        self.memory.limits()
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        self.memory.publisher().await
    }
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        let (subscriber, ack) = self.memory.subscribe(source).await?;
        let seen = Seen::default();
        self.seen.lock().unwrap().push(seen.clone());
        let (half, other) = ((self.close, seen.clone(), subscriber), (self.commit, seen, ack));
        Ok((
            Box::new(Half(half.0, half.1, half.2)),
            Arc::new(Half(other.0, other.1, other.2)),
        ))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        self.memory.admin()
    }
    fn health(&self) -> Result<()> {
        self.memory.health()
    }
}

#[derive(Debug)]
struct Half<T>(Duration, Seen, T);

#[async_trait]
impl Subscriber for Half<Box<dyn Subscriber>> {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        // Given up all the time, and promised to be no matter.
        Call::begin(&self.1, "receive").ended();
        self.2.receive(room, events).await
    }
    fn pause(&mut self, shard: Shard, paused: bool) {
        Call::begin(&self.1, "pause").ended();
        self.2.pause(shard, paused);
    }
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        let call = Call::begin(&self.1, "seek");
        sleep(COMMIT).await;
        let sought = self.2.seek(shard, to).await;
        call.ended();
        sought
    }
    async fn close(&mut self) -> Result<()> {
        let call = Call::begin(&self.1, "close");
        sleep(self.0).await;
        let closed = self.2.close().await;
        call.ended();
        closed
    }
}

#[async_trait]
impl Ack for Half<Arc<dyn Ack>> {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        let call = Call::begin(&self.1, "commit");
        sleep(self.0).await;
        let results = self.2.commit(done).await;
        call.ended();
        results
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        let call = Call::begin(&self.1, "release");
        let released = self.2.release(shard).await;
        call.ended();
        released
    }
}

/// A bus with 100 messages in topic `t`, and a member that has read and acknowledged one.
async fn begun(commit: Duration, close: Duration) -> (Slow, Bus, Subscription<String, Raw>) {
    let slow = Slow {
        memory: Arc::default(),
        commit,
        close,
        seen: Arc::default(),
    };
    let bus = Bus::new(Arc::new(slow.clone())).await.unwrap();
    bus.ensure_topics([TopicSpec::new("t").partitions(4)])
        .await
        .unwrap();
    for n in 0..100 {
        let message = Message::new(format!("{n}")).to_partition(n % 4);
        bus.publish_message("t", message).await.unwrap();
    }
    let mut member = bus.subscribe(&T, "g").in_flight(8).await.unwrap();
    member.next().await.unwrap().unwrap().ack();
    (slow, bus, member)
}

async fn over(control: &Control) {
    let end = async {
        while !control.is_over() {
            sleep(THIRD).await;
        }
    };
    timeout(Duration::from_secs(60), end).await.expect("an end");
}

impl Slow {
    fn calls(&self, member: usize) -> Calls {
        std::mem::take(&mut self.seen.lock().unwrap()[member].lock().unwrap())
    }
    /// Only this call of the first member was given up, and nothing came behind it.
    async fn ends_with(&self, call: &'static str) {
        sleep(COMMIT).await;
        let calls = self.calls(0);
        assert_eq!((&calls.given_up[..], &calls.late[..]), (&[call][..], &[][..]));
    }
    /// Waits until a commit of the first member is under way.
    async fn committing(&self) {
        timeout(Duration::from_secs(20), async {
            while self.seen.lock().unwrap()[0].lock().unwrap().commits == 0 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("a commit");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_dropped_while_a_subscription_goes_on() {
    let (slow, bus, mut member) = begun(COMMIT, Duration::ZERO).await;
    let mut other = None;
    for round in 0..40 {
        if let Ok(Some(next)) = timeout(THIRD, member.next()).await {
            next.unwrap().ack();
        }
        // Whatever waits for a commit, and goes away in the middle of it.
        let _ = timeout(THIRD, member.flush()).await;
        let control = member.control();
        match round % 8 {
            1 => drop(timeout(THIRD, control.seek(Start::Earliest)).await),
            3 => drop(timeout(THIRD, control.caught_up()).await),
            // Partitions leave, and come back.
            5 => other = Some(bus.subscribe(&T, "g").await.unwrap()),
            7 => other = None,
            _ => {}
        }
        sleep(THIRD).await;
    }
    drop(other);
    member.drain(Duration::from_secs(1)).await.unwrap();
    let calls = slow.calls(0);
    assert!(calls.commits > 10, "{calls:?}");
    assert!(calls.given_up.is_empty() && calls.late.is_empty(), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_dropped_stores_what_is_settled() {
    let (slow, _bus, member) = begun(COMMIT, Duration::ZERO).await;
    slow.committing().await;
    let control = member.control();
    drop(member);
    over(&control).await;
    let calls = slow.calls(0);
    assert!(calls.given_up.is_empty() && calls.late.is_empty(), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_dropped_with_the_subscription_and_is_the_last_call() {
    let (slow, _bus, member) = begun(FOR_EVER, Duration::ZERO).await;
    slow.committing().await;
    member.control().abort();
    over(&member.control()).await;
    slow.ends_with("commit").await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_without_an_answer_is_dropped_behind_the_close() {
    let (slow, _bus, member) = begun(FOR_EVER, Duration::ZERO).await;
    slow.committing().await;
    let drained = timeout(Duration::from_secs(600), member.drain(COMMIT)).await;
    drop(drained.expect("an end"));
    slow.ends_with("commit").await;
}

#[tokio::test(start_paused = true)]
async fn a_close_without_an_answer_is_the_last_call() {
    let (slow, _bus, member) = begun(COMMIT, FOR_EVER).await;
    let drained = timeout(Duration::from_secs(600), member.drain(COMMIT)).await;
    drop(drained.expect("an end"));
    slow.ends_with("close").await;
}
