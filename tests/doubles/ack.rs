//! An ack half whose commits fail as told, and are written down.

use async_trait::async_trait;
use bus::{Ack, Done, Error, ErrorKind, Result, Shard};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::{sync::Notify, time::Instant};

/// What becomes of one commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// A failure that passes.
    Transient,
    /// A failure that does not.
    Fatal,
    /// A failure that passes, of this partition only.
    TransientIn(u32),
    /// No answer at all.
    Never,
}

/// The answers of the next commits, and the commits so far. Behind the last answer they go through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commits(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<(Instant, Done)>>,
    stored: Mutex<Vec<Done>>,
    released: Mutex<Vec<Shard>>,
    changed: Notify,
}

impl Commits {
    pub(crate) fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.answers.lock().unwrap().extend(answers);
    }
    /// When each was asked for.
    pub(crate) fn asked(&self) -> Vec<(Instant, Done)> {
        self.0.seen.lock().unwrap().clone()
    }
    /// What was stored.
    pub(crate) fn stored(&self) -> Vec<Done> {
        self.0.stored.lock().unwrap().clone()
    }
    pub(crate) fn released(&self) -> usize {
        self.0.released.lock().unwrap().len()
    }
    /// Waits until so many were asked for.
    pub(crate) async fn wait(&self, commits: usize) {
        loop {
            let changed = self.0.changed.notified();
            if self.0.seen.lock().unwrap().len() >= commits {
                return;
            }
            changed.await;
        }
    }
    pub(super) fn wrap(&self, ack: Arc<dyn Ack>) -> Arc<dyn Ack> {
        Arc::new(Scripted {
            ack,
            script: self.clone(),
        })
    }
}

#[derive(Debug)]
struct Scripted {
    ack: Arc<dyn Ack>,
    script: Commits,
}

#[async_trait]
impl Ack for Scripted {
    async fn commit(&self, done: Vec<Done>) -> Vec<Result<()>> {
        let script = &self.script.0;
        let now = Instant::now();
        script
            .seen
            .lock()
            .unwrap()
            .extend(done.iter().map(|d| (now, d.clone())));
        script.changed.notify_waiters();
        let answer = script.answers.lock().unwrap().pop_front();
        let fail = |kind| {
            done.iter()
                .map(|_| Err(Error::new(kind, "as told")))
                .collect::<Vec<_>>()
        };
        match answer {
            Some(Answer::Transient) => return fail(ErrorKind::Unavailable),
            Some(Answer::Fatal) => return fail(ErrorKind::Denied),
            Some(Answer::Never) => std::future::pending().await,
            Some(Answer::TransientIn(_)) | None => {}
        }
        let failing = |d: &Done| matches!(answer, Some(Answer::TransientIn(p)) if p == d.shard.partition);
        let mut results = self
            .ack
            .commit(done.iter().filter(|d| !failing(d)).cloned().collect())
            .await
            .into_iter();
        let results: Vec<_> = done
            .iter()
            .map(|d| match failing(d) {
                true => Err(Error::new(ErrorKind::Unavailable, "as told")),
                false => results.next().expect("an answer each"),
            })
            .collect();
        let stored = done.into_iter().zip(&results).filter(|(_, r)| r.is_ok());
        script.stored.lock().unwrap().extend(stored.map(|(d, _)| d));
        script.changed.notify_waiters();
        results
    }
    async fn release(&self, shard: Shard) -> Result<()> {
        self.script.0.released.lock().unwrap().push(shard);
        self.ack.release(shard).await
    }
}
