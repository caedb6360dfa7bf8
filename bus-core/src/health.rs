//! What is known of a bus, and members of a group that have nothing to do.

use crate::{Awaited, Backend, Control, Error, Name, Owned, Result, is_derived, shared::Shared};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};

/// How old what is known of a group may be before it is asked for again.
const FRESH: Duration = Duration::from_secs(5);
/// How long a member may be without a partition before somebody asks why: longer than a takeover after a kill.
const IDLE: Duration = Duration::from_secs(10);
/// Subscriptions that failed and are remembered.
const FAILED: usize = 16;
/// How often that is asked again.
const AGAIN: Duration = Duration::from_secs(60);

/// What is known of a bus: [`Bus::health`](crate::Bus::health).
#[derive(Debug)]
#[non_exhaustive]
pub struct Health {
    /// Whether the backend can be reached, as far as is known; `Disabled` where the bus is switched off.
    pub connection: Result<()>,
    /// Its subscriptions that run.
    pub subscriptions: Vec<Member>,
}

/// A subscription that runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Its group; `None`: an observer.
    pub group: Option<Name>,
    /// What it reads.
    pub topics: Vec<Name>,
    /// The partitions it owns. None: it is joining, or there are fewer partitions than members.
    pub assigned: Vec<Owned>,
    /// What the broker said of its group last; `None`: it was not asked yet, or has not answered.
    pub seen: Option<Seen>,
    /// What some of its messages wait for, because its codec cannot read them without it.
    pub awaits: Vec<Awaited>,
}

/// What a broker said of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// How long ago.
    pub age: Duration,
    /// Live members, wherever they run.
    pub members: usize,
    /// Messages between its stored positions and the ends: its lag.
    pub behind: u64,
}

impl Health {
    /// Whether the backend can be reached, as far as is known.
    pub fn is_ok(&self) -> bool {
        self.connection.is_ok()
    }
    /// Whether it cannot, or the bus is switched off.
    pub fn is_err(&self) -> bool {
        self.connection.is_err()
    }
    /// Why it cannot.
    pub fn error(&self) -> Option<&Error> {
        self.connection.as_ref().err()
    }
}

/// The subscriptions of one bus, and what is known of their groups.
#[derive(Debug)]
pub(crate) struct Watch {
    backend: Arc<dyn Backend>,
    runtime: Handle,
    members: Mutex<Members>,
    groups: Mutex<HashMap<Name, Group>>,
    controls: Mutex<Vec<Control>>,
}

#[derive(Debug, Default)]
struct Members {
    /// And since when each has no partition.
    all: Vec<(Weak<Shared>, Option<Instant>)>,
    /// Somebody looks at them.
    watched: bool,
}

#[derive(Debug, Default)]
struct Group {
    asking: bool,
    asked: Option<Instant>,
    seen: Option<(Instant, Seen)>,
    /// It was said that it has too many members.
    told: bool,
}

impl Watch {
    /// Inside a tokio runtime only.
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            runtime: Handle::current(),
            members: Mutex::default(),
            groups: Mutex::default(),
            controls: Mutex::default(),
        })
    }
    /// A subscription can be steered from now on.
    pub(crate) fn steered_by(&self, control: Control) {
        if control.group().is_none_or(|group| !is_derived(group)) {
            let mut controls = self.controls.lock();
            prune(&mut controls);
            controls.push(control);
        }
    }
    pub(crate) fn controls(&self) -> Vec<Control> {
        let mut controls = self.controls.lock();
        prune(&mut controls);
        controls.clone()
    }
    /// A subscription begins. Those that move delayed messages are nobody's concern.
    pub(crate) fn joined(self: &Arc<Self>, shared: &Arc<Shared>) {
        if shared.group.as_deref().is_some_and(is_derived) {
            return;
        }
        let mut members = self.members.lock();
        members.all.push((Arc::downgrade(shared), None));
        if shared.group.is_some() && !std::mem::replace(&mut members.watched, true) {
            self.runtime.spawn(watch(Arc::downgrade(self)));
        }
    }
    pub(crate) fn health(self: &Arc<Self>, connection: Result<()>) -> Health {
        let live: Vec<_> = {
            let mut members = self.members.lock();
            members.all.retain(|(shared, _)| is_alive(shared));
            members
                .all
                .iter()
                .filter_map(|(shared, _)| shared.upgrade())
                .collect()
        };
        let connected = connection.is_ok();
        let subscriptions = live.iter().map(|shared| Member {
            group: shared.group.clone(),
            topics: shared.topics.iter().map(|topic| topic.name.clone()).collect(),
            assigned: shared.core.lock().flow.assignment(),
            seen: shared
                .group
                .as_ref()
                .and_then(|group| self.seen(group, connected)),
            awaits: shared.awaiting.list(),
        });
        Health {
            connection,
            subscriptions: subscriptions.collect(),
        }
    }
    /// What is known of a group; asked for again in the background where it is old.
    fn seen(self: &Arc<Self>, name: &Name, connected: bool) -> Option<Seen> {
        let mut groups = self.groups.lock();
        let group = groups.entry(name.clone()).or_default();
        if connected && !group.asking && group.asked.is_none_or(|at| at.elapsed() >= FRESH) {
            group.asking = true;
            group.asked = Some(Instant::now());
            self.runtime.spawn(ask(self.clone(), name.clone()));
        }
        group.seen.map(|(at, seen)| Seen {
            age: at.elapsed(),
            ..seen
        })
    }
    /// Groups whose members here have had nothing for a while, and nobody knows why; `None`: there is no group any more.
    fn idle(&self) -> Option<Vec<Name>> {
        let mut members = self.members.lock();
        members.all.retain(|(shared, _)| is_alive(shared));
        let mut idle = BTreeSet::new();
        let mut any = false;
        for (shared, since) in &mut members.all {
            let Some(shared) = shared.upgrade() else { continue };
            let Some(group) = &shared.group else { continue };
            any = true;
            if !shared.core.lock().flow.assignment().is_empty() {
                *since = None;
            } else if since.get_or_insert_with(Instant::now).elapsed() >= IDLE {
                idle.insert(group.clone());
            }
        }
        members.watched = any;
        drop(members);
        let mut groups = self.groups.lock();
        let due = |name: &Name| {
            let group = groups.entry(name.clone()).or_default();
            let due = !group.told && !group.asking && group.asked.is_none_or(|at| at.elapsed() >= AGAIN);
            if due {
                group.asking = true;
                group.asked = Some(Instant::now());
            }
            due
        };
        any.then(|| idle.into_iter().filter(due).collect())
    }
    /// Partitions that a group shares: those of its members' topics.
    async fn partitions(&self, group: &Name, mut topics: BTreeSet<Name>) -> Result<usize> {
        let members = self
            .members
            .lock()
            .all
            .iter()
            .filter_map(|(shared, _)| shared.upgrade())
            .collect::<Vec<_>>();
        for shared in members
            .iter()
            .filter(|shared| shared.group.as_ref() == Some(group))
        {
            topics.extend(shared.topics.iter().map(|topic| topic.name.clone()));
        }
        let known = self.backend.admin().topics().await?;
        Ok(known
            .iter()
            .filter(|topic| topics.contains(&topic.name))
            .map(|topic| topic.partitions as usize)
            .sum())
    }
}

/// Keeps those that run, and the newest that failed.
fn prune(controls: &mut Vec<Control>) {
    controls.retain(|control| !control.is_over() || control.failure().is_some());
    let failed = controls.iter().filter(|control| control.is_over()).count();
    let mut too_many = failed.saturating_sub(FAILED);
    controls.retain(|control| {
        let goes = too_many > 0 && control.is_over();
        too_many -= usize::from(goes);
        !goes
    });
}

fn is_alive(shared: &Weak<Shared>) -> bool {
    shared.upgrade().is_some_and(|shared| !shared.is_over())
}

/// Looks for members without partitions, for as long as there are groups.
async fn watch(of: Weak<Watch>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(watch) = of.upgrade() else { return };
        let Some(idle) = watch.idle() else { return };
        for group in idle {
            ask(watch.clone(), group).await;
        }
    }
}

/// Asks for a group, which is marked as being asked for.
async fn ask(watch: Arc<Watch>, name: Name) {
    let answer = watch.backend.admin().group(&name).await;
    let mut surplus = None;
    if let Ok(spec) = &answer {
        let idle = spec.members.iter().any(|member| member.partitions.is_empty());
        let owned = spec
            .members
            .iter()
            .flat_map(|member| &member.partitions)
            .map(|(topic, _)| topic);
        let topics = spec
            .positions
            .iter()
            .map(|lag| &lag.topic)
            .chain(owned)
            .cloned()
            .collect();
        if idle && let Ok(partitions) = watch.partitions(&name, topics).await {
            surplus = (spec.members.len() > partitions && partitions > 0).then_some(partitions);
        }
    }
    let mut groups = watch.groups.lock();
    let group = groups.entry(name.clone()).or_default();
    group.asking = false;
    match answer {
        Ok(spec) => {
            let members = spec.members.len();
            let behind = spec.positions.iter().map(|lag| lag.behind).sum();
            group.seen = Some((
                Instant::now(),
                Seen {
                    age: Duration::ZERO,
                    members,
                    behind,
                },
            ));
            if let Some(partitions) = surplus
                && !std::mem::replace(&mut group.told, true)
            {
                tracing::warn!(
                    group = &*name,
                    members,
                    partitions,
                    "group `{name}` has {members} members for {partitions} partitions, and a partition has one owner: \
                     {} of them get nothing; run fewer members, or add partitions (`Admin::grow`; keys then move)",
                    members - partitions
                );
            }
        }
        Err(error) => tracing::debug!(group = &*name, %error, "asking for a group failed"),
    }
}
