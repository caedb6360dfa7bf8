//! Saying what a message is, where it is published.

use super::{Envelope, header};
use bus_core::{Error, Headers, Message, Name, Publish, Publisher, Result};
use std::{sync::OnceLock, time::SystemTime};

/// Turns what is published into an event, on a [`Publish`] and on a [`Message`] for batches, `enqueue` and outputs alike.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bus::{Bus, event::EventExt};
/// let bus = Bus::connect("memory://").await?.create_topics(true);
/// let user = serde_json::json!({"name": "Ada"});
/// bus.publish("users", &user).key("user-1").event("user.created").subject("user-1").await?;
/// # Ok::<_, bus::Error>(()) }).unwrap();
/// ```
/// An empty type, subject, source or id is [`Invalid`](crate::ErrorKind::Invalid) where the bus publishes it, and nothing is
/// stored.
pub trait EventExt: Sized {
    /// Changes the headers, for attributes that have no setter here.
    fn edit_headers(self, change: impl FnOnce(&mut Headers)) -> Self;

    /// Makes it an event of this type: `ce_type`, with a new id (a UUID of version 7) and the time, where it has none. The
    /// bus adds its source.
    fn event(self, event: impl Into<String>) -> Self {
        let event = event.into();
        self.edit_headers(|headers| {
            headers.set(header::TYPE, event);
            complete(headers);
        })
    }
    /// Sets the event's id (default: a new UUID of version 7), for who has one that tells duplicates.
    fn event_id(self, id: impl Into<String>) -> Self {
        set(self, header::ID, id)
    }
    /// Sets who it is from (default: the bus's [`event_source`](crate::Bus::event_source)).
    fn source(self, source: impl Into<String>) -> Self {
        set(self, header::SOURCE, source)
    }
    /// Sets what it is about.
    fn subject(self, subject: impl Into<String>) -> Self {
        set(self, header::SUBJECT, subject)
    }
    /// Sets when it happened (default: the time of the call of [`event`](Self::event)).
    fn event_time(self, time: SystemTime) -> Self {
        match super::time::write(time) {
            Some(time) => set(self, header::TIME, time),
            None => self,
        }
    }
    /// Sets what it belongs to. In a handler this wins over what the message that is handled carries.
    fn correlation_id(self, id: impl Into<String>) -> Self {
        set(self, header::CORRELATION, id)
    }
    /// Sets the id of what caused it. In a handler this wins over the message that is handled.
    fn causation_id(self, id: impl Into<String>) -> Self {
        set(self, header::CAUSATION, id)
    }
    /// Sets the topic to which an answer is to go.
    fn reply_to(self, topic: impl Into<String>) -> Self {
        set(self, header::REPLY_TO, topic)
    }
    /// Sets everything that the envelope says.
    fn envelope(self, envelope: &Envelope) -> Self {
        self.edit_headers(|headers| envelope.write(headers))
    }
}

fn set<E: EventExt>(event: E, name: &'static str, value: impl Into<String>) -> E {
    event.edit_headers(|headers| headers.set(name, value.into()))
}

impl EventExt for Message {
    fn edit_headers(mut self, change: impl FnOnce(&mut Headers)) -> Self {
        change(&mut self.headers);
        self
    }
}

impl<P: Publisher + ?Sized> EventExt for Publish<'_, P> {
    fn edit_headers(self, change: impl FnOnce(&mut Headers)) -> Self {
        self.with(|message| message.edit_headers(change))
    }
}

/// Adds what an event needs and has not, but its source.
pub(super) fn complete(headers: &mut Headers) {
    if !headers.contains(header::VERSION) {
        headers.set(header::VERSION, "1.0");
    }
    if !headers.contains(header::ID) {
        headers.set(header::ID, uuid::Uuid::now_v7().to_string());
    }
    if !headers.contains(header::TIME)
        && let Some(time) = super::time::write(SystemTime::now())
    {
        headers.set(header::TIME, time);
    }
}

/// Says who an event is from, where it does not itself.
pub(crate) fn sign(headers: &mut Headers, source: &Name) {
    if headers.contains(header::TYPE) && !headers.contains(header::SOURCE) {
        headers.set(header::SOURCE, source.to_string());
    }
}

/// What a program is called that did not say who it is.
pub(super) fn program() -> &'static Name {
    static PROGRAM: OnceLock<Name> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = std::env::current_exe().ok();
        let name = path.as_deref().and_then(|path| path.file_stem()?.to_str());
        name.unwrap_or("bus").into()
    })
}

/// What an event may not leave empty.
pub(super) fn check(headers: &Headers) -> Result<()> {
    for name in [
        header::TYPE,
        header::ID,
        header::SOURCE,
        header::SUBJECT,
        header::CORRELATION,
    ] {
        if headers.contains(name) && headers.get(name).is_none_or(<[u8]>::is_empty) {
            let what = name.trim_start_matches("ce_");
            return Err(Error::invalid(format!(
                "the event's {what} (header `{name}`) is empty: set it, or leave it out"
            )));
        }
    }
    Ok(())
}
