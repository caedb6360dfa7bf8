//! Publishing: callers put messages into lanes, a task sends what has gathered in each lane as one pack, and one pack
//! of a lane flies at a time. So a lone message goes at once, and under load packs grow by themselves.
//!
//! Why one and not five: a server may refuse one transaction (out of memory, too few replicas) and carry out the next,
//! which would store messages behind one that failed. Only a script could look, and costs a fifth; packs that have
//! grown make up for the wait instead.

mod answer;
mod call;
mod lane;
mod loss;
mod recovery;
mod state;
mod task;

use crate::{
    Context,
    wire::{Conn, Pipeline},
};
use async_trait::async_trait;
use bus_core::{Error, Message, Outcome, Pending, Publisher, Result, Unsent};
use call::Call;
use lane::Form;
use parking_lot::Mutex;
use state::State;
use std::sync::Arc;
use task::Task;
use tokio::{sync::Notify, task::JoinHandle};

/// Between callers and the task.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

/// Stores messages, each once.
#[derive(Debug)]
pub(crate) struct RedisPublisher {
    context: Arc<Context>,
    shared: Arc<Shared>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl RedisPublisher {
    /// Connects, and finds out how to be idempotent with this user's rights.
    pub(crate) async fn start(context: Arc<Context>) -> Result<Self> {
        let mut conn = Self::open(&context).await?;
        // Nobody has this number, so the answer only says whether we might.
        let mut tried = Pipeline::of(&[b"CLIENT", b"KILL", b"ID", b"9223372036854775807"]);
        // Without the right to it, what is to be one transaction would be carried out piece by piece.
        tried.add(&[b"MULTI"]).add(&[b"EXEC"]);
        let replies = conn.call(&tried).await?.into_iter();
        let form = match replies.map(|reply| conn.check(reply)).find_map(Result::err) {
            None => Form::Transaction,
            Some(error) if error.is_transient() => return Err(error),
            Some(error) => {
                tracing::info!(%error, "publishing through scripts, because `MULTI` or `CLIENT KILL` is not allowed");
                // That one may be within a transaction that it may not end.
                conn = Self::open(&context).await?;
                Form::Script
            }
        };
        Ok(Self::with(context, conn, form))
    }

    async fn open(context: &Context) -> Result<Conn> {
        let mut conn = Conn::open(&context.topology, "publish").await?;
        conn.load_scripts().await?;
        Ok(conn)
    }

    fn with(context: Arc<Context>, conn: Conn, form: Form) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(form)),
            wake: Notify::new(),
        });
        let task = tokio::spawn(Task::new(context.clone(), shared.clone()).run(conn));
        Self {
            context,
            shared,
            task: tokio::sync::Mutex::new(Some(task)),
        }
    }
}

#[async_trait]
impl Publisher for RedisPublisher {
    fn publish_batch(&self, topic: &str, batch: Vec<Message>) -> Pending {
        let messages = batch.len();
        if messages == 0 {
            return Pending::ready(Vec::new());
        }
        let (call, outcomes) = Call::new(messages);
        {
            let mut state = self.shared.state.lock();
            if state.closing {
                return Pending::ready(closed(messages, Unsent::not_stored));
            }
            state.take(&self.context.config, topic, batch, call);
        }
        self.shared.wake.notify_one();
        // The task only goes away with the runtime; what it had may be stored.
        Pending::new(async move {
            outcomes
                .await
                .unwrap_or_else(|_| closed(messages, Unsent::unknown))
        })
    }

    async fn close(&self) -> Result<()> {
        self.shared.state.lock().closing = true;
        self.shared.wake.notify_one();
        // It stays while somebody waits for it: who closes again after a close that was given up has to wait too.
        let mut slot = self.task.lock().await;
        if let Some(task) = slot.as_mut() {
            // It ends when the last message has its outcome; every message has a deadline.
            let _ = task.await;
            *slot = None;
        }
        Ok(())
    }
}

impl Drop for RedisPublisher {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.wake.notify_one();
    }
}

fn closed(messages: usize, unsent: fn(Error) -> Unsent) -> Vec<Result<Outcome, Unsent>> {
    std::iter::repeat_with(|| Err(unsent(Error::closed("publisher"))))
        .take(messages)
        .collect()
}
