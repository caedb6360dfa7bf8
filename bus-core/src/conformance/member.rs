//! Members of groups: subscriptions that put on the record what they get and what they do with it.

use super::{
    Failure, History, Id, Lab, Place, Proof, What,
    lab::Feed,
    work::{id_of, key_of},
};
use crate::{Bus, Control, Delivery, Error, Message, Raw, Subscribe, Subscription};
use bytes::Bytes;
use std::{
    collections::HashSet,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// What a handler does with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Ack,
    /// Again, after the retry policy's wait.
    Nack,
    /// Again, after this.
    NackAfter(Duration),
}

/// What a handler sees of a delivery.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) id: Id,
    pub(crate) key: Option<Id>,
    pub(crate) attempt: u32,
    pub(crate) place: Place,
}

/// A subscription with a handler, running by itself.
#[derive(Debug)]
pub(crate) struct Member {
    control: Control,
    task: JoinHandle<Result<(), Error>>,
}

impl Member {
    /// Finishes what runs, stores it, leaves.
    pub(crate) async fn close(self, lab: &Lab) -> Proof {
        lab.within("closing a member", self.control.drain(lab.patience()))
            .await??;
        Ok(lab.within("the end of a member", self.task).await???)
    }
    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
    /// Ends as a process that is killed does.
    pub(crate) async fn crash(self, lab: &Lab) -> Proof {
        self.control.abort();
        Ok(lab.within("the end of a crashed member", self.task).await???)
    }
}

/// A delivery on the record. What is not settled was given back, for whatever reason its handler was stopped.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) delivery: Option<Delivery<Bytes>>,
    history: Arc<History>,
    seen: Seen,
    member: u32,
}

impl Recorded {
    pub(crate) fn new(delivery: Delivery<Bytes>, history: &Arc<History>, member: u32) -> Self {
        let seen = Seen {
            id: id_of(delivery.payload()),
            key: key_of(delivery.key()),
            attempt: delivery.attempt(),
            place: Place {
                partition: delivery.partition(),
                position: delivery.position(),
            },
        };
        let history = history.clone();
        history.add_at(
            &seen.id,
            &seen.key,
            Some(seen.place),
            What::Delivered {
                member,
                attempt: seen.attempt,
            },
        );
        Self {
            delivery: Some(delivery),
            history,
            seen,
            member,
        }
    }
    /// Settles it. The record comes first: what the settling sets free must not be on record before it.
    pub(crate) fn settle(mut self, act: Act) {
        let Some(delivery) = self.delivery.take() else {
            return;
        };
        let (seen, history) = (&self.seen, &self.history);
        let add = |what| history.add_at(&seen.id, &seen.key, Some(seen.place), what);
        match act {
            Act::Ack => {
                add(What::Acked { member: self.member });
                delivery.ack();
            }
            Act::Nack => {
                add(What::Nacked {
                    until: Instant::now(),
                });
                delivery.nack();
            }
            Act::NackAfter(wait) => {
                add(What::Nacked {
                    until: Instant::now() + wait,
                });
                delivery.nack_after(wait);
            }
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if self.delivery.is_some() {
            let (seen, place) = (&self.seen, Some(self.seen.place));
            self.history.add_at(&seen.id, &seen.key, place, What::Returned);
        }
    }
}

impl Lab {
    /// A subscription of this group without dead letters: a message that is given up counts as lost.
    pub(crate) fn subscribe(&self, bus: &Bus, topic: &Feed, group: &str) -> Subscribe<Bytes, Raw> {
        bus.subscribe(topic, group).no_dead_letters()
    }
    /// Joins.
    pub(crate) async fn join(
        &self,
        subscribe: Subscribe<Bytes, Raw>,
    ) -> Result<Subscription<Bytes, Raw>, Failure> {
        // A group whose last member crashed lets nobody in before that is noticed.
        let joining = std::future::IntoFuture::into_future(subscribe);
        Ok(self
            .within_time(self.takeover(), "subscribing", joining)
            .await??)
    }
    /// Joins, and runs this handler for each message on the record, as member number `member`.
    pub(crate) async fn member<F, R>(
        &self,
        subscribe: Subscribe<Bytes, Raw>,
        (member, concurrency): (u32, usize),
        history: &Arc<History>,
        handler: F,
    ) -> Result<Member, Failure>
    where
        F: Fn(Seen) -> R + Send + Sync + 'static,
        R: Future<Output = Act> + Send + 'static,
    {
        let subscription = self.join(subscribe).await?;
        let control = subscription.control();
        let (history, handler) = (history.clone(), Arc::new(handler));
        let record = history.clone();
        let handle = move |delivery| {
            let (recorded, handler) = (Recorded::new(delivery, &record, member), handler.clone());
            async move {
                let act = handler(recorded.seen.clone()).await;
                recorded.settle(act);
            }
        };
        let task = tokio::spawn(async move {
            let ended = subscription.for_each(concurrency, handle).await;
            if let Err(error) = &ended {
                history.fail(format!("member {member} ended: {error:?}"));
            }
            ended
        });
        Ok(Member { control, task })
    }
    /// The next delivery.
    pub(crate) async fn next(
        &self,
        subscription: &mut Subscription<Bytes, Raw>,
    ) -> Result<Delivery<Bytes>, Failure> {
        let next = self
            .within_time(self.takeover(), "the next delivery", subscription.next())
            .await?;
        Ok(next.ok_or_else(|| Failure::new("the subscription ended"))??)
    }
    /// The next `count` deliveries, all of them out at the end: no two may have the same key.
    pub(crate) async fn take(
        &self,
        subscription: &mut Subscription<Bytes, Raw>,
        count: usize,
    ) -> Result<Vec<Delivery<Bytes>>, Failure> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let next = self.next(subscription).await;
            taken.push(next.map_err(|f| f.context(format_args!("after {} of {count}", taken.len())))?);
        }
        Ok(taken)
    }
    /// Looks at the next `count` deliveries one by one, and acknowledges each.
    pub(crate) async fn each(
        &self,
        subscription: &mut Subscription<Bytes, Raw>,
        count: usize,
        mut look: impl FnMut(&Delivery<Bytes>) -> Proof,
    ) -> Proof {
        for number in 0..count {
            let context = |f: Failure| f.context(format_args!("after {number} of {count}"));
            let delivery = self.next(subscription).await.map_err(context)?;
            look(&delivery).map_err(context)?;
            delivery.ack();
        }
        Ok(())
    }
    /// Everything that is still to come, unsettled (of each key only the first): what arrives before a marker that is
    /// published now to the end of every partition.
    pub(crate) async fn rest(
        &self,
        bus: &Bus,
        topic: &Feed,
        subscription: &mut Subscription<Bytes, Raw>,
    ) -> Result<Vec<Delivery<Bytes>>, Failure> {
        let mut rest = Vec::new();
        self.drain_to_end(bus, topic, subscription, |delivery| rest.push(delivery))
            .await?;
        Ok(rest)
    }
    /// The same, one by one.
    pub(crate) async fn drain_to_end(
        &self,
        bus: &Bus,
        topic: &Feed,
        subscription: &mut Subscription<Bytes, Raw>,
        mut each: impl FnMut(Delivery<Bytes>),
    ) -> Proof {
        let round = self.number();
        let marker = |partition| {
            Message::new(self.name(&format!("marker.{round}.{partition}"))).to_partition(partition)
        };
        let markers: Vec<_> = (0..topic.spec().partitions).map(marker).collect();
        let mut missing: HashSet<_> = markers.iter().filter_map(|m| m.payload.clone()).collect();
        self.store(bus, topic.name(), markers).await?;
        while !missing.is_empty() {
            let delivery = self
                .next(subscription)
                .await
                .map_err(|f| f.context("before the end of every partition"))?;
            match missing.take(&*delivery) {
                Some(_) => delivery.ack(),
                None => each(delivery),
            }
        }
        Ok(())
    }
}

/// Acknowledges every second one, so that in each partition settled and unsettled lie side by side; returns the others.
pub(crate) fn ack_every_second(deliveries: Vec<Delivery<Bytes>>) -> Vec<Delivery<Bytes>> {
    let mut held = Vec::new();
    for (number, delivery) in deliveries.into_iter().enumerate() {
        match number % 2 {
            0 => held.push(delivery),
            _ => delivery.ack(),
        }
    }
    held
}

/// The payloads, sorted.
pub(crate) fn payloads(deliveries: &[Delivery<Bytes>]) -> Vec<String> {
    let mut payloads: Vec<_> = deliveries
        .iter()
        .map(|d| String::from_utf8_lossy(d).into_owned())
        .collect();
    payloads.sort();
    payloads
}
