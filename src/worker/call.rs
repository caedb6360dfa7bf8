//! One call of a worker, and what becomes of its messages.

use super::{Worker, Working, output};
use crate::{
    Topic,
    event::{Carried, Context, binary},
    handler::{Failure, IntoResponse, caught, caught_call},
};
use bus_core::{Codec, Delivery, Prepared};
use std::{
    future::{Future, IntoFuture},
    sync::Arc,
    time::SystemTime,
};

/// A worker that runs.
pub(super) struct Calls<W: Worker<C, O>, C, O> {
    pub(super) worker: Arc<W>,
    /// The worker with its layers, if it has any: calls without layers are not boxed.
    pub(super) layered: Option<Working<W::Input, W::Output>>,
    pub(super) name: &'static str,
    pub(super) output: Option<Topic<W::Output, O>>,
    pub(super) carried: Arc<Carried>,
    /// Bytes that a message may have.
    pub(super) limit: usize,
}

impl<W, C, O> Calls<W, C, O>
where
    W: Worker<C, O>,
    C: Codec<W::Input>,
    O: Codec<W::Output>,
{
    pub(super) async fn one(self: Arc<Self>, task: Delivery<W::Input>) {
        let context = self.context(&task);
        let work = async {
            let (task, outcome) = match &self.layered {
                None => {
                    let outcome = caught(async { self.worker.process(&task).await }).await;
                    (task, outcome.flatten())
                }
                Some(working) => {
                    let (tasks, outcomes) = working.call(vec![task]).await;
                    let Some(task) = tasks.and_then(|mut tasks| tasks.pop()) else {
                        return self.kept();
                    };
                    (task, outcomes.and_then(|all| self.only(all)).flatten())
                }
            };
            self.settle(task, outcome).await;
        };
        Context::scope(Some(context), work).await;
    }
    pub(super) async fn batch(self: Arc<Self>, tasks: Vec<Delivery<W::Input>>) {
        let (count, received) = (tasks.len(), SystemTime::now());
        // A batch has no one cause; each output has that of its message.
        let work = async {
            match &self.layered {
                None => {
                    let outcomes = caught(async { self.worker.process_batch(&tasks).await }).await;
                    (Some(tasks), outcomes)
                }
                Some(working) => working.call(tasks).await,
            }
        };
        let (tasks, outcomes) = Context::scope_of_batch(self.carried.clone(), work).await;
        let Some(tasks) = tasks else {
            return self.kept();
        };
        let failed = match outcomes {
            Ok(outcomes) if outcomes.len() == count => {
                for (task, outcome) in tasks.into_iter().zip(outcomes) {
                    self.settle_in_context(task, outcome, received).await;
                }
                return;
            }
            Ok(outcomes) => self.miscounted(outcomes.len(), count),
            Err(failure) => failure.to_string(),
        };
        for task in tasks {
            let outcome = Err(Failure::new(failed.clone()));
            self.settle_in_context(task, outcome, received).await;
        }
    }
    /// The outcome of a call for one message.
    fn only<R>(&self, mut outcomes: Vec<R>) -> Result<R, Failure> {
        let given = outcomes.len();
        let only = outcomes.pop().filter(|_| given == 1);
        only.ok_or_else(|| Failure::new(self.miscounted(given, 1)))
    }
    fn miscounted(&self, given: usize, count: usize) -> String {
        format!(
            "worker `{}` gave {given} outcomes for a batch of {count}: it has to give one for each message, in order",
            self.name
        )
    }
    /// Once the layer lets go of them, they are dropped without a verdict, and so tried again.
    fn kept(&self) {
        tracing::warn!(
            worker = self.name,
            "a layer keeps messages beyond their call; they are tried again once it lets go"
        );
    }
    async fn settle_in_context(
        &self,
        task: Delivery<W::Input>,
        outcome: Result<Option<W::Output>, Failure>,
        received: SystemTime,
    ) {
        let context = self.context(&task).received_at(received);
        Context::scope(Some(context), self.settle(task, outcome)).await;
    }
    fn context(&self, task: &Delivery<W::Input>) -> Context {
        // What is no event was decoded as something else, and is what it is.
        let binary = binary(task.record()).ok().flatten();
        Context::new(
            binary.unwrap_or_else(|| task.record().clone()),
            self.carried.clone(),
        )
    }
    async fn settle(&self, task: Delivery<W::Input>, outcome: Result<Option<W::Output>, Failure>) {
        let outcome = match outcome {
            Ok(made) => self.prepared(&task, made).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok((made, outputs)) => {
                let hook = async { self.worker.on_success(&task, made.as_ref()).await };
                self.hook("on_success", &task, hook).await;
                match outputs {
                    None => task.ack(),
                    Some(outputs) => task.ack_prepared(outputs),
                }
            }
            Err(failure) => {
                let last = failure.is_permanent() || task.is_last_attempt();
                self.tell(&task, &failure, last);
                if last {
                    let hook = async { self.worker.on_error(&task, &failure).await };
                    self.hook("on_error", &task, hook).await;
                }
                failure.into_response().verdict.settle(task);
            }
        }
    }
    /// What was made, and as an output that the ack can carry: what cannot be carried is no success.
    async fn prepared(
        &self,
        task: &Delivery<W::Input>,
        made: Option<W::Output>,
    ) -> Result<(Option<W::Output>, Option<Prepared>), Failure> {
        let (Some(topic), Some(value)) = (&self.output, &made) else {
            return Ok((made, None));
        };
        let draft = caught_call(|| topic.draft(value))??;
        // Where what its codec needs cannot be fetched, that is a failure of the task, and an attempt.
        let message = caught(draft.into_future()).await??;
        let shape = |message| self.worker.shape(task, value, message);
        let message = caught_call(|| output::message(topic, task, message, self.limit, shape)).flatten()?;
        let outputs = task.prepare([(topic.name().to_owned(), message)]).await?;
        Ok((made, Some(outputs)))
    }
    /// A hook is not the work: one that panics leaves the outcome as it is.
    async fn hook(&self, what: &str, task: &Delivery<W::Input>, hook: impl Future<Output = ()>) {
        // Whoever has the partition now does the work again, and calls its own.
        if task.is_lost() {
            return;
        }
        if let Err(panic) = caught(hook).await {
            tracing::error!(worker = self.name, hook = what, %panic, "a hook failed; the message is settled all the same");
        }
    }
    fn tell(&self, task: &Delivery<W::Input>, error: &Failure, last: bool) {
        let (topic, partition, attempt) = (task.topic(), task.partition(), task.attempt());
        let (worker, position) = (self.name, bus_core::position::format(task.position()));
        if last {
            tracing::error!(worker, topic, partition, position, attempt, %error, "a message failed for the last time");
        } else {
            tracing::warn!(worker, topic, partition, position, attempt, %error, "a message failed");
        }
    }
}

/// One message of a batch by itself: what it publishes is of this message, and its panic is its own.
pub(super) async fn alone<T, R>(
    task: &Delivery<T>,
    work: impl Future<Output = Result<R, Failure>>,
) -> Result<R, Failure> {
    let binary = binary(task.record()).ok().flatten();
    let context = Context::in_batch(binary.unwrap_or_else(|| task.record().clone()));
    Context::scope(Some(context), caught(work)).await.flatten()
}
