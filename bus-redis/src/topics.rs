//! What is known of topics: their descriptors, cached for a while.

use crate::{
    RedisConfig, keys,
    wire::{Link, Pipeline, Value},
};
use bus_core::{Error, ErrorKind, Name, Result, TopicSpec};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a descriptor is believed: partitions that were added are used after this time at most. A topic that was
/// deleted is noticed at once, because publishing makes no stream.
const FRESH: Duration = Duration::from_secs(5);

/// A topic, as its descriptor says, or a plain stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicInfo {
    pub(crate) name: Name,
    /// Made anew with the topic; empty for a stream without a descriptor.
    pub(crate) id: String,
    pub(crate) partitions: u32,
    first: String,
    rest: String,
    pub(crate) retention: Option<Duration>,
    pub(crate) compact: bool,
}

impl TopicInfo {
    /// The key of a partition's stream.
    pub(crate) fn stream(&self, partition: u32) -> String {
        match partition {
            0 => self.first.clone(),
            _ => self.rest.replace('%', &partition.to_string()),
        }
    }
    /// The keys of all partitions' streams.
    pub(crate) fn streams(&self) -> Vec<String> {
        (0..self.partitions).map(|p| self.stream(p)).collect()
    }
    /// The same topic with so many partitions.
    pub(crate) fn with_partitions(&self, partitions: u32) -> Self {
        Self {
            partitions,
            ..self.clone()
        }
    }
    /// As `Admin::topics` tells it.
    pub(crate) fn spec(&self) -> TopicSpec {
        let mut spec = TopicSpec::new(self.name.clone())
            .partitions(self.partitions)
            .compact(self.compact);
        spec.retention = self.retention;
        spec
    }
    fn plain(name: &str) -> Self {
        Self {
            name: name.into(),
            id: String::new(),
            partitions: 1,
            first: name.into(),
            rest: String::new(),
            retention: None,
            compact: false,
        }
    }
    fn read(name: &str, fields: &Value) -> Option<Self> {
        let text = |name: &str| fields.field(name).text().unwrap_or_default().to_owned();
        let millis = fields.field("retention").int().filter(|ms| *ms > 0);
        Some(Self {
            name: name.into(),
            id: text("id"),
            partitions: u32::try_from(fields.field("partitions").int()?)
                .ok()
                .filter(|p| *p > 0)?,
            first: text("first"),
            rest: text("rest"),
            retention: millis.map(|ms| Duration::from_millis(ms as u64)),
            compact: fields.field("compact").int() == Some(1),
        })
    }
}

/// The cache, and the connection that fills it.
#[derive(Debug)]
pub(crate) struct Topics {
    link: Arc<Link>,
    address: String,
    known: Mutex<HashMap<Name, (Instant, Arc<TopicInfo>)>>,
}

impl Topics {
    /// An empty cache.
    pub(crate) fn new(config: &RedisConfig, link: Arc<Link>) -> Self {
        Self {
            link,
            address: config.address(),
            known: Mutex::default(),
        }
    }

    /// The topic where it was looked up lately.
    pub(crate) fn cached(&self, name: &str) -> Option<Arc<TopicInfo>> {
        let known = self.known.lock();
        let (at, info) = known.get(name)?;
        (at.elapsed() < FRESH).then(|| info.clone())
    }
    /// Forgets a topic that turned out to be gone.
    pub(crate) fn forget(&self, name: &str) {
        self.known.lock().remove(name);
    }
    /// The topic, from the cache or the server. `TopicMissing` where there is neither a descriptor nor a stream.
    pub(crate) async fn get(&self, name: &str) -> Result<Arc<TopicInfo>> {
        match self.cached(name) {
            Some(info) => Ok(info),
            None => self.look_up(name).await,
        }
    }
    /// The topic, from the server.
    pub(crate) async fn look_up(&self, name: &str) -> Result<Arc<TopicInfo>> {
        let found = self.look_up_all(&[name]).await?.pop();
        found.unwrap_or_else(|| Err(Error::topic_missing(name)))
    }
    /// Topics, from the server, in one round trip: an answer for each.
    pub(crate) async fn look_up_all(&self, names: &[&str]) -> Result<Vec<Result<Arc<TopicInfo>>>> {
        let mut pipeline = Pipeline::new();
        for name in names {
            pipeline
                .add(&[b"HGETALL", keys::descriptor(name).as_bytes()])
                .add(&[b"TYPE", name.as_bytes()]);
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut values = self.link.call(&pipeline).await?.into_iter();
        let mut next = || values.next().unwrap_or(Value::Nil);
        Ok(names
            .iter()
            .map(|name| self.learn(name, next(), next()))
            .collect())
    }
    /// What the server says of a topic.
    fn learn(&self, name: &str, fields: Value, kind: Value) -> Result<Arc<TopicInfo>> {
        let (kind, fields) = (self.link.check(kind)?, self.link.check(fields)?);
        let info = if !fields.list().is_empty() {
            TopicInfo::read(name, &fields).ok_or_else(|| {
                let key = keys::descriptor(name);
                let sentence = format!(
                    "redis at {}: key `{key}` is not a topic's descriptor; rename that key",
                    self.address
                );
                Error::new(ErrorKind::Conflict, sentence)
            })?
        } else {
            match kind.text() {
                Some("stream") => TopicInfo::plain(name),
                Some("none") => {
                    self.forget(name);
                    return Err(Error::topic_missing(name));
                }
                other => {
                    let kind = other.unwrap_or("value");
                    let sentence = format!(
                        "redis at {}: key `{name}` holds a {kind}, not a stream; choose another topic",
                        self.address
                    );
                    return Err(Error::new(ErrorKind::Conflict, sentence));
                }
            }
        };
        let info = Arc::new(info);
        self.known
            .lock()
            .insert(info.name.clone(), (Instant::now(), info.clone()));
        Ok(info)
    }
}

#[cfg(test)]
pub(crate) fn plain_for_tests(name: &str) -> TopicInfo {
    TopicInfo::plain(name)
}
