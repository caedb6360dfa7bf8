//! What a topic holds.

use bus_core::{
    BoxFuture, Bytes, Codec, Error, Expired, HeadersView, Need, Raw, Record, Result, Start, Topic, position,
};
use std::{collections::VecDeque, ops::Deref};

/// A topic of which everything can be read: a [`Topic`] for its values, or a topic's name for bytes as they are.
pub trait Readable {
    /// What is read.
    type Value;
    /// The topic's name.
    fn name(&self) -> &str;
    /// The value of a record.
    /// # Errors
    /// What the codec says.
    fn decode(&self, record: &Record) -> Result<Self::Value>;
    /// What fetches what that needs first, where its codec can.
    fn ready(&self, need: &Need) -> Option<BoxFuture<'static, Result<()>>> {
        let _ = need;
        None
    }
}

impl<T, C: Codec<T>> Readable for Topic<T, C> {
    type Value = T;
    fn name(&self) -> &str {
        self.name()
    }
    fn decode(&self, record: &Record) -> Result<T> {
        self.codec().decode(record)
    }
    fn ready(&self, need: &Need) -> Option<BoxFuture<'static, Result<()>>> {
        self.codec().ready(need)
    }
}

impl Readable for str {
    type Value = Bytes;
    fn name(&self) -> &str {
        self
    }
    fn decode(&self, record: &Record) -> Result<Bytes> {
        Raw.decode(record)
    }
}

/// A message that a topic holds; derefs to its value.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    value: T,
    record: Record,
    partition: u32,
}

impl<T> Stored<T> {
    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }
    /// The value, owned.
    pub fn into_value(self) -> T {
        self.value
    }
    /// The key.
    pub fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }
    /// The key as text, if it is text.
    pub fn key_text(&self) -> Option<&str> {
        self.key().and_then(|key| std::str::from_utf8(key).ok())
    }
    /// The payload as it is; `None` is a tombstone.
    pub fn payload(&self) -> Option<&[u8]> {
        self.record.payload()
    }
    /// The payload, read as JSON.
    /// # Errors
    /// `Undecodable`.
    #[cfg(feature = "json")]
    pub fn json<V: serde::de::DeserializeOwned>(&self) -> Result<V> {
        crate::codec::from_json(&self.record)
    }
    /// The headers.
    pub fn headers(&self) -> HeadersView<'_> {
        self.record.headers()
    }
    /// The partition.
    pub fn partition(&self) -> u32 {
        self.partition
    }
    /// The position in it.
    pub fn position(&self) -> u128 {
        self.record.position()
    }
    /// Milliseconds since 1970 UTC.
    pub fn timestamp(&self) -> i64 {
        self.record.timestamp()
    }
    /// The record as it is stored.
    pub fn record(&self) -> &Record {
        &self.record
    }
}

impl<T> Deref for Stored<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Everything that a topic holds now, in order: each partition in its order, and partitions among each other by the
/// messages' timestamps. Of a [`Topic`] its values, of a topic's name bytes. Who reads it leaves no trace, and groups do not
/// matter. The bus may be any one, on any backend; what retention or compaction took is gone.
///
/// ```
/// # #[cfg(all(feature = "memory", feature = "json"))]
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{Topic, testing};
/// const ORDERS: Topic<String> = Topic::new("orders").partitions(4);
/// let bus = testing::bus().await?;
/// bus.ensure_topics([ORDERS.spec()]).await?;
/// bus.publish(&ORDERS, &"bread".to_owned()).key("ada").await?;
///
/// let orders = testing::published(&bus, &ORDERS).await?;
/// assert_eq!((orders.len(), orders[0].as_str(), orders[0].key_text()), (1, "bread", Some("ada")));
/// let raw = testing::published(&bus, "orders").await?;
/// assert_eq!(&raw[0][..], b"\"bread\"");
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
/// # Errors
/// `TopicMissing`; `Undecodable`, with the place of the message that the codec refuses; what reading says.
pub async fn published<R>(bus: &bus_core::Bus, topic: &R) -> Result<Vec<Stored<R::Value>>>
where
    R: Readable + ?Sized,
{
    let mut all = Vec::new();
    for (partition, record) in merged(everything(bus, topic.name()).await?) {
        let place = || {
            let position = position::format(record.position());
            format!("{}[{partition}] at {position}", topic.name())
        };
        let in_place = |error: Error| error.context(place());
        if let Some(ready) = topic
            .decode(&record)
            .err()
            .and_then(|error| topic.ready(error.need()?))
        {
            ready.await.map_err(in_place)?;
        }
        let value = topic.decode(&record).map_err(in_place)?;
        all.push(Stored {
            value,
            record,
            partition,
        });
    }
    Ok(all)
}

/// What each partition holds.
async fn everything(bus: &bus_core::Bus, topic: &str) -> Result<Vec<(u32, VecDeque<Record>)>> {
    let raw: Topic<Bytes, Raw> = Topic::named(topic);
    let all = bus.observe(&raw).start(Start::Earliest).until(Start::Latest);
    let mut all = all.on_expired(Expired::Deliver).await?;
    let mut partitions: Vec<(u32, VecDeque<Record>)> = Vec::new();
    while let Some(delivery) = all.next().await {
        let delivery = delivery?;
        let (partition, record) = (delivery.partition(), delivery.record().clone());
        delivery.ack();
        match partitions.iter_mut().find(|(number, _)| *number == partition) {
            Some((_, records)) => records.push_back(record),
            None => partitions.push((partition, [record].into())),
        }
    }
    for (_, records) in &mut partitions {
        records.make_contiguous().sort_by_key(Record::position);
    }
    partitions.sort_by_key(|(number, _)| *number);
    Ok(partitions)
}

/// The oldest head of all, again and again.
fn merged(mut partitions: Vec<(u32, VecDeque<Record>)>) -> impl Iterator<Item = (u32, Record)> {
    std::iter::from_fn(move || {
        let heads = partitions.iter_mut().filter(|(_, records)| !records.is_empty());
        let (number, records) = heads.min_by_key(|(_, records)| records.front().map(Record::timestamp))?;
        Some((*number, records.pop_front()?))
    })
}
