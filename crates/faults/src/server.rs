//! The broker of one test, behind a proxy.

use crate::{
    pair::Pair,
    test::{On, Test},
};
use bus::Bus;
use bus_brokers::{Kafka, KafkaCluster, KafkaOptions, Redis, RedisOptions};
use bus_core::conformance::Failure;
use bus_proxy::{Filter, Late, Protocol, Proxy, Rule};
use std::time::Duration;

/// A broker of this test alone, with the proxy that its actors talk through.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) on: On,
    pub(crate) kafka: Option<Kafka>,
    pub(crate) redis: Option<Redis>,
    pub(crate) cluster: Option<KafkaCluster>,
    pub(crate) pair: Option<Pair>,
    pub(crate) proxy: Option<Proxy>,
    /// More of the URL's options, each with `&` before it.
    pub(crate) options: String,
    pub(crate) memory: String,
}

/// How long a killed member of a memory bus keeps its partitions.
const MEMORY_SESSION: Duration = Duration::from_secs(2);
/// The same on Redis: shorter than the default, so that more happens in a test.
const REDIS_TTL: Duration = Duration::from_secs(4);
/// And on Kafka: the default, which is the least that brokers accept.
const KAFKA_SESSION: Duration = Duration::from_secs(6);

impl Server {
    /// A broker with the settings of most tests: what it acknowledged survives its own death.
    pub(crate) async fn start(test: &Test) -> Result<Self, Failure> {
        match test.on {
            On::Kafka => Self::kafka(test, KafkaOptions::new()).await,
            On::Redis => Self::redis(test, RedisOptions::new().appendonly(true)).await,
            On::Memory => Ok(Self::memory()),
        }
    }
    /// A Kafka of one node with these options.
    pub(crate) async fn kafka(test: &Test, options: KafkaOptions) -> Result<Self, Failure> {
        let proxy = Proxy::builder(Protocol::Kafka)
            .seed(test.seed)
            .start()
            .await
            .map_err(Failure::new)?;
        let options = options.advertised(proxy.address());
        let kafka = blocking(move || Kafka::start(options)).await?;
        proxy.set_upstream(kafka.address());
        Ok(Self {
            kafka: Some(kafka),
            proxy: Some(proxy),
            ..Self::nothing(On::Kafka)
        })
    }
    /// A Redis with these options.
    pub(crate) async fn redis(test: &Test, options: RedisOptions) -> Result<Self, Failure> {
        let redis = blocking(move || Redis::start(options)).await?;
        let builder = Proxy::builder(Protocol::Redis)
            .seed(test.seed)
            .upstream(redis.socket().to_string());
        let proxy = builder.start().await.map_err(Failure::new)?;
        Ok(Self {
            redis: Some(redis),
            proxy: Some(proxy),
            ..Self::nothing(On::Redis)
        })
    }
    fn memory() -> Self {
        let memory = format!("faults-{}", uuid::Uuid::new_v4());
        Self {
            memory,
            ..Self::nothing(On::Memory)
        }
    }
    pub(crate) fn nothing(on: On) -> Self {
        Self {
            on,
            kafka: None,
            redis: None,
            cluster: None,
            pair: None,
            proxy: None,
            options: String::new(),
            memory: String::new(),
        }
    }
    /// The proxy between actors and broker.
    /// # Errors
    /// On memory, where there is no connection.
    pub(crate) fn proxy(&self) -> Result<&Proxy, Failure> {
        self.proxy
            .as_ref()
            .ok_or_else(|| Failure::new("a memory bus has no connections"))
    }
    /// The process of the broker, whichever it is; for killing, pausing and restarting.
    /// # Errors
    /// On memory.
    pub(crate) fn daemon(&self) -> Result<&bus_brokers::Daemon, Failure> {
        let kafka = self.kafka.as_deref();
        kafka
            .or(self.redis.as_deref())
            .ok_or_else(|| Failure::new("a memory bus has no process"))
    }
    /// Rules that lose this share of the answers to publishes, commits and transactions, and let as many of those
    /// requests arrive late: half of them when their client has come back on another connection.
    pub(crate) fn lossy(&self, share: f64) -> Vec<Rule> {
        let requests = match self.on {
            // Produce, OffsetCommit, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit.
            On::Kafka => Filter::kafka([0, 8, 24, 25, 26, 28]),
            _ => Filter::redis(["EXEC", "EVALSHA", "EVAL"]),
        };
        let late = Duration::from_millis(300);
        vec![
            Rule::drop_reply(requests.clone(), share),
            Rule::hold_request(requests.clone(), share / 2.0, late, Late::HungUp),
            Rule::hold_request(requests, share / 2.0, late, Late::Waiting),
        ]
    }
    /// The Redis, if it is one.
    pub(crate) fn as_redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }
    /// What actors connect to.
    pub(crate) fn url(&self) -> String {
        let address = match (&self.cluster, &self.proxy) {
            (Some(cluster), _) => cluster.address(),
            (None, proxy) => proxy.as_ref().map(Proxy::address).unwrap_or_default(),
        };
        self.url_of(&address)
    }
    /// The same at another address, as of a second proxy.
    pub(crate) fn url_of(&self, address: &str) -> String {
        let options = &self.options;
        match self.on {
            On::Kafka => {
                let session = KAFKA_SESSION.as_millis();
                format!("kafka://{address}?session.timeout.ms={session}{options}")
            }
            On::Redis => format!("redis://{address}?ttl={}s{options}", REDIS_TTL.as_secs()),
            On::Memory => self.memory_url(),
        }
    }
    /// A way around the proxy, for whoever observes.
    /// # Errors
    /// When it cannot be reached.
    pub(crate) async fn observer(&self) -> Result<Bus, Failure> {
        let url = if let Some(kafka) = &self.kafka {
            format!("kafka://{}", kafka.inner_address())
        } else if let Some(cluster) = &self.cluster {
            format!("kafka://{}", cluster.address())
        } else if let Some(redis) = &self.redis {
            redis.url().to_owned()
        } else if let Some(pair) = &self.pair {
            format!("redis://{}", pair.watch.address())
        } else {
            self.memory_url()
        };
        Ok(Bus::connect(&url).await?)
    }
    fn memory_url(&self) -> String {
        format!(
            "memory://{}?session_timeout_ms={}",
            self.memory,
            MEMORY_SESSION.as_millis()
        )
    }
    /// How long a member that was killed keeps its partitions.
    pub(crate) fn session(&self) -> Duration {
        match self.on {
            On::Kafka => KAFKA_SESSION,
            On::Redis => REDIS_TTL,
            On::Memory => MEMORY_SESSION,
        }
    }
}

/// Does what blocks, such as starting a server, where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> bus_brokers::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await?.map_err(Failure::new)
}
