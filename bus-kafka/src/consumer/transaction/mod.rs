//! Exactly once: outputs and positions of a commit in one transaction.
//!
//! One transactional producer for each subscription, on a thread of its own, because every call of it blocks. A
//! transaction lives inside one call of [`bus_core::Ack::commit`]; while it does, no partition is handed over
//! ([`Turn`](super::turn::Turn)).
//!
//! | file | what |
//! |---|---|
//! | `writer` | the thread: commits, one after the other |
//! | `attempt` | one transaction, from begin to its end |
//! | `producer` | the transactional producer: made, and made again |
//! | `names` | transactional ids |

mod attempt;
mod names;
mod producer;
mod writer;

pub(crate) use names::Names;
pub(super) use producer::Transactional;
pub(super) use writer::{Job, Place, Writer};

use super::{Command, Line};
use async_trait::async_trait;
use bus_core::{Ack, Done, Error, Result, Shard};
use std::{fmt, sync::mpsc};
use tokio::sync::oneshot;

/// [`bus_core::Ack`], exactly once.
pub(super) struct ExactlyOnceAck {
    line: Line,
    jobs: mpsc::Sender<Job>,
}

impl ExactlyOnceAck {
    pub(super) fn new(line: Line, jobs: mpsc::Sender<Job>) -> Self {
        Self { line, jobs }
    }
}

impl fmt::Debug for ExactlyOnceAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExactlyOnceAck").finish_non_exhaustive()
    }
}

#[async_trait]
impl Ack for ExactlyOnceAck {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        let count = done.len();
        let (reply, answer) = oneshot::channel();
        let closed = || {
            (0..count)
                .map(|_| Err(Error::closed("the subscription")))
                .collect()
        };
        if self.jobs.send((done, reply)).is_err() {
            return closed();
        }
        answer.await.unwrap_or_else(|_| closed())
    }

    async fn release(&self, shard: Shard) -> Result<()> {
        self.line.ask(|reply| Command::Release(shard, reply)).await?
    }
}
