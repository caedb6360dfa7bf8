//! Keeps streams within their retention: a task that looks after every topic that this process publishes to or reads.
//!
//! Publishers trim too, not only the owners of partitions: a topic whose readers are all gone must not fill the server.
//! A gate on the server lets one process do it in each period, so that a hundred publishers cost little more than one.

use crate::{Context, compaction, retention, topics::TopicInfo};
use bus_core::{Name, Result};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Topics that nobody has used for so long are no longer looked after.
const USED: Duration = Duration::from_secs(60);
/// How often due topics are looked for.
const TICK: Duration = Duration::from_millis(500);

/// The topics in use.
#[derive(Debug, Default)]
pub(crate) struct Janitor {
    rooms: Mutex<Rooms>,
    wake: Notify,
    /// Groups that were named already.
    named: Mutex<HashSet<(Name, String)>>,
}

#[derive(Debug, Default)]
struct Rooms {
    running: bool,
    topics: HashMap<Name, Room>,
}

#[derive(Debug)]
struct Room {
    info: Arc<TopicInfo>,
    used: Instant,
    due: Instant,
    full: bool,
    /// Entries of each partition after the last compaction here.
    kept: HashMap<u32, usize>,
}

impl Janitor {
    /// The topic is in use; its first round comes at once.
    pub(crate) fn uses(context: &Arc<Context>, info: &Arc<TopicInfo>) {
        let now = Instant::now();
        let mut rooms = context.janitor.rooms.lock();
        match rooms.topics.get_mut(&info.name) {
            Some(room) => {
                room.used = now;
                if !Arc::ptr_eq(&room.info, info) {
                    room.info = info.clone();
                }
                return;
            }
            None => {
                let room = Room {
                    info: info.clone(),
                    used: now,
                    due: now,
                    full: false,
                    kept: HashMap::new(),
                };
                rooms.topics.insert(info.name.clone(), room);
            }
        }
        if std::mem::replace(&mut rooms.running, true) {
            context.janitor.wake.notify_one();
        } else {
            tokio::spawn(run(Arc::downgrade(context)));
        }
    }

    /// The server had no room for a record of this topic: a round now, not when it is due.
    pub(crate) fn full(&self, topic: &str) {
        if let Some(room) = self.rooms.lock().topics.get_mut(topic) {
            room.full = true;
            self.wake.notify_one();
        }
    }

    /// A group that no longer holds back trimming is named, once.
    pub(crate) fn abandoned(&self, info: &TopicInfo, group: &str, after: Duration) {
        if self.named.lock().insert((info.name.clone(), group.to_owned())) {
            tracing::warn!(
                topic = &*info.name,
                group,
                "the group has had no member for {after:?} and no longer holds back trimming; delete it, or let it catch up"
            );
        }
    }

    /// What is due now, and until when the others can wait; `None` where nothing is left to look after.
    fn due(&self) -> Option<Vec<(Arc<TopicInfo>, bool)>> {
        let now = Instant::now();
        let mut rooms = self.rooms.lock();
        rooms
            .topics
            .retain(|_, room| now.duration_since(room.used) < USED);
        if rooms.topics.is_empty() {
            rooms.running = false;
            return None;
        }
        let due = rooms
            .topics
            .values_mut()
            .filter(|room| room.due <= now || room.full);
        Some(
            due.map(|room| (room.info.clone(), std::mem::take(&mut room.full)))
                .collect(),
        )
    }

    fn again(&self, topic: &str, after: Duration) {
        if let Some(room) = self.rooms.lock().topics.get_mut(topic) {
            room.due = Instant::now() + after;
        }
    }
}

async fn run(context: Weak<Context>) {
    loop {
        let Some(strong) = context.upgrade() else { return };
        let Some(due) = strong.janitor.due() else { return };
        for (info, full) in due {
            let period = match info.compact {
                true => compaction::period(&info),
                false => retention::period(info.retention.unwrap_or(strong.config.retention)),
            };
            if let Err(error) = tidy(&strong, &info, full).await {
                tracing::debug!(topic = &*info.name, %error, "trimming failed, tried again later");
            }
            strong.janitor.again(&info.name, period);
        }
        let _ = tokio::time::timeout(TICK, strong.janitor.wake.notified()).await;
    }
}

async fn tidy(context: &Context, info: &TopicInfo, full: bool) -> Result<()> {
    for partition in 0..info.partitions {
        if !info.compact {
            retention::trim(context, info, partition, full).await?;
            continue;
        }
        let room = |rooms: &Mutex<Rooms>| rooms.lock().topics.get(&info.name)?.kept.get(&partition).copied();
        let kept = room(&context.janitor.rooms).unwrap_or(0);
        if let Some(now) = compaction::compact(context, info, partition, kept).await?
            && let Some(room) = context.janitor.rooms.lock().topics.get_mut(&info.name)
        {
            room.kept.insert(partition, now);
        }
    }
    Ok(())
}
