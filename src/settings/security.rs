//! Transport and login: which settings go together. TLS and SASL are independent of each other.

use super::{Settings, value::Given};
use bus_core::{Error, Result};

/// Transport and login of a Kafka connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Neither TLS nor a login.
    Plaintext,
    /// TLS.
    Ssl,
    /// A login, and its password in the open.
    SaslPlaintext,
    /// TLS and a login.
    SaslSsl,
}

/// How a login is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself; best under TLS.
    Plain,
    /// A proof of it.
    ScramSha256,
    /// A proof of it.
    ScramSha512,
}

pub(super) const PROTOCOLS: &[&str] = &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
pub(super) const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
/// What asks for a login.
const LOGIN: [&str; 3] = [
    "kafka_sasl_mechanism",
    "kafka_sasl_username",
    "kafka_sasl_password",
];
/// What asks for TLS.
const TLS: [&str; 3] = ["kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile"];

impl Protocol {
    pub(super) fn text(self) -> &'static str {
        PROTOCOLS[self as usize]
    }
}

impl Mechanism {
    pub(super) fn text(self) -> &'static str {
        MECHANISMS[self as usize]
    }
}

/// A login that is asked for and not used is a mistake, and so is one that is used and not given.
pub(super) fn check(settings: &Settings) -> Result<()> {
    let option = |name: &str| settings.options.get(name).map(Given::reveal);
    let protocol = option("security.protocol").or(settings.text("kafka_security_protocol"));
    let shown = protocol.unwrap_or("PLAINTEXT").to_ascii_uppercase();
    // A login in the URL brings its protocol with it.
    let in_url = settings.text("url").is_some_and(|url| {
        url.starts_with("kafka://") && (url.contains('@') || url.contains("security.protocol="))
    });
    let (sasl, tls) = (shown.starts_with("SASL_"), shown.ends_with("SSL"));
    let given = |names: &[&'static str]| names.iter().copied().find(|name| settings.given(name).is_some());
    if let Some(name) = given(&LOGIN)
        && !sasl
        && !in_url
    {
        let origin = settings.origin(name);
        return Err(Error::invalid(format!(
            "{origin} needs a protocol with a login, and `kafka_security_protocol` is `{shown}`; \
             set it to `SASL_PLAINTEXT` or `SASL_SSL`, or leave the login out"
        )));
    }
    if let Some(name) = given(&TLS)
        && !tls
        && !in_url
    {
        let origin = settings.origin(name);
        return Err(Error::invalid(format!(
            "{origin} needs a protocol with TLS, and `kafka_security_protocol` is `{shown}`; \
             set it to `SSL` or `SASL_SSL`, or leave the file out"
        )));
    }
    let pair = ["kafka_ssl_certfile", "kafka_ssl_keyfile"];
    if let (Some(there), Some(missing)) = (
        pair.iter().find(|name| settings.given(name).is_some()),
        pair.iter().find(|name| settings.given(name).is_none()),
    ) {
        return Err(Error::invalid(format!(
            "{} needs `{missing}` (`{}`) too: a certificate and its key go together",
            settings.origin(there),
            missing.to_ascii_uppercase()
        )));
    }
    // Mechanisms that are not ours, such as OAUTHBEARER, know by themselves what they need.
    let own = option("sasl.mechanism").or(option("sasl.mechanisms"));
    let others = own.is_some_and(|name| !MECHANISMS.iter().any(|m| m.eq_ignore_ascii_case(name)));
    if sasl && !in_url && !others {
        for (name, native) in [
            ("kafka_sasl_username", "sasl.username"),
            ("kafka_sasl_password", "sasl.password"),
        ] {
            if settings.given(name).is_none() && option(native).is_none() {
                return Err(Error::invalid(format!(
                    "`kafka_security_protocol` is `{shown}`, which needs `{name}`; set `{}`",
                    name.to_ascii_uppercase()
                )));
            }
        }
    }
    Ok(())
}
