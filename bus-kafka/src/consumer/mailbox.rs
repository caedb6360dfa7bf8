//! What the thread has for `receive`: urgent events, and batches that wait for room.

use super::wake::Wake;
use crate::notes::{self, TopicId};
use bus_core::{Batch, Bytes, Error, Event, Name, Result, Room, Shard};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Batches that may wait in one shard's lane, and bytes in all lanes together.
const BATCHES: usize = 2;
const BYTES: usize = 8 * 1024 * 1024;
/// A thread that has not been round for so long was frozen, and with it perhaps the whole process.
pub(super) const FROZEN: Duration = Duration::from_millis(1_500);

#[derive(Debug)]
pub(super) struct Mailbox {
    inner: Mutex<Inner>,
    pub(super) notify: Notify,
    wake: Arc<Wake>,
    /// The thread would have read more, had there been room.
    starved: AtomicBool,
    bytes: AtomicUsize,
    epoch: Instant,
    /// When the thread was last round, in milliseconds since `epoch`.
    beat: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    urgent: VecDeque<Event>,
    lanes: Vec<Lane>,
    turn: usize,
    failure: Option<Error>,
}

/// Batches of one shard.
#[derive(Debug)]
struct Lane {
    shard: Shard,
    items: VecDeque<Item>,
    paused: bool,
    suspended: bool,
    gauge: Arc<Gauge>,
    /// What is stored, kept here where it is not the thread that stores it.
    stored: (i64, Bytes),
    topic: Option<TopicId>,
}

#[derive(Debug)]
enum Item {
    Records {
        batch: Arc<Batch>,
        from: u32,
        bytes: usize,
    },
    CaughtUp,
}

/// How many batches wait in a lane; the thread reads it without a lock.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicUsize);

impl Mailbox {
    pub(super) fn new(wake: Arc<Wake>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            notify: Notify::new(),
            wake,
            starved: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            epoch: Instant::now(),
            beat: AtomicU64::new(0),
        })
    }

    // What the thread does.

    pub(super) fn beat(&self, now: Instant) {
        self.beat
            .store((now - self.epoch).as_millis() as u64, Ordering::Release);
    }
    pub(super) fn urgent(&self, event: Event) {
        self.inner.lock().urgent.push_back(event);
        self.notify.notify_one();
    }
    /// `id`: which topic of its name it is.
    pub(super) fn gained(
        &self,
        shard: Shard,
        topic: Name,
        id: Option<TopicId>,
        (next, notes): (u128, Bytes),
    ) -> Arc<Gauge> {
        let gauge = Arc::<Gauge>::default();
        let mut inner = self.inner.lock();
        inner.lanes.push(Lane {
            shard,
            items: VecDeque::new(),
            paused: false,
            suspended: false,
            gauge: gauge.clone(),
            stored: (i64::try_from(next).unwrap_or(i64::MAX), notes.clone()),
            topic: id,
        });
        inner.urgent.push_back(Event::Gained {
            shard,
            topic,
            next,
            notes,
        });
        self.notify.notify_one();
        gauge
    }
    /// Which topic of its name one is was found out.
    pub(super) fn identified(&self, topic: u32, id: Option<TopicId>) {
        let mut inner = self.inner.lock();
        for lane in inner.lanes.iter_mut().filter(|lane| lane.shard.topic == topic) {
            lane.topic = lane.topic.or(id);
        }
    }
    /// Whether another batch of this lane may be read; if not, the thread is woken when there is room.
    pub(super) fn has_room(&self, gauge: &Gauge) -> bool {
        let room = || gauge.0.load(Ordering::Acquire) < BATCHES && self.bytes.load(Ordering::Acquire) < BYTES;
        if room() {
            return true;
        }
        self.starved.store(true, Ordering::SeqCst);
        // Room may have come before anybody could see that it is waited for.
        room()
    }
    pub(super) fn records(&self, shard: Shard, batch: Batch, bytes: usize) {
        let item = Item::Records {
            batch: Arc::new(batch),
            from: 0,
            bytes,
        };
        let mut inner = self.inner.lock();
        if let Some(lane) = inner.lane(shard) {
            lane.gauge.0.fetch_add(1, Ordering::AcqRel);
            self.bytes.fetch_add(bytes, Ordering::AcqRel);
            lane.items.push_back(item);
        }
        drop(inner);
        self.notify.notify_one();
    }
    pub(super) fn caught_up(&self, shard: Shard) {
        if let Some(lane) = self.inner.lock().lane(shard) {
            lane.items.push_back(Item::CaughtUp);
        }
        self.notify.notify_one();
    }
    /// No record of this shard follows.
    pub(super) fn losing(&self, shard: Shard, grace: Duration) {
        let mut inner = self.inner.lock();
        if let Some(lane) = inner.lane(shard) {
            let items = std::mem::take(&mut lane.items);
            self.freed(&items, &lane.gauge);
            inner.urgent.push_back(Event::Losing { shard, grace });
        }
        drop(inner);
        self.notify.notify_one();
    }
    pub(super) fn lost(&self, shard: Shard) {
        let mut inner = self.inner.lock();
        if let Some(at) = inner.lanes.iter().position(|l| l.shard == shard) {
            let lane = inner.lanes.swap_remove(at);
            self.freed(&lane.items, &lane.gauge);
            inner.urgent.push_back(Event::Lost(shard));
        }
        drop(inner);
        self.notify.notify_one();
    }
    pub(super) fn suspend(&self, shard: Shard, suspended: bool) {
        let mut inner = self.inner.lock();
        if let Some(lane) = inner.lane(shard)
            && lane.suspended != suspended
        {
            lane.suspended = suspended;
            inner.urgent.push_back(if suspended {
                Event::Suspended(shard)
            } else {
                Event::Resumed(shard)
            });
        }
        drop(inner);
        self.notify.notify_one();
    }
    /// Ends it: what is urgent is still handed out, then the error, again and again.
    pub(super) fn fail(&self, error: Error) {
        let mut inner = self.inner.lock();
        inner.failure.get_or_insert(error);
        for lane in std::mem::take(&mut inner.lanes) {
            self.freed(&lane.items, &lane.gauge);
        }
        drop(inner);
        self.notify.notify_one();
    }

    fn freed(&self, items: &VecDeque<Item>, gauge: &Gauge) {
        for item in items {
            if let Item::Records { bytes, .. } = item {
                gauge.0.fetch_sub(1, Ordering::AcqRel);
                self.bytes.fetch_sub(*bytes, Ordering::AcqRel);
            }
        }
    }

    // What the application does.

    pub(super) fn is_frozen(&self) -> bool {
        let beat = Duration::from_millis(self.beat.load(Ordering::Acquire));
        self.epoch.elapsed() > beat + FROZEN
    }
    pub(super) fn owns(&self, shard: Shard) -> bool {
        self.inner.lock().lane(shard).is_some()
    }
    /// The offset that is stored for a shard that is ours; its notes.
    pub(super) fn stored(&self, shard: Shard) -> Option<(i64, Bytes)> {
        self.inner.lock().lane(shard).map(|lane| lane.stored.clone())
    }
    /// What is stored with a position of a shard that is ours.
    pub(super) fn metadata(&self, shard: Shard, notes: &[u8]) -> Vec<u8> {
        let topic = self.inner.lock().lane(shard).and_then(|lane| lane.topic);
        notes::encode(topic, notes)
    }
    pub(super) fn store(&self, shard: Shard, offset: i64, notes: &Bytes) {
        if let Some(lane) = self.inner.lock().lane(shard) {
            lane.stored = (offset, notes.clone());
        }
    }
    pub(super) fn pause(&self, shard: Shard, paused: bool) {
        if let Some(lane) = self.inner.lock().lane(shard) {
            lane.paused = paused;
        }
    }
    /// Appends what there is and fits. Whether there was anything.
    pub(super) fn take(&self, mut room: Room, events: &mut Vec<Event>) -> Result<bool> {
        // Before records of a process that just woke are handed out, the thread has to find out what it still owns.
        let frozen = self.is_frozen();
        let before = events.len();
        let mut freed = false;
        let mut inner = self.inner.lock();
        events.extend(inner.urgent.drain(..));
        if !frozen {
            let lanes = inner.lanes.len();
            for i in 0..lanes {
                let at = (inner.turn + i) % lanes;
                freed |= inner.lanes[at].hand_out(&mut room, events, &self.bytes);
            }
            inner.turn = inner.turn.wrapping_add(1);
        }
        let failure = inner.failure.as_ref().map(Error::duplicate);
        drop(inner);
        if freed && self.starved.swap(false, Ordering::SeqCst) {
            self.wake.wake();
        }
        match failure {
            Some(error) if events.len() == before => Err(error),
            _ => Ok(events.len() > before),
        }
    }
}

impl Inner {
    fn lane(&mut self, shard: Shard) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|l| l.shard == shard)
    }
}

impl Lane {
    /// Whether a batch left for good.
    fn hand_out(&mut self, room: &mut Room, events: &mut Vec<Event>, total: &AtomicUsize) -> bool {
        let mut freed = false;
        if self.paused || self.suspended {
            return freed;
        }
        while let Some(item) = self.items.front_mut() {
            match item {
                Item::CaughtUp => {
                    events.push(Event::CaughtUp(self.shard));
                    self.items.pop_front();
                }
                Item::Records { batch, from, bytes } => {
                    let (range, size) = fitting(batch, *from, *room);
                    if range.is_empty() {
                        return freed;
                    }
                    room.messages -= range.len();
                    room.bytes = room.bytes.saturating_sub(size);
                    *from = range.end;
                    let whole = range.end as usize == batch.records().len();
                    events.push(Event::Records {
                        shard: self.shard,
                        batch: batch.clone(),
                        range,
                    });
                    if !whole {
                        return freed;
                    }
                    self.gauge.0.fetch_sub(1, Ordering::AcqRel);
                    total.fetch_sub(*bytes, Ordering::AcqRel);
                    self.items.pop_front();
                    freed = true;
                }
            }
        }
        freed
    }
}

/// The records from `from` that fit, and their bytes. One record may pass the bytes, or a large one would never come.
fn fitting(batch: &Batch, from: u32, room: Room) -> (std::ops::Range<u32>, usize) {
    let records = &batch.records()[from as usize..];
    let (mut end, mut size) = (from, 0);
    for record in records.iter().take(room.messages) {
        if size >= room.bytes {
            break;
        }
        let next = size + record.size();
        if next > room.bytes && end > from {
            break;
        }
        size = next;
        end += 1;
    }
    (from..end, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_known_later_is_stored_with_positions_too() {
        let (wake, _sleep) = super::super::wake::pair().unwrap();
        let mail = Mailbox::new(wake);
        let shard = Shard {
            topic: 0,
            partition: 0,
            epoch: 1,
        };
        let other = Shard { topic: 1, ..shard };
        for shard in [shard, other] {
            mail.gained(shard, "t".into(), None, (0, Bytes::new()));
        }
        let topic = |shard| notes::decode(&mail.metadata(shard, b"")).topic;
        assert_eq!(topic(shard), None);
        mail.identified(0, Some((1, 2)));
        mail.identified(0, Some((1, 3)));
        assert_eq!((topic(shard), topic(other)), (Some((1, 2)), None));
    }
}
