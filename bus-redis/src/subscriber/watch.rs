//! What a member sees of a topic's leases, and how many of them are its share.

use crate::{keys, topics::TopicInfo, wire::Value};
use bus_core::partition::crc32;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A topic as one member sees it.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) index: u32,
    pub(crate) info: Arc<TopicInfo>,
    pub(crate) streams: Vec<Arc<str>>,
    pub(crate) leases: Vec<Arc<str>>,
    pub(crate) sightings: Vec<Option<Sighting>>,
    /// In so many partitions the group's start was fixed when it was joined.
    pub(crate) fixed: u32,
    /// It was deleted or made anew.
    pub(crate) lost: bool,
}

/// A lease of somebody else, and since when it has looked like this on our own clock.
#[derive(Debug)]
pub(crate) struct Sighting {
    words: [String; 3],
    ttl: Duration,
    since: Instant,
}

impl Sighting {
    /// Owner, epoch and beat: what a takeover compares with.
    pub(crate) fn words(&self) -> [&str; 3] {
        self.words.each_ref().map(String::as_str)
    }
}

impl Watched {
    pub(crate) fn new(index: u32, info: Arc<TopicInfo>, group: &str) -> Self {
        let mut watched = Self {
            index,
            info: info.clone(),
            streams: Vec::new(),
            leases: Vec::new(),
            sightings: Vec::new(),
            fixed: info.partitions,
            lost: false,
        };
        watched.update(info, group);
        watched
    }

    /// The topic has more partitions now.
    pub(crate) fn update(&mut self, info: Arc<TopicInfo>, group: &str) {
        for partition in self.streams.len() as u32..info.partitions {
            let stream = info.stream(partition);
            self.leases.push(keys::lease(&stream, group).into());
            self.streams.push(stream.into());
            self.sightings.push(None);
        }
        self.info = info;
    }

    /// What a lease that is not ours looks like now.
    pub(crate) fn sight(&mut self, partition: u32, reply: &Value, now: Instant) {
        let Some(slot) = self.sightings.get_mut(partition as usize) else {
            return;
        };
        let word = |i: usize| reply.at(i).text().unwrap_or_default();
        let words = [word(0), word(1), word(2)];
        if slot.as_ref().is_none_or(|seen| seen.words() != words) {
            let ttl = Duration::from_millis(reply.at(3).int().unwrap_or(0).max(0) as u64);
            *slot = Some(Sighting {
                words: words.map(str::to_owned),
                ttl,
                since: now,
            });
        }
    }
    /// Whether a partition is free, or its owner has shown no life for its whole ttl, or is `member` itself: what it
    /// does not hold any more, as after a restart of the server, nobody else can be using.
    pub(crate) fn takeable(&self, partition: u32, member: &str, now: Instant) -> bool {
        let seen = self.sightings.get(partition as usize).and_then(Option::as_ref);
        seen.is_some_and(|seen| {
            let owner = &seen.words[0];
            owner.is_empty() || owner == member || now.duration_since(seen.since) > seen.ttl
        })
    }
    /// After a change of the server's history what was seen proves nothing.
    pub(crate) fn forget_sighting(&mut self, partition: u32) {
        if let Some(seen) = self.sightings.get_mut(partition as usize) {
            *seen = None;
        }
    }
}

/// How many of `partitions` are this member's. The remainder goes to different members on different topics.
pub(crate) fn quota(member: &str, live: &[String], topic: &str, partitions: u32) -> usize {
    let mut live: Vec<&str> = live.iter().map(String::as_str).collect();
    if !live.contains(&member) {
        live.push(member);
    }
    live.sort_unstable();
    let rank = live.iter().position(|id| *id == member).unwrap_or(0);
    let rank = (rank + crc32(topic.as_bytes()) as usize) % live.len();
    let partitions = partitions as usize;
    partitions / live.len() + usize::from(rank < partitions % live.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_add_up_and_differ_by_one_at_most() {
        for members in 1..7 {
            let live: Vec<String> = (0..members).map(|i| format!("m{i}")).collect();
            for partitions in [1u32, 4, 7, 12] {
                let quotas: Vec<usize> = live
                    .iter()
                    .map(|m| quota(m, &live, "orders", partitions))
                    .collect();
                assert_eq!(quotas.iter().sum::<usize>(), partitions as usize);
                assert!(quotas.iter().max().unwrap() - quotas.iter().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn a_lease_is_taken_only_after_a_whole_ttl_without_change() {
        let info = Arc::new(TopicInfo::clone(&crate::topics::plain_for_tests("orders")));
        let mut watched = Watched::new(0, info, "g");
        let lease = |beat: &str| Value::List(["a", "7", beat, "1000"].map(|w| Value::Text(w.into())).into());
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert!(!watched.takeable(0, "me", start), "nothing was seen");
        watched.sight(0, &lease("1"), start);
        watched.sight(0, &lease("1"), after(900));
        assert!(!watched.takeable(0, "me", after(1000)));
        assert!(watched.takeable(0, "me", after(1001)));
        watched.sight(0, &lease("2"), after(1002));
        assert!(!watched.takeable(0, "me", after(2000)));
        assert!(watched.takeable(0, "a", after(1002)), "its own");
        watched.sight(0, &Value::List(vec![Value::Nil; 4]), after(2001));
        assert!(watched.takeable(0, "me", after(2001)), "nobody owns it");
    }
}
