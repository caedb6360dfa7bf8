//! Extractors: how an argument of a handler is read from its message.

use super::{Failure, Incoming, Parts};
use std::future::Future;

/// An argument of a handler that is read from what is known of a message. One's own takes one function:
///
/// ```
/// use bus::handler::{Failure, FromParts, Parts};
///
/// struct Tenant(String);
/// impl<S: Sync> FromParts<S> for Tenant {
///     async fn from_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
///         let tenant = parts.record.headers().text("tenant");
///         tenant.map(|t| Self(t.to_owned())).ok_or_else(|| Failure::permanent("header `tenant` is missing"))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a message",
    label = "no extractor for a handler with the state `{S}`",
    note = "extractors are `Payload<T>`, `Event<T>`, `Envelope`, `State<S>`, `Headers`, `Key`, `Attempt`, `Correlation`, \
            `Origin`, `Extension<T>`, and what implements `FromParts`; `Delivery<Bytes>` only as the last argument",
    note = "for a type of your own write `Payload<YourType>`"
)]
pub trait FromParts<S>: Sized {
    /// Reads it. An error is the handler's answer, which is then not called.
    fn from_parts(parts: &mut Parts, state: &S) -> impl Future<Output = Result<Self, Failure>> + Send;
}

/// Compiles where `T` is an extractor for handlers with the state `S`, and else says why not: which argument it is for which
/// a function is no handler.
///
/// ```
/// bus::handler::is_extractor::<bus::handler::Payload<String>, ()>();
/// ```
pub const fn is_extractor<T: FromParts<S>, S>() {}

/// The last argument of a handler, which may take the message itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a message",
    label = "no extractor for a handler with the state `{S}`",
    note = "extractors are `Payload<T>`, `Event<T>`, `Envelope`, `State<S>`, `Headers`, `Key`, `Attempt`, `Correlation`, \
            `Origin`, `Extension<T>`, `Delivery<Bytes>`, and what implements `FromParts` or `FromIncoming`",
    note = "for a type of your own write `Payload<YourType>`"
)]
pub trait FromIncoming<S, M = Whole>: Sized {
    /// Whether the handler settles its message itself.
    const BY_HAND: bool = false;
    /// Reads it. An error is the handler's answer, which is then not called.
    fn from_incoming(incoming: Incoming, state: &S) -> impl Future<Output = Result<Self, Failure>> + Send;
}

/// Marks what takes the whole message.
#[derive(Clone, Copy, Debug)]
pub enum Whole {}

/// Marks what only reads its parts.
#[derive(Clone, Copy, Debug)]
pub enum InPart {}

impl<S: Sync, T: FromParts<S>> FromIncoming<S, InPart> for T {
    async fn from_incoming(mut incoming: Incoming, state: &S) -> Result<Self, Failure> {
        T::from_parts(incoming.parts_mut(), state).await
    }
}

/// How a part of the state is had from the whole of it.
pub trait FromRef<S> {
    /// The part.
    fn from_ref(state: &S) -> Self;
}

impl<S: Clone> FromRef<S> for S {
    fn from_ref(state: &S) -> Self {
        state.clone()
    }
}
