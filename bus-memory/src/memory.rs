//! The backend: a handle to one memory bus.

use crate::{
    MemoryConfig,
    ack::{MAX_NOTES, MemberAck},
    admin::MemoryAdmin,
    broadcast::{Broadcast, BroadcastAck},
    group::Group,
    hub::Hub,
    inbox::Inbox,
    publisher::MemoryPublisher,
    registry,
    subscriber::{MemorySubscriber, Seat},
    topic::Topic,
    wakes::Wakes,
};
use async_trait::async_trait;
use bus_core::{
    Ack, Admin, Backend, Error, ErrorKind, Limits, Name, Publisher, Result, Scope, Source, Start, Subscriber,
    check_name,
};
use std::sync::Arc;

/// Output messages in one commit: as many as a subscription has in flight by default, 64 times.
const MAX_OUTPUTS: usize = 65_536;

/// A message bus in this process's memory. Clones are handles to the same bus; what it holds goes with the last of
/// them, and of the publishers, subscribers and admins it made.
#[derive(Clone, Debug)]
pub struct Memory {
    hub: Arc<Hub>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// A bus of its own, which nobody else can reach.
    pub fn new() -> Self {
        Self::with_config(MemoryConfig::default())
    }
    /// A bus of its own with these settings.
    pub fn with_config(config: MemoryConfig) -> Self {
        Self {
            hub: Arc::new(Hub::new(None, config)),
        }
    }
    /// The bus of that name in this process, made with the defaults if there is none.
    /// # Errors
    /// `Invalid` where the name is not one (letters, digits, `.`, `_`, `-`).
    pub fn named(name: &str) -> Result<Self> {
        Self::named_with(name, MemoryConfig::default())
    }
    /// The bus of that name in this process. The settings of whoever made it hold.
    /// # Errors
    /// `Invalid` where the name is not one.
    pub fn named_with(name: &str, config: MemoryConfig) -> Result<Self> {
        check_name(name)?;
        Ok(Self {
            hub: registry::open(name, config),
        })
    }
    /// `memory://` is a bus of its own, `memory://name` the one of that name; settings follow as a query, times in
    /// milliseconds: `memory://?session_timeout_ms=2000&max_messages=1000&when_full=drop_oldest`.
    ///
    /// ```
    /// use bus_memory::Memory;
    /// assert!(Memory::from_url("memory://orders?grace_ms=500").is_ok());
    /// assert!(Memory::from_url("memory://?no_such_setting=1").is_err());
    /// ```
    /// # Errors
    /// `Invalid` for another scheme, an illegal name, or a setting that does not exist or has no such value.
    pub fn from_url(url: &str) -> Result<Self> {
        Self::at_url(url, MemoryConfig::default().merge_url(url)?)
    }
    /// The bus that a URL names, with these settings: those of the URL are read by [`MemoryConfig::merge_url`].
    /// # Errors
    /// `Invalid` for another scheme or an illegal name.
    pub fn at_url(url: &str, config: MemoryConfig) -> Result<Self> {
        let (name, _) = crate::config::parts(url)?;
        match name.strip_suffix('/').unwrap_or(name) {
            "" => Ok(Self::with_config(config)),
            name => Self::named_with(name, config),
        }
    }

    /// Removes the records of a partition that lie before this position, as retention would, whoever has not read them
    /// yet: readers that had not get `DataLoss`.
    /// # Errors
    /// `TopicMissing`; `Invalid` for a partition that the topic does not have.
    pub fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        let mut wakes = Wakes::default();
        let found = self.hub.topic(topic)?;
        let place = found.partition(partition).ok_or_else(|| {
            let count = found.count();
            Error::invalid(format!(
                "topic `{topic}` has {count} partitions, and no {partition}"
            ))
        })?;
        let _gone = place.log.lock().trim(before, &mut wakes);
        Ok(())
    }

    fn join(&self, group: &Name, topics: &[Name], start: &Start) -> Result<(Seat, Arc<dyn Ack>, Arc<Inbox>)> {
        check_name(group)?;
        let hub = &self.hub;
        let inbox = Arc::new(Inbox::default());
        // Held until the member is known: a topic that is deleted or grows meanwhile would pass it by.
        let mut groups = hub.groups.lock();
        let topics = self.topics(topics)?;
        let known = groups.get(group).cloned();
        if known.is_none() && *start == Start::Stored {
            return Err(Error::new(
                ErrorKind::GroupMissing,
                format!("group `{group}` has no stored position; start it with another `Start` first"),
            ));
        }
        let joined = known.unwrap_or_else(|| Arc::new(Group::new(group.clone())));
        let member = joined.join(hub, &topics, start, &inbox)?;
        groups.entry(group.clone()).or_insert_with(|| joined.clone());
        let ack = MemberAck {
            hub: hub.clone(),
            group: joined.clone(),
            member,
            topics,
        };
        let seat = Seat::Group {
            group: joined,
            member,
        };
        Ok((seat, Arc::new(ack), inbox))
    }

    fn topics(&self, names: &[Name]) -> Result<Vec<Arc<Topic>>> {
        names.iter().map(|name| self.hub.topic(name)).collect()
    }

    fn open(
        &self,
        partitions: Option<Vec<u32>>,
        topics: &[Name],
        start: &Start,
    ) -> Result<(Seat, Arc<dyn Ack>, Arc<Inbox>)> {
        let hub = &self.hub;
        let inbox = Arc::new(Inbox::default());
        // Held until the reader is known: a topic that is deleted or grows meanwhile would pass it by.
        let _groups = hub.groups.lock();
        let topics = self.topics(topics)?;
        let mut broadcasts = hub.broadcasts.lock();
        let broadcast = Broadcast::open(hub, &topics, partitions, start, inbox.clone())?;
        let broadcast = Arc::new(broadcast);
        let number = hub.number();
        broadcasts.insert(number, broadcast.clone());
        let ack = BroadcastAck(broadcast.clone());
        Ok((Seat::Everyone { number, broadcast }, Arc::new(ack), inbox))
    }
}

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn limits(&self) -> Limits {
        Limits {
            notes: MAX_NOTES,
            message: self.hub.config.message_limit(),
            outputs: MAX_OUTPUTS,
        }
    }
    async fn publisher(&self) -> Result<Arc<dyn Publisher>> {
        Ok(Arc::new(MemoryPublisher::new(self.hub.clone())))
    }
    async fn subscribe(&self, source: Source) -> Result<(Box<dyn Subscriber>, Arc<dyn Ack>)> {
        if source.topics.is_empty() {
            return Err(Error::invalid("a subscription needs at least one topic"));
        }
        for (at, name) in source.topics.iter().enumerate() {
            if source.topics[..at].contains(name) {
                return Err(Error::invalid(format!("topic `{name}` is listed twice")));
            }
        }
        let (seat, ack, inbox) = match source.scope {
            Scope::Group(group) => self.join(&group, &source.topics, &source.start)?,
            Scope::Everyone { partitions } => self.open(partitions, &source.topics, &source.start)?,
        };
        let subscriber = MemorySubscriber::new(self.hub.clone(), seat, inbox);
        Ok((Box::new(subscriber), ack))
    }
    fn admin(&self) -> Arc<dyn Admin> {
        Arc::new(MemoryAdmin::new(self.hub.clone()))
    }
    fn health(&self) -> Result<()> {
        Ok(())
    }
}
