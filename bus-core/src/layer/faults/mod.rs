//! Fault injection: a backend that fails as backends do, by plan.

mod plan;
mod seat;

use super::around::{Around, Call, Wrapped};
use crate::{
    Ack, Backend, Done, Error, ErrorKind, Event, Message, Pending, Publisher, Result, Room, Scope, Shard,
    Source, Subscriber, Unsent,
};
use parking_lot::Mutex;
use plan::{Dice, Place};
pub use plan::{Fault, Plan};
use seat::Seat;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

/// A backend with faults, for tests of what a program makes of them. Cheap to clone; every clone is the same.
///
/// A fault never breaks the contract: it does what a broker, a network or a slow disk may do, and the bus has to keep
/// its promises all the same. No message is delivered twice by this layer itself, none is lost, and none is altered.
///
/// ```
/// # use bus_core::{Backend, Bus, layer::{Fault, Faults, Plan}};
/// # use std::{sync::Arc, time::Duration};
/// # async fn tested(backend: Arc<dyn Backend>) -> bus_core::Result<()> {
/// let faults = Faults::new(backend, Plan::seeded(7).one_in(20, Fault::LostReply));
/// let bus = Bus::new(Arc::new(faults.clone())).await?;
/// faults.next(Fault::TakenAway);       // the next records' partition, besides what the plan has
/// faults.down(Duration::from_secs(3)); // the broker is gone for three seconds
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    wrapped: Wrapped<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    dice: Dice,
    outage: Mutex<Option<Instant>>,
    changed: Notify,
}

/// Ownership events and keep-alive only.
const NOTHING: Room = Room {
    messages: 0,
    bytes: 0,
};
/// What takes longer is not awaited by any test.
const LONGEST: Duration = Duration::from_secs(86_400 * 365);

impl Faults {
    /// Faults by this plan around this backend.
    pub fn new(inner: Arc<dyn Backend>, plan: Plan) -> Self {
        let around = Arc::new(Trouble {
            dice: Dice::new(plan),
            outage: Mutex::new(None),
            changed: Notify::new(),
        });
        Self {
            wrapped: Wrapped { inner, around },
        }
    }
    /// This fault strikes at its next opportunity; several wait in line.
    pub fn next(&self, fault: Fault) {
        self.wrapped.around.dice.next(fault);
    }
    /// How often this fault has struck; how long it takes makes no difference.
    pub fn struck(&self, fault: Fault) -> u64 {
        self.wrapped.around.dice.struck(fault)
    }
    /// The broker is out of reach for so long, or until [`up`](Self::up).
    ///
    /// Publishes are answered *not stored*, as after a backend's own deadline; commits, releases, subscribing and every
    /// administrator's call fail with `Unavailable`, which is transient; no records come; `health` says so. What is to be
    /// closed is closed. Partitions are kept, as by a session that outlives the outage: take them away by
    /// [`Fault::TakenAway`].
    pub fn down(&self, duration: Duration) {
        self.wrapped.around.down(duration);
    }
    /// Ends an outage now.
    pub fn up(&self) {
        self.wrapped.around.down(Duration::ZERO);
    }
    /// Whether there is an outage now.
    pub fn is_down(&self) -> bool {
        self.wrapped.around.outage().is_some()
    }
}

is_backend!(Faults);

impl Trouble {
    fn down(&self, duration: Duration) {
        *self.outage.lock() = Some(Instant::now() + duration.min(LONGEST));
        self.changed.notify_waiters();
    }
    /// When it ends, while there is one.
    fn outage(&self) -> Option<Instant> {
        self.outage.lock().filter(|end| *end > Instant::now())
    }
    fn reach(&self) -> Result<()> {
        self.outage().map_or(Ok(()), |_| Err(unreachable()))
    }
    /// What strikes at a call that can wait before it is made; an outage begins with it.
    fn roll(&self, place: Place) -> Option<Fault> {
        if self.outage().is_some() {
            return None;
        }
        let fault = self.dice.roll(place);
        if let Some(Fault::Outage(duration)) = fault {
            self.down(duration);
        }
        fault
    }
}

fn unreachable() -> Error {
    Error::unavailable("the broker cannot be reached, by the plan of the fault injection")
}

fn unsent(count: usize, unsent: impl Fn() -> Unsent) -> Pending {
    Pending::ready((0..count).map(|_| Err(unsent())).collect())
}

impl Around for Trouble {
    type Seat = Seat;
    fn seat(&self, source: &Source, ack: &Arc<dyn Ack>) -> Arc<Seat> {
        let owns = matches!(source.scope, Scope::Group(_));
        Arc::new(Seat::new(owns.then(|| ack.clone())))
    }
    async fn call<T: Send>(
        &self,
        call: Call<'_>,
        inner: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if call.op.closes() {
            return inner.await;
        }
        if let Some(Fault::Slow(wait)) = self.roll(Place::Other) {
            sleep(wait).await;
        }
        self.reach()?;
        inner.await
    }
    fn publish(self: &Arc<Self>, inner: &dyn Publisher, topic: &str, batch: Vec<Message>) -> Pending {
        let fault = self.roll(Place::Publish);
        // Answered during the call, so nothing can have been taken behind it for the same partition.
        if fault == Some(Fault::NotStored) || self.outage().is_some() {
            return unsent(batch.len(), || Unsent::not_stored(unreachable()));
        }
        let pending = inner.publish_batch(topic, batch);
        match fault {
            Some(Fault::LostReply) => Pending::new(async move {
                let mut outcomes = pending.await;
                for stored in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
                    let text = "the reply was lost, by the plan of the fault injection";
                    *stored = Err(Unsent::unknown(Error::new(ErrorKind::Timeout, text)));
                }
                outcomes
            }),
            Some(Fault::Slow(wait)) => Pending::new(async move {
                let outcomes = pending.await;
                sleep(wait).await;
                outcomes
            }),
            _ => pending,
        }
    }
    async fn receive(
        &self,
        seat: &Seat,
        inner: &mut dyn Subscriber,
        room: Room,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        seat.take_away().await;
        let before = events.len();
        loop {
            let changed = self.changed.notified();
            let Some(silent) = self.outage().max(seat.silence()) else {
                inner.receive(room, events).await?;
                break;
            };
            tokio::select! {
                biased;
                received = inner.receive(NOTHING, events) => {
                    received?;
                    break;
                }
                () = sleep_until(silent) => {}
                () = changed => {}
            }
        }
        // Nothing is awaited from here on: what was received is the caller's, whatever becomes of this call.
        let last = events.iter().skip(before).rev().find_map(|event| match event {
            Event::Records { shard, .. } => Some(*shard),
            _ => None,
        });
        if let Some(shard) = last {
            match self.roll(Place::Records) {
                Some(Fault::TakenAway) => seat.take(shard),
                Some(Fault::Slow(wait)) => seat.silence_for(wait),
                _ => {}
            }
        }
        Ok(())
    }
    fn paused(&self, _: &Seat, _: Shard, _: bool) {}
    async fn commit(&self, seat: &Seat, inner: &dyn Ack, done: Vec<Done>) -> Vec<Result<()>> {
        let fault = self.roll(Place::Commit);
        match (fault, done.first()) {
            (Some(Fault::Slow(wait)), _) => sleep(wait).await,
            (Some(Fault::FencedCommit), Some(first)) => seat.give_up(first.shard).await,
            _ => {}
        }
        if self.outage().is_some() {
            return done.iter().map(|_| Err(unreachable())).collect();
        }
        let mut results = inner.commit(done).await;
        if fault == Some(Fault::LostCommit) {
            for stored in results.iter_mut().filter(|result| result.is_ok()) {
                let text = "the reply of a commit was lost, by the plan of the fault injection";
                *stored = Err(Error::unavailable(text));
            }
        }
        results
    }
    fn health(&self, inner: Result<()>) -> Result<()> {
        self.reach().and(inner)
    }
}
