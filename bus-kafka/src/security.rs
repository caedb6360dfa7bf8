//! Transport and login: what goes together, and what this build of librdkafka can do. Asked before any client is made, so
//! that the answer is a sentence and not a broker's silence.

use crate::{KafkaConfig, native::features};
use bus_core::{Error, ErrorKind, Result};

/// Options that ask for a login.
const LOGIN: [&str; 4] = [
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
];

impl KafkaConfig {
    /// # Errors
    /// `Invalid`: a login without a protocol that has one, or the other way round. `Unsupported`: librdkafka was built
    /// without what is asked for; the error names the feature that brings it.
    pub(crate) fn check_security(&self) -> Result<()> {
        self.check_with(&features())
    }

    fn check_with(&self, built: &[String]) -> Result<()> {
        let option = |name: &str| self.native.get(name).map(|value| value.to_ascii_lowercase());
        let protocol = option("security.protocol").unwrap_or_else(|| "plaintext".to_owned());
        let (sasl, tls) = (protocol.starts_with("sasl_"), protocol.ends_with("ssl"));
        if let Some(asked) = LOGIN
            .into_iter()
            .find(|name| !sasl && self.native.contains_key(*name))
        {
            return Err(Error::invalid(format!(
                "`{asked}` needs a protocol with a login, and `security.protocol` is `{protocol}`; \
                 set it to `sasl_plaintext` or `sasl_ssl`, or leave the login out"
            )));
        }
        let needs = |what: &str, feature: &str, built_as: &str| {
            if built.iter().any(|there| there == built_as) {
                return Ok(());
            }
            let add = match feature {
                "ssl" => "add the `kafka-tls` feature of `bus` (`ssl` of `bus-kafka`)".to_owned(),
                other => format!("add the `{other}` feature of `bus-kafka`"),
            };
            let text = format!("{what} is not in this build of librdkafka; {add}, which builds it in");
            Err(Error::new(ErrorKind::Unsupported, text))
        };
        if tls {
            needs(
                &format!("TLS (`security.protocol` is `{protocol}`)"),
                "ssl",
                "ssl",
            )?;
        }
        if sasl {
            // librdkafka's own default is Kerberos.
            let mechanism = option("sasl.mechanism").or(option("sasl.mechanisms"));
            let mechanism = mechanism.unwrap_or_else(|| "gssapi".to_owned());
            let what = format!("`sasl.mechanism` `{}`", mechanism.to_ascii_uppercase());
            match &*mechanism {
                "plain" | "scram-sha-256" | "scram-sha-512" => {
                    for name in ["sasl.username", "sasl.password"] {
                        if !self.native.contains_key(name) {
                            return Err(Error::invalid(format!("{what} needs `{name}`")));
                        }
                    }
                    let built_as = if mechanism == "plain" {
                        "sasl_plain"
                    } else {
                        "sasl_scram"
                    };
                    needs(&what, "ssl", built_as)?;
                }
                "gssapi" => needs(&format!("{what} (librdkafka's default)"), "gssapi", "sasl_gssapi")?,
                "oauthbearer" => needs(&what, "ssl", "sasl_oauthbearer")?,
                _ => {}
            }
        }
        for name in ["compression.type", "compression.codec"] {
            if option(name).as_deref() == Some("zstd") {
                needs(&format!("`{name}` `zstd`"), "zstd", "zstd")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 6] = [
        "ssl",
        "sasl_plain",
        "sasl_scram",
        "sasl_oauthbearer",
        "sasl_gssapi",
        "zstd",
    ];

    fn checked(options: &[(&str, &str)], built: &[&str]) -> Result<()> {
        let built: Vec<_> = built.iter().map(|f| (*f).to_owned()).collect();
        let config = options
            .iter()
            .fold(KafkaConfig::new("h:1"), |c, (name, value)| c.set(*name, *value));
        config.check_with(&built)
    }

    #[test]
    fn tls_and_sasl_are_independent() {
        let login = [
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", "me"),
            ("sasl.password", "hunter2"),
        ];
        for protocol in ["plaintext", "ssl", "sasl_plaintext", "SASL_SSL"] {
            let with: Vec<_> = login
                .iter()
                .copied()
                .chain([("security.protocol", protocol)])
                .collect();
            let sasl = protocol.to_ascii_lowercase().starts_with("sasl");
            assert_eq!(checked(&with, &ALL).is_ok(), sasl, "{protocol}");
            assert_eq!(
                checked(&[("security.protocol", protocol)], &["ssl"]).is_ok(),
                !sasl,
                "{protocol}"
            );
        }
        let error = checked(&login, &ALL).unwrap_err();
        assert!(
            error.message().contains("`sasl_plaintext` or `sasl_ssl`"),
            "{error}"
        );
        assert!(!error.message().contains("hunter2"));
    }

    #[test]
    fn what_is_not_built_in_is_named_with_its_feature() {
        let login = [("sasl.username", "me"), ("sasl.password", "p")];
        for (protocol, mechanism, built, feature) in [
            ("ssl", "", &["sasl_plain"][..], "`kafka-tls`"),
            ("sasl_plaintext", "scram-sha-512", &["sasl_plain"], "`kafka-tls`"),
            ("sasl_plaintext", "", &["ssl", "sasl_plain"], "`gssapi`"),
            ("sasl_ssl", "oauthbearer", &["ssl", "sasl_plain"], "`kafka-tls`"),
        ] {
            let mut options = vec![("security.protocol", protocol)];
            if protocol.starts_with("sasl") {
                options.extend(login);
            }
            if !mechanism.is_empty() {
                options.push(("sasl.mechanism", mechanism));
            }
            let error = checked(&options, built).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().contains(feature), "{error}");
        }
        assert_eq!(
            checked(&[("compression.type", "zstd")], &[]).unwrap_err(),
            ErrorKind::Unsupported
        );
    }

    #[test]
    fn this_build_says_what_it_has() {
        let built = features();
        assert!(built.iter().any(|f| f == "sasl_plain"), "{built:?}");
        assert_eq!(
            built.iter().any(|f| f == "ssl"),
            cfg!(feature = "ssl"),
            "{built:?}"
        );
    }
}
