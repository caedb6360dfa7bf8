//! Further listeners of a private Kafka: with TLS, with a login, with both.

use std::path::Path;

use crate::certificates::{Authority, Certificate};
use crate::error::{Doing, Result};

/// The name that clients of these listeners connect to.
pub(super) const HOST: &str = "localhost";
/// Mechanisms whose users are stored when the data folder is made.
pub(super) const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// A listener for clients beside the plain one. Without [`tls`](Self::tls) it talks in the open; without
/// [`mechanisms`](Self::mechanisms) nobody logs in.
#[derive(Clone)]
pub struct KafkaListener {
    name: String,
    /// Certificate and key, each in one line.
    certificate: Option<(String, String)>,
    /// Whose client certificates are accepted, in one line; one is required then.
    client_ca: Option<String>,
    mechanisms: Vec<String>,
}

impl KafkaListener {
    /// A listener of this name, in upper case.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            certificate: None,
            client_ca: None,
            mechanisms: Vec::new(),
        }
    }

    /// TLS with this certificate.
    ///
    /// # Errors
    ///
    /// When its files cannot be read.
    pub fn tls(mut self, certificate: &Certificate) -> Result<Self> {
        self.certificate = Some((one_line(&certificate.certificate)?, one_line(&certificate.key)?));
        Ok(self)
    }

    /// Requires a certificate of the client that this authority signed.
    ///
    /// # Errors
    ///
    /// As [`tls`](Self::tls).
    pub fn client_ca(mut self, authority: &Authority) -> Result<Self> {
        self.client_ca = Some(one_line(authority.file())?);
        Ok(self)
    }

    /// Requires a login by one of these mechanisms: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`.
    pub fn mechanisms(mut self, mechanisms: &[&str]) -> Self {
        self.mechanisms = mechanisms.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn protocol(&self) -> &'static str {
        match (self.certificate.is_some(), self.mechanisms.is_empty()) {
            (false, true) => "PLAINTEXT",
            (true, true) => "SSL",
            (false, false) => "SASL_PLAINTEXT",
            (true, false) => "SASL_SSL",
        }
    }

    /// Its lines of `server.properties`.
    pub(super) fn lines(&self, users: &[(String, String)]) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| {
            let prefix = self.name.to_ascii_lowercase();
            lines.push((format!("listener.name.{prefix}.{name}"), value));
        };
        if let Some((certificate, key)) = &self.certificate {
            line("ssl.keystore.type", "PEM".into());
            line("ssl.keystore.key", key.clone());
            line("ssl.keystore.certificate.chain", certificate.clone());
        }
        if let Some(authority) = &self.client_ca {
            line("ssl.client.auth", "required".into());
            line("ssl.truststore.type", "PEM".into());
            line("ssl.truststore.certificates", authority.clone());
        }
        if !self.mechanisms.is_empty() {
            line("sasl.enabled.mechanisms", self.mechanisms.join(","));
        }
        for mechanism in &self.mechanisms {
            let module = match SCRAM.contains(&&**mechanism) {
                true => "org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
                false => {
                    let users = users
                        .iter()
                        .map(|(name, password)| format!(" user_{name}=\"{password}\""));
                    let users: String = users.collect();
                    format!("org.apache.kafka.common.security.plain.PlainLoginModule required{users};")
                }
            };
            line(
                &format!("{}.sasl.jaas.config", mechanism.to_ascii_lowercase()),
                module,
            );
        }
        lines
    }
}

/// The file's text as a file of properties has it.
fn one_line(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).doing(|| format!("reading {}", file.display()))?;
    Ok(text.trim().lines().collect::<Vec<_>>().join("\\n"))
}

impl std::fmt::Debug for KafkaListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaListener")
            .field("name", &self.name)
            .field("protocol", &self.protocol())
            .field("mechanisms", &self.mechanisms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_follow_from_what_is_asked_for() {
        let plain = KafkaListener::new("A");
        assert_eq!(plain.protocol(), "PLAINTEXT");
        assert_eq!(plain.clone().mechanisms(&["PLAIN"]).protocol(), "SASL_PLAINTEXT");
        let authority = Authority::new().unwrap();
        let tls = plain.tls(&authority.issue("a", &["localhost"]).unwrap()).unwrap();
        assert_eq!(tls.protocol(), "SSL");
        assert_eq!(tls.clone().mechanisms(&["PLAIN"]).protocol(), "SASL_SSL");
        let lines = tls.lines(&[]);
        for (name, begin) in [
            ("ssl.keystore.key", "-----BEGIN PRIVATE KEY-----\\n"),
            ("ssl.keystore.certificate.chain", "-----BEGIN CERTIFICATE-----\\n"),
        ] {
            let name = format!("listener.name.a.{name}");
            let found = lines.iter().find(|(there, _)| *there == name).unwrap();
            assert!(found.1.starts_with(begin), "{found:?}");
        }
    }
}
