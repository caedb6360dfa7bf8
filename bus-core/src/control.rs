//! A handle on a running subscription.

use crate::{
    Error, Name, Owned, Result, Start, flow::Which, pump::Command, shared::Shared, stats::Counters,
    topics::Topics,
};
use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// A handle on a running subscription, for stopping and steering it from elsewhere. It does not keep it running.
#[derive(Clone, Debug)]
pub struct Control {
    commands: mpsc::WeakUnboundedSender<Command>,
    shared: Weak<Shared>,
    topics: Arc<Topics>,
    group: Option<Name>,
    pub(crate) outcome: Arc<OnceLock<Option<Error>>>,
    pub(crate) counters: Arc<Counters>,
}

impl Control {
    pub(crate) fn new(shared: &Arc<Shared>, commands: &mpsc::UnboundedSender<Command>) -> Self {
        Self {
            commands: commands.downgrade(),
            shared: Arc::downgrade(shared),
            topics: shared.topics.clone(),
            group: shared.group.clone(),
            outcome: shared.outcome.clone(),
            counters: shared.counters.clone(),
        }
    }
    /// Its group; `None`: an observer.
    pub fn group(&self) -> Option<&Name> {
        self.group.as_ref()
    }
    /// What it reads; of a pattern, what has matched so far.
    pub fn topics(&self) -> Vec<Name> {
        self.topics.iter().map(|topic| topic.name.clone()).collect()
    }
    /// Whether it has ended, by itself or by being drained.
    pub fn is_over(&self) -> bool {
        self.outcome.get().is_some() || self.shared.upgrade().is_none_or(|shared| shared.is_over())
    }
    /// What ended it, if it was no drain or close.
    pub fn failure(&self) -> Option<Error> {
        self.outcome.get()?.as_ref().map(Error::duplicate)
    }
    /// Waits until everything that was acknowledged before is stored.
    /// # Errors
    /// `Closed` after the end of the subscription, or what ended it.
    pub async fn flush(&self) -> Result<()> {
        match self.ask(Command::Flush).await {
            Some(result) => result,
            None => Err(self.over()),
        }
    }
    /// Hands nothing out any more, gives running handlers `grace` to finish, stores what they settled, releases the
    /// partitions and leaves the group. A second call is a no-op.
    /// # Errors
    /// What ended the subscription, if it was not this.
    pub async fn drain(&self, grace: Duration) -> Result<()> {
        match self.ask(|reply| Command::Drain(grace, reply)).await {
            Some(result) => result,
            None => self.failure().map_or(Ok(()), Err),
        }
    }
    /// Stops at once as a crash would: nothing is stored or released, other members take over when the session or
    /// lease runs out. For tests of exactly that.
    pub fn abort(&self) {
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.send(Command::Abort);
        }
    }
    /// Hands out nothing of any partition, also of those that are gained later, until [`resume`](Self::resume); at once:
    /// nothing is delivered after it returned. What is out goes on, membership and acks too. Replaces what was said of
    /// single partitions.
    pub fn pause(&self) {
        self.stop(Which::All, true);
    }
    /// Hands everything out again.
    pub fn resume(&self) {
        self.stop(Which::All, false);
    }
    /// Hands out nothing of one partition, whenever it is owned here.
    /// # Errors
    /// `Invalid` for a topic that is not subscribed to.
    pub fn pause_partition(&self, topic: &str, partition: u32) -> Result<()> {
        let which = self.which(topic, partition)?;
        self.stop(which, true);
        Ok(())
    }
    /// Hands out one partition again, also while the others are paused.
    /// # Errors
    /// As [`pause_partition`](Self::pause_partition).
    pub fn resume_partition(&self, topic: &str, partition: u32) -> Result<()> {
        let which = self.which(topic, partition)?;
        self.stop(which, false);
        Ok(())
    }
    /// Reads every owned partition again from `to`, and for a group stores that as its position. What is out is void: it
    /// may be delivered again, and its ack changes nothing. Partitions of other members stay where they are; to move a
    /// whole group, stop it and reset it. Returns when the new position is fixed and stored: what is published behind a
    /// seek to the latest comes. Dropping the future cancels nothing.
    /// # Errors
    /// `Invalid` when no partition is owned; `Closed` after the end; `Fenced` when a partition left before its new position
    /// was known to be stored (seek again where it is owned now); `Timeout` when it was stored, or may have been, and this
    /// member did not gain the partition again; what the backend says, with the partitions before it moved already.
    pub async fn seek(&self, to: Start) -> Result<()> {
        self.move_to(Which::All, to).await
    }
    /// [`seek`](Self::seek) of one partition, which must be owned here.
    /// # Errors
    /// As [`seek`](Self::seek).
    pub async fn seek_partition(&self, topic: &str, partition: u32, to: Start) -> Result<()> {
        self.move_to(self.which(topic, partition)?, to).await
    }
    /// Waits until everything is settled that was there when the partitions were gained: a state topic is loaded. Of a
    /// group, that is what this member owns, and it waits for a first partition.
    /// # Errors
    /// `Closed` after the end of the subscription, or what ended it.
    pub async fn caught_up(&self) -> Result<()> {
        match self.ask(Command::CaughtUp).await {
            Some(result) => result,
            None => Err(self.over()),
        }
    }
    /// What is owned now, by topic and partition; empty after the end.
    pub fn assignment(&self) -> Vec<Owned> {
        let Some(shared) = self.shared.upgrade() else {
            return Vec::new();
        };
        let core = shared.core.lock();
        if core.ended {
            Vec::new()
        } else {
            core.flow.assignment()
        }
    }
    async fn move_to(&self, which: Which, to: Start) -> Result<()> {
        match self.ask(|reply| Command::Seek(which, to, reply)).await {
            Some(result) => result,
            None => Err(self.over()),
        }
    }
    /// Whether this is that subscription's.
    pub(crate) fn is_of(&self, shared: &Arc<Shared>) -> bool {
        std::ptr::eq(self.shared.as_ptr(), Arc::as_ptr(shared))
    }
    fn which(&self, topic: &str, partition: u32) -> Result<Which> {
        let unknown = || Error::invalid(format!("topic `{topic}` is not one of this subscription"));
        let number = self.topics.number(topic).ok_or_else(unknown)?;
        Ok(Which::One(number, partition))
    }
    fn stop(&self, which: Which, stopped: bool) {
        if let Some(shared) = self.shared.upgrade() {
            shared.core.lock().flow.set_stopped(which, stopped);
            shared.wake_readers();
            // It tells the backend.
            shared.pump.notify_one();
        }
    }
    fn over(&self) -> Error {
        self.failure()
            .unwrap_or_else(|| Error::closed("the subscription"))
    }
    async fn ask<R>(&self, command: impl FnOnce(oneshot::Sender<R>) -> Command) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        self.commands.upgrade()?.send(command(reply)).ok()?;
        answer.await.ok()
    }
}
