//! A message in an application's hands.

use crate::{
    Control, Error, Expired, Failed, HeadersView, Limits, Message, Name, Record, Result, Shard, Working,
    clock,
    dead_letters::marks::Told,
    delay::Routed,
    flow::{Handout, Verdict},
    shared::Shared,
};
use std::{fmt, ops::Deref, sync::Arc, time::Duration};

/// A message that was delivered and waits to be settled; derefs to its value.
///
/// Settle it by [`ack`](Self::ack), [`nack`](Self::nack), [`nack_after`](Self::nack_after) or [`reject`](Self::reject),
/// each of which takes it, so that it cannot be settled twice. A delivery that is dropped is a nack; while its
/// subscription drains or its partition moves to another member it is returned with the same attempt count.
pub struct Delivery<T> {
    value: T,
    raw: RawDelivery,
}

/// What a delivery is without its value.
pub(crate) struct RawDelivery {
    shared: Arc<Shared>,
    record: Record,
    slot: u32,
    attempt: u32,
    is_last: bool,
    settled: bool,
    shard: Shard,
    stamp: u64,
}

impl RawDelivery {
    pub(crate) fn new(shared: Arc<Shared>, handout: Handout) -> Self {
        let Handout {
            slot,
            record,
            attempt,
            is_last,
            shard,
            stamp,
        } = handout;
        Self {
            shared,
            record,
            slot,
            attempt,
            is_last,
            settled: false,
            shard,
            stamp,
        }
    }
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
    /// What its subscription's parts share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
    /// Its slot, and what tells it from a later delivery there.
    pub(crate) fn place(&self) -> (u32, u64) {
        (self.slot, self.stamp)
    }
    /// `None`: its time is over, or it was put back for another group, and it is settled.
    pub(crate) fn if_due(self) -> Option<Self> {
        // Few records have headers at all, and the rest is for those whose headers ask for it.
        let told = Told::by(self.record.headers());
        if let Some(group) = &self.shared.group
            && told.is_for_others(self.shared.topics.name(self.shard.topic), group)
        {
            self.shared.count(|counters| &counters.for_others);
            self.settle(Verdict::AckWith(Vec::new()));
            return None;
        }
        let Some(time) = told.expires() else {
            return Some(self);
        };
        let now = clock::millis();
        if now < time || self.shared.expired == Expired::Deliver {
            return Some(self);
        }
        self.expire(now - time);
        None
    }
    fn expire(self, late: i64) {
        let (topic, partition) = (self.shared.topics.name(self.shard.topic), self.shard.partition);
        let position = crate::position::format(self.record.position());
        tracing::debug!(
            topic,
            partition,
            position,
            late,
            "a message expired before it was delivered"
        );
        self.shared.count(|counters| &counters.expired);
        let verdict = match self.shared.expired {
            Expired::DeadLetter => Verdict::Reject {
                reason: "expired",
                error: format!("expired {late} ms before it could be delivered"),
            },
            _ => Verdict::AckWith(Vec::new()),
        };
        self.settle(verdict);
    }
    pub(crate) fn settle(mut self, verdict: Verdict) {
        match &verdict {
            Verdict::Nack {
                error: Some(error), ..
            } => self.note(error),
            Verdict::Reject { reason, error } if *reason != "expired" => self.note(error),
            _ => {}
        }
        self.settled = true;
        self.shared.settle(self.slot, verdict);
    }
    #[cold]
    fn note(&self, error: &str) {
        let topic = self.shared.topics.get(self.shard.topic);
        self.shared.counters.failures.push(Failed {
            topic: topic.map_or_else(|| "".into(), |topic| topic.name.clone()),
            partition: self.shard.partition,
            position: self.record.position(),
            attempt: self.attempt,
            error: error.to_owned(),
        });
    }
    fn fail(self, error: impl fmt::Display) {
        self.settle(Verdict::Nack {
            after: None,
            error: Some(error.to_string()),
        });
    }
    pub(crate) fn with<T>(self, value: T) -> Delivery<T> {
        Delivery { value, raw: self }
    }
}

impl Drop for RawDelivery {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.settle(self.slot, Verdict::Dropped);
        }
    }
}

impl<T> Delivery<T> {
    /// Done. Marks a slot: no lock, no allocation, no await; it is stored with the next commit (every 200 ms, or
    /// [`flush`](crate::Subscription::flush)). Without effect when the partition was lost.
    pub fn ack(mut self) {
        self.raw.settled = true;
        self.raw.shared.ack(self.raw.slot);
    }
    /// Done, and these messages belong to it: they are stored with the commit that settles it, first or together
    /// (together under `exactly_once`), and never if the partition was lost.
    /// # Errors
    /// What no commit could carry, before anything is stored: `Invalid` for more outputs than the backend takes at
    /// once, `TooLarge` for a message over its limit. The delivery has [failed](Self::fail)
    /// with this error then: it is tried again, and ends in the dead letters.
    ///
    /// An output that is [delayed](Message::delay) goes to where delayed messages wait. Where that is not known yet, the
    /// delivery is settled a little later than this returns, and has failed if the output's topic is missing.
    pub fn ack_with(self, outputs: impl IntoIterator<Item = (impl Into<Name>, Message)>) -> Result<()> {
        match self.route(outputs) {
            Ok(Routed::Now(outputs)) => self.raw.settle(Verdict::AckWith(outputs)),
            Ok(Routed::Later(asking)) => {
                let raw = self.raw;
                let spawner = raw.shared.outputs.clone();
                spawner.spawn(async move {
                    match asking.await {
                        Ok(outputs) => raw.settle(Verdict::AckWith(outputs)),
                        Err(error) => raw.fail(&error),
                    }
                });
            }
            Err(error) => {
                self.fail(&error);
                return Err(error);
            }
        }
        Ok(())
    }
    /// Does with outputs what [`ack_with`](Self::ack_with) does before it settles, for who has something to do in between
    /// that must not be done where they are refused; [`ack_prepared`](Self::ack_prepared) then settles. Waits where it is
    /// not known yet where delayed outputs wait. Nothing is settled; dropping the future changes nothing.
    /// # Errors
    /// As `ack_with`, and `TopicMissing` for a delayed output. The delivery is still to be settled.
    pub async fn prepare(
        &self,
        outputs: impl IntoIterator<Item = (impl Into<Name>, Message)>,
    ) -> Result<Prepared> {
        match self.route(outputs)? {
            Routed::Now(outputs) => Ok(Prepared(outputs)),
            Routed::Later(asking) => asking.await.map(Prepared),
        }
    }
    /// [`ack_with`](Self::ack_with) with outputs that were accepted for this delivery.
    pub fn ack_prepared(self, outputs: Prepared) {
        self.raw.settle(Verdict::AckWith(outputs.0));
    }
    fn route(&self, outputs: impl IntoIterator<Item = (impl Into<Name>, Message)>) -> Result<Routed> {
        let mut outputs: Vec<(Name, Message)> = outputs
            .into_iter()
            .map(|(topic, message)| (topic.into(), message))
            .collect();
        let shared = &self.raw.shared;
        shared.outputs.stamp(&mut outputs)?;
        check_outputs(&outputs, shared.limits)?;
        shared.outputs.route(outputs)
    }
    /// As [`ack_with`](Self::ack_with), with outputs that nobody looks at any more.
    pub(crate) fn ack_with_as_it_is(self, outputs: Vec<(Name, Message)>) {
        self.raw.settle(Verdict::AckWith(outputs));
    }
    /// Done, before anything is done with it: at most once. Returns its value once the ack is stored, which takes as long as
    /// a commit does; `None`: the partition has left meanwhile, and its next owner may have the message too. A future
    /// that is dropped, and a crash, lose the message; that is what at most once means. The next message of the key is
    /// delivered as soon as this one is acknowledged.
    /// # Errors
    /// `Invalid` for the control of another subscription; else as [`Control::flush`]. The message may come again.
    pub async fn ack_stored(self, control: &Control) -> Result<Option<T>> {
        let Self { value, raw } = self;
        let (shared, shard) = (raw.shared.clone(), raw.shard);
        if !control.is_of(&shared) {
            return Err(Error::invalid(
                "`ack_stored` needs the control of the message's own subscription",
            ));
        }
        raw.settle(Verdict::AckWith(Vec::new()));
        control.flush().await?;
        let held = shared.core.lock().flow.holds(shard);
        Ok(held.then_some(value))
    }
    /// Counts what is done with this message as work of its subscription, also after the message was
    /// [acknowledged](Self::ack_stored), until what this returns is dropped: for handlers that run at most once.
    pub fn working(&self) -> Working {
        let message = Failed {
            topic: self.topic_name(),
            partition: self.partition(),
            position: self.position(),
            attempt: self.attempt(),
            error: String::new(),
        };
        Working::new(self.raw.shared.counters.clone(), message)
    }
    /// Whether its partition, or all of the subscription, is leaving.
    pub(crate) fn is_leaving(&self) -> bool {
        self.raw.shared.core.lock().flow.leaves(self.raw.shard)
    }
    /// Try again after the retry policy's wait; after the last attempt it goes to the dead letters.
    pub fn nack(self) {
        self.raw.settle(Verdict::Nack {
            after: None,
            error: None,
        });
    }
    /// Try again after `wait`, never earlier; it counts as an attempt.
    pub fn nack_after(self, wait: Duration) {
        self.raw.settle(Verdict::Nack {
            after: Some(wait),
            error: None,
        });
    }
    /// As [`nack`](Self::nack), with what went wrong: it stands in the dead letter when this was the last attempt.
    pub fn fail(self, error: impl fmt::Display) {
        self.raw.fail(error);
    }
    /// As [`nack_after`](Self::nack_after), with what went wrong.
    pub fn fail_after(self, wait: Duration, error: impl fmt::Display) {
        self.raw.settle(Verdict::Nack {
            after: Some(wait),
            error: Some(error.to_string()),
        });
    }
    /// To the dead letters now, whatever attempts are left.
    pub fn reject(self, reason: impl fmt::Display) {
        self.raw.settle(Verdict::Reject {
            reason: "rejected",
            error: reason.to_string(),
        });
    }
    /// As [`reject`](Self::reject), for who decodes by himself: its dead letter looks as if the codec had refused it.
    pub fn undecodable(self, error: impl fmt::Display) {
        self.reject_as("undecodable", error);
    }
    /// The same delivery with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Delivery<U> {
        Delivery {
            value: f(self.value),
            raw: self.raw,
        }
    }
    /// As [`reject`](Self::reject), with a word of its own for the kind of failure, which stands in the dead letter as its
    /// reason, and which [`Subscribe::dead_letter_for`](crate::Subscribe::dead_letter_for) can send elsewhere.
    pub fn reject_as(self, reason: &'static str, error: impl fmt::Display) {
        self.raw.settle(Verdict::Reject {
            reason,
            error: error.to_string(),
        });
    }
    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }
    /// The partition was taken by another member: stop, what is done for this message will be done again.
    pub fn is_lost(&self) -> bool {
        self.raw.shared.marks.is_lost(self.raw.slot)
    }
    /// Counted from 1; it survives restarts and handovers.
    pub fn attempt(&self) -> u32 {
        self.raw.attempt
    }
    /// Whether a failure now sends it to the dead letters.
    pub fn is_last_attempt(&self) -> bool {
        self.raw.is_last
    }
    /// The topic it came from.
    pub fn topic(&self) -> &str {
        self.raw.shared.topics.name(self.raw.shard.topic)
    }
    /// The topic it came from, shared.
    pub fn topic_name(&self) -> Name {
        let topic = self.raw.shared.topics.get(self.raw.shard.topic);
        topic.map_or_else(|| Name::from(""), |topic| topic.name.clone())
    }
    /// The partition it came from.
    pub fn partition(&self) -> u32 {
        self.raw.shard.partition
    }
    /// Its position in the partition.
    pub fn position(&self) -> u128 {
        self.raw.record.position()
    }
    /// The key; `None` without one, which is not the same as an empty one.
    pub fn key(&self) -> Option<&[u8]> {
        self.raw.record.key()
    }
    /// The payload as it was stored; `None` is a tombstone.
    pub fn payload(&self) -> Option<&[u8]> {
        self.raw.record.payload()
    }
    /// The headers.
    pub fn headers(&self) -> HeadersView<'_> {
        self.raw.record.headers()
    }
    /// Milliseconds since 1970 UTC.
    pub fn timestamp(&self) -> i64 {
        self.raw.record.timestamp()
    }
    /// The record as it was stored.
    pub fn record(&self) -> &Record {
        &self.raw.record
    }
    /// Nobody tried it: it comes again, at once and as the same attempt, here or elsewhere. Pause its subscription first, or
    /// it is here again.
    pub fn put_back(self) {
        self.raw.settle(Verdict::Returned);
    }
    /// Its slot, and what tells it from a later delivery there.
    pub(crate) fn place(&self) -> (u32, u64) {
        self.raw.place()
    }
}

/// Outputs that were accepted for a delivery, see [`Delivery::prepare`].
#[derive(Debug)]
#[must_use = "they are stored by `ack_prepared`"]
pub struct Prepared(Vec<(Name, Message)>);

fn check_outputs(outputs: &[(Name, Message)], limits: Limits) -> Result<()> {
    let (count, most) = (outputs.len(), limits.outputs);
    if count > most {
        let text =
            format!("{count} outputs of one message are more than the {most} this backend stores at once");
        return Err(Error::invalid(text));
    }
    for (topic, message) in outputs {
        if message.size() > limits.message {
            return Err(Error::too_large(topic, message.size(), limits.message));
        }
    }
    Ok(())
}

impl<T> Deref for Delivery<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("position", &self.position())
            .field("attempt", &self.attempt())
            .field("value", &self.value)
            .finish()
    }
}
