//! What a handler answers: what is to become of the message, and what goes back to whoever asked.

use super::Failure;
use crate::codec::json;
use bus_core::{Delivery, Message, Name, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::{convert::Infallible, time::Duration};

/// What is to become of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Done.
    #[default]
    Ack,
    /// Done, and these messages belong to it: [`Delivery::ack_with`].
    AckWith(Vec<(Name, Message)>),
    /// Try again, by the retry policy or after a wait; after the last try it goes to the dead letters.
    Nack {
        /// `None`: the retry policy's wait.
        after: Option<Duration>,
        /// What went wrong: it stands in the dead letter.
        error: String,
    },
    /// To the dead letters now.
    Reject {
        /// A word for the kind of failure: `rejected`, `undecodable`, or one of the application's.
        reason: &'static str,
        /// What went wrong: it stands in the dead letter.
        error: String,
    },
}

impl Verdict {
    /// To the dead letters now, because of this error.
    pub fn reject(error: impl Into<String>) -> Self {
        Self::Reject {
            reason: "rejected",
            error: error.into(),
        }
    }
    /// Whether the message is done.
    pub fn is_ack(&self) -> bool {
        matches!(self, Self::Ack | Self::AckWith(_))
    }
    /// What went wrong, if something did.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Nack { error, .. } | Self::Reject { error, .. } => Some(error),
            _ => None,
        }
    }
    /// Settles a delivery by it. Outputs that no commit could carry make it a failure, which core sees to.
    pub fn settle<T>(self, delivery: Delivery<T>) {
        match self {
            Self::Ack => delivery.ack(),
            Self::AckWith(outputs) => {
                if let Err(error) = delivery.ack_with(outputs) {
                    tracing::warn!(%error, "the outputs of a message were refused");
                }
            }
            Self::Nack { after: None, error } => delivery.fail(error),
            Self::Nack {
                after: Some(wait),
                error,
            } => delivery.fail_after(wait, error),
            Self::Reject { reason, error } => delivery.reject_as(reason, error),
        }
    }
}

/// What a handler answers: a verdict, and perhaps something for whoever asked.
#[derive(Debug, Default)]
#[must_use = "it says whether the message was handled"]
pub struct Response {
    /// What is to become of the message.
    pub verdict: Verdict,
    /// What goes back to whoever asked; a message that asks for nothing leaves it unused.
    pub reply: Option<Message>,
    /// Why it was not handled.
    pub failure: Option<Failure>,
}

impl Response {
    /// What the handler returned, as JSON; `None` without a reply.
    /// # Errors
    /// The handler's failure, or that its reply is not of this type.
    pub fn reply_as<T: DeserializeOwned>(self) -> Result<Option<T>, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let payload = self.reply.and_then(|reply| reply.payload);
        let decoded = payload.map(|payload| serde_json::from_slice(&payload));
        decoded.transpose().map_err(Failure::undecodable)
    }
}

/// What a handler may return: nothing, a [`Verdict`], a [`Reply`], or a `Result` of these with any error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nothing about what is to become of a message",
    label = "a handler cannot return this",
    note = "return `()`, `Verdict`, `Reply<T>`, `Response`, or `Result<_, E>` of one of these where `E` is an error \
            (`std::error::Error + Send + Sync`, `anyhow::Error`, `String`, `Failure`)"
)]
pub trait IntoResponse {
    /// The answer.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::default()
    }
}

impl IntoResponse for Infallible {
    fn into_response(self) -> Response {
        match self {}
    }
}

impl IntoResponse for Verdict {
    fn into_response(self) -> Response {
        Response {
            verdict: self,
            ..Response::default()
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = self.to_string();
        let verdict = if self.is_permanent() {
            let reason = self.reason();
            Verdict::Reject { reason, error }
        } else {
            let after = self.wait();
            Verdict::Nack { after, error }
        };
        Response {
            verdict,
            reply: None,
            failure: Some(self),
        }
    }
}

impl<R: IntoResponse, E: Into<Failure>> IntoResponse for Result<R, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(answer) => answer.into_response(),
            Err(error) => error.into().into_response(),
        }
    }
}

/// Done, and this value goes back to whoever asked, as JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply<T>(pub T);

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match json(&self.0) {
            Ok(payload) => Response {
                reply: Some(Message::new(payload).header("content-type", "application/json")),
                ..Response::default()
            },
            Err(error) => Failure::permanent(error).into_response(),
        }
    }
}
