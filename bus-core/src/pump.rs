//! The pump: the one task of a subscription that owns its subscriber. It feeds the flow also when nobody calls `next`,
//! because otherwise a slow caller would stop the answer to `Losing`.

use crate::{
    Ack, Error, ErrorKind, Event, Result, Room, Shard, Subscriber,
    settling::{commit, release},
    shared::{Shared, now},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

/// How long a backend may take to let go at the end: its own bound is shorter.
const CLOSE: Duration = Duration::from_secs(20);
/// The same after a failure: whoever reads is to learn of it.
const CLOSE_FAILED: Duration = Duration::from_secs(5);
/// How long after a drain's own deadline the last commits may take, whatever the backend does.
const GIVE_UP: Duration = Duration::from_secs(10);

/// What a subscription asks of its pump.
#[derive(Debug)]
pub(crate) enum Command {
    /// Store everything settled so far.
    Flush(oneshot::Sender<Result<()>>),
    /// Finish what runs, store, release, close.
    Drain(Duration, oneshot::Sender<Result<()>>),
    /// Stop as a crash would: store nothing, release nothing.
    Abort,
}

type Commit = BoxFuture<'static, Vec<(Shard, Result<()>)>>;

pub(crate) struct Pump {
    pub(crate) subscriber: Box<dyn Subscriber>,
    pub(crate) ack: Arc<dyn Ack>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) commit_every: Duration,
    /// Part of the task from the start, which may be stopped before it has begun.
    pub(crate) ending: Ending,
}

#[derive(Default)]
struct Running {
    commit: Option<Commit>,
    releases: FuturesUnordered<BoxFuture<'static, ()>>,
    flushes: Vec<(u64, oneshot::Sender<Result<()>>)>,
    drained: Vec<oneshot::Sender<Result<()>>>,
    /// When a drain that does not come to its end is over all the same.
    give_up: Option<Instant>,
    orphaned: bool,
    failure: Option<Error>,
}

/// What the pump waits for, beside what it is told.
struct Waits {
    room: Room,
    deadline: Option<Instant>,
    /// Something is in flight, or settled and not stored.
    busy: bool,
}

/// Ends the subscription if its pump does not: nobody is to wait for a task that is gone.
pub(crate) struct Ending(pub(crate) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let text = "the subscription's task was stopped: its runtime was shut down, or its backend panicked";
        self.0.end(Some(Error::new(ErrorKind::Closed, text)));
    }
}

impl Pump {
    pub(crate) async fn run(mut self) {
        let mut running = Running::default();
        let gracefully = self.turn(&mut running).await;
        let failure = running.failure.take();
        // What came back in the meantime is settled by the next owner: after a failure, too, nothing is lost.
        if gracefully {
            self.let_go(if failure.is_some() { CLOSE_FAILED } else { CLOSE })
                .await;
        }
        let failed = || failure.as_ref().map(Error::duplicate);
        self.ending.0.end(failed());
        for (_, reply) in running.flushes {
            let _ = reply.send(Err(failed().unwrap_or_else(|| Error::closed("the subscription"))));
        }
        for reply in running.drained {
            let _ = reply.send(failed().map_or(Ok(()), Err));
        }
    }

    /// Releases what is owned, so that the next owners need not wait, and leaves.
    async fn let_go(&mut self, limit: Duration) {
        let owned = self.shared.core.lock().flow.owned();
        let mut releases: FuturesUnordered<_> =
            owned.into_iter().map(|s| release(self.ack.clone(), s)).collect();
        let all = async { while releases.next().await.is_some() {} };
        let _ = timeout(limit, all).await;
        match timeout(limit, self.subscriber.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "closing the subscription failed"),
            Err(_) => tracing::warn!("closing the subscription took too long and was given up"),
        }
    }

    /// Until drained (true), or aborted (false).
    async fn turn(&mut self, running: &mut Running) -> bool {
        let mut events = Vec::new();
        let mut committed = Instant::now();
        loop {
            let Some(waits) = self.work(running, &mut events) else {
                return true;
            };
            if running.commit.is_some() {
                committed = Instant::now();
            }
            // Acks only set bits; somebody has to look at them when no reader does, and what one looked at is as old
            // as the last commit at most.
            let tick = waits.busy.then(|| committed + self.commit_every);
            let wake = [waits.deadline, tick, running.give_up]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                biased;
                command = self.commands.recv(), if !running.orphaned => match command {
                    Some(Command::Abort) => return false,
                    Some(Command::Flush(reply)) => {
                        let mut core = self.shared.core.lock();
                        core.flow.step(now());
                        running.flushes.push((core.flow.flush(), reply));
                    }
                    Some(Command::Drain(grace, reply)) => {
                        self.drain(running, grace);
                        running.drained.push(reply);
                    }
                    // The subscription was dropped: what its deliveries settled by now is stored.
                    None => {
                        running.orphaned = true;
                        self.drain(running, Duration::ZERO);
                    }
                },
                results = async { match &mut running.commit { Some(c) => c.await, None => std::future::pending().await } } => {
                    running.commit = None;
                    let mut core = self.shared.core.lock();
                    for (shard, result) in results {
                        core.flow.committed(shard, result);
                    }
                    drop(core);
                    // A refused commit takes its shard's handlers down.
                    self.shared.lost.notify_waiters();
                }
                Some(()) = running.releases.next() => {}
                // Before what only wakes, so that a stream of acks cannot keep it from being asked.
                received = self.subscriber.receive(waits.room, &mut events), if running.failure.is_none() => {
                    if let Err(error) = received {
                        self.fail(running, error);
                    }
                }
                _ = self.shared.pump.notified() => {}
                _ = async { match wake { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    if tick.is_some_and(|tick| Instant::now() >= tick) {
                        committed = Instant::now();
                        let mut core = self.shared.core.lock();
                        core.flow.step(now());
                        core.flow.flush();
                    }
                }
            }
        }
    }

    fn drain(&self, running: &mut Running, grace: Duration) {
        if running.give_up.is_none() {
            running.give_up = Some(Instant::now() + grace + GIVE_UP);
            let mut core = self.shared.core.lock();
            core.flow.step(now());
            core.flow.drain(now().mono + grace);
        }
    }

    /// Nothing is handed out any more; what is settled is stored if that still works.
    fn fail(&self, running: &mut Running, error: Error) {
        if running.failure.is_none() {
            tracing::error!(%error, topics = ?self.shared.topics, "the subscription ends");
            for (_, reply) in running.flushes.drain(..) {
                let _ = reply.send(Err(error.duplicate()));
            }
            running.failure = Some(error);
            let limit = Instant::now() + CLOSE_FAILED;
            running.give_up = Some(running.give_up.map_or(limit, |at| at.min(limit)));
            let mut core = self.shared.core.lock();
            core.flow.step(now());
            core.flow.drain(now().mono);
        }
    }

    /// One step under one lock: events in, work out. `None`: drained.
    fn work(&mut self, running: &mut Running, events: &mut Vec<Event>) -> Option<Waits> {
        let now = now();
        let mut core = self.shared.core.lock();
        let lost = events.iter().any(|e| matches!(e, Event::Lost(_)));
        for event in events.drain(..) {
            core.flow.input(event, now);
        }
        let (work, room) = self.shared.turn(&mut core, now);
        if let Some(error) = core.flow.take_failure() {
            drop(core);
            self.fail(running, error);
            core = self.shared.core.lock();
        }
        let failed = running.failure.is_some();
        for (_, reply) in running
            .flushes
            .extract_if(.., |(ticket, _)| !failed && core.flow.is_flushed(*ticket))
        {
            let _ = reply.send(Ok(()));
        }
        let drained = running.give_up.is_some()
            && core.flow.is_drained(now)
            && running.commit.is_none()
            && work.commits.is_empty();
        let deadline = core.flow.deadline().map(Instant::from_std);
        let busy = core.flow.in_flight() > 0 || !core.flow.is_stored();
        drop(core);
        if lost || !work.release.is_empty() {
            self.shared.lost.notify_waiters();
        }
        for (shard, paused) in work.pause {
            self.subscriber.pause(shard, paused);
        }
        if !work.commits.is_empty() {
            running.commit = Some(Box::pin(commit(
                self.ack.clone(),
                work.commits,
                self.shared.clone(),
            )));
        }
        running.releases.extend(
            work.release
                .into_iter()
                .map(|shard| release(self.ack.clone(), shard)),
        );
        if !drained && running.give_up.is_some_and(|at| Instant::now() >= at) {
            tracing::warn!("the last commit took too long and was given up: its messages come again");
            return None;
        }
        (!drained).then_some(Waits { room, deadline, busy })
    }
}
