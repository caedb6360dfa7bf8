//! A cut of the conformance suite on Redis over TLS with certificates on both sides: what has to do with bytes, with many
//! connections, and with commits.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use async_trait::async_trait;
use bus::{
    Backend, Error, Message, Result,
    backend::{Redis, RedisConfig, Tls},
};
use bus_brokers::{Authority, Redis as Server, RedisOptions};
use bus_core::conformance::{CHECKS, Harness, Private, prove};
use harness::redis::OnRedis;
use std::{sync::Arc, time::Duration};

/// Backends go by TLS; what is done by hand goes by the port without it.
#[derive(Debug)]
struct OnTls {
    by_hand: OnRedis,
    port: u16,
    tls: Tls,
}

#[async_trait]
impl Harness for OnTls {
    fn name(&self) -> &str {
        "redis"
    }
    fn server(&self) -> &str {
        self.by_hand.server()
    }
    async fn backend(&self) -> Result<Arc<dyn Backend>> {
        let config = RedisConfig::new("localhost", self.port).tls(self.tls.clone());
        Ok(Arc::new(Redis::connect(config.ttl(self.session())).await?))
    }
    fn session(&self) -> Duration {
        self.by_hand.session()
    }
    fn patience(&self) -> Duration {
        self.by_hand.patience()
    }
    async fn foreign(&self, topic: &str) -> Result<Message> {
        self.by_hand.foreign(topic).await
    }
    async fn trim(&self, topic: &str, partition: u32, before: u128) -> Result<()> {
        self.by_hand.trim(topic, partition, before).await
    }
    async fn destroy(&self, group: &str, topic: &str) -> Result<()> {
        self.by_hand.destroy(group, topic).await
    }
    async fn private(&self) -> Result<Arc<dyn Private>> {
        Err(Error::invalid(
            "faults of the network are for the suite without TLS",
        ))
    }
}

/// Every check of a theme.
fn holds(theme: &str) {
    let authority = Authority::new().unwrap();
    let shown = authority.issue("server", &["localhost"]).unwrap();
    let options = RedisOptions::new().tls(&authority, &shown);
    let server = Server::start(options.setting("tls-auth-clients", "yes")).unwrap();
    let mine = authority.issue("suite", &[]).unwrap();
    let harness: Arc<dyn Harness> = Arc::new(OnTls {
        by_hand: OnRedis::near(server.url()),
        port: server.tls_socket().unwrap().port(),
        tls: Tls::new()
            .ca(authority.file())
            .certificate(mine.certificate, mine.key),
    });
    let checks: Vec<_> = CHECKS.iter().filter(|check| check.theme == theme).collect();
    assert!(checks.len() >= 3, "{theme}: {}", checks.len());
    for check in checks {
        if let Err(failure) = prove(check, harness.clone()) {
            panic!("`{}` does not hold over TLS: {failure}", check.name);
        }
    }
}

#[test]
fn publishing() {
    holds("publishing");
}

#[test]
fn fidelity() {
    holds("fidelity");
}

#[test]
fn groups() {
    holds("groups");
}

#[test]
fn dead_letters() {
    holds("dead_letters");
}
