//! Connections that brokers refuse, or that we do: what is wrong, and which setting to change.

use crate::native::{Code, Flaw};
use bus_core::{Error, ErrorKind};

/// A refused connection: trying again does not help.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    code: Code,
    text: String,
    flaw: Option<Flaw>,
}

impl Refusal {
    /// What a failure says, where it says that a connection was refused; `flaw` is what was heard of a certificate before.
    pub(crate) fn of(code: Code, text: &str, flaw: Option<Flaw>) -> Option<Self> {
        // With TLS 1.3 the client is through before the server has looked at its certificate, and reads the answer later.
        let alert = text.contains("SSL routines::") && text.contains(" alert ");
        (matches!(code, Code::AUTHENTICATION | Code::SSL) || alert).then(|| Self {
            code,
            text: text.to_owned(),
            flaw: flaw.filter(|_| code == Code::SSL),
        })
    }

    /// As `connect` tells it.
    pub(crate) fn error(&self, brokers: &str) -> Error {
        let (cause, advice) = self.explain();
        Error::new(
            ErrorKind::Denied,
            format!("connecting to kafka at {brokers}: {cause}; {advice}"),
        )
    }

    fn explain(&self) -> (String, &'static str) {
        const CA: &str = "set `ssl.ca.location` (`KAFKA_SSL_CAFILE`) to the certificate of whoever signed it";
        let has = |part: &str| self.text.contains(part);
        let own = |what: &str| format!("the broker's certificate {what}");
        match self.flaw {
            Some(Flaw::UnknownIssuer) => return (own("is signed by nobody who is known here"), CA),
            Some(Flaw::OtherHost) => {
                return (
                    own("is for another host"),
                    "set the address (`KAFKA_BOOTSTRAP_SERVERS`) to a name that the certificate has, or give the broker one with \
                     this name",
                );
            }
            Some(Flaw::Expired) => {
                return (
                    own("has expired"),
                    "give the broker a new one; is the clock right here?",
                );
            }
            Some(Flaw::NotYetValid) => return (own("is not valid yet"), "is the clock right here?"),
            Some(Flaw::Revoked) => return (own("was revoked"), "give the broker a new one"),
            Some(Flaw::Other) | None => {}
        }
        if self.code == Code::AUTHENTICATION {
            return match has("mechanism handshake failed") {
                true => {
                    let theirs = self
                        .text
                        .split("supported mechanisms: ")
                        .nth(1)
                        .unwrap_or_default();
                    let theirs = theirs.split(" (after ").next().unwrap_or_default();
                    (
                        format!("the broker does not take this way to log in, only {theirs}"),
                        "set `sasl.mechanism` (`KAFKA_SASL_MECHANISM`) to one of those",
                    )
                }
                false => (
                    "the broker refuses the login: user or password is wrong".to_owned(),
                    "set `sasl.username` and `sasl.password` (`KAFKA_SASL_USERNAME`, `KAFKA_SASL_PASSWORD`), and look whether \
                     `sasl.mechanism` (`KAFKA_SASL_MECHANISM`) is one that this user has",
                ),
            };
        }
        if has("certificate required") || has("unexpected message") {
            return (
                "the broker requires a certificate of the client".to_owned(),
                "set `ssl.certificate.location` and `ssl.key.location` (`KAFKA_SSL_CERTFILE`, `KAFKA_SSL_KEYFILE`)",
            );
        }
        if has(" alert ") && has("certificate") || has("alert unknown ca") {
            return (
                "the broker requires a certificate of the client and accepts none or not this one".to_owned(),
                "set `ssl.certificate.location` and `ssl.key.location` (`KAFKA_SSL_CERTFILE`, `KAFKA_SSL_KEYFILE`) to one whose \
                 signer it knows",
            );
        }
        if has("certificate verify failed") {
            return (own("is not accepted"), CA);
        }
        let text = self.text.split(" (after ").next().unwrap_or_default();
        (
            text.to_owned(),
            "look at `security.protocol` (`KAFKA_SECURITY_PROTOCOL`) and the `ssl.*` options",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: Code, text: &str, flaw: Option<Flaw>) -> String {
        let refusal = Refusal::of(code, text, flaw).unwrap();
        let error = refusal.error("h:1");
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(!error.is_transient());
        error.to_string()
    }

    #[test]
    fn every_refusal_names_a_cause_and_a_setting() {
        for (code, text, flaw, parts) in [
            (
                Code::SSL,
                "ssl://h:1/bootstrap: SSL handshake failed: error:0A000086",
                Some(Flaw::UnknownIssuer),
                ["signed by nobody", "KAFKA_SSL_CAFILE"],
            ),
            (
                Code::AUTHENTICATION,
                "SASL PLAIN mechanism handshake failed: x: broker's supported mechanisms: SCRAM-SHA-256 (after 1ms in state Y)",
                None,
                ["only SCRAM-SHA-256;", "KAFKA_SASL_MECHANISM"],
            ),
            (
                Code::TRANSPORT,
                "Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116",
                None,
                ["requires a certificate", "KAFKA_SSL_CERTFILE"],
            ),
            (
                Code::SSL,
                "SSL handshake failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42",
                None,
                ["not this one", "KAFKA_SSL_KEYFILE"],
            ),
            (
                Code::SSL,
                "SSL handshake failed: something (after 3ms in state Z)",
                None,
                ["failed: something;", "KAFKA_SECURITY_PROTOCOL"],
            ),
        ] {
            let told = told(code, text, flaw);
            assert!(parts.iter().all(|part| told.contains(part)), "{told}");
        }
        assert!(Refusal::of(Code::TRANSPORT, "Connect failed: refused", Some(Flaw::Expired)).is_none());
    }
}
