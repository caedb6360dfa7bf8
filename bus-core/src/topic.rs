//! Topics: a name, a payload type and a codec in one constant, and what a backend needs to create one.

use crate::{Codec, Draft, Error, Message, Name, Result, codec::Stateless};
use std::{borrow::Cow, marker::PhantomData, time::Duration};

/// What a topic is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicSpec {
    /// Its name.
    pub name: Name,
    /// Partitions, at least 1 (default 1: what keeps order for everybody).
    pub partitions: u32,
    /// Copies on different brokers (default `None`: the broker's own default). Redis and memory have one.
    pub replication: Option<u16>,
    /// How long records are kept (default `None`: the backend's own default).
    pub retention: Option<Duration>,
    /// Keep the newest record of each key instead of deleting by age (default no).
    pub compact: bool,
}

impl TopicSpec {
    /// A topic with one partition and the backend's defaults.
    pub fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            partitions: 1,
            replication: None,
            retention: None,
            compact: false,
        }
    }
    /// Sets the number of partitions.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }
    /// Sets the number of copies.
    pub fn replication(mut self, copies: u16) -> Self {
        self.replication = Some(copies);
        self
    }
    /// Sets how long records are kept.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }
    /// Keeps the newest record of each key.
    pub fn compact(mut self, compact: bool) -> Self {
        self.compact = compact;
        self
    }
    /// Checks what every backend needs: a legal name and at least one partition.
    /// # Errors
    /// `Invalid`, with the rule.
    pub fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        if self.partitions == 0 {
            return Err(Error::invalid(format!(
                "topic `{}` needs at least one partition",
                self.name
            )));
        }
        Ok(())
    }
}

/// Checks a topic's or group's name by Kafka's rule for topics: `[A-Za-z0-9._-]`, 1 to 249 bytes, not `.` or `..`.
/// # Errors
/// `Invalid`, with the rule.
pub fn check_name(name: &str) -> Result<()> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.bytes().all(legal) {
        return Err(Error::invalid(format!(
            "illegal name `{}`: use 1 to 249 of the characters A-Z a-z 0-9 . _ -, and not `.` or `..`",
            name.escape_debug()
        )));
    }
    Ok(())
}

/// What the names of topics end in that the bus derives from others: dead letters, parked ones, delays.
pub const DERIVED: [&str; 3] = [LETTERS, PARKED, ".delay"];
const LETTERS: &str = ".dlq";
/// What is behind the name of a topic of dead letters where those are parked that came back too often.
pub(crate) const PARKED: &str = ".parked";

/// Whether the bus derived this topic from another one: patterns and lists of an application's topics leave it out. It is
/// one whose name ends in `.dlq`, `.dlq.parked` or `.delay`; a topic `cars.parked` is an application's own.
pub fn is_derived(name: &str) -> bool {
    match name.strip_suffix(PARKED) {
        Some(letters) => letters.ends_with(LETTERS),
        None => derived_from(name).is_some(),
    }
}

/// What the name of a derived topic begins with, all that the bus put behind it taken away: `orders.billing` for
/// `orders.billing.dlq.parked`. For dead letters the group's name is still at its end. Dead letters may lie in a topic of
/// any name, and are parked beside it: so `letters.parked` begins with `letters` here, and is not
/// [derived](is_derived) by its name.
pub fn derived_from(name: &str) -> Option<&str> {
    let shorter = |name: &str| {
        DERIVED
            .iter()
            .find_map(|end| name.len().checked_sub(end.len()).filter(|_| name.ends_with(end)))
    };
    let mut base = &name[..shorter(name)?];
    while let Some(length) = shorter(base) {
        base = &base[..length];
    }
    Some(base)
}

/// A topic as an application names it: usable as a constant.
pub struct Topic<T, C> {
    name: Cow<'static, str>,
    partitions: u32,
    replication: Option<u16>,
    retention: Option<Duration>,
    compact: bool,
    codec: C,
    payload: PhantomData<fn(T) -> T>,
}

impl<T, C: Stateless> Topic<T, C> {
    /// A topic with one partition. The name is checked where it is used, because a constant cannot fail.
    pub const fn new(name: &'static str) -> Self {
        Self::from_parts(Cow::Borrowed(name), C::CODEC)
    }
    /// A topic of events: what happened, kept by age ([`retention`](Self::retention)), for any number of groups. The same as
    /// [`new`](Self::new), and says what it is for.
    pub const fn event(name: &'static str) -> Self {
        Self::new(name)
    }
    /// A topic of commands: what is to be done, by one group, kept by age. The same as [`new`](Self::new), and says what it is
    /// for.
    pub const fn command(name: &'static str) -> Self {
        Self::new(name)
    }
    /// A topic of state: the newest record of each key is kept, however old it is ([`compact`](Self::compact)), and read to
    /// its end before serving ([`Control::caught_up`](crate::Control::caught_up)).
    ///
    /// ```
    /// use bus_core::{Raw, Topic};
    /// const PRICES: Topic<String, Raw> = Topic::state("prices").partitions(4);
    /// assert!(PRICES.spec().compact && !Topic::<String, Raw>::event("orders").spec().compact);
    /// ```
    pub const fn state(name: &'static str) -> Self {
        Self::new(name).compact()
    }
    /// A topic whose name is known at run time.
    pub fn named(name: impl Into<String>) -> Self {
        Self::from_parts(Cow::Owned(name.into()), C::CODEC)
    }
}

impl<T, C> Topic<T, C> {
    const fn from_parts(name: Cow<'static, str>, codec: C) -> Self {
        Self {
            name,
            partitions: 1,
            replication: None,
            retention: None,
            compact: false,
            codec,
            payload: PhantomData,
        }
    }
    /// A topic with a codec that has state, such as a registry client.
    pub fn with_codec(name: impl Into<Cow<'static, str>>, codec: C) -> Self {
        Self::from_parts(name.into(), codec)
    }
    /// Sets the number of partitions it is created with (default 1).
    pub const fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }
    /// Sets the number of copies on different brokers (default: the broker's).
    pub const fn replication(mut self, copies: u16) -> Self {
        self.replication = Some(copies);
        self
    }
    /// Sets how long records are kept (default: the backend's).
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }
    /// Keeps the newest record of each key instead of deleting by age.
    pub const fn compact(mut self) -> Self {
        self.compact = true;
        self
    }
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }
    /// What a backend creates it with.
    pub fn spec(&self) -> TopicSpec {
        TopicSpec {
            name: Name::from(&*self.name),
            partitions: self.partitions,
            replication: self.replication,
            retention: self.retention,
            compact: self.compact,
        }
    }
    /// A message with `value` as its payload, for batches and outputs.
    /// # Errors
    /// What the codec says; `Unavailable` where it has to fetch something first: [`draft`](Self::draft) waits for that.
    pub fn message(&self, value: &T) -> Result<Message>
    where
        C: Codec<T>,
    {
        self.draft(value)?.now()
    }
    /// As [`message`](Self::message), for every codec: awaiting it waits for what the codec has to fetch first, such as the
    /// id of its schema. Borrows nothing.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use bus_core::{Raw, Topic};
    /// const ORDERS: Topic<String, Raw> = Topic::new("orders");
    /// let message = ORDERS.draft(&"bread".to_owned())?.await?;
    /// assert_eq!(message.payload.unwrap(), "bread");
    /// # Ok::<_, bus_core::Error>(()) }).unwrap();
    /// ```
    /// # Errors
    /// What the codec says.
    pub fn draft(&self, value: &T) -> Result<Draft>
    where
        C: Codec<T>,
    {
        let encoded = self.codec.encode_for(&self.name, value)?;
        let mut message = Message::default();
        if let Some(content_type) = self.codec.content_type() {
            message.headers.push("content-type", content_type);
        }
        Ok(Draft::new(message, encoded))
    }
}

/// The definition of a topic that has only a name: one partition, and the backend's defaults.
impl From<&str> for TopicSpec {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for TopicSpec {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl<T, C> From<&Topic<T, C>> for TopicSpec {
    fn from(topic: &Topic<T, C>) -> Self {
        topic.spec()
    }
}

impl<T, C: Clone> Clone for Topic<T, C> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            codec: self.codec.clone(),
            ..*self
        }
    }
}

impl<T, C> std::fmt::Debug for Topic<T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name)
            .field("partitions", &self.partitions)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_names_lead_back() {
        for (name, from, derived) in [
            ("orders", None, false),
            ("dlq", None, false),
            ("orders.dlqs", None, false),
            ("orders.delay", Some("orders"), true),
            ("orders.billing.dlq", Some("orders.billing"), true),
            ("orders.billing.dlq.parked", Some("orders.billing"), true),
            ("orders.delay.dlq.parked", Some("orders"), true),
            ("letters.parked", Some("letters"), false),
        ] {
            assert_eq!((derived_from(name), is_derived(name)), (from, derived), "{name}");
        }
    }

    #[test]
    fn names_follow_kafkas_rule() {
        for good in ["a", "orders.v1", "A_b-c.9", &"x".repeat(249)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "é", "a\n", &"x".repeat(250)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
