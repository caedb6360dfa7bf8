//! The settings themselves: what was given, and what holds.

use super::{
    env,
    section::{bad, normal},
    security, table,
    value::{Given, Layer},
};
use bus_core::{Defaults, Error, Result, Start};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

/// How to reach a bus, and how to behave there.
///
/// Read by [`Settings::from_env`] or [`Sources`](super::Sources), by `serde` as a section of an application's own file,
/// or made by hand; then given to [`Bus::from_settings`](crate::Bus::from_settings). What each setting means, and its
/// default, is in `docs/settings.md`. Printing them, with `{}` or `{:?}`, masks passwords.
///
/// ```
/// use bus::Settings;
///
/// let settings = Settings::new().brokers(["localhost:9092"]).client_id("billing").set("linger.ms", "5");
/// assert!(settings.is_configured());
/// ```
#[derive(Clone, Default)]
pub struct Settings {
    pub(super) values: BTreeMap<&'static str, Given>,
    /// Options of the backend, as its URL takes them.
    pub(super) options: BTreeMap<String, Given>,
    pub(super) topics: BTreeMap<String, Given>,
    pub(super) groups: BTreeMap<String, Given>,
    /// What a setter was given and cannot be; told by [`check`](Self::check).
    pub(super) wrong: Option<Arc<str>>,
}

impl Settings {
    /// Nothing but defaults.
    pub fn new() -> Self {
        Self::default()
    }
    /// The process's environment over a `.env` file, if there is one in the working directory or above it.
    /// # Errors
    /// As [`Sources::read`](super::Sources::read).
    pub fn from_env() -> Result<Self> {
        super::Sources::new().read()
    }
    /// Lays the process's environment, and `.env`, over settings that an application has read with its own file.
    /// # Errors
    /// As [`Sources::read`](super::Sources::read).
    pub fn with_env(self) -> Result<Self> {
        super::Sources::new().over(self).read()
    }
    /// Adds what is given there, where it is as strong as what is here or stronger.
    pub(super) fn lay(&mut self, over: Self) {
        fn lay<K: Ord>(under: &mut BTreeMap<K, Given>, over: BTreeMap<K, Given>) {
            for (name, given) in over {
                match under.entry(name) {
                    Entry::Occupied(mut there) if given.layer >= there.get().layer => {
                        there.insert(given);
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(place) => {
                        place.insert(given);
                    }
                }
            }
        }
        lay(&mut self.values, over.values);
        lay(&mut self.options, over.options);
        lay(&mut self.topics, over.topics);
        lay(&mut self.groups, over.groups);
        self.wrong = self.wrong.take().or(over.wrong);
    }
    /// Whether they fit together. [`Bus::from_settings`](crate::Bus::from_settings) asks first of all.
    /// # Errors
    /// `Invalid`: what a setter was given and is not allowed, security that contradicts itself, a heartbeat that is
    /// no shorter than the session.
    pub fn check(&self) -> Result<()> {
        if let Some(wrong) = &self.wrong {
            return Err(Error::invalid(&**wrong));
        }
        let (beat, session) = (
            self.number("kafka_heartbeat_interval_ms"),
            self.number("kafka_session_timeout_ms"),
        );
        if let Some(beat) = beat
            && beat >= session.unwrap_or(6_000)
        {
            let session = session.unwrap_or(6_000);
            return Err(Error::invalid(format!(
                "{} is {beat} and the session's timeout {session}; a heartbeat must be shorter, best a third of it or less",
                self.origin("kafka_heartbeat_interval_ms")
            )));
        }
        security::check(self)
    }

    /// What was given for a setting.
    pub(super) fn given(&self, name: &'static str) -> Option<&Given> {
        debug_assert!(table::setting(name).is_some(), "no setting is called {name}");
        self.values.get(name)
    }
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        self.given(name).map(Given::reveal)
    }
    pub(super) fn origin(&self, name: &'static str) -> &str {
        self.given(name).map_or(name, |given| &given.origin)
    }
    pub(super) fn number(&self, name: &'static str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        self.text(name)?.parse().ok()
    }
    /// Gives a setting the strongest value there is.
    pub(super) fn give(&mut self, name: &'static str, text: &str) {
        let Some(setting) = table::setting(name) else {
            return;
        };
        // An empty value means unset, here as everywhere.
        if text.is_empty() {
            return;
        }
        match setting.kind.check(text) {
            Ok(text) => {
                let given = Given::new(text, Layer::Explicit, format!("`{name}` in the program"));
                self.values.insert(name, given);
            }
            Err(allowed) => {
                let wrong = format!("the program: {}", bad(setting, name, text, &allowed));
                self.wrong.get_or_insert(wrong.into());
            }
        }
    }

    /// Whether the bus is to be on (default yes). Off, it connects to nothing: see [`Bus::disabled`](crate::Bus::disabled).
    pub fn is_enabled(&self) -> bool {
        self.flag("enabled").unwrap_or(true)
    }
    /// The topic that the application calls by this name: `KAFKA_TOPIC_TASK_EVENTS`, or `topics: {task_events: …}` in a
    /// file, for `task_events`.
    /// # Errors
    /// `Invalid`, with the variable that is missing.
    pub fn topic(&self, name: &str) -> Result<&str> {
        self.named(&self.topics, name, "topic", "topics", env::TOPIC)
    }
    /// The group that the application calls by this name: `KAFKA_CONSUMER_GROUP_AUDIT`, or `groups: {audit: …}` in a
    /// file, for `audit`.
    /// # Errors
    /// `Invalid`, with the variable that is missing.
    pub fn group(&self, name: &str) -> Result<&str> {
        self.named(&self.groups, name, "group", "groups", env::GROUP)
    }
    fn named<'a>(
        &self,
        map: &'a BTreeMap<String, Given>,
        name: &str,
        what: &str,
        section: &str,
        prefix: &str,
    ) -> Result<&'a str> {
        let key = normal(name);
        map.get(&key).map(Given::reveal).ok_or_else(|| {
            let variable = format!("{prefix}{}", key.to_ascii_uppercase());
            Error::invalid(format!(
                "no {what} is set for `{name}`; set `{variable}`, or `{key}` in the section `{section}` of the file"
            ))
        })
    }
    /// Where a publish without a topic goes (default `events`).
    pub fn default_topic(&self) -> &str {
        self.text("messaging_default_topic").unwrap_or("events")
    }
    /// The group of an application that has one (`group_id` in a file).
    pub fn default_group(&self) -> Option<&str> {
        self.text("messaging_default_group")
    }
    /// Who makes the application's events (default: the application's name).
    pub fn event_source(&self) -> Option<&str> {
        self.text("messaging_event_source")
    }
    /// Where given-up messages go, with `{topic}` and `{group}` in it, where that is set.
    pub fn dead_letter_topic(&self) -> Option<&str> {
        self.text("messaging_dead_letter_topic")
    }
    /// The namespace of Avro schemas whose types name none (default `com.core.events`).
    pub fn avro_namespace(&self) -> &str {
        self.text("avro_default_namespace").unwrap_or("com.core.events")
    }
    /// Schema registries, several with commas between. It may hold a password: do not show it.
    pub fn schema_registry_url(&self) -> Option<&str> {
        self.text("kafka_schema_registry_url")
    }
    /// The schema registry's user, and its password.
    #[cfg(feature = "registry")]
    pub(crate) fn registry_login(&self) -> (Option<&str>, Option<&str>) {
        (
            self.text("kafka_schema_registry_user"),
            self.text("kafka_schema_registry_password"),
        )
    }
    #[cfg(feature = "registry")]
    pub(crate) fn registry_ca_file(&self) -> Option<&str> {
        self.text("kafka_schema_registry_cafile")
    }
    /// What publishes and subscriptions begin with, on every backend.
    pub fn defaults(&self) -> Defaults {
        let mut defaults = Defaults::default()
            .auto_commit(self.flag("kafka_enable_auto_commit").unwrap_or(true))
            .fire_and_forget(self.flag("kafka_fire_and_forget").unwrap_or(false));
        defaults = match self.text("kafka_auto_offset_reset") {
            Some("latest") => defaults.start(Start::Latest),
            Some("none") => defaults.start(Start::Stored),
            _ => defaults,
        };
        if let Some(interval) = self.number("kafka_auto_commit_interval_ms") {
            defaults = defaults.commit_every(Duration::from_millis(interval));
        }
        if let Some(messages) = self.number("kafka_max_poll_records") {
            defaults = defaults.in_flight(usize::try_from(messages).unwrap_or(usize::MAX));
        }
        match self.dead_letter_topic() {
            Some(topic) => defaults.dead_letter(topic),
            None => defaults,
        }
    }
}
