//! Which dead letters are meant.

use super::{DeadLetter, OpenLetters, Replay, fate::Action, filter::Filter};
use crate::{Bus, Error, ErrorKind, Name, Result, Start, clock, subscribe::derived, topic::PARKED};
use bytes::Bytes;
use std::{collections::BTreeMap, fmt, time::Duration, time::SystemTime};

/// How long a question is asked again while the broker cannot be reached.
const ASK: Duration = Duration::from_secs(15);

/// The open dead letters of a topic and group, all or some of them; made by [`Bus::dead_letters`].
///
/// Open are those that were neither replayed nor parked. Filters narrow it down: several values of one filter mean any
/// of them, several filters all of them.
#[derive(Clone)]
#[must_use = "it says which dead letters; `read`, `replay` or `park` does something with them"]
pub struct DeadLetters {
    pub(super) bus: Bus,
    pub(super) topic: Name,
    pub(super) group: Name,
    kept: Option<Name>,
    pub(super) parked: bool,
    filter: Filter,
}

impl DeadLetters {
    pub(crate) fn new(bus: Bus, topic: &str, group: &str) -> Self {
        Self {
            bus,
            topic: topic.into(),
            group: group.into(),
            kept: None,
            parked: false,
            filter: Filter::default(),
        }
    }
    /// The group keeps them in this topic, as [`Subscribe::dead_letter`](crate::Subscribe::dead_letter) said; those of
    /// other topics and groups in it are left alone.
    pub fn kept_in(mut self, topic: impl Into<Name>) -> Self {
        self.kept = Some(topic.into());
        self
    }
    /// Those that were parked instead. Nothing replays them by itself; a [`replay`](Self::replay) that is asked for here
    /// puts them back, and their count goes on rising.
    pub fn parked(mut self) -> Self {
        self.parked = true;
        self
    }
    /// Only those with this reason: `max-attempts`, `rejected`, `undecodable`, `expired`.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.filter.reasons.insert(reason.into());
        self
    }
    /// Only those with this key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.filter.keys.insert(key.into());
        self
    }
    /// Only those that were given up at this time or later.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.filter.since = Some(clock::millis_of(time));
        self
    }
    /// Only those that were given up before this time.
    pub fn before(mut self, time: SystemTime) -> Self {
        self.filter.before = Some(clock::millis_of(time));
        self
    }
    /// Only those that come from this partition.
    pub fn partition(mut self, partition: u32) -> Self {
        self.filter.partitions.insert(partition);
        self
    }
    /// Only the one with this [id](DeadLetter::id).
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.filter.ids.insert(id.into());
        self
    }
    /// The topic in which they lie: `<topic>.<group>.dlq`, with `.parked` behind it for those that were parked.
    pub fn stored_in(&self) -> Name {
        match self.parked {
            true => self.parking(),
            false => self.letters(),
        }
    }
    /// Those that are open now, in the order of each partition's log. Read as an observer: no trace is left.
    /// # Errors
    /// `TopicMissing` where the group has no topic of dead letters; what the backend says.
    pub async fn read(&self) -> Result<OpenLetters> {
        OpenLetters::new(self.clone()).await
    }
    /// Puts them back where they came from.
    pub fn replay(&self) -> Replay {
        Replay::new(self.clone(), Action::PutBack)
    }
    /// Moves them to `<dlq>.parked`, where no replay of dead letters finds them.
    pub fn park(&self) -> Replay {
        Replay::new(self.clone(), Action::Park)
    }

    /// Whether this one is meant. What says nothing of its group or topic is in this topic for some reason.
    pub(super) fn wants(&self, letter: &DeadLetter) -> bool {
        letter.group.as_ref().is_none_or(|group| **group == *self.group)
            && letter
                .origin
                .as_ref()
                .is_none_or(|origin| origin.topic == self.topic)
            && self.filter.wants(letter)
    }
    /// The topic of dead letters, whether or not the parked ones are meant.
    fn letters(&self) -> Name {
        let kept = self.kept.clone();
        kept.unwrap_or_else(|| derived(&self.topic, &self.group))
    }
    /// Where they are parked.
    pub(super) fn parking(&self) -> Name {
        format!("{}{PARKED}", self.letters()).into()
    }
    /// The group that takes them.
    pub(super) fn replayer(&self) -> Name {
        format!("{}.replay", self.stored_in()).into()
    }
    /// How far the partitions were dealt with in which something was.
    pub(super) async fn dealt_with(&self) -> Result<BTreeMap<u32, Dealt>> {
        self.positions(&self.replayer(), &self.stored_in()).await
    }
    /// # Errors
    /// `GroupMissing`: who gave them up does not read the topic any more, so nobody would handle what comes back for it.
    pub(super) async fn has_a_reader(&self) -> Result<()> {
        let (topic, group) = (&self.topic, &self.group);
        if !self.positions(group, topic).await?.is_empty() {
            return Ok(());
        }
        let text = format!(
            "group `{group}` has no position on `{topic}`, so nobody would handle what is replayed for it: replay for \
             every group, or into a topic that you name"
        );
        Err(Error::new(ErrorKind::GroupMissing, text))
    }
    /// A group's positions on a topic; none where there is no such group.
    async fn positions(&self, group: &str, topic: &str) -> Result<BTreeMap<u32, Dealt>> {
        let admin = self.bus.admin();
        let lag = match crate::again(ASK, || admin.lag(group)).await {
            Err(error) if error.kind() == ErrorKind::GroupMissing => Vec::new(),
            lag => lag?,
        };
        let of_topic = lag.into_iter().filter(|lag| *lag.topic == *topic);
        let dealt = of_topic.map(|lag| {
            let (next, behind) = (lag.position, lag.behind);
            (lag.partition, Dealt { next, behind })
        });
        Ok(dealt.collect())
    }
    /// How many partitions a topic has.
    pub(super) async fn partitions(&self, topic: &str) -> Result<u32> {
        let admin = self.bus.admin();
        let positions = crate::again(ASK, || admin.positions(topic, Start::Earliest)).await?;
        Ok(positions.len() as u32)
    }
    /// There is no such topic of dead letters.
    pub(super) fn missing(&self) -> Error {
        let (stored, topic, group) = (self.stored_in(), &self.topic, &self.group);
        let what = if self.parked { "parked" } else { "dead letters" };
        let text = format!(
            "topic `{stored}` does not exist: group `{group}` has no {what} of `{topic}`, or keeps them in a topic that has \
             to be named"
        );
        Error::new(ErrorKind::TopicMissing, text)
    }
}

/// How far one partition was dealt with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dealt {
    /// The first open position.
    pub(super) next: u128,
    /// Records from there on.
    pub(super) behind: u64,
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters")
            .field("topic", &self.stored_in())
            .finish_non_exhaustive()
    }
}
