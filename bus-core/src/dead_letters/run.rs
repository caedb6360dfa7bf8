//! The group at work: it takes dead letters from the head of their topic, up to where the plan ends.

use super::{
    DeadLetter, Replay, ReplayProgress, Replayed,
    fate::{Fate, Judge},
    plan::Plan,
};
use crate::{
    Bytes, Delivery, Error, ErrorKind, Expired, LossPolicy, Name, Order, Raw, Result, Retry, Subscribe,
    Subscription, Topic, TopicSpec,
};
use std::{collections::BTreeMap, future::IntoFuture, pin::pin, time::Duration};
use tokio::time::{Instant, sleep_until, timeout};

/// Records of one partition in memory: a few, because they are moved one after the other.
const RECORDS: usize = 64;
/// Bytes of the same.
const BYTES: usize = 256 << 10;
/// How long it may be quiet before somebody looks whether there is anything left.
const LOOK: Duration = Duration::from_secs(1);
/// How long it may be quiet while there is something left: a member that was killed keeps its partitions for a session or
/// lease, 10 s by default, and joining takes a moment.
const STALL: Duration = Duration::from_secs(30);
/// How often it joins anew to finish what another member took and did not.
const ROUNDS: usize = 3;
/// What a rate may be late and make up for: the grain of the timer, no more.
const SLACK: Duration = Duration::from_millis(5);
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(30);

pub(super) async fn run(mut replay: Replay) -> Result<Replayed> {
    let into = replay.into.take();
    let judge = Judge::new(&replay.letters, replay.action, into, replay.every_group).await?;
    let plan = Plan::make(&replay.letters, &judge, replay.at_most).await?;
    if replay.dry_run || plan.last.is_empty() {
        return Ok(plan.comes_to);
    }
    let (topic, parking) = (replay.letters.stored_in(), replay.letters.parking());
    let partitions = replay.letters.partitions(&topic).await?;
    let mut parked_partitions = 0;
    if plan.comes_to.parked > 0 {
        let spec = TopicSpec::new(parking.clone()).partitions(partitions);
        replay.letters.bus.ensure_topics([spec]).await?;
        parked_partitions = replay.letters.partitions(&parking).await?;
    }
    let total = plan.total();
    let mut run = Run {
        replay,
        judge,
        topic,
        parking,
        partitions,
        parked_partitions,
        total,
        open: plan.last,
        counted: BTreeMap::new(),
        came_to: Replayed {
            refused: plan.comes_to.refused,
            refusals: plan.comes_to.refusals,
            ..Replayed::default()
        },
        due: Instant::now(),
        stopped: false,
    };
    for _ in 0..ROUNDS {
        run.round().await?;
        if run.open.is_empty() || run.stopped {
            return Ok(run.came_to);
        }
    }
    Err(run.contended())
}

struct Run {
    replay: Replay,
    judge: Judge,
    topic: Name,
    parking: Name,
    partitions: u32,
    parked_partitions: u32,
    total: u64,
    /// Where each partition ends that is not done.
    open: BTreeMap<u32, u128>,
    /// Up to where each partition was counted: what was taken away before it was stored comes again.
    counted: BTreeMap<u32, u128>,
    came_to: Replayed,
    /// When the next one may go.
    due: Instant,
    stopped: bool,
}

impl Run {
    /// One membership.
    async fn round(&mut self) -> Result<()> {
        let planned = self.open.clone();
        let mut subscription = self.subscribe().into_future().await?;
        // Out of reach of the plan: they go back as they came, once the subscription is over.
        let mut held = Vec::new();
        self.turn(&mut subscription, &mut held).await?;
        subscription.flush().await?;
        timeout(LEAVE, subscription.drain(Duration::ZERO))
            .await
            .map_err(|_| Error::new(ErrorKind::Timeout, "leaving the group took too long"))??;
        drop(held);
        self.open = planned;
        self.look().await
    }
    fn subscribe(&self) -> Subscribe<Bytes, Raw> {
        let letters = &self.replay.letters;
        let topic: Topic<Bytes, Raw> = Topic::named(&*self.topic);
        let largest = letters.bus.backend().limits().message;
        let most = 4 * self.partitions as usize;
        // Not by `Bus::subscribe`: what an application's subscriptions begin with is none of a replay's business.
        let subscribe = Subscribe::new(letters.bus.clone(), &topic, Some(&letters.replayer()))
            .order(Order::None)
            .retry(Retry::default().forever())
            .no_dead_letters()
            .on_expired(Expired::Deliver)
            // What retention took is gone, whoever is told.
            .on_data_loss(LossPolicy::GoOn)
            .share(RECORDS, BYTES)
            // So much that no partition can take another one's part: what bounds it is that part.
            .in_flight(most * RECORDS)
            .in_flight_bytes(most.saturating_mul(BYTES + largest));
        match self.replay.exactly_once {
            true => subscribe.exactly_once(),
            false => subscribe,
        }
    }
    async fn turn(
        &mut self,
        subscription: &mut Subscription<Bytes, Raw>,
        held: &mut Vec<Delivery<Bytes>>,
    ) -> Result<()> {
        let mut busy = Instant::now();
        let mut look = busy + LOOK;
        let shared = subscription.shared().clone();
        while !self.open.is_empty() {
            let mut leaving = pin!(shared.lost.notified());
            leaving.as_mut().enable();
            if shared.is_leaving() {
                // Who takes a partition over need not wait for what is only held.
                held.retain(|delivery| !delivery.is_leaving());
            }
            tokio::select! {
                biased;
                () = &mut self.replay.stop => {
                    self.stopped = true;
                    return Ok(());
                }
                () = &mut leaving => {}
                next = subscription.next() => {
                    let closed = || Err(Error::closed("the subscription"));
                    let delivery = next.unwrap_or_else(closed)?;
                    let partition = delivery.partition();
                    if let Some(kept) = self.take(delivery).await {
                        held.push(kept);
                    }
                    if self.stopped {
                        return Ok(());
                    }
                    if !self.open.contains_key(&partition) {
                        subscription.control().pause_partition(&self.topic, partition)?;
                    }
                    if self.replay.crash_after.is_some_and(|most| self.done() >= most) {
                        subscription.control().abort();
                        return Err(Error::closed("the replay"));
                    }
                    busy = Instant::now();
                    look = busy + LOOK;
                }
                () = sleep_until(look) => {
                    let before = self.open.len();
                    self.look().await?;
                    if self.open.len() < before {
                        busy = Instant::now();
                    } else if busy.elapsed() > STALL {
                        return Err(self.contended());
                    }
                    look = Instant::now() + LOOK;
                }
            }
        }
        Ok(())
    }
    /// Deals with one; what it gives back is not to be touched.
    async fn take(&mut self, delivery: Delivery<Bytes>) -> Option<Delivery<Bytes>> {
        let (partition, position) = (delivery.partition(), delivery.position());
        let Some(last) = self.open.get(&partition).copied() else {
            return Some(delivery);
        };
        if position > last {
            self.open.remove(&partition);
            return Some(delivery);
        }
        let letter = DeadLetter::read(&self.topic, partition, delivery.record());
        let wanted = self.replay.letters.wants(&letter);
        let fate = wanted.then(|| self.judge.of(&letter, delivery.record()));
        let is_moved = matches!(fate, Some(Fate::Back(_) | Fate::Park(_)));
        if is_moved && !self.waits_its_turn().await {
            self.stopped = true;
            return Some(delivery);
        }
        let new = self.counted.get(&partition).is_none_or(|last| *last < position);
        let count = u64::from(new);
        let output = match fate {
            Some(Fate::Back(message)) => {
                self.came_to.replayed += count;
                (self.judge.target.clone(), message)
            }
            Some(Fate::Park(mut message)) => {
                message.partition = Some(partition % self.parked_partitions.max(1));
                self.came_to.parked += count;
                (self.parking.clone(), message)
            }
            Some(Fate::Stay(_)) | None => {
                self.came_to.requeued += count;
                let message = delivery.record().to_message();
                (self.topic.clone(), message.to_partition(partition))
            }
        };
        if position == last {
            self.open.remove(&partition);
        }
        delivery.ack_with_as_it_is(vec![output]);
        if new {
            self.counted.insert(partition, position);
        }
        if let (true, Some(hook)) = (is_moved && new, &self.replay.progress) {
            let total = self.total;
            hook(ReplayProgress {
                done: self.done(),
                total,
            });
        }
        None
    }
    /// Waits until the rate lets one more go; false: it is to stop.
    async fn waits_its_turn(&mut self) -> bool {
        let Some(rate) = self.replay.rate else { return true };
        let now = Instant::now();
        let due = self.due.max(now.checked_sub(SLACK).unwrap_or(now));
        self.due = due + Duration::from_secs(1) / rate;
        tokio::select! {
            biased;
            () = &mut self.replay.stop => false,
            () = sleep_until(due) => true,
        }
    }
    fn done(&self) -> u64 {
        self.came_to.replayed + self.came_to.parked
    }
    /// Forgets the partitions that are done, by whomever.
    async fn look(&mut self) -> Result<()> {
        let dealt = self.replay.letters.dealt_with().await?;
        self.open.retain(|partition, last| match dealt.get(partition) {
            Some(dealt) => dealt.next <= *last && dealt.behind > 0,
            None => true,
        });
        Ok(())
    }
    fn contended(&self) -> Error {
        let (topic, group) = (&self.topic, self.replay.letters.replayer());
        let partitions: Vec<_> = self.open.keys().collect();
        let text = format!(
            "partitions {partitions:?} of `{topic}` are held by another member of group `{group}`: another replay is \
             under way; let it end, then replay what is left"
        );
        Error::new(ErrorKind::Conflict, text)
    }
}
