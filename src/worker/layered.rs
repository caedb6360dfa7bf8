//! A worker with its layers.

use super::Worker;
use crate::handler::{Failure, caught};
use bus_core::Delivery;
use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{
    Layer, Service, ServiceExt,
    util::{BoxCloneSyncService, service_fn},
};

/// What a call of a worker is given, as a [`Layer`] sees it: one message, or those of a batch.
///
/// The messages are settled after the call. A layer that keeps a clone beyond it keeps them from being settled, whatever came
/// of them: they are tried again once it lets go.
pub struct Work<I>(Arc<Vec<Delivery<I>>>);

impl<I> Work<I> {
    /// The messages.
    pub fn tasks(&self) -> &[Delivery<I>] {
        &self.0
    }
}

impl<I> Clone for Work<I> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I> fmt::Debug for Work<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("tasks", &self.0.len()).finish()
    }
}

/// What came of a call: an outcome for each message, in their order.
pub type Outcomes<O> = Vec<Result<Option<O>, Failure>>;

type Boxed<I, O> = BoxCloneSyncService<Work<I>, Outcomes<O>, Infallible>;

/// A worker with its layers: what a [`Layer`] wraps. It never fails as a service; what the worker says of its messages is
/// in the [`Outcomes`].
pub struct Working<I, O>(Boxed<I, O>);

impl<I: Send + Sync + 'static, O: Send + 'static> Working<I, O> {
    pub(super) fn new<W, C, P>(worker: Arc<W>, in_batches: bool) -> Self
    where
        W: Worker<C, P, Input = I, Output = O>,
        C: 'static,
        P: 'static,
    {
        Self(BoxCloneSyncService::new(service_fn(move |work: Work<I>| {
            let worker = worker.clone();
            async move {
                Ok(match work.tasks() {
                    [task] if !in_batches => vec![worker.process(task).await],
                    tasks => worker.process_batch(tasks).await,
                })
            }
        })))
    }
    /// Wraps it in a layer, whose error is a failure of each message. Waiting until it is ready is part of the call, as it is
    /// for handlers.
    pub(super) fn layer<L>(self, layer: &L) -> Self
    where
        L: Layer<Self>,
        L::Service: Service<Work<I>, Response = Outcomes<O>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Work<I>>>::Error: Into<Failure>,
        <L::Service as Service<Work<I>>>::Future: Send,
    {
        let inner = layer.layer(self);
        Self(BoxCloneSyncService::new(service_fn(move |work: Work<I>| {
            let (inner, count) = (inner.clone(), work.tasks().len());
            async move {
                Ok(match inner.oneshot(work).await {
                    Ok(outcomes) => outcomes,
                    Err(error) => error.into().of_each(count).into_iter().map(Err).collect(),
                })
            }
        })))
    }
    /// One call. The messages come back, unless a layer keeps them.
    pub(super) async fn call(
        &self,
        tasks: Vec<Delivery<I>>,
    ) -> (Option<Vec<Delivery<I>>>, Result<Outcomes<O>, Failure>) {
        let work = Work(Arc::new(tasks));
        let outcomes = match caught(self.0.clone().oneshot(work.clone())).await {
            Ok(Ok(outcomes)) => Ok(outcomes),
            Ok(Err(never)) => match never {},
            Err(panic) => Err(panic),
        };
        (Arc::into_inner(work.0), outcomes)
    }
}

impl<I, O> Clone for Working<I, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I, O> Service<Work<I>> for Working<I, O> {
    type Response = Outcomes<O>;
    type Error = Infallible;
    type Future = <Boxed<I, O> as Service<Work<I>>>::Future;
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }
    fn call(&mut self, work: Work<I>) -> Self::Future {
        self.0.call(work)
    }
}

impl<I, O> fmt::Debug for Working<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Working")
    }
}
