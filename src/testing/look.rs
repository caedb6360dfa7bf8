//! One look at all groups of some buses.

use bus_core::{Bus, Bytes, Error, ErrorKind, Expired, Name, Raw, Result, Start, Topic, TopicLag};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// Whose wait is bounded elsewhere.
const LONG: Duration = Duration::from_secs(3600);

/// How much a partition held when a group was looked at.
pub(super) type Seen = (usize, Name, Name, u32, u128);

/// What is remembered between looks.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Whether there is a message between these positions of a partition of a bus; `None`: nobody has looked.
    tails: HashMap<(usize, Name, u32, u128, u128), Option<bool>>,
    partitions: HashMap<(usize, Name), usize>,
}

impl Look {
    /// How much the partitions held, and what is left to do.
    pub(super) async fn at(&mut self, buses: &[&Bus]) -> Result<(Vec<Seen>, Vec<String>)> {
        let (mut seen, mut left) = (Vec::new(), Vec::new());
        for (number, bus) in buses.iter().enumerate() {
            let asked = self.one(number, bus, &mut seen, &mut left).await;
            match asked {
                Err(error) if error.is_transient() => left.push(error.to_string()),
                asked => asked?,
            }
        }
        Ok((seen, left))
    }
    async fn one(
        &mut self,
        number: usize,
        bus: &Bus,
        seen: &mut Vec<Seen>,
        left: &mut Vec<String>,
    ) -> Result<()> {
        let groups = groups(bus).await?;
        let unstored = bus.flush(LONG).await?;
        if let Some((topic, error)) = unstored.errors.into_iter().next() {
            let context = format!(
                "{} enqueued messages were not stored; the first, for `{topic}`",
                unstored.messages
            );
            return Err(Error::from(error).context(context));
        }
        let topics: BTreeSet<Name> = groups.values().flatten().cloned().collect();
        for (group, topics) in groups {
            for topic in topics {
                let partitions = self.partitions(number, bus, &topic).await?;
                let partitions = partitions.ok_or_else(|| Error::topic_missing(&topic))?;
                self.group(number, bus, (&group, &topic, partitions), seen, left)
                    .await?;
            }
        }
        // Those who move what is delayed have groups of the same name.
        for topic in topics {
            let delays: Name = format!("{topic}.delay").into();
            if let Some(partitions) = self.partitions(number, bus, &delays).await? {
                self.group(number, bus, (&delays, &delays, partitions), seen, left)
                    .await?;
            }
        }
        // Last, because what was behind a moment ago may be at work by now.
        for control in bus.subscriptions() {
            let working = control.stats().working;
            if working > 0 {
                let group = control.group().map_or("", |group| group);
                left.push(format!(
                    "group `{group}` is at work on {working} messages that it acknowledged before"
                ));
            }
        }
        Ok(())
    }
    async fn group(
        &mut self,
        number: usize,
        bus: &Bus,
        (group, topic, partitions): (&Name, &Name, usize),
        seen: &mut Vec<Seen>,
        left: &mut Vec<String>,
    ) -> Result<()> {
        let lag = match bus.admin().lag(group).await {
            Ok(lag) => lag,
            Err(error) if error.kind() == ErrorKind::GroupMissing => Vec::new(),
            Err(error) => return Err(error),
        };
        let ours: Vec<_> = lag.iter().filter(|lag| lag.topic == *topic).collect();
        // A group has a position everywhere once its members have begun.
        if ours.len() < partitions {
            left.push(format!("group `{group}` has not begun to read `{topic}`"));
        }
        for at in ours {
            seen.push((number, group.clone(), topic.clone(), at.partition, at.end));
            if at.behind > 0 && self.has_tail(number, bus, at).await? {
                let TopicLag {
                    partition, behind, ..
                } = at;
                left.push(format!(
                    "group `{group}` is {behind} behind in {topic}[{partition}]"
                ));
            }
        }
        Ok(())
    }
    /// How many partitions a topic has; `None`: there is no such topic yet.
    async fn partitions(&mut self, number: usize, bus: &Bus, topic: &Name) -> Result<Option<usize>> {
        let place = (number, topic.clone());
        if let Some(known) = self.partitions.get(&place) {
            return Ok(Some(*known));
        }
        match bus.admin().positions(topic, Start::Latest).await {
            Ok(positions) => {
                self.partitions.insert(place, positions.len());
                Ok(Some(positions.len()))
            }
            Err(error) if error.kind() == ErrorKind::TopicMissing => Ok(None),
            Err(error) => Err(error),
        }
    }
    /// Whether there is a message behind a position. Kafka counts what stands for the end of a transaction too, and that no
    /// group ever reads.
    async fn has_tail(&mut self, number: usize, bus: &Bus, at: &TopicLag) -> Result<bool> {
        let place = (number, at.topic.clone(), at.partition, at.position, at.end);
        match self.tails.get(&place) {
            Some(Some(has)) => return Ok(*has),
            Some(None) => {}
            // It is somebody's work, most likely: reading costs more than a second look.
            None => {
                self.tails.insert(place, None);
                return Ok(true);
            }
        }
        let topic: Topic<Bytes, Raw> = Topic::named(&*at.topic);
        let from = Start::Positions(BTreeMap::from([(at.partition, at.position)]));
        let tail = bus.observe(&topic).partitions([at.partition]).start(from);
        let mut tail = tail.until(Start::Latest).on_expired(Expired::Deliver).await?;
        let has = tail.next().await.transpose()?.is_some();
        self.tails.insert(place, Some(has));
        Ok(has)
    }
}

/// The groups of a bus that have members here, with what these read; what they have acknowledged is stored.
async fn groups(bus: &Bus) -> Result<BTreeMap<Name, BTreeSet<Name>>> {
    let mut groups: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    for control in bus.subscriptions() {
        let Some(group) = control.group() else { continue };
        if let Some(error) = control.failure() {
            return Err(error.context(format!("a subscription of group `{group}` ended")));
        }
        // A drain may end it meanwhile; an error is said.
        if control.flush().await.is_err()
            && let Some(error) = control.failure()
        {
            return Err(error.context(format!("a subscription of group `{group}` ended")));
        }
        groups.entry(group.clone()).or_default().extend(control.topics());
    }
    Ok(groups)
}
