//! The images of our own: a name, a tag, and how to run it as a test server.

use testcontainers::Image;
use testcontainers::core::WaitFor;

use crate::kind::Kind;
use crate::native::{KafkaOptions, Listeners};

/// An image and how to run it.
#[derive(Debug, Clone)]
pub(crate) struct ServerImage {
    name: String,
    tag: String,
    command: Vec<String>,
    environment: Vec<(String, String)>,
}

impl ServerImage {
    /// The image of a server that its clients will reach at `host:port`, where `port` is the container's too.
    pub(crate) fn new(kind: Kind, host: &str, port: u16) -> Self {
        let wanted = std::env::var(variable(kind))
            .ok()
            .filter(|value| !value.is_empty());
        let wanted = wanted.unwrap_or_else(|| default(kind).to_owned());
        // A colon before the last slash belongs to a registry's port.
        let (name, tag) = match wanted.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
            _ => (wanted, "latest".to_owned()),
        };
        let (command, environment) = match kind {
            Kind::Kafka => (Vec::new(), kafka(host, port)),
            Kind::Redis | Kind::Redis8 => (redis(port), Vec::new()),
            Kind::Registry => (Vec::new(), vec![("QUARKUS_HTTP_PORT".into(), port.to_string())]),
        };
        Self {
            name,
            tag,
            command,
            environment,
        }
    }

    /// `name:tag`.
    pub(crate) fn reference(&self) -> String {
        format!("{}:{}", self.name, self.tag)
    }
}

impl Image for ServerImage {
    fn name(&self) -> &str {
        &self.name
    }

    fn tag(&self) -> &str {
        &self.tag
    }

    fn ready_conditions(&self) -> Vec<WaitFor> {
        // Asked in the server's own protocol afterwards, which another image's log lines cannot break.
        Vec::new()
    }

    fn env_vars(
        &self,
    ) -> impl IntoIterator<
        Item = (
            impl Into<std::borrow::Cow<'_, str>>,
            impl Into<std::borrow::Cow<'_, str>>,
        ),
    > {
        self.environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn cmd(&self) -> impl IntoIterator<Item = impl Into<std::borrow::Cow<'_, str>>> {
        self.command.iter().map(String::as_str)
    }
}

fn variable(kind: Kind) -> &'static str {
    match kind {
        Kind::Kafka => "BUS_TEST_KAFKA_IMAGE",
        Kind::Redis => "BUS_TEST_REDIS_IMAGE",
        Kind::Redis8 => "BUS_TEST_REDIS_8_IMAGE",
        Kind::Registry => "BUS_TEST_REGISTRY_IMAGE",
    }
}

fn default(kind: Kind) -> &'static str {
    match kind {
        Kind::Kafka => "apache/kafka:4.3.0",
        Kind::Redis => "redis:7.0",
        Kind::Redis8 => "redis:8.2",
        Kind::Registry => "apicurio/apicurio-registry-mem:2.6.13.Final",
    }
}

/// The same settings as the native server's, in the form that Kafka's image takes them.
fn kafka(host: &str, port: u16) -> Vec<(String, String)> {
    let listeners = Listeners {
        id: 1,
        bind: "0.0.0.0".into(),
        advertised: format!("{host}:{port}"),
        ports: [port, port + 1, port + 2],
        more: Vec::new(),
        voters: format!("1@127.0.0.1:{}", port + 1),
    };
    let lines = KafkaOptions::new().lines(&listeners, "/tmp/kafka-data".as_ref());
    lines
        .into_iter()
        .map(|(name, value)| (format!("KAFKA_{}", name.to_uppercase().replace('.', "_")), value))
        .collect()
}

fn redis(port: u16) -> Vec<String> {
    let port = port.to_string();
    // Clients come from outside of the container, which protected mode refuses.
    let words = [
        "redis-server",
        "--port",
        &port,
        "--bind",
        "0.0.0.0",
        "--protected-mode",
        "no",
    ];
    words
        .into_iter()
        .chain(["--save", "", "--appendonly", "no"])
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_variables() {
        let image = ServerImage::new(Kind::Kafka, "127.0.0.1", 19_092);
        let value = |name: &str| {
            image
                .environment
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
        };
        assert_eq!(
            value("KAFKA_ADVERTISED_LISTENERS"),
            Some("PLAINTEXT://127.0.0.1:19092,INNER://127.0.0.1:19094")
        );
        assert_eq!(value("KAFKA_NODE_ID"), Some("1"));
        assert_eq!(
            ServerImage::new(Kind::Redis8, "127.0.0.1", 1).reference(),
            "redis:8.2"
        );
    }
}
