//! The pump: the one task of a subscription that owns its subscriber. It feeds the flow also when nobody calls `next`,
//! because otherwise a slow caller would stop the answer to `Losing`.

use crate::{
    Ack, Done, Error, ErrorKind, Event, Result, Retry, Room, Shard, Subscriber,
    shared::{Shared, now},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

/// Waits between tries of a call that failed for a passing reason.
const AGAIN: Retry = Retry::exponential(Duration::from_millis(50)).cap(Duration::from_secs(1));
/// How long a backend may take to let go at the end: its own bound is shorter.
const CLOSE: Duration = Duration::from_secs(20);

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
}

#[derive(Default)]
struct Running {
    commit: Option<Commit>,
    releases: FuturesUnordered<BoxFuture<'static, ()>>,
    flushes: Vec<(u64, oneshot::Sender<Result<()>>)>,
    drained: Vec<oneshot::Sender<Result<()>>>,
    draining: bool,
    orphaned: bool,
}

impl Pump {
    pub(crate) async fn run(mut self) {
        let mut running = Running::default();
        let (result, gracefully) = match self.turn(&mut running).await {
            Ok(gracefully) => (Ok(()), gracefully),
            Err(error) => (Err(error), true),
        };
        // What came back in the meantime is settled by the next owner: after a failure, too, nothing is lost.
        if gracefully {
            let owned = self.shared.core.lock().flow.owned();
            let mut releases: FuturesUnordered<_> =
                owned.into_iter().map(|s| release(self.ack.clone(), s)).collect();
            let all = async { while releases.next().await.is_some() {} };
            let _ = timeout(CLOSE, all).await;
            match timeout(CLOSE, self.subscriber.close()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "closing the subscription failed"),
                Err(_) => tracing::warn!("closing the subscription took too long and was given up"),
            }
        }
        self.shared.end(result.as_ref().err().map(Error::duplicate));
        for (_, reply) in running.flushes {
            let _ = reply.send(Err(Error::closed("the subscription")));
        }
        for reply in running.drained {
            let _ = reply.send(result.as_ref().map(|_| ()).map_err(Error::duplicate));
        }
    }

    /// Until drained (true), or aborted (false).
    async fn turn(&mut self, running: &mut Running) -> Result<bool> {
        let mut events = Vec::new();
        let mut committed = Instant::now();
        loop {
            let Some((room, deadline, in_flight)) = self.work(running, &mut events)? else {
                return Ok(true);
            };
            if running.commit.is_some() {
                committed = Instant::now();
            }
            // Acks only set bits; somebody has to look at them when no reader does.
            let tick = in_flight.then(|| committed + self.commit_every);
            let wake = [deadline, tick].into_iter().flatten().min();
            tokio::select! {
                biased;
                command = self.commands.recv(), if !running.orphaned => match command {
                    Some(Command::Abort) => return Ok(false),
                    Some(Command::Flush(reply)) => {
                        let mut core = self.shared.core.lock();
                        core.flow.step(now());
                        running.flushes.push((core.flow.flush(), reply));
                    }
                    Some(Command::Drain(grace, reply)) => {
                        self.drain(running, grace);
                        running.drained.push(reply);
                    }
                    // The subscription was dropped: what its deliveries settle within no time at all is stored.
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
                }
                Some(()) = running.releases.next() => {}
                _ = self.shared.pump.notified() => {}
                _ = async { match wake { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    if tick.is_some_and(|tick| Instant::now() >= tick) {
                        committed = Instant::now();
                        let mut core = self.shared.core.lock();
                        core.flow.step(now());
                        core.flow.flush();
                    }
                }
                received = self.subscriber.receive(room, &mut events) => received?,
            }
        }
    }

    fn drain(&self, running: &mut Running, grace: Duration) {
        if !std::mem::replace(&mut running.draining, true) {
            let mut core = self.shared.core.lock();
            core.flow.step(now());
            core.flow.drain(now().mono + grace);
        }
    }

    /// One step under one lock: events in, work out. `None`: drained.
    fn work(
        &mut self,
        running: &mut Running,
        events: &mut Vec<Event>,
    ) -> Result<Option<(Room, Option<Instant>, bool)>> {
        let now = now();
        let mut core = self.shared.core.lock();
        let lost = events.iter().any(|e| matches!(e, Event::Lost(_)));
        for event in events.drain(..) {
            core.flow.input(event, now);
        }
        let (work, room) = loop {
            core.flow.step(now);
            let work = core.flow.work(now);
            let room = core.flow.room();
            core.park(&self.shared.marks);
            if !self.shared.marks.any()
                || !work.commits.is_empty()
                || !work.release.is_empty()
                || !work.pause.is_empty()
            {
                break (work, room);
            }
        };
        core.pass_on(&self.shared.marks);
        if let Some(error) = core.flow.take_failure() {
            return Err(error);
        }
        for (_, reply) in running
            .flushes
            .extract_if(.., |(ticket, _)| core.flow.is_flushed(*ticket))
        {
            let _ = reply.send(Ok(()));
        }
        let drained = running.draining
            && core.flow.is_drained(now)
            && running.commit.is_none()
            && work.commits.is_empty();
        let deadline = core.flow.deadline().map(Instant::from_std);
        let in_flight = core.flow.in_flight() > 0;
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
        Ok((!drained).then_some((room, deadline, in_flight)))
    }
}

/// Commits, and tries again what failed for a passing reason, for as long as the shard can still be ours.
async fn commit(ack: Arc<dyn Ack>, mut done: Vec<Done>, shared: Arc<Shared>) -> Vec<(Shard, Result<()>)> {
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
        done = sort(&shared, done, results, &mut answers);
        if done.is_empty() {
            break;
        }
        tokio::time::sleep(AGAIN.wait(attempt)).await;
    }
    answers
}

/// Keeps what is worth another try; the other answers are final.
fn sort(
    shared: &Shared,
    done: Vec<Done>,
    results: Vec<Result<()>>,
    answers: &mut Vec<(Shard, Result<()>)>,
) -> Vec<Done> {
    let core = shared.core.lock();
    let mut again = Vec::new();
    for (done, result) in done.into_iter().zip(results) {
        match result {
            Err(error) if error.is_transient() && core.flow.may_retry(done.shard, now()) => {
                tracing::warn!(partition = done.shard.partition, %error, "commit failed, trying again");
                again.push(done);
            }
            result => answers.push((done.shard, result)),
        }
    }
    again
}

/// Releases one shard; a failure only costs its next owner a wait.
fn release(ack: Arc<dyn Ack>, shard: Shard) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        for attempt in 1..=5 {
            match ack.release(shard).await {
                Err(error) if error.is_transient() => tokio::time::sleep(AGAIN.wait(attempt)).await,
                Err(error) if error.kind() != ErrorKind::Fenced => {
                    return tracing::warn!(partition = shard.partition, %error, "releasing a partition failed");
                }
                _ => return,
            }
        }
    })
}
