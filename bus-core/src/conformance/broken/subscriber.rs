//! A subscriber that does not hand out what it should.

use super::{Fault, shared::Tracks};
use crate::{
    Ack, Backend, Done, Event, Result, Room, Shard, Source, Start, Subscriber, conformance::driver::done,
};
use async_trait::async_trait;
use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

#[derive(Debug)]
pub(super) struct BrokenSubscriber {
    /// Taken away from where it would be dropped.
    inner: Option<Box<dyn Subscriber>>,
    tracks: Arc<Tracks>,
    held: Vec<Event>,
    /// The last records of each shard.
    last: HashMap<Shard, Event>,
    unrenewed: Option<Instant>,
}

impl BrokenSubscriber {
    pub(super) fn new(inner: Box<dyn Subscriber>, tracks: Arc<Tracks>) -> Self {
        Self {
            inner: Some(inner),
            tracks,
            held: Vec::new(),
            last: HashMap::new(),
            unrenewed: None,
        }
    }
    fn inner(&mut self) -> Result<&mut Box<dyn Subscriber>> {
        self.inner
            .as_mut()
            .ok_or_else(|| crate::Error::closed("the subscriber"))
    }
    async fn flap(&mut self) -> Result<()> {
        let flaps = std::mem::take(&mut self.tracks.seen.lock().flaps);
        for (shard, next) in flaps {
            let to = Start::Positions([(shard.partition, next)].into());
            let _ = self.inner()?.seek(shard, to).await;
        }
        if self.unrenewed.take_if(|at| *at <= Instant::now()).is_some() {
            let stored: Vec<_> = self.tracks.seen.lock().stored.drain().collect();
            for (shard, next) in stored {
                let to = Start::Positions([(shard.partition, next)].into());
                let _ = self.inner()?.seek(shard, to).await;
            }
        }
        Ok(())
    }
    /// What becomes of one event.
    async fn pass(&mut self, mut event: Event, room: Room, out: &mut Vec<Event>) -> Result<()> {
        let tracks = self.tracks.clone();
        match (tracks.shared.fault, &mut event) {
            (Fault::LosingUntold, Event::Losing { .. }) => return Ok(()),
            (Fault::DeletionUntold, Event::TopicLost(_) | Event::Lost(_)) => return Ok(()),
            (Fault::LosingHeldBack, Event::Losing { .. } | Event::Lost(_)) if room.messages == 0 => {
                self.held.push(event);
                return Ok(());
            }
            (Fault::LossUntold, Event::DataLoss { .. }) => return Ok(()),
            (Fault::LossInexact, Event::DataLoss { to, .. }) => *to += 1,
            (Fault::DropNotes, Event::Gained { notes, .. }) => notes.clear(),
            (Fault::KeepNotes, Event::Gained { shard, notes, .. }) => {
                let place = tracks.place(*shard);
                let kept = place.and_then(|place| tracks.shared.state.lock().notes.get(&place).cloned());
                *notes = kept.unwrap_or_default();
            }
            (Fault::SkipForeign, Event::Records { shard, batch, range }) => {
                let state = tracks.shared.state.lock();
                for index in range.clone() {
                    let record = crate::Record::new(batch.clone(), index);
                    if state.own.contains(&record.payload_bytes()) {
                        out.push(Event::Records {
                            shard: *shard,
                            batch: batch.clone(),
                            range: index..index + 1,
                        });
                    }
                }
                return Ok(());
            }
            _ => {}
        }
        self.note(&event);
        let after = match &event {
            Event::Gained { shard, .. } if tracks.is(Fault::CaughtUpAtOnce) => Some(Event::CaughtUp(*shard)),
            Event::CaughtUp(_) if tracks.is(Fault::CaughtUpAtOnce) => return Ok(()),
            Event::Losing { shard, .. } if tracks.is(Fault::RecordsAfterLosing) => {
                self.last.get(shard).cloned()
            }
            _ => None,
        };
        if let (Event::Gained { shard, next: 0, .. }, true) = (&event, tracks.is(Fault::AddedAtLatest))
            && shard.partition >= 4
        {
            let shard = *shard;
            self.inner()?.seek(shard, Start::Latest).await?;
        }
        if let (Event::Records { shard, .. }, true) = (&event, tracks.is(Fault::CommitOnDelivery)) {
            let next = tracks.seen.lock().highest.get(shard).copied().unwrap_or(0);
            tracks.inner.commit(vec![done(*shard, next)]).await;
        }
        out.push(event);
        out.extend(after);
        Ok(())
    }
    fn note(&mut self, event: &Event) {
        let tracks = &self.tracks;
        match event {
            Event::Gained { shard, next, .. } => {
                tracks.seen.lock().stored.insert(*shard, *next);
                if let Some(place) = tracks.place(*shard) {
                    tracks
                        .shared
                        .state
                        .lock()
                        .owners
                        .insert(place, (*shard, tracks.inner.clone()));
                }
            }
            Event::Records { shard, batch, range } => {
                let last = range
                    .end
                    .checked_sub(1)
                    .and_then(|last| batch.records().get(last as usize));
                if let Some(last) = last {
                    tracks.seen.lock().highest.insert(*shard, last.position + 1);
                }
                if let (Fault::Unrenewed(after), true) = (tracks.shared.fault, self.last.is_empty()) {
                    self.unrenewed = Some(Instant::now() + after);
                }
                self.last.insert(*shard, event.clone());
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Subscriber for BrokenSubscriber {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        let before = events.len();
        if room.messages > 0 {
            events.append(&mut self.held);
        }
        let asked = match self.tracks.shared.fault {
            Fault::IgnoreRoom => Room {
                messages: 100_000,
                bytes: 1 << 30,
            },
            _ => room,
        };
        while events.len() == before {
            self.flap().await?;
            if self.tracks.is(Fault::SilentWhenHarmed) && self.tracks.shared.state.lock().harmed > 0 {
                pending::<()>().await;
            }
            let mut arrived = Vec::new();
            // Woken now and then by what its other half wants of it.
            let wake = Instant::now() + Duration::from_millis(50);
            if let Ok(result) = timeout_at(wake, self.inner()?.receive(asked, &mut arrived)).await {
                result.map_err(|error| self.tracks.shared.error(error))?;
            }
            if self.tracks.is(Fault::LoseOnCancel) {
                sleep(Duration::from_millis(10)).await;
            }
            for event in arrived {
                self.pass(event, room, events).await?;
            }
        }
        Ok(())
    }
    fn pause(&mut self, shard: Shard, paused: bool) {
        let sticks = self.tracks.is(Fault::PauseSticks) && !paused;
        if !sticks
            && !self.tracks.is(Fault::IgnorePause)
            && let Some(inner) = &mut self.inner
        {
            inner.pause(shard, paused);
        }
    }
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        if self.tracks.is(Fault::IgnoreSeek) {
            return Ok(());
        }
        self.inner()?.seek(shard, to).await
    }
    async fn close(&mut self) -> Result<()> {
        match self.tracks.shared.fault {
            Fault::NeverLeaves => Ok(()),
            Fault::LeakTasks => {
                tokio::spawn(pending::<()>());
                self.inner()?.close().await
            }
            Fault::CloseHangs => pending().await,
            _ => self.inner()?.close().await,
        }
    }
}

impl Drop for BrokenSubscriber {
    fn drop(&mut self) {
        if self.tracks.is(Fault::NoTakeover) {
            // Nobody will ever know that it is gone.
            std::mem::forget(self.inner.take());
        }
    }
}

/// Subscribes when it is first read.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) source: Source,
    pub(super) inner: Option<Box<dyn Subscriber>>,
}

#[async_trait]
impl Subscriber for Late {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        if self.inner.is_none() {
            sleep(Duration::from_millis(50)).await;
            self.inner = Some(self.backend.subscribe(self.source.clone()).await?.0);
        }
        match &mut self.inner {
            Some(inner) => inner.receive(room, events).await,
            None => pending().await,
        }
    }
    fn pause(&mut self, _: Shard, _: bool) {}
    async fn seek(&mut self, _: Shard, _: Start) -> Result<()> {
        Ok(())
    }
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A member that gets nothing.
#[derive(Debug)]
pub(super) struct Idle;

#[async_trait]
impl Subscriber for Idle {
    async fn receive(&mut self, _: Room, _: &mut Vec<Event>) -> Result<()> {
        pending().await
    }
    fn pause(&mut self, _: Shard, _: bool) {}
    async fn seek(&mut self, _: Shard, _: Start) -> Result<()> {
        Ok(())
    }
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Ack for Idle {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        done.iter().map(|_| Ok(())).collect()
    }
    async fn release(&self, _: Shard) -> Result<()> {
        Ok(())
    }
}
