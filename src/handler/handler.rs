//! What can handle a message.

use super::{FromIncoming, FromParts, Incoming, IntoResponse, Response, Route};
use std::{
    convert::Infallible,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};
use tower::Service;

/// An async function whose arguments are [extractors](super#extractors), or a built [router](crate::router).
///
/// Every argument implements [`FromParts`], the last one [`FromIncoming`]; what it returns implements [`IntoResponse`];
/// its future is `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle messages",
    label = "not a handler for the state `{S}`",
    note = "a handler is an `async fn` with at most eight arguments that are extractors, such as `Payload<T>`, `Event<T>`, \
            `State<S>` or `Attempt`; `Delivery<Bytes>` only as the last one",
    note = "which argument is not one: `bus::handler::is_extractor::<ItsType, {S}>()` says why",
    note = "it returns `()`, `Verdict`, `Reply<T>`, or a `Result` of these with an error",
    note = "its future must be `Send`: hold no `Rc`, `RefCell` guard or `std` lock guard across an `.await`"
)]
pub trait Handler<M, S>: Clone + Send + Sync + Sized + 'static {
    /// Whether it settles its messages itself.
    fn settles_by_hand(&self) -> bool {
        false
    }
    /// Handles one message.
    fn call(self, incoming: Incoming, state: S) -> impl Future<Output = Response> + Send + 'static;
}

impl<F, R, A, S> Handler<((),), S> for F
where
    F: FnOnce() -> R + Clone + Send + Sync + 'static,
    R: Future<Output = A> + Send + 'static,
    A: IntoResponse + 'static,
    S: Send + Sync + 'static,
{
    async fn call(self, _: Incoming, _: S) -> Response {
        self().await.into_response()
    }
}

macro_rules! handlers {
    ($([$($part:ident),*], $last:ident;)*) => { $(
        #[allow(non_snake_case)]
        impl<F, R, A, S, M, $($part,)* $last> Handler<(M, $($part,)* $last,), S> for F
        where
            F: FnOnce($($part,)* $last) -> R + Clone + Send + Sync + 'static,
            R: Future<Output = A> + Send + 'static,
            A: IntoResponse + 'static,
            M: 'static,
            S: Send + Sync + 'static,
            $($part: FromParts<S> + Send + 'static,)*
            $last: FromIncoming<S, M> + Send + 'static,
        {
            fn settles_by_hand(&self) -> bool {
                $last::BY_HAND
            }
            #[allow(unused_mut)]
            async fn call(self, mut incoming: Incoming, state: S) -> Response {
                $(
                    let $part = match $part::from_parts(incoming.parts_mut(), &state).await {
                        Ok(value) => value,
                        Err(failure) => return failure.into_response(),
                    };
                )*
                let $last = match $last::from_incoming(incoming, &state).await {
                    Ok(value) => value,
                    Err(failure) => return failure.into_response(),
                };
                drop(state);
                self($($part,)* $last).await.into_response()
            }
        }
    )* };
}

handlers! {
    [], T1;
    [T1], T2;
    [T1, T2], T3;
    [T1, T2, T3], T4;
    [T1, T2, T3, T4], T5;
    [T1, T2, T3, T4, T5], T6;
    [T1, T2, T3, T4, T5, T6], T7;
    [T1, T2, T3, T4, T5, T6, T7], T8;
}

/// A handler with its state, as a tower service.
pub(crate) struct HandlerService<H, M, S> {
    handler: H,
    state: S,
    marker: PhantomData<fn() -> M>,
}

impl<H: Handler<M, S>, M: 'static, S: Clone + Send + Sync + 'static> HandlerService<H, M, S> {
    pub(crate) fn route(handler: H, state: S) -> Route {
        Route::new(Self {
            handler,
            state,
            marker: PhantomData,
        })
    }
}

impl<H: Clone, M, S: Clone> Clone for HandlerService<H, M, S> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            state: self.state.clone(),
            marker: PhantomData,
        }
    }
}

impl<H: Handler<M, S>, M, S: Clone + Send + 'static> Service<Incoming> for HandlerService<H, M, S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let answer = self.handler.clone().call(incoming, self.state.clone());
        Box::pin(async move { Ok(answer.await) })
    }
}

impl<H, M, S> fmt::Debug for HandlerService<H, M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<H>())
    }
}
