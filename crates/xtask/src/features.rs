//! The facade's features, read out of its manifest so that a new one is checked without anybody thinking of it.

use crate::cargo::cargo;
use crate::step::output;

/// What the workspace is linted, documented and tested with: every feature of ours, without those of `bus-kafka` that
/// build another native library or need one (Kerberos, a system librdkafka, an OpenSSL of its own). TLS takes the system's, which
/// [`needed`] brings.
pub(crate) const EVERYTHING: &str = "--features=bus/kafka-tls,bus/redis-tls,bus/metrics,bus/macros,bus/testing,bus/avro,bus/msgpack,bus/protobuf,bus/json-schema,bus-core/conformance";

/// Installs what a build with these features needs of the system, where it is missing.
pub(crate) fn needed() -> Result<(), Box<dyn std::error::Error>> {
    Ok(bus_brokers::openssl()?)
}

/// Every feature of the package `bus` but `default`; the empty string stands for none at all.
pub(crate) fn of_the_facade() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let text = output(&mut cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    of(&serde_json::from_str(&text)?, "bus").ok_or_else(|| "cargo metadata names no package bus".into())
}

fn of(metadata: &serde_json::Value, package: &str) -> Option<Vec<String>> {
    let packages = metadata["packages"].as_array()?;
    let found = packages.iter().find(|p| p["name"] == package)?;
    let names = found["features"]
        .as_object()?
        .keys()
        .filter(|name| *name != "default")
        .cloned();
    Some(std::iter::once(String::new()).chain(names).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read() {
        let text = r#"{"packages": [{"name": "x", "features": {}},
            {"name": "bus", "features": {"default": ["json"], "json": [], "kafka": ["dep:bus-kafka"]}}]}"#;
        let metadata = serde_json::from_str(text).unwrap();
        assert_eq!(of(&metadata, "bus").unwrap(), ["", "json", "kafka"]);
        assert_eq!(of(&metadata, "nothing"), None);
    }
}
