//! A server of this process's own with a proxy before it, for the checks that do harm: one of a kind, for one check at
//! a time.

use async_trait::async_trait;
use bus::{Backend, Error, Message, Result};
use bus_brokers::{Kafka, KafkaOptions, Redis, RedisCluster, RedisOptions, RedisVersion};
use bus_core::conformance::{Harness, Private};
use bus_proxy::{Filter, Protocol, Proxy};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Mutex, OwnedMutexGuard},
    task::block_in_place,
};

/// What to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Kafka,
    Redis7,
    Redis8,
    RedisCluster,
}

#[derive(Debug)]
enum Server {
    Kafka(Kafka),
    Redis(Redis),
}

/// A server and the proxy before it, which is what clients are told.
#[derive(Debug)]
struct Site {
    server: Server,
    proxy: Proxy,
    /// Where the proxy lives: it outlasts the check that started it.
    _runtime: Runtime,
}

type Slot = Arc<Mutex<Option<Site>>>;

static SITES: std::sync::Mutex<BTreeMap<Kind, Slot>> = std::sync::Mutex::new(BTreeMap::new());

fn sites() -> std::sync::MutexGuard<'static, BTreeMap<Kind, Slot>> {
    SITES.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

unsafe extern "C" {
    fn atexit(end: extern "C" fn()) -> i32;
}

/// Statics are not dropped, and servers that are not dropped run on.
extern "C" fn end() {
    for slot in sites().values() {
        if let Ok(mut slot) = slot.try_lock()
            && let Some(site) = slot.take()
        {
            drop(site.server);
        }
    }
}

impl Site {
    fn start(kind: Kind) -> Result<Self> {
        let failed = |e: bus_brokers::Error| Error::unavailable("starting a private server").source(e);
        let no_proxy = |e: std::io::Error| Error::unavailable("starting a proxy").source(e);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(no_proxy)?;
        let protocol = match kind {
            Kind::Kafka => Protocol::Kafka,
            _ => Protocol::Redis,
        };
        let proxy = runtime
            .block_on(Proxy::builder(protocol).start())
            .map_err(no_proxy)?;
        let redis = |version| RedisOptions::new().appendonly(true).version(version);
        let server = match kind {
            Kind::Kafka => Kafka::start(KafkaOptions::new().advertised(proxy.address())).map(Server::Kafka),
            Kind::Redis7 => Redis::start(redis(RedisVersion::V7)).map(Server::Redis),
            Kind::Redis8 => Redis::start(redis(RedisVersion::V8)).map(Server::Redis),
            Kind::RedisCluster => {
                // The proxy is where it says that it is.
                let port = proxy.port().to_string();
                let options = redis(RedisVersion::V7).setting("cluster-announce-port", &port);
                RedisCluster::alone(options).map(Server::Redis)
            }
        };
        let server = server.map_err(failed)?;
        proxy.set_upstream(match &server {
            Server::Kafka(kafka) => kafka.address(),
            Server::Redis(redis) => redis.url().trim_start_matches("redis://"),
        });
        Ok(Self {
            server,
            proxy,
            _runtime: runtime,
        })
    }
    fn is_running(&self) -> bool {
        match &self.server {
            Server::Kafka(kafka) => kafka.pid().is_some(),
            Server::Redis(redis) => redis.pid().is_some(),
        }
    }
    fn kill(&self) -> bus_brokers::Result<()> {
        match &self.server {
            Server::Kafka(kafka) => kafka.kill9(),
            Server::Redis(redis) => redis.kill9(),
        }
    }
    fn restart(&self) -> bus_brokers::Result<()> {
        match &self.server {
            Server::Kafka(kafka) => kafka.restart(),
            Server::Redis(redis) => redis.restart(),
        }
    }
    /// What a publish is, of a bus that does nothing else.
    fn publishes(&self) -> Filter {
        match &self.server {
            Server::Kafka(_) => Filter::kafka([0]),
            Server::Redis(_) => Filter::redis(["EXEC", "EVALSHA", "EVAL"]),
        }
    }
    fn struck(&self) -> u64 {
        let counters = self.proxy.counters();
        counters.dropped_replies + counters.held_requests
    }
}

/// A harness that can be asked for a backend in a hurry.
#[async_trait]
pub(crate) trait Hasty: Harness {
    async fn hasty(&self, publish_timeout: Duration) -> Result<Arc<dyn Backend>>;
}

/// The server, for as long as a check has it.
#[derive(Debug)]
pub(crate) struct Behind<H> {
    near: H,
    site: OwnedMutexGuard<Option<Site>>,
    struck_before: u64,
}

impl<H: Hasty> Behind<H> {
    /// Waits for the server of this kind; `near` makes the harness of its address, `127.0.0.1:port`.
    pub(crate) async fn wait(kind: Kind, near: impl FnOnce(&str) -> H) -> Result<Self> {
        let slot = {
            let mut sites = sites();
            if sites.is_empty() {
                // SAFETY: `end` is a function of this program that takes nothing and does not unwind into C: it only
                // locks and drops.
                unsafe { atexit(end) };
            }
            sites.entry(kind).or_default().clone()
        };
        let mut site = slot.lock_owned().await;
        if site.is_none() {
            *site = Some(block_in_place(|| Site::start(kind))?);
        }
        let (address, struck_before) = match &*site {
            Some(site) => (site.proxy.address(), site.struck()),
            None => return Err(missing()),
        };
        let behind = Self {
            near: near(&address),
            site,
            struck_before,
        };
        behind.heal();
        behind.start().await?;
        Ok(behind)
    }
    fn site(&self) -> Result<&Site> {
        self.site.as_ref().ok_or_else(missing)
    }
    fn proxy(&self, act: impl FnOnce(&Site)) {
        self.site.as_ref().map(act).unwrap_or_default();
    }
}

fn missing() -> Error {
    Error::closed("the private server")
}

#[async_trait]
impl<H: Hasty> Harness for Behind<H> {
    fn name(&self) -> &str {
        self.near.name()
    }
    fn server(&self) -> &str {
        self.near.server()
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        self.near.backend().await
    }
    fn session(&self) -> Duration {
        self.near.session()
    }
    fn patience(&self) -> Duration {
        self.near.patience()
    }
    async fn foreign(&self, topic: &str) -> Result<Message> {
        self.near.foreign(topic).await
    }
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        self.near.trim(topic, partition, before).await
    }
    async fn destroy(&self, group: &str, topic: &str) -> Result<()> {
        self.near.destroy(group, topic).await
    }
    async fn private(&self) -> Result<Arc<dyn Private>> {
        Err(Error::invalid("this server is private already"))
    }
}

#[async_trait]
impl<H: Hasty> Private for Behind<H> {
    async fn hasty(&self, publish_timeout: Duration) -> Result<Arc<dyn Backend>> {
        self.near.hasty(publish_timeout).await
    }
    async fn stop(&self) -> Result<()> {
        let killed = block_in_place(|| self.site().map(Site::kill))?;
        killed.map_err(|e| Error::unavailable("killing a private server").source(e))
    }
    async fn start(&self) -> Result<()> {
        if self.site()?.is_running() {
            return Ok(());
        }
        let started = block_in_place(|| self.site().map(Site::restart))?;
        started.map_err(|e| Error::unavailable("starting a private server again").source(e))
    }
    fn cut(&self) {
        self.proxy(|site| {
            site.proxy.change(|faults| {
                faults.to_server.hold = true;
                faults.to_client.hold = true;
            });
        });
    }
    fn heal(&self) {
        self.proxy(|site| site.proxy.heal());
    }
    fn reset(&self) {
        self.proxy(|site| site.proxy.reset());
    }
    fn lose_replies(&self, count: usize) {
        self.proxy(|site| {
            for _ in 0..count {
                site.proxy.drop_next_reply(site.publishes());
            }
        });
    }
    fn delay_request(&self, by: Duration) {
        self.proxy(|site| drop(site.proxy.hold_next_request(site.publishes(), by)));
    }
    fn struck(&self) -> usize {
        let struck = self.site().map_or(0, Site::struck);
        usize::try_from(struck - self.struck_before).unwrap_or(usize::MAX)
    }
    fn connections(&self) -> usize {
        let open = self.site().map_or(0, |site| site.proxy.counters().open);
        usize::try_from(open).unwrap_or(usize::MAX)
    }
}
