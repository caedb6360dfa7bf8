//! One call of a worker, and what becomes of its messages.

use super::{Worker, output};
use crate::{
    Topic,
    event::{Carried, Context},
    handler::{Failure, IntoResponse},
};
use bus_core::{Codec, Delivery};
use futures_util::FutureExt;
use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc};

/// A worker that runs.
pub(super) struct Calls<W: Worker<C, O>, C, O> {
    pub(super) worker: W,
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
            let outcome = caught(async { self.worker.process(&task).await }).await;
            self.settle(task, outcome.flatten()).await;
        };
        Context::scope(Some(context), work).await;
    }
    pub(super) async fn batch(self: Arc<Self>, tasks: Vec<Delivery<W::Input>>) {
        let count = tasks.len();
        // A batch has no one cause; each output has that of its message.
        let working = Context::scope(None, caught(async { self.worker.process_batch(&tasks).await }));
        let failed = match working.await {
            Ok(outcomes) if outcomes.len() == count => {
                for (task, outcome) in tasks.into_iter().zip(outcomes) {
                    self.settle_in_context(task, outcome).await;
                }
                return;
            }
            Ok(outcomes) => format!(
                "worker `{}` gave {} outcomes for a batch of {count}: it has to give one for each message, in order",
                self.name,
                outcomes.len()
            ),
            Err(failure) => failure.to_string(),
        };
        for task in tasks {
            self.settle_in_context(task, Err(Failure::new(failed.clone())))
                .await;
        }
    }
    async fn settle_in_context(&self, task: Delivery<W::Input>, outcome: Result<Option<W::Output>, Failure>) {
        let context = self.context(&task);
        Context::scope(Some(context), self.settle(task, outcome)).await;
    }
    fn context(&self, task: &Delivery<W::Input>) -> Context {
        Context::new(task.record().clone(), self.carried.clone())
    }
    async fn settle(&self, task: Delivery<W::Input>, outcome: Result<Option<W::Output>, Failure>) {
        let outcome = outcome.and_then(|made| {
            let message = match (&self.output, &made) {
                (Some(topic), Some(made)) => {
                    let shape = |message| self.worker.shape(&task, made, message);
                    let message = output::message(topic, &task, made, self.limit, shape)?;
                    Some((topic.name().to_owned(), message))
                }
                _ => None,
            };
            Ok((made, message))
        });
        match outcome {
            Ok((made, message)) => {
                let hook = async { self.worker.on_success(&task, made.as_ref()).await };
                self.hook("on_success", &task, hook).await;
                match message {
                    None => task.ack(),
                    Some(output) => {
                        if let Err(error) = task.ack_with([output]) {
                            tracing::warn!(worker = self.name, %error, "an output was refused; its message is tried again");
                        }
                    }
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

/// A panic is a failure like others: the message is to have its tries, its hook, and the reason in its dead letter.
async fn caught<R>(work: impl Future<Output = R>) -> Result<R, Failure> {
    let panicked = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Failure::new(format!("panicked: {}", text.unwrap_or("without a text")))
    };
    AssertUnwindSafe(work).catch_unwind().await.map_err(panicked)
}
