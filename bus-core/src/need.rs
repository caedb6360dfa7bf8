//! What a codec has to fetch before it can go on.

use crate::{Error, ErrorKind, Message, Result};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::{
    fmt,
    future::{Future, IntoFuture},
};

/// What a codec needs before it can decode a record. It is said by an error ([`Error::needs`]) and fetched by
/// [`Codec::ready`](crate::Codec::ready).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// The schema with this id.
    Schema(u32),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(id) => write!(f, "schema {id}"),
        }
    }
}

/// What a codec makes of a value.
pub enum Encoded {
    /// The payload.
    Now(Bytes),
    /// The payload, once something else was fetched. The future owns what it needs, the value in some form included, because
    /// a publish outlives its caller's value.
    Later(BoxFuture<'static, Result<Bytes>>),
}

impl From<Bytes> for Encoded {
    fn from(payload: Bytes) -> Self {
        Self::Now(payload)
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(payload) => f.debug_tuple("Now").field(payload).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// A message whose payload may have to be waited for: [`Topic::draft`](crate::Topic::draft). Awaiting it gives the message.
#[must_use = "it is a message once it is awaited"]
pub struct Draft {
    /// All of it but the payload, where that is still to come.
    pub message: Message,
    /// The payload, where it is still to come.
    pub payload: Option<BoxFuture<'static, Result<Bytes>>>,
}

impl Draft {
    pub(crate) fn new(mut message: Message, encoded: Encoded) -> Self {
        let payload = match encoded {
            Encoded::Now(bytes) => {
                message.payload = Some(bytes);
                None
            }
            Encoded::Later(payload) => Some(payload),
        };
        Self { message, payload }
    }
    /// The message, where it is complete.
    /// # Errors
    /// `Unavailable`: its payload is still to come.
    pub fn now(self) -> Result<Message> {
        match self.payload {
            None => Ok(self.message),
            Some(_) => Err(Error::unavailable(
                "the codec has to fetch something first, such as the id of its schema; await `Topic::draft` instead of \
                 calling `Topic::message`",
            )),
        }
    }
    /// The message, and how long its payload takes.
    async fn complete(self) -> Result<Message> {
        let mut message = self.message;
        if let Some(payload) = self.payload {
            message.payload = Some(payload.await?);
        }
        Ok(message)
    }
}

impl From<Message> for Draft {
    fn from(message: Message) -> Self {
        Self {
            message,
            payload: None,
        }
    }
}

impl IntoFuture for Draft {
    type Output = Result<Message>;
    type IntoFuture = BoxFuture<'static, Result<Message>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.complete())
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("message", &self.message)
            .field("is_complete", &self.payload.is_none())
            .finish()
    }
}

/// Decodes a record, and fetches what the codec needs for it, for as long as that fails for a passing reason: for whoever
/// reads a record by himself. Subscriptions do this for what they deliver. Cancel-safe.
/// # Errors
/// What the codec says.
#[allow(
    clippy::manual_async_fn,
    reason = "that it may move between threads is promised, also where the value may not"
)]
pub fn decode_when_ready<'a, T: 'a, C: crate::Codec<T>>(
    codec: &'a C,
    record: &'a crate::Record,
) -> impl Future<Output = Result<T>> + Send + 'a {
    async move {
        let mut tries = 0;
        loop {
            let ready = match asked(codec, record) {
                Ok(decoded) => return decoded,
                Err(ready) => ready,
            };
            tries += 1;
            if let Err(error) = ready.await {
                if !error.is_transient() {
                    return Err(error);
                }
                tracing::warn!(%error, tries, "a record waits for what its codec needs");
            }
            // Also where it came: a codec that still asks for it must not spin.
            if tries > 1 {
                tokio::time::sleep(crate::awaiting::WAITS.wait(tries - 1)).await;
            }
        }
    }
}

/// What the codec says, or what has to be awaited first. Not part of the future, so that it holds no value across an await.
fn asked<T, C: crate::Codec<T>>(
    codec: &C,
    record: &crate::Record,
) -> std::result::Result<Result<T>, BoxFuture<'static, Result<()>>> {
    match codec.decode(record) {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.need().map(|need| codec.ready(need)) {
            Some(Some(ready)) => Err(ready),
            Some(None) => {
                let text = "what its codec needs is missing, and the codec has no way to fetch it";
                Ok(Err(Error::new(ErrorKind::Undecodable, text).source(error)))
            }
            None => Ok(Err(error)),
        },
    }
}
