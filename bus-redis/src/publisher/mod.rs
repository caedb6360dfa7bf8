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
mod routes;
mod state;
mod task;

use crate::{
    Context,
    wire::{Conn, Node, Pipeline},
};
use async_trait::async_trait;
use bus_core::{Error, Message, Outcome, Pending, Publisher, Result, Unsent};
use call::Call;
use lane::Form;
use parking_lot::Mutex;
use state::State;
use std::sync::Arc;
use tokio::{runtime::Handle, sync::Notify};

/// Between callers and the task.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// A task has ended.
    ended: Notify,
}

/// Stores messages, each once.
#[derive(Debug)]
pub(crate) struct RedisPublisher {
    context: Arc<Context>,
    shared: Arc<Shared>,
    /// Topics are looked up beside whoever publishes to them.
    runtime: Handle,
}

impl RedisPublisher {
    /// Connects, and finds out how to be idempotent with this user's rights.
    pub(crate) async fn start(context: Arc<Context>) -> Result<Self> {
        context.topology.settle().await;
        let node = context.topology.any();
        let mut conn = Self::open(&context, &node).await?;
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
                conn = Self::open(&context, &node).await?;
                Form::Script
            }
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(form)),
            ended: Notify::new(),
        });
        shared.first(&context, node, conn);
        Ok(Self {
            context,
            shared,
            runtime: Handle::current(),
        })
    }

    async fn open(context: &Context, node: &Node) -> Result<Conn> {
        let mut conn = Conn::open(&context.topology, node, "publish").await?;
        conn.load_scripts().await?;
        Ok(conn)
    }

    fn close_now(&self) {
        let mut state = self.shared.state.lock();
        state.closing = true;
        let wakes = state.all_wakes();
        drop(state);
        wakes.wake();
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
        let (wakes, unknown) = {
            let mut state = self.shared.state.lock();
            if state.closing {
                return Pending::ready(closed(messages, Unsent::not_stored));
            }
            state.take(&self.context.config, topic, batch, call);
            (state.wakes(), std::mem::take(&mut state.unknown))
        };
        wakes.wake();
        for name in unknown {
            let (context, shared) = (self.context.clone(), self.shared.clone());
            self.runtime.spawn(task::look_up(context, shared, name));
        }
        // The task only goes away with the runtime; what it had may be stored.
        Pending::new(async move {
            outcomes
                .await
                .unwrap_or_else(|_| closed(messages, Unsent::unknown))
        })
    }

    async fn close(&self) -> Result<()> {
        self.close_now();
        loop {
            let ended = self.shared.ended.notified();
            let mut ended = std::pin::pin!(ended);
            ended.as_mut().enable();
            // They end when the last message has its outcome; every message has a deadline.
            if !self.shared.state.lock().runs() {
                return Ok(());
            }
            ended.await;
        }
    }
}

impl Drop for RedisPublisher {
    fn drop(&mut self) {
        self.close_now();
    }
}

fn closed(messages: usize, unsent: fn(Error) -> Unsent) -> Vec<Result<Outcome, Unsent>> {
    std::iter::repeat_with(|| Err(unsent(Error::closed("publisher"))))
        .take(messages)
        .collect()
}
