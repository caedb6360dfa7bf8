//! Where a connection leads to: which node has a key, and where that node is. A server alone, or behind sentinels, is
//! one node that has everything; of a cluster, each primary is one.

use super::{
    Conn, Pipeline, Value, promotion, sentinel,
    slots::{Slots, redirection},
    watch,
};
use crate::{
    RedisConfig, cluster,
    error::{classify, silent},
    security::Security,
    servers::{Host, Servers},
};
use bus_core::{Error, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// So long lies between two looks at who has which slot: a cluster that is rearranged moves one after the other.
const APART: Duration = Duration::from_millis(100);

/// A server with its part of the keys: the one there is, or a cluster's primary at this address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node(Option<Arc<Host>>);

impl Node {
    /// Where it is, of a cluster.
    pub(crate) fn host(&self) -> Option<&Host> {
        self.0.as_deref()
    }
}

/// The settings, and what was learned of the servers since.
#[derive(Debug)]
pub(crate) struct Topology {
    config: Arc<RedisConfig>,
    security: Security,
    /// The highest configuration epoch that was told, by sentinels or a cluster's nodes.
    epoch: Arc<AtomicU64>,
    /// The run of the primary that sentinels led to last.
    run: Mutex<Option<String>>,
    slots: RwLock<Slots>,
    /// The slots may lie elsewhere by now.
    doubted: AtomicBool,
    looked: tokio::sync::Mutex<Option<Instant>>,
}

impl Topology {
    /// # Errors
    /// As [`Security::new`].
    pub(crate) fn new(config: Arc<RedisConfig>) -> Result<Self> {
        let doubted = AtomicBool::new(matches!(config.servers, Servers::Cluster(_)));
        Ok(Self {
            security: Security::new(&config)?,
            config,
            epoch: Arc::default(),
            run: Mutex::default(),
            slots: RwLock::default(),
            doubted,
            looked: tokio::sync::Mutex::default(),
        })
    }
    /// Whether another run of a server was the primary, for all that is known here.
    pub(super) fn was_another(&self, conn: &Conn) -> bool {
        let known = self.run.lock();
        known
            .as_deref()
            .is_some_and(|known| known != promotion::run_of(conn.run_id()))
    }
    /// Sentinels led to this primary.
    pub(super) fn led_to(&self, conn: &Conn) {
        *self.run.lock() = Some(promotion::run_of(conn.run_id()).to_owned());
    }
    pub(crate) fn config(&self) -> &Arc<RedisConfig> {
        &self.config
    }
    /// How every connection is secured, those to sentinels too.
    pub(crate) fn security(&self) -> &Security {
        &self.security
    }
    /// Looks for failovers from now on, where sentinels know of them.
    pub(crate) fn watch(self: &Arc<Self>) {
        watch::start(self);
    }
    fn seeds(&self) -> Option<&[Host]> {
        match &self.config.servers {
            Servers::Cluster(seeds) => Some(seeds),
            _ => None,
        }
    }
    /// Whether keys of different slots may lie on different nodes.
    pub(crate) fn is_cluster(&self) -> bool {
        self.seeds().is_some()
    }

    /// Who has a key.
    pub(crate) fn node_of(&self, key: &[u8]) -> Node {
        if !self.is_cluster() {
            return Node(None);
        }
        let slots = self.slots.read();
        let owner = slots.owner(cluster::slot_of(key));
        owner.map_or_else(|| self.some(&slots), |host| Node(Some(host.clone())))
    }
    /// Who answers what any node may.
    pub(crate) fn any(&self) -> Node {
        match self.is_cluster() {
            true => self.some(&self.slots.read()),
            false => Node(None),
        }
    }
    /// Whoever gets a call that nobody is known for says where it belongs.
    fn some(&self, slots: &Slots) -> Node {
        let host = slots.hosts().first().cloned();
        Node(host.or_else(|| self.seeds()?.first().cloned().map(Arc::new)))
    }
    /// All nodes.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        match self.is_cluster() {
            true => {
                let slots = self.slots.read();
                slots
                    .hosts()
                    .iter()
                    .map(|host| Node(Some(host.clone())))
                    .collect()
            }
            false => vec![Node(None)],
        }
    }
    /// Streams of the same number can be read by one command.
    pub(crate) fn reading(&self, stream: &str) -> u16 {
        match self.is_cluster() {
            true => cluster::slot(stream),
            false => 0,
        }
    }

    /// The slots may lie elsewhere: they are looked up before the next call.
    pub(crate) fn doubt(&self) {
        if self.is_cluster() {
            self.doubted.store(true, Ordering::Release);
        }
    }
    /// A node has said that a slot moved, or is moving: to whom.
    pub(crate) fn redirected(&self, text: &str, by: &Node) -> Option<Node> {
        let told_by = by.0.as_ref()?;
        let (slot, host) = redirection(text, told_by)?;
        if text.starts_with("MOVED") {
            let mut slots = self.slots.write();
            slots.give(slot, &host);
            let owner = slots.owner(slot).cloned();
            drop(slots);
            self.doubt();
            return Some(Node(owner));
        }
        Some(Node(Some(Arc::new(host))))
    }

    /// What a node has said, where it sends on to another as what asks to try again: there, by then.
    pub(crate) fn explained(&self, text: String, by: &Node) -> String {
        match self.redirected(&text, by) {
            Some(_) => format!("TRYAGAIN {text}"),
            None => text,
        }
    }

    /// Looks up who has which slot, where that is in doubt. Free where it is not.
    pub(crate) async fn settle(self: &Arc<Self>) {
        if !self.doubted.load(Ordering::Acquire) {
            return;
        }
        // A task of its own: a caller may keep its future without polling it, and others wait for the same look.
        let topology = self.clone();
        let looked = tokio::spawn(async move { topology.look().await });
        // What it is about fails where it belongs: at the calls.
        if let Ok(Err(error)) = looked.await {
            tracing::debug!(%error, "nobody says who has which slot");
        }
    }
    /// Looks up who has which slot, of the first node that says so and is up to date.
    pub(crate) async fn look(&self) -> Result<()> {
        let Some(seeds) = self.seeds() else { return Ok(()) };
        let mut looked = self.looked.lock().await;
        if looked.is_some() && !self.doubted.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(at) = *looked {
            tokio::time::sleep_until((at + APART).into()).await;
        }
        self.doubted.store(false, Ordering::Release);
        let seen = self.epoch();
        let known = self.slots.read().hosts().to_vec();
        let hosts = known.iter().map(|host| &**host).chain(seeds);
        let share = self.config.connect_timeout / (1 + known.len() + seeds.len()) as u32;
        let (mut best, mut last) = (None::<(u64, Slots)>, None);
        for host in hosts {
            let told = timeout(share, self.ask(host)).await;
            match told.unwrap_or_else(|_| Err(silent(&host.to_string()))) {
                Ok((true, epoch, slots)) if epoch >= seen => {
                    best = Some((epoch, slots));
                    break;
                }
                Ok((_, epoch, slots)) => {
                    if best.as_ref().is_none_or(|(other, _)| *other < epoch) {
                        best = Some((epoch, slots));
                    }
                }
                Err(error) if !error.is_transient() && looked.is_none() => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        *looked = Some(Instant::now());
        let Some((epoch, slots)) = best else {
            self.doubt();
            let sentence = format!("no node of the cluster {} answers", self.config.address());
            return Err(match last {
                Some(last) => Error::unavailable(format!("{sentence}: {last}")),
                None => Error::invalid("no node of the cluster is named; name at least one"),
            });
        };
        // One look at a time: nobody else has moved it.
        self.reached(seen, epoch);
        *self.slots.write() = slots;
        Ok(())
    }
    /// Whether a node finds its cluster well, its epoch, and who has which slot.
    async fn ask(&self, host: &Host) -> Result<(bool, u64, Slots)> {
        let mut conn = Conn::connect(host, &self.security).await?;
        let mut pipeline = Pipeline::new();
        let password = self.security.password().await?;
        pipeline.authenticate(self.security.user(), password.as_ref());
        pipeline.add(&[b"CLUSTER", b"INFO"]).add(&[b"CLUSTER", b"SLOTS"]);
        let mut replies = Vec::new();
        for reply in conn.call(&pipeline).await? {
            match reply {
                Value::Error(text) if text.contains("cluster support disabled") => return Err(alone(host)),
                reply => replies.push(conn.check(reply)?),
            }
        }
        let slots = Slots::read(&replies.pop().unwrap_or(Value::Nil), host);
        let info = replies.pop().unwrap_or(Value::Nil);
        let field = |name| super::info_field(info.text().unwrap_or_default(), name).unwrap_or_default();
        let epoch = field("cluster_current_epoch").parse().unwrap_or(0);
        Ok((field("cluster_state") == "ok", epoch, slots))
    }

    /// A new connection to a node.
    pub(super) async fn dial(&self, node: &Node, role: &str) -> Result<Conn> {
        let host = match (&node.0, &self.config.servers) {
            (Some(host), _) => host,
            (None, Servers::One(host)) => return Conn::dial(host, &self.security, &self.config, role).await,
            (None, Servers::Sentinels(sentinels)) => return sentinel::primary(self, sentinels, role).await,
            (None, Servers::Cluster(_)) => return Err(classify(&self.config.address(), "CLUSTERDOWN")),
        };
        let conn = Conn::dial(host, &self.security, &self.config, role).await;
        let conn = conn.and_then(|conn| match conn.is_replica() {
            true => Err(super::promotion::replica(conn.address())),
            false => Ok(conn),
        });
        if conn.is_err() {
            self.doubt();
        }
        conn
    }
    /// The highest configuration epoch that was seen.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }
    /// What is known now is of this epoch, when `seen` was the highest: whether it still is what anybody knows. An epoch
    /// below `seen` is one that all who say it went back to.
    pub(super) fn reached(&self, seen: u64, epoch: u64) -> bool {
        if epoch >= seen {
            return self.epoch.fetch_max(epoch, Ordering::Relaxed) <= epoch;
        }
        self.epoch
            .compare_exchange(seen, epoch, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
    /// What [`epoch`](Self::epoch) says, for those who look at each call.
    pub(super) fn latest(&self) -> Arc<AtomicU64> {
        self.epoch.clone()
    }
}

fn alone(host: &Host) -> Error {
    let sentence = format!("redis at {host} is no node of a cluster; use `redis://{host}`");
    Error::new(ErrorKind::Unsupported, sentence)
}
