//! A broker of one's own behind a proxy.

use super::{SESSION, log};
use bus_brokers::KafkaOptions;
use bus_kafka::{Kafka, KafkaConfig};
use bus_proxy::{Protocol, Proxy};
use std::sync::Arc;

pub(crate) struct Lab {
    pub(crate) proxy: Proxy,
    pub(crate) kafka: Arc<Kafka>,
    server: bus_brokers::Kafka,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        log();
        let proxy = Proxy::builder(Protocol::Kafka).seed(7).start().await.unwrap();
        let options = KafkaOptions::new().advertised(proxy.address());
        let server = tokio::task::spawn_blocking(|| bus_brokers::Kafka::start(options))
            .await
            .unwrap()
            .unwrap();
        proxy.set_upstream(server.address());
        let kafka = Kafka::connect(config(&proxy)).await.unwrap();
        Self {
            proxy,
            kafka: Arc::new(kafka),
            server,
        }
    }

    /// The broker's address beside the proxy.
    pub(crate) fn direct(&self) -> &str {
        self.server.inner_address()
    }

    /// For other connections through the proxy.
    pub(crate) fn config(&self) -> KafkaConfig {
        config(&self.proxy)
    }
}

fn config(proxy: &Proxy) -> KafkaConfig {
    KafkaConfig::new(proxy.address()).session_timeout(SESSION)
}
