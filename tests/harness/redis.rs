//! Redis, at the address of an environment variable.

use super::private::{Behind, Hasty, Kind};
use async_trait::async_trait;
use bus::{
    Backend, Error, Message, Result,
    backend::{Redis, RedisConfig},
};
use bus_brokers::{RedisCluster, RedisOptions};
use bus_core::conformance::{Harness, Private};
use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use url::Url;

/// Shorter than the default, so that the checks that wait for it are short; far longer than a busy machine stalls.
const LEASE: Duration = Duration::from_secs(3);

/// Longer than the default, so that a publish outlasts whatever a check does to the network.
const PUBLISH: Duration = Duration::from_secs(90);

/// A Redis server.
#[derive(Debug)]
pub(crate) struct OnRedis {
    address: String,
    host: String,
    port: u16,
    /// What a private one of it is.
    kind: Kind,
    /// Kept for as long as the harness is.
    cluster: Option<Arc<RedisCluster>>,
}

impl OnRedis {
    /// The server that this environment variable names.
    pub(crate) fn new(variable: &'static str) -> Self {
        let kind = match variable {
            "BUS_TEST_REDIS_8" => Kind::Redis8,
            _ => Kind::Redis7,
        };
        Self::at(&super::address(variable), kind)
    }
    /// An oldest supported server at this URL, which is the caller's own.
    pub(crate) fn near(address: &str) -> Self {
        Self::at(address, Kind::Redis7)
    }
    fn at(address: &str, kind: Kind) -> Self {
        let url = Url::parse(address).unwrap_or_else(|e| panic!("{address} is no URL: {e}"));
        let host = url.host_str().unwrap_or("127.0.0.1").to_owned();
        Self {
            address: address.to_owned(),
            host,
            port: url.port().unwrap_or(6379),
            kind,
            cluster: None,
        }
    }
    /// A cluster of three, one for all checks of the process.
    pub(crate) fn cluster() -> Self {
        static ONE: Mutex<Weak<RedisCluster>> = Mutex::new(Weak::new());
        let mut one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = one.upgrade().unwrap_or_else(|| {
            let options = RedisOptions::new().appendonly(true);
            Arc::new(RedisCluster::start(options, 0).unwrap_or_else(|e| panic!("{e}")))
        });
        *one = Arc::downgrade(&cluster);
        let at = cluster.primaries[0].url().to_owned();
        Self {
            cluster: Some(cluster),
            ..Self::at(&at, Kind::RedisCluster)
        }
    }
    fn config(&self) -> RedisConfig {
        match self.kind {
            Kind::RedisCluster => RedisConfig::cluster([(self.host.as_str(), self.port)]),
            _ => RedisConfig::new(self.host.as_str(), self.port),
        }
    }
}

impl OnRedis {
    /// A command as a person types it; an error where the server says so.
    async fn by_hand(&self, command: &str) -> Result<()> {
        let mut at = format!("{}:{}", self.host, self.port);
        loop {
            let failed = |e: std::io::Error| Error::unavailable("a command by hand").source(e);
            let mut socket = BufReader::new(TcpStream::connect(&at).await.map_err(failed)?);
            let line = format!("{command}\r\n");
            socket.write_all(line.as_bytes()).await.map_err(failed)?;
            let mut answer = String::new();
            socket.read_line(&mut answer).await.map_err(failed)?;
            match answer.strip_prefix('-') {
                // As `redis-cli -c` does.
                Some(moved) if moved.starts_with("MOVED") => {
                    at = moved.trim().rsplit(' ').next().unwrap_or_default().to_owned();
                }
                Some(error) => return Err(Error::invalid(format!("`{command}` by hand: {error}"))),
                None => return Ok(()),
            }
        }
    }
}

#[async_trait]
impl Harness for OnRedis {
    fn name(&self) -> &str {
        "redis"
    }
    fn server(&self) -> &str {
        &self.address
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        let config = self.config().ttl(LEASE).publish_timeout(PUBLISH);
        Ok(Arc::new(Redis::connect(config).await?))
    }
    fn session(&self) -> Duration {
        LEASE
    }
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
    /// `XADD` with fields of its own, as a person types it.
    async fn foreign(&self, topic: &str) -> Result<Message> {
        self.by_hand(&format!("XADD {topic}:{{1}} * user anna note hello"))
            .await?;
        Ok(Message::new(r#"{"user":"anna","note":"hello"}"#))
    }
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        let (ms, sequence) = (before >> 64, before as u64);
        let command = format!("XTRIM {topic}:{{{partition}}} MINID {ms}-{sequence}");
        self.by_hand(&command).await
    }
    /// As a person does who cleans up by hand.
    async fn destroy(&self, group: &str, topic: &str) -> Result<()> {
        for partition in 0..4 {
            self.by_hand(&format!("XGROUP DESTROY {topic}:{{{partition}}} {group}"))
                .await?;
        }
        Ok(())
    }
    async fn private(&self) -> Result<Arc<dyn Private>> {
        let near = |address: &str| Self::at(&format!("redis://{address}"), self.kind);
        Ok(Arc::new(Behind::wait(self.kind, near).await?))
    }
}

#[async_trait]
impl Hasty for OnRedis {
    async fn hasty(&self, publish_timeout: Duration) -> Result<Arc<dyn Backend>> {
        let config = self.config().publish_timeout(publish_timeout);
        Ok(Arc::new(Redis::connect(config).await?))
    }
}
