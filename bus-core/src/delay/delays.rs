//! The delays of one bus: every message that it publishes passes here, and those that are to wait take their way.

use super::{
    layout::Layout,
    line::{Line, Turn, Waiter},
    marks,
    merge::Merge,
    mover,
    ticket::{self, Wish},
};
use crate::{
    Backend, Error, ErrorKind, Message, Name, Outcome, Pending, Result, Unsent, bus::WeakBus, clock,
    gate::Gate, topics::Topics,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, ready},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::JoinHandle,
};

/// How a mover is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    #[default]
    Go,
    /// Store what it carried, leave.
    Close,
    /// As a process that is killed.
    #[cfg_attr(not(feature = "conformance"), allow(dead_code))]
    Crash,
}

/// Returns once a mover is to end.
pub(super) async fn stopped(stop: &mut watch::Receiver<Stop>) {
    let _ = stop.wait_for(|stop| *stop != Stop::Go).await;
}

pub(crate) struct Delays {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) gate: Arc<Gate>,
    pub(super) bus: OnceLock<WeakBus>,
    pub(super) runtime: Handle,
    create: AtomicBool,
    /// Nothing is stored, so nothing waits.
    off: AtomicBool,
    lines: Mutex<HashMap<Name, Arc<Line>>>,
    pub(super) stop: watch::Sender<Stop>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Whoever closes does so alone: a task's handle wakes only the last who polled it.
    closing: tokio::sync::Mutex<()>,
    /// Topics that are subscribed to, and the one who looks for their delays.
    pub(super) watched: Mutex<Vec<Weak<Topics>>>,
    pub(super) look: Notify,
    pub(super) watching: AtomicBool,
    /// Records that one of its movers held at once, at most.
    pub(super) peak: AtomicUsize,
}

impl Delays {
    /// Inside a tokio runtime only.
    pub(crate) fn new(backend: Arc<dyn Backend>, gate: Arc<Gate>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            gate,
            bus: OnceLock::new(),
            runtime: Handle::current(),
            create: AtomicBool::new(true),
            off: AtomicBool::new(false),
            lines: Mutex::default(),
            stop: watch::Sender::default(),
            tasks: Mutex::default(),
            closing: tokio::sync::Mutex::default(),
            watched: Mutex::default(),
            look: Notify::new(),
            watching: AtomicBool::new(false),
            peak: AtomicUsize::new(0),
        })
    }
    /// Movers subscribe through their bus, and must not keep it alive.
    pub(crate) fn belongs_to(&self, bus: WeakBus) {
        let _ = self.bus.set(bus);
    }
    /// Whether missing topics of delays are made.
    pub(crate) fn create(&self, create: bool) {
        self.create.store(create, Relaxed);
    }
    /// Whether nothing is stored.
    pub(crate) fn is_off(&self) -> bool {
        self.off.load(Relaxed)
    }
    /// From now on delayed messages pass as any others do: nothing is stored.
    pub(crate) fn turn_off(&self) {
        self.off.store(true, Relaxed);
    }
    /// Publishes: at once what is due, and what is to wait where it waits.
    pub(crate) fn publish(self: &Arc<Self>, topic: &str, batch: Vec<Message>) -> Pending {
        if !batch.iter().any(marks::is_delayed) || self.is_off() {
            return self.gate.publish(topic, batch).into_pending();
        }
        let now = clock::millis();
        let mut merge = Merge::new(batch.len());
        let (mut due, mut due_at, mut later, mut later_at) = (vec![], vec![], vec![], vec![]);
        for (at, message) in batch.into_iter().enumerate() {
            match Wish::of(&message) {
                Ok(Some(wish)) if !wish.is_due(now) => {
                    later.push(message);
                    later_at.push(at);
                }
                Ok(_) => {
                    due.push(ticket::due(message));
                    due_at.push(at);
                }
                Err(error) => merge.refuse(at, Unsent::not_stored(error)),
            }
        }
        if !due.is_empty() {
            merge.part(due_at, self.gate.publish(topic, due).into_pending());
        }
        if !later.is_empty() {
            merge.part(later_at, self.delay(topic, later));
        }
        merge.into_pending()
    }
    /// One topic's part. It stays: an application has as many as it has topics.
    pub(super) fn line(&self, topic: &str) -> Result<Arc<Line>> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(topic) {
            return Ok(line.clone());
        }
        let line = Arc::new(Line::new(topic)?);
        lines.insert(line.topic.clone(), line.clone());
        Ok(line)
    }
    /// Messages of which each is to wait.
    fn delay(self: &Arc<Self>, topic: &str, batch: Vec<Message>) -> Pending {
        let count = batch.len();
        let refuse = |error: Error| {
            let refused = |_| Err(Unsent::not_stored(error.duplicate()));
            Pending::ready((0..count).map(refused).collect())
        };
        let line = match self.line(topic) {
            Ok(line) => line,
            Err(error) => return refuse(error),
        };
        let mut reply = None;
        match line.take(batch, &mut reply) {
            Turn::Now(batch, layout) => return self.send(&line, layout, batch),
            Turn::Wait(true) => self.ask(line),
            Turn::Wait(false) => {}
            Turn::Full => {
                let text = format!("too much waits for an answer about `{}`", line.delays);
                return refuse(Error::new(ErrorKind::Unavailable, text));
            }
        }
        Pending::new(async move {
            let closed = move |_| Err(Unsent::not_stored(Error::closed("the runtime")));
            match reply {
                Some(reply) => match reply.await {
                    Ok(pending) => pending.await,
                    Err(_) => (0..count).map(closed).collect(),
                },
                None => (0..count).map(closed).collect(),
            }
        })
    }
    /// Has somebody ask, who then lets go what waits for the answer.
    pub(super) fn ask(self: &Arc<Self>, line: Arc<Line>) {
        let this = self.clone();
        self.spawn(async move {
            let (admin, create) = (this.backend.admin(), this.create.load(Relaxed));
            let answer = Layout::ask(&*admin, &line.topic, &line.delays, create).await;
            while let Some(waiter) = line.answered(&answer) {
                match (waiter, &answer) {
                    (Waiter::Batch(batch, reply), Ok(layout)) => {
                        // Whoever does not wait for it any more has not taken it back.
                        let _ = reply.send(this.send(&line, *layout, batch));
                    }
                    (Waiter::Batch(batch, reply), Err(error)) => {
                        let refused = |_: &Message| Err(Unsent::not_stored(error.duplicate()));
                        let _ = reply.send(Pending::ready(batch.iter().map(refused).collect()));
                    }
                    (Waiter::Question(reply), Ok(layout)) => drop(reply.send(Ok(*layout))),
                    (Waiter::Question(reply), Err(error)) => drop(reply.send(Err(error.duplicate()))),
                }
            }
        });
    }
    /// Stores messages where they wait, and sees to it that somebody moves them.
    fn send(self: &Arc<Self>, line: &Arc<Line>, layout: Layout, batch: Vec<Message>) -> Pending {
        let mut merge = Merge::new(batch.len());
        let (mut sent, mut sent_at) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for (at, message) in batch.into_iter().enumerate() {
            match self.place(line, &layout, message).map_err(Unsent::not_stored) {
                Ok(message) => {
                    sent.push(message);
                    sent_at.push(at);
                }
                Err(unsent) => merge.refuse(at, unsent),
            }
        }
        if !sent.is_empty() {
            let (line, pending) = (line.clone(), self.gate.publish(&line.delays, sent).into_pending());
            let pending = Pending::new(async move {
                let outcomes = pending.await;
                let missing = |o: &Result<Outcome, Unsent>| matches!(o, Err(unsent) if unsent.error().kind() == ErrorKind::TopicMissing);
                if outcomes.iter().any(missing) {
                    line.forget();
                }
                outcomes
            });
            merge.part(sent_at, pending);
        }
        merge.into_pending()
    }
    /// The form in which a message waits; from here on somebody moves it.
    /// # Errors
    /// `Invalid`: it says something that cannot be.
    pub(super) fn place(
        self: &Arc<Self>,
        line: &Arc<Line>,
        layout: &Layout,
        message: Message,
    ) -> Result<Message> {
        if let Some(partition) = message.partition.filter(|p| *p >= layout.partitions) {
            return Err(line.no_partition(partition, layout));
        }
        let Some(wish) = Wish::of(&message)? else {
            return Ok(message);
        };
        let now = clock::millis();
        // A process that ends before it could move anything, such as a command, need not join.
        let soon = Duration::from_millis((wish.left(now) / 2).clamp(0, 1000) as u64);
        self.start_mover(line, soon);
        Ok(wish.waiting(message, now, layout.tiers))
    }
    pub(super) fn start_mover(self: &Arc<Self>, line: &Arc<Line>, after: Duration) {
        if line.begins_to_move() {
            self.spawn(mover::run(self.clone(), line.clone(), after));
        }
    }
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(self.runtime.spawn(task));
    }
    /// Tells movers to end.
    pub(crate) fn stop(&self) {
        self.stop.send_if_modified(|stop| {
            *stop == Stop::Go && {
                *stop = Stop::Close;
                true
            }
        });
    }
    /// Ends movers as a crash would, for tests of exactly that.
    #[cfg(feature = "conformance")]
    pub(crate) fn crash(&self) {
        self.stop.send_replace(Stop::Crash);
    }
    /// Records that one of its movers held at once, at most.
    #[cfg(feature = "conformance")]
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }
    /// Ends movers, and waits for them and for what was taken and not passed on yet.
    pub(crate) async fn close(&self) {
        self.stop();
        let _alone = self.closing.lock().await;
        // They stay in the list until they are over: a wait that is given up leaves them to the next one.
        poll_fn(|cx| {
            let mut tasks = self.tasks.lock();
            while let Some(task) = tasks.last_mut() {
                let _ = ready!(Pin::new(task).poll(cx));
                tasks.pop();
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl std::fmt::Debug for Delays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delays")
            .field("topics", &self.lines.lock().len())
            .finish_non_exhaustive()
    }
}
