//! A handler with its layers, whatever it is made of.

use super::{Failure, Incoming, IntoResponse, Response};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};

/// A handler with its layers, whatever it is made of: what a [`Layer`] wraps. It never fails as a service; what the handler
/// says of its message is in the [`Response`].
#[derive(Clone, Debug)]
pub struct Route(BoxCloneSyncService<Incoming, Response, Infallible>);

impl Route {
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: Service<Incoming, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(service))
    }
    /// Wraps it in a layer, whose error is a failure of the message.
    pub(crate) fn layer<L>(self, layer: &L) -> Self
    where
        L: Layer<Route>,
        L::Service: Service<Incoming> + Clone + Send + Sync + 'static,
        <L::Service as Service<Incoming>>::Response: IntoResponse,
        <L::Service as Service<Incoming>>::Error: Into<Failure>,
        <L::Service as Service<Incoming>>::Future: Send,
    {
        Self::new(Answering(layer.layer(self)))
    }
    /// Handles one message.
    pub(crate) async fn answer(self, incoming: Incoming) -> Response {
        match self.0.oneshot(incoming).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl Service<Incoming> for Route {
    type Response = Response;
    type Error = Infallible;
    type Future = <BoxCloneSyncService<Incoming, Response, Infallible> as Service<Incoming>>::Future;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }
    fn call(&mut self, incoming: Incoming) -> Self::Future {
        self.0.call(incoming)
    }
}

/// A service that says everything in its answer. Waiting until it is ready is part of the answer, so that what goes wrong
/// there is a failure of this message.
#[derive(Clone)]
struct Answering<S>(S);

impl<S> Service<Incoming> for Answering<S>
where
    S: Service<Incoming> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Error: Into<Failure>,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move { Ok(service.oneshot(incoming).await.into_response()) })
    }
}
