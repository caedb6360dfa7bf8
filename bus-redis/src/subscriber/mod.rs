//! A subscription: the subscriber that reads, the task that keeps leases, the acks.

mod ack;
mod cursor;
pub(crate) mod decode;
mod far;
mod feed;
mod gained;
mod history;
mod join;
mod keeper;
mod loss;
mod observer;
mod ordinals;
mod reader;
mod sharing;
mod state;
mod watch;

pub(crate) use join::join;

use crate::{Context, id, scripts::Script, start, wire::Pipeline};
use async_trait::async_trait;
use bus_core::{Error, Event, Name, Result, Room, Shard, Start, Subscriber};
use bytes::Bytes;
use gained::{Gained, Place};
use reader::Reader;
use state::{Notice, Open, Reopen, Shared};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::timeout};

/// What `close` waits for at most: two rounds on a server that answers, a shrug on one that is down.
const CLOSE: Duration = Duration::from_secs(2);

/// Reads what is assigned to one member, or everything.
#[derive(Debug)]
struct RedisSubscriber {
    context: Arc<Context>,
    shared: Arc<Shared>,
    reader: Reader,
    task: Option<JoinHandle<()>>,
    /// `None`: everyone.
    group: Option<(Name, String)>,
    topics: Vec<Name>,
}

impl RedisSubscriber {
    /// What the other halves have to tell. It overtakes records.
    fn notices(&mut self, events: &mut Vec<Event>) {
        let notices = std::mem::take(&mut self.shared.lock().notices);
        for notice in notices {
            match notice {
                Notice::Open(open) => {
                    let caught_up = self.reader.open(&open);
                    let Open {
                        shard,
                        topic,
                        next,
                        notes,
                        ..
                    } = open;
                    events.push(Event::Gained {
                        shard,
                        topic,
                        next,
                        notes,
                    });
                    if caught_up {
                        events.push(Event::CaughtUp(shard));
                    }
                }
                Notice::Reopen(reopen) => self.reopen(reopen, events),
                Notice::Event(event) => {
                    match event {
                        Event::Losing { shard, .. } | Event::Lost(shard) => self.reader.shut(shard),
                        Event::Resumed(shard) => self.reader.suspend(shard, false),
                        _ => {}
                    }
                    events.push(event);
                }
            }
        }
    }

    /// Goes on under a new epoch: from what was settled, where that was told, else from what was not handed out.
    fn reopen(&mut self, reopen: Reopen, events: &mut Vec<Event>) {
        let old = reopen.shard;
        let held = self.shared.lock().held.remove(&(old.topic, old.partition));
        let Some(held) = held.filter(|held| held.shard == old) else {
            return;
        };
        let handed_out = self.reader.handed_out(old);
        let (next, notes) = held.stored.unwrap_or((handed_out.unwrap_or(0), Bytes::new()));
        self.reader.shut(old);
        events.push(Event::Lost(old));
        let shard = Shard {
            epoch: old.epoch + 1,
            ..old
        };
        let to = Start::Positions([(old.partition, next)].into());
        observer::open(&self.shared, shard, &reopen.topic, reopen.found, &to, notes);
        if let Some((from, to)) = reopen.gone {
            self.shared.tell(Event::DataLoss { shard, from, to });
        }
    }

    /// Stops what was not renewed in time, by our own clock, and says when to look again. This is done here and not by
    /// the task, because a process that was frozen wakes up here first.
    fn suspend(&mut self, events: &mut Vec<Event>) -> Option<Instant> {
        self.group.as_ref()?;
        let (now, limit) = (Instant::now(), self.context.config.ttl * 4 / 5);
        let mut state = self.shared.lock();
        let mut earliest = None::<Instant>;
        for held in state.held.values_mut().filter(|h| !h.suspended) {
            let until = held.renewed + limit;
            if now < until {
                earliest = Some(earliest.map_or(until, |e| e.min(until)));
                continue;
            }
            held.suspended = true;
            self.reader.suspend(held.shard, true);
            events.push(Event::Suspended(held.shard));
            self.shared.kick.notify_one();
        }
        earliest
    }

    /// Compares what was read with what was removed, where no reply is on its way.
    fn compare(&mut self, events: &mut Vec<Event>) {
        let mut state = self.shared.lock();
        for held in state.held.values_mut() {
            if self.reader.is_reading(held.shard) {
                continue;
            }
            let Some(next) = self.reader.next(held.shard) else {
                continue;
            };
            let shard = held.shard;
            let missing = held.compare(next).into_iter();
            events.extend(missing.map(|(from, to)| Event::DataLoss { shard, from, to }));
            if self.group.is_none() {
                held.ordinals.settle(next);
            }
        }
    }

    /// From the script to the `Gained` that follows, the keeper must not find the partition free with us as its owner: it
    /// would acquire it again, under an epoch that nobody here knows of.
    async fn seek_group(&mut self, group: &str, member: &str, shard: Shard, to: &Start) -> Result<()> {
        let (key, limit) = (
            (shard.topic, shard.partition),
            self.context.config.connect_timeout,
        );
        {
            let mut state = self.shared.lock();
            if state.get(shard).is_none() {
                return Err(fenced(&self.topics, shard));
            }
            // Longer than a call and the keeper's courtesy take; whoever is cancelled in between leaves it behind.
            state.released.insert(key, Instant::now() + limit * 2);
        }
        let result = self.seek_owned(group, member, shard, to).await;
        self.shared.lock().released.remove(&key);
        result
    }

    async fn seek_owned(&mut self, group: &str, member: &str, shard: Shard, to: &Start) -> Result<()> {
        let (stream, lease, counting) = match self.shared.lock().get(shard) {
            Some(held) => (held.stream.clone(), held.lease.clone(), held.counting),
            None => return Err(fenced(&self.topics, shard)),
        };
        let (epoch, last) = (shard.epoch.to_string(), start::last_settled(to, shard.partition));
        let mut pipeline = Pipeline::new();
        let keys = [lease.as_bytes(), stream.as_bytes()];
        let words = [
            group.as_bytes(),
            member.as_bytes(),
            epoch.as_bytes(),
            last.as_bytes(),
        ];
        pipeline.script(Script::Seek, &keys, &words);
        let sent = Instant::now();
        let answer = self.context.link.answers(&pipeline).await?.remove(0);
        let reply = self.context.link.check(answer.value)?;
        self.shared.lose(shard);
        match reply.at(0).text() {
            Some("OK") => {
                let epoch = reply.at(1).text().and_then(|e| e.parse().ok()).unwrap_or(0);
                let place = Place {
                    topic: self.topics[shard.topic as usize].clone(),
                    stream,
                    lease,
                    run_id: answer.run_id,
                    counting,
                };
                let shard = Shard { epoch, ..shard };
                Gained::read(&reply).tell(&self.shared, shard, place, sent);
                Ok(())
            }
            Some("GONE") => Err(Error::topic_missing(&self.topics[shard.topic as usize])),
            _ => Err(fenced(&self.topics, shard)),
        }
    }

    async fn seek_everyone(&mut self, shard: Shard, to: &Start) -> Result<()> {
        let Some(stream) = self.shared.lock().get(shard).map(|held| held.stream.clone()) else {
            return Err(fenced(&self.topics, shard));
        };
        let topic = &self.topics[shard.topic as usize];
        let info = self.context.topics.get(topic).await?;
        let found = observer::look_at(&self.context, &info, stream).await?;
        let found = found.ok_or_else(|| Error::topic_missing(topic))?;
        self.shared.lose(shard);
        let shard = Shard {
            epoch: shard.epoch + 1,
            ..shard
        };
        observer::open(&self.shared, shard, topic, found, to, Bytes::new());
        Ok(())
    }
}

#[async_trait]
impl Subscriber for RedisSubscriber {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        let before = events.len();
        loop {
            if self.task.is_none() {
                return Err(Error::closed("subscription"));
            }
            self.notices(events);
            let suspend_at = self.suspend(events);
            self.compare(events);
            self.reader.hand_out(room, events);
            if room.messages > 0 {
                self.reader.ask();
            }
            if events.len() > before {
                return Ok(());
            }
            if let Some(error) = &self.shared.lock().fatal {
                return Err(error.duplicate());
            }
            let mut clock = std::pin::pin!(async {
                match suspend_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            });
            tokio::select! {
                () = self.shared.wake.notified() => {}
                result = self.reader.advance(&self.shared, events) => result?,
                () = &mut clock => {}
            }
        }
    }

    fn pause(&mut self, shard: Shard, paused: bool) {
        self.reader.pause(shard, paused);
    }

    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        match self.group.clone() {
            Some((group, member)) => self.seek_group(&group, &member, shard, &to).await,
            None => self.seek_everyone(shard, &to).await,
        }
    }

    async fn close(&mut self) -> Result<()> {
        let Some(mut task) = self.task.take() else {
            return Ok(());
        };
        self.shared.lock().closing = true;
        self.shared.kick.notify_one();
        if timeout(CLOSE, &mut task).await.is_err() {
            task.abort();
        }
        let mut state = self.shared.lock();
        state.held.clear();
        state.notices.clear();
        Ok(())
    }
}

impl Drop for RedisSubscriber {
    /// Without `close` it ends as a killed process does: nothing is released, and the leases run out.
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// The shard is not ours in that epoch.
fn fenced(topics: &[Name], shard: Shard) -> Error {
    let topic = topics.get(shard.topic as usize).map_or("?", |t| t);
    Error::fenced(format!("partition {} of topic `{topic}`", shard.partition))
}

/// A position as the server writes it, for sentences.
fn shown(position: u128) -> String {
    id::id(position)
}
