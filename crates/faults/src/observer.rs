//! What is stored, as somebody sees it who takes no part.

use crate::payload;
use bus::{Bus, Bytes, Order, Raw, Start, Topic};
use bus_core::conformance::{Failure, Id, Place, checkers::Stored};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// How long reading a log may take without anything coming, and how often that is looked at.
const SILENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_secs(2);

/// A record of a log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) id: Id,
    pub(crate) place: Place,
    /// The id that a dead letter carries of its origin.
    pub(crate) origin: Option<String>,
}

/// Reads a topic from its beginning to the end that it has now.
/// # Errors
/// When something is in it that nobody sent, or it does not come.
pub(crate) async fn log(bus: &Bus, name: &str) -> Result<Vec<Logged>, Failure> {
    let begins = bus.admin().positions(name, Start::Earliest).await?;
    log_from(bus, name, begins.into_iter().collect()).await
}

/// For so long nothing came, before what is left of a log may be markers: a transaction that was left open holds back what
/// was committed behind it until the coordinator has ended it.
const MARKERS: Duration = Duration::from_secs(15);

/// Reads a topic from these positions, which are of all partitions, to the end that it has now.
/// # Errors
/// When something is in it that nobody sent, or it does not come.
pub(crate) async fn log_from(
    bus: &Bus,
    name: &str,
    begins: BTreeMap<u32, u128>,
) -> Result<Vec<Logged>, Failure> {
    let ends = bus.admin().positions(name, Start::Latest).await?;
    let mut open: HashMap<u32, u128> = ends
        .into_iter()
        .filter(|(p, end)| begins.get(p) != Some(end))
        .collect();
    let topic: Topic<Bytes, Raw> = Topic::named(name);
    let mut log = Vec::new();
    // In the order of the log: by key, the last record may come before others.
    let mut all = bus
        .observe(&topic)
        .start(Start::Positions(begins))
        .order(Order::Partition)
        .await?;
    let mut quiet = Duration::ZERO;
    while !open.is_empty() {
        let Ok(next) = tokio::time::timeout(STEP, all.next()).await else {
            // Markers of transactions at the end of a log are no records.
            quiet += STEP;
            if quiet >= MARKERS {
                open.retain(|partition, end| !nearly(&log, *partition, *end));
            }
            if quiet < SILENCE || open.is_empty() {
                continue;
            }
            return Err(Failure::new(format_args!(
                "the log of {name} stays silent before its ends {open:?}"
            )));
        };
        quiet = Duration::ZERO;
        let delivery = next.ok_or_else(|| Failure::new("the observer ended"))??;
        let place = Place {
            partition: delivery.partition(),
            position: delivery.position(),
        };
        let payload = delivery.payload().unwrap_or_default();
        let id = payload::decode(payload).map_err(|e| e.context(format_args!("{name} at {place:?}")))?;
        let origin = delivery
            .headers()
            .iter()
            .find(|(name, _)| *name == b"bus-origin-id")
            .and_then(|(_, v)| v);
        log.push(Logged {
            id: id.into(),
            place,
            origin: origin.map(|v| String::from_utf8_lossy(v).into_owned()),
        });
        if open
            .get(&place.partition)
            .is_some_and(|end| place.position + 1 >= *end)
        {
            open.remove(&place.partition);
        }
        delivery.ack();
    }
    all.drain(Duration::ZERO).await?;
    log.sort_by_key(|l| l.place);
    Ok(log)
}

/// Whether what is missing of a partition can only be markers of transactions.
fn nearly(log: &[Logged], partition: u32, end: u128) -> bool {
    let last = log
        .iter()
        .filter(|l| l.place.partition == partition)
        .map(|l| l.place.position)
        .max();
    // Positions that are clocks have no markers.
    end < 1 << 62 && last.is_none_or(|last| end - last < 10_000)
}

/// How often the stored position of a partition was further back than before.
pub(crate) fn steps_back(seen: &[Stored]) -> usize {
    let mut last: HashMap<u32, u128> = HashMap::new();
    let back = |s: &&Stored| {
        last.insert(s.partition, s.next)
            .is_some_and(|before| s.next < before)
    };
    seen.iter().filter(back).count()
}

/// Looks at a group's stored positions again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Mutex<Vec<Stored>>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(bus: Bus, group: String, topic: String) -> Self {
        let seen: Arc<Mutex<Vec<Stored>>> = Arc::default();
        let into = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                // A broker that is down tells nothing.
                if let Ok(lag) = bus.admin().lag(&group).await {
                    let at = Instant::now().into_std();
                    let of = lag.iter().filter(|l| *l.topic == *topic);
                    into.lock().extend(of.map(|l| Stored {
                        at,
                        partition: l.partition,
                        next: l.position,
                    }));
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        });
        Self { seen, task }
    }
    pub(crate) fn seen(&self) -> Vec<Stored> {
        self.seen.lock().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
