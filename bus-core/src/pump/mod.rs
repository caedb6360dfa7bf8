//! The pump: the one task of a subscription that owns its subscriber. It feeds the flow also when nobody calls `next`,
//! because otherwise a slow caller would stop the answer to `Losing`.

mod control;
mod settling;
mod work;

use crate::{
    Ack, Error, ErrorKind, Result, Room, Shard, Start, Subscriber,
    awaiting::Fetch,
    flow::Which,
    mutant,
    notices::Notices,
    shared::{Shared, now},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use settling::release;
use std::{collections::VecDeque, sync::Arc, time::Duration};
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
/// How often acks are looked at while somebody waits for the end of what was there: as often as they are stored.
const LOOK: Duration = Duration::from_millis(200);

/// What a subscription asks of its pump.
#[derive(Debug)]
pub(crate) enum Command {
    /// Store everything settled so far.
    Flush(oneshot::Sender<Result<()>>),
    /// Finish what runs, store, release, close.
    Drain(Duration, oneshot::Sender<Result<()>>),
    /// Stop as a crash would: store nothing, release nothing.
    Abort,
    /// Begin anew at this place.
    Seek(Which, Start, oneshot::Sender<Result<()>>),
    /// Say when everything that was there at the beginning is settled.
    CaughtUp(oneshot::Sender<Result<()>>),
}

type Commit = BoxFuture<'static, Vec<(Shard, Result<()>)>>;

pub(crate) struct Pump {
    pub(crate) subscriber: Box<dyn Subscriber>,
    pub(crate) ack: Arc<dyn Ack>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) commit_every: Duration,
    pub(crate) notices: Notices,
    /// Part of the task from the start, which may be stopped before it has begun.
    pub(crate) ending: Ending,
}

#[derive(Default)]
struct Running {
    commit: Option<Commit>,
    releases: FuturesUnordered<BoxFuture<'static, ()>>,
    /// What records wait for.
    fetches: FuturesUnordered<Fetch>,
    flushes: Vec<(u64, oneshot::Sender<Result<()>>)>,
    drained: Vec<oneshot::Sender<Result<()>>>,
    caught_up: Vec<oneshot::Sender<Result<()>>>,
    seeks: VecDeque<(Which, Start, oneshot::Sender<Result<()>>)>,
    sought: Option<Sought>,
    /// When a drain that does not come to its end is over all the same.
    give_up: Option<Instant>,
    orphaned: bool,
    failure: Option<Error>,
}

/// A seek that the backend has accepted. It is over when every partition was gained again: only then is its position
/// fixed and stored, nothing from before it is handed out any more, and the next seek finds the shards that came of it.
struct Sought {
    shards: Vec<Shard>,
    result: Result<()>,
    reply: oneshot::Sender<Result<()>>,
    /// Not waited for longer than this.
    limit: Instant,
}

/// The answer to the commit under way. Cancel-safe; pending for ever when there is none.
async fn answered(commit: &mut Option<Commit>) -> Vec<(Shard, Result<()>)> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
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
        if gracefully {
            self.tell_the_end().await;
        }
        let failed = || failure.as_ref().map(Error::duplicate);
        self.ending.0.end(failed());
        let over = || failed().unwrap_or_else(|| Error::closed("the subscription"));
        for reply in running.caught_up {
            let _ = reply.send(Err(over()));
        }
        let sought = running.sought.map(|sought| sought.reply);
        for reply in running.seeks.into_iter().map(|(.., reply)| reply).chain(sought) {
            let _ = reply.send(Err(over()));
        }
        for (_, reply) in running.flushes {
            let _ = reply.send(Err(over()));
        }
        for reply in running.drained {
            let _ = reply.send(failed().map_or(Ok(()), Err));
        }
        self.refuse_commands().await;
    }

    /// Drops every command that is still on its way, which tells whoever waits for its answer. A channel that is only
    /// dropped keeps what is being sent at that moment for as long as there are senders.
    async fn refuse_commands(&mut self) {
        self.commands.close();
        while self.commands.recv().await.is_some() {}
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
            let (again, asked) = self.shared.awaiting.take();
            running.fetches.extend(asked);
            if !again.is_empty() {
                self.shared.decode_again(again);
            }
            let Some(waits) = self.work(running, &mut events) else {
                return true;
            };
            if running.commit.is_some() {
                committed = Instant::now();
            }
            self.sought(running);
            if running.sought.is_none()
                && let Some(seek) = running.seeks.pop_front()
            {
                self.seek(running, seek).await;
                continue;
            }
            // Acks only set bits; somebody has to look at them when no reader does, and what one looked at is as old
            // as the last commit at most.
            let age = if running.caught_up.is_empty() {
                self.commit_every
            } else {
                self.commit_every.min(LOOK)
            };
            let tick = waits.busy.then(|| committed + age);
            let limit = running.sought.as_ref().map(|sought| sought.limit);
            let wake = [waits.deadline, tick, running.give_up, limit]
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
                    Some(Command::Drain(_, reply)) if mutant("close-without-drain") => {
                        running.drained.push(reply);
                        return true;
                    }
                    Some(Command::Drain(grace, reply)) => {
                        self.drain(running, grace);
                        running.drained.push(reply);
                    }
                    Some(Command::Seek(which, to, reply)) => running.seeks.push_back((which, to, reply)),
                    Some(Command::CaughtUp(reply)) => running.caught_up.push(reply),
                    // The subscription was dropped: what its deliveries settled by now is stored.
                    None => {
                        running.orphaned = true;
                        self.drain(running, Duration::ZERO);
                    }
                },
                results = answered(&mut running.commit) => self.committed(running, results),
                told = self.notices.told() => self.told(running, told),
                Some(()) = running.releases.next() => {}
                Some(fetched) = running.fetches.next() => running.fetches.extend(self.shared.awaiting.fetched(fetched)),
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
                        core.flow.tick();
                    }
                }
            }
        }
    }
}
