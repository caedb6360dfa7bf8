//! A message on its way to its handler.

use crate::event::binary;
use bus_core::{BatchBuilder, Bytes, Delivery, Message, Name, Record, Result};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// A message on its way to its handler: what a tower service of this crate is called with.
#[derive(Debug)]
pub struct Incoming {
    parts: Parts,
    slot: Option<Arc<Slot>>,
}

/// What is known of a message that is handled; extractors read it, layers may change it.
#[derive(Debug)]
pub struct Parts {
    /// The record, in the binary mode of CloudEvents whatever it was sent in.
    pub record: Record,
    /// The topic it came from.
    pub topic: Name,
    /// The partition it came from.
    pub partition: u32,
    /// The number of this try, from 1.
    pub attempt: u32,
    /// Whether a failure now sends it to the dead letters.
    pub is_last_attempt: bool,
    /// The type of the event, as the router found it.
    pub event: Option<Arc<str>>,
    /// What layers leave for handlers.
    pub extensions: Extensions,
}

impl Incoming {
    /// Of a delivery, which stays where it is.
    /// # Errors
    /// `Undecodable`: it says that it is a structured event, and is none.
    pub(crate) fn of(delivery: &Delivery<Bytes>) -> Result<Self> {
        let record = match binary(delivery.record())? {
            Some(record) => record,
            None => delivery.record().clone(),
        };
        let parts = Parts {
            record,
            topic: delivery.topic_name(),
            partition: delivery.partition(),
            attempt: delivery.attempt(),
            is_last_attempt: delivery.is_last_attempt(),
            event: None,
            extensions: Extensions::default(),
        };
        Ok(Self { parts, slot: None })
    }
    /// Of a message that came from no topic, for routes that are run by hand.
    /// # Errors
    /// `Undecodable`: it says that it is a structured event, and is none.
    pub fn by_hand(message: &Message) -> Result<Self> {
        let mut batch = BatchBuilder::default();
        let (key, payload) = (message.key.as_deref(), message.payload.as_deref());
        let timestamp = message.timestamp.unwrap_or_default();
        batch.push(0, timestamp, key, payload, message.headers.iter());
        let record = Record::new(Arc::new(batch.finish()), 0);
        let parts = Parts {
            record: binary(&record)?.unwrap_or(record),
            topic: "".into(),
            partition: 0,
            attempt: 1,
            is_last_attempt: true,
            event: None,
            extensions: Extensions::default(),
        };
        Ok(Self { parts, slot: None })
    }
    pub(crate) fn with_slot(mut self, slot: Arc<Slot>) -> Self {
        self.slot = Some(slot);
        self
    }
    /// What is known of it.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
    /// What is known of it, to be changed.
    pub fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }
    /// The delivery, for who settles it himself; it can be had once.
    pub(crate) fn take_delivery(&self) -> Option<Delivery<Bytes>> {
        self.slot.as_ref()?.take()
    }
}

/// Where a delivery waits for whoever settles it.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Option<Delivery<Bytes>>>);

impl Slot {
    pub(crate) fn new(delivery: Delivery<Bytes>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(delivery))))
    }
    pub(crate) fn take(&self) -> Option<Delivery<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One value of each type, which a layer leaves for a handler.
#[derive(Default)]
pub struct Extensions(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Extensions {
    /// Leaves a value; one of the same type comes back.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let old = self.0.insert(TypeId::of::<T>(), Box::new(value))?;
        old.downcast().ok().map(|old| *old)
    }
    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("values", &self.0.len())
            .finish()
    }
}
