//! The extractors.

use super::{Failure, FromIncoming, FromParts, FromRef, Incoming, Parts, failure::of_codec};
use crate::event::Envelope;
use bus_core::{Bytes, Codec, Delivery, Headers, Name, Record, Stateless};
use serde::de::DeserializeOwned;
use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

/// The payload, decoded as JSON. What cannot be decoded goes to the dead letters with its raw bytes, and the handler is not
/// called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload<T>(pub T);

impl<T> Deref for Payload<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Payload<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<S: Sync, T: DeserializeOwned> FromParts<S> for Payload<T> {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        crate::codec::from_json(&parts.record).map(Self).map_err(of_codec)
    }
}

/// The payload, decoded by a codec that is named, such as `Coded<String, Raw>`; else as [`Payload`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coded<T, C> {
    /// The value.
    pub value: T,
    codec: PhantomData<C>,
}

impl<T, C> Deref for Coded<T, C> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<S: Sync, T, C: Codec<T> + Stateless> FromParts<S> for Coded<T, C> {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let codec = &C::CODEC;
        let value = bus_core::decode_when_ready(codec, &parts.record)
            .await
            .map_err(of_codec)?;
        let codec = PhantomData;
        Ok(Self { value, codec })
    }
}

/// The payload as it is; a tombstone is empty.
impl<S: Sync> FromParts<S> for Bytes {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(parts.record.payload_bytes().unwrap_or_default())
    }
}

/// An event: what is said of it, and its payload, as in [`Payload`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event<T> {
    /// Its type, as the router found it; without a router, as the envelope says it.
    pub name: String,
    /// What is said of it.
    pub envelope: Envelope,
    /// The payload.
    pub data: T,
}

impl<S: Sync, T: DeserializeOwned> FromParts<S> for Event<T> {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let envelope = Envelope::of(parts.record.headers());
        let found = parts.event.as_deref().or(envelope.event.as_deref());
        let name = found.unwrap_or_default().to_owned();
        let data = crate::codec::from_json(&parts.record).map_err(of_codec)?;
        Ok(Self { name, envelope, data })
    }
}

impl<S: Sync> FromParts<S> for Envelope {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Envelope::of(parts.record.headers()))
    }
}

/// The state, or a part of it ([`FromRef`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<S: Sync, T: FromRef<S>> FromParts<S> for State<T> {
    async fn from_parts(_: &mut Parts, state: &S) -> Result<Self, Failure> {
        Ok(Self(T::from_ref(state)))
    }
}

impl<S: Sync> FromParts<S> for Headers {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(parts.record.headers().to_owned())
    }
}

impl<S: Sync> FromParts<S> for Record {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(parts.record.clone())
    }
}

/// The key; `None` without one, which is not the same as an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key(pub Option<Bytes>);

impl<S: Sync> FromParts<S> for Key {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self(parts.record.key_bytes()))
    }
}

/// Which try this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1; it survives restarts and handovers.
    pub number: u32,
    /// Whether a failure now sends the message to the dead letters.
    pub is_last: bool,
}

impl<S: Sync> FromParts<S> for Attempt {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self {
            number: parts.attempt,
            is_last: parts.is_last_attempt,
        })
    }
}

/// What the message belongs to: its correlation id, else its own id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Correlation(pub Option<String>);

impl<S: Sync> FromParts<S> for Correlation {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let envelope = Envelope::of(parts.record.headers());
        Ok(Self(envelope.correlation_id.or(envelope.id)))
    }
}

/// Where the message came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The topic.
    pub topic: Name,
    /// The partition.
    pub partition: u32,
    /// The position in it.
    pub position: u128,
    /// When it was stored, or what its sender said: milliseconds since 1970 UTC.
    pub timestamp: i64,
}

impl<S: Sync> FromParts<S> for Origin {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self {
            topic: parts.topic.clone(),
            partition: parts.partition,
            position: parts.record.position(),
            timestamp: parts.record.timestamp(),
        })
    }
}

/// What a layer has left ([`Extensions`](super::Extensions)). A message without it is tried again: the layer is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<S: Sync, T: Clone + Send + Sync + 'static> FromParts<S> for Extension<T> {
    async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let missing = || {
            let name = std::any::type_name::<T>();
            Failure::new(format!("no layer has left a value of type `{name}`"))
        };
        parts.extensions.get().cloned().map(Self).ok_or_else(missing)
    }
}

/// The delivery itself, for a handler that settles it by hand: what it returns then settles nothing.
impl<S: Sync> FromIncoming<S> for Delivery<Bytes> {
    const BY_HAND: bool = true;
    async fn from_incoming(incoming: Incoming, _: &S) -> Result<Self, Failure> {
        let none =
            || Failure::new("there is no delivery to settle: it was taken, or the route is run by hand");
        incoming.take_delivery().ok_or_else(none)
    }
}
