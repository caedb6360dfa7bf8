//! Redis, at the address of an environment variable.

use async_trait::async_trait;
use bus::{
    Backend, Error, Message, Result,
    backend::{Redis, RedisConfig},
};
use bus_core::conformance::Harness;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

/// Shorter than the default, so that the checks that wait for it are short; far longer than a busy machine stalls.
const LEASE: Duration = Duration::from_secs(3);

/// A Redis server.
#[derive(Debug)]
pub(crate) struct OnRedis {
    address: String,
    host: String,
    port: u16,
}

impl OnRedis {
    /// The server that this environment variable names.
    pub(crate) fn new(variable: &'static str) -> Self {
        let address = super::address(variable);
        let url = Url::parse(&address).unwrap_or_else(|e| panic!("{variable} is no URL: {e}"));
        let host = url.host_str().unwrap_or("127.0.0.1").to_owned();
        Self {
            address,
            host,
            port: url.port().unwrap_or(6379),
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
        let config = RedisConfig::new(self.host.as_str(), self.port).ttl(LEASE);
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
        let failed = |e: std::io::Error| Error::unavailable("XADD by hand").source(e);
        let mut socket = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(failed)?;
        let command = format!("XADD {topic}:{{1}} * user anna note hello\r\n");
        socket.write_all(command.as_bytes()).await.map_err(failed)?;
        let mut answer = [0; 1];
        socket.read_exact(&mut answer).await.map_err(failed)?;
        if answer != *b"$" {
            return Err(Error::invalid("the server refused XADD by hand"));
        }
        Ok(Message::new(r#"{"user":"anna","note":"hello"}"#))
    }
}
