//! The pump's calls on a backend's [`Ack`], tried again where that can help.

use crate::{
    Ack, Done, Error, ErrorKind, Result, Retry, Shard,
    shared::{Shared, now},
};
use futures_util::future::BoxFuture;
use std::{sync::Arc, time::Duration};

/// Waits between tries of a call that failed for a passing reason.
const AGAIN: Retry = Retry::exponential(Duration::from_millis(50)).cap(Duration::from_secs(1));
/// Tries of a commit that a rebalance or a reconnect explains; from here on it is a warning.
const EXPLAINED: u32 = 5;

/// Commits, and tries again what failed for a passing reason, for as long as the shard can still be ours.
pub(crate) async fn commit(
    ack: Arc<dyn Ack>,
    mut done: Vec<Done>,
    shared: Arc<Shared>,
) -> Vec<(Shard, Result<()>)> {
    let mut answers = Vec::with_capacity(done.len());
    for attempt in 1.. {
        let results = ack.commit(done.clone()).await;
        if results.len() != done.len() {
            let error = Error::new(
                ErrorKind::Other,
                "the backend did not answer for every shard of a commit",
            );
            answers.extend(done.iter().map(|d| (d.shard, Err(error.duplicate()))));
            break;
        }
        done = sort(&shared, attempt, done, results, &mut answers);
        if done.is_empty() {
            break;
        }
        tokio::time::sleep(AGAIN.wait(attempt)).await;
        join_in(&shared, &mut done, &mut answers);
    }
    answers
}

/// Others do not wait for what is tried again: their answers count, and what they have to store meanwhile goes with it.
fn join_in(shared: &Shared, done: &mut Vec<Done>, answers: &mut Vec<(Shard, Result<()>)>) {
    let mut core = shared.core.lock();
    for (shard, result) in answers.drain(..) {
        core.flow.committed(shard, result);
    }
    let carried = done.iter().map(|done| done.outputs.len()).sum();
    done.extend(core.flow.commit_beside(now(), carried));
    drop(core);
    shared.lost.notify_waiters();
    shared.pump.notify_one();
}

/// Keeps what is worth another try; the other answers are final.
fn sort(
    shared: &Shared,
    attempt: u32,
    done: Vec<Done>,
    results: Vec<Result<()>>,
    answers: &mut Vec<(Shard, Result<()>)>,
) -> Vec<Done> {
    let core = shared.core.lock();
    let mut again = Vec::new();
    for (done, result) in done.into_iter().zip(results) {
        match result {
            Err(error) if error.is_transient() && core.flow.may_retry(done.shard, now()) => {
                let topic = shared.topics.name(done.shard.topic);
                let partition = done.shard.partition;
                if attempt < EXPLAINED {
                    tracing::debug!(topic, partition, %error, attempt, "commit failed, trying again");
                } else {
                    tracing::warn!(topic, partition, %error, attempt, "commit still fails, trying again");
                }
                again.push(done);
            }
            result => answers.push((done.shard, result)),
        }
    }
    again
}

/// Releases one shard; a failure only costs its next owner a wait.
pub(crate) fn release(ack: Arc<dyn Ack>, shard: Shard) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        for attempt in 1..=5 {
            match ack.release(shard).await {
                Err(error) if error.is_transient() && attempt < 5 => {
                    tokio::time::sleep(AGAIN.wait(attempt)).await
                }
                Err(error) if error.kind() != ErrorKind::Fenced => {
                    return tracing::warn!(partition = shard.partition, %error, "releasing a partition failed");
                }
                _ => return,
            }
        }
    })
}
