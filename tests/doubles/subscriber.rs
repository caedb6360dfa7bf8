//! A subscriber that fails, or panics, when told to, and counts how often it is asked.

use async_trait::async_trait;
use bus::{Bytes, Error, ErrorKind, Event, Name, Result, Room, Shard, Start, Subscriber};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::Notify;

/// Makes `receive` fail, and hands events in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// 0: none; 1: an error; 2: a panic.
    what: AtomicU32,
    told: Notify,
    events: Mutex<Vec<Event>>,
    asked: AtomicUsize,
    after: AtomicUsize,
    shards: Mutex<Vec<Shard>>,
    seeks_fail: AtomicBool,
}

impl Fault {
    /// The next `receive` fails.
    pub(crate) fn fail(&self) {
        self.tell(1);
    }
    /// The next `receive` panics.
    pub(crate) fn panic(&self) {
        self.tell(2);
    }
    /// The next `receive` brings this.
    pub(crate) fn event(&self, event: Event) {
        self.0.events.lock().unwrap().push(event);
        self.0.told.notify_one();
    }
    /// Seeks are accepted; then the partition leaves before anything is stored, and comes back where it stood.
    pub(crate) fn fail_seeks(&self) {
        self.0.seeks_fail.store(true, SeqCst);
    }
    fn tell(&self, what: u32) {
        self.0.what.store(what, SeqCst);
        self.0.told.notify_one();
    }
    /// How often `receive` was called: what the pump's turns are counted by.
    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(SeqCst)
    }
    /// How often it was called after it had failed.
    pub(crate) fn asked_after(&self) -> usize {
        self.0.after.load(SeqCst)
    }
    /// What was gained so far.
    pub(crate) fn gained(&self) -> Vec<Shard> {
        self.0.shards.lock().unwrap().clone()
    }
    pub(super) fn wrap(&self, subscriber: Box<dyn Subscriber>) -> Box<dyn Subscriber> {
        Box::new(Scripted {
            subscriber,
            fault: self.clone(),
            failed: false,
        })
    }
}

#[derive(Debug)]
struct Scripted {
    subscriber: Box<dyn Subscriber>,
    fault: Fault,
    failed: bool,
}

#[async_trait]
impl Subscriber for Scripted {
    async fn receive(&mut self, room: Room, events: &mut Vec<Event>) -> Result<()> {
        let fault = &self.fault.0;
        fault.asked.fetch_add(1, SeqCst);
        fault.after.fetch_add(usize::from(self.failed), SeqCst);
        loop {
            tokio::select! {
                biased;
                () = fault.told.notified() => {
                    events.append(&mut fault.events.lock().unwrap());
                    match fault.what.load(SeqCst) {
                        1 => {
                            self.failed = true;
                            return Err(Error::new(ErrorKind::Denied, "as told"));
                        }
                        2 => panic!("as told"),
                        _ if events.is_empty() => {}
                        _ => return Ok(()),
                    }
                }
                result = self.subscriber.receive(room, events) => {
                    let gained = events.iter().filter_map(|e| match e {
                        Event::Gained { shard, .. } => Some(*shard),
                        _ => None,
                    });
                    fault.shards.lock().unwrap().extend(gained);
                    return result;
                }
            }
        }
    }
    fn pause(&mut self, shard: Shard, paused: bool) {
        self.subscriber.pause(shard, paused);
    }
    async fn seek(&mut self, shard: Shard, to: Start) -> Result<()> {
        if !self.fault.0.seeks_fail.load(SeqCst) {
            return self.subscriber.seek(shard, to).await;
        }
        self.fault.event(Event::Lost(shard));
        self.fault.event(Event::SeekFailed(shard));
        self.fault.event(Event::Gained {
            shard: Shard {
                epoch: shard.epoch + 1,
                ..shard
            },
            topic: Name::from("t"),
            next: 0,
            notes: Bytes::new(),
        });
        Ok(())
    }
    async fn close(&mut self) -> Result<()> {
        self.subscriber.close().await
    }
}
