//! A member's share: what is free or expired is taken up to the quota, what is over it is given away.

use super::{
    gained::{Gained, Place, release},
    keeper::Keeper,
    state::{Held, Notice},
    watch::{Sighting, quota},
};
use crate::{
    scripts::Script,
    wire::{Pipeline, Value},
};
use bus_core::{Error, ErrorKind, Event, Result, Shard};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Others go first for so long at partitions that we gave back.
const COURTESY: Duration = Duration::from_secs(1);

impl Keeper {
    /// Takes or gives partitions of a topic until the quota is met.
    pub(super) async fn share(&mut self, topic: usize, live: &[String]) -> Result<()> {
        let watched = &self.topics[topic];
        let quota = quota(&self.member, live, &watched.info.name, watched.info.partitions);
        let now = Instant::now();
        let mut free = Vec::new();
        {
            let mut state = self.shared.lock();
            if state.closing {
                return Ok(());
            }
            state.released.retain(|_, at| now.duration_since(*at) < COURTESY);
            let mine = state
                .held
                .values()
                .filter(|h| h.shard.topic == watched.index && h.losing.is_none())
                .count();
            for partition in (0..watched.info.partitions).filter(|_| mine < quota) {
                let key = (watched.index, partition);
                if !state.held.contains_key(&key)
                    && !state.released.contains_key(&key)
                    && !self.history.is_open(key)
                    && watched.takeable(partition, &self.member, now)
                {
                    free.push(partition);
                }
            }
            free.truncate(quota.saturating_sub(mine));
            let grace = self.context.config.grace;
            let leaving = state
                .held
                .values_mut()
                .rev()
                .filter(|h| h.shard.topic == watched.index && h.losing.is_none());
            let mut events = Vec::new();
            for held in leaving.take(mine.saturating_sub(quota)) {
                held.losing = Some(now + grace);
                events.push(Notice::Event(Event::Losing {
                    shard: held.shard,
                    grace,
                }));
            }
            if !events.is_empty() {
                state.notices.extend(events);
                self.shared.wake.notify_one();
            }
        }
        if !free.is_empty() {
            self.acquire(topic, &free).await?;
        }
        Ok(())
    }

    async fn acquire(&mut self, topic: usize, partitions: &[u32]) -> Result<()> {
        let watched = &self.topics[topic];
        let ttl = self.context.config.ttl.as_millis().to_string();
        let mut pipeline = Pipeline::new();
        for partition in partitions {
            let index = *partition as usize;
            let [owner, epoch, beat] = watched.sightings[index].as_ref().map_or([""; 3], Sighting::words);
            let keys = [
                watched.leases[index].as_bytes(),
                watched.streams[index].as_bytes(),
            ];
            let group = self.group.as_bytes();
            let fixed: &[u8] = if *partition < watched.fixed { b"1" } else { b"0" };
            let words = [
                group,
                self.member.as_bytes(),
                ttl.as_bytes(),
                owner.as_bytes(),
                epoch.as_bytes(),
                beat.as_bytes(),
                fixed,
            ];
            pipeline.script(Script::Acquire, &keys, &words);
        }
        let sent = Instant::now();
        let mut failed = Ok(());
        for (partition, answer) in partitions
            .iter()
            .zip(self.link.each(&pipeline, self.limit()).await)
        {
            let checked = answer.and_then(|a| Ok((a.run_id, self.link.check(a.value)?)));
            let (run_id, reply) = match checked {
                Ok(answer) => answer,
                // What the others have answered is ours all the same.
                Err(error) => {
                    failed = Err(error);
                    continue;
                }
            };
            self.topics[topic].sightings[*partition as usize] = None;
            match reply.at(0).text() {
                Some("OK") => self.acquired(topic, *partition, sent, &run_id, &reply),
                Some("GONE") => self.topic_lost(topic),
                Some("NOGROUP") => return Err(self.group_lost(topic, *partition)),
                _ => {}
            }
        }
        failed
    }

    /// The group was destroyed together with what is known of it: where it was is lost, and nobody guesses.
    fn group_lost(&self, topic: usize, partition: u32) -> Error {
        let (group, topic) = (&self.group, &self.topics[topic].info.name);
        let sentence = format!(
            "group `{group}` and its position in partition {partition} of topic `{topic}` were deleted while it had members; \
             subscribe again to begin at the start that you choose"
        );
        Error::new(ErrorKind::GroupMissing, sentence)
    }

    fn acquired(&mut self, topic: usize, partition: u32, sent: Instant, run_id: &Arc<str>, reply: &Value) {
        let watched = &self.topics[topic];
        let epoch = reply.at(1).text().and_then(|e| e.parse().ok()).unwrap_or(0);
        let shard = Shard {
            topic: watched.index,
            partition,
            epoch,
        };
        let place = Place {
            topic: watched.info.name.clone(),
            stream: watched.streams[partition as usize].clone(),
            lease: watched.leases[partition as usize].clone(),
            run_id: run_id.clone(),
            counting: !watched.info.compact,
        };
        if reply.at(12).int() == Some(1) {
            tracing::warn!(group = %self.group, topic = &*place.topic, partition, "the group was destroyed; it goes on where it was");
        }
        Gained::read(reply).tell(&self.shared, shard, place, sent);
    }

    /// Gives back what should have been released by now.
    pub(super) async fn overdue(&mut self) -> Result<()> {
        let now = Instant::now();
        let late = |held: &&Held| held.losing.is_some_and(|until| now >= until);
        let late: Vec<_> = self
            .shared
            .lock()
            .held
            .values()
            .filter(late)
            .map(|h| (h.shard, h.lease.clone()))
            .collect();
        for (shard, lease) in late {
            self.shared.lose(shard);
            release(&self.link, &lease, &self.member, shard).await?;
        }
        Ok(())
    }
}
