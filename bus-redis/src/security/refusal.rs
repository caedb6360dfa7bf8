//! Why a secured connection did not come about, as what there is to change.

use crate::error::broken;
use bus_core::Error;
use std::io;

/// The error of a server that speaks TLS where it was spoken to without.
pub(crate) fn wants_tls(address: &str) -> Error {
    Error::invalid(format!(
        "redis at {address} speaks TLS there: write `rediss://` in the URL, or `tls=true` behind it of a cluster"
    ))
}

/// The error of a server that does not speak TLS.
pub(crate) fn speaks_plain(address: &str) -> Error {
    Error::invalid(format!(
        "redis at {address} does not speak TLS there: write its TLS port (`tls-port`) in the URL, or `redis://` on a \
         trusted network"
    ))
}

/// The error of a cluster whose nodes name ports where they do not speak TLS.
pub(crate) fn names_plain(address: &str) -> Error {
    Error::invalid(format!(
        "the nodes of the cluster name {address}, where TLS is not spoken: set `tls-cluster yes` at the nodes, or leave TLS \
         out on a trusted network"
    ))
}

/// The error of a connection that broke; where TLS says why, that, and what to set.
pub(crate) fn explain(address: &str, error: io::Error, doing: &str) -> Error {
    #[cfg(feature = "tls")]
    if let Some(why) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return tls::refusal(address, why);
    }
    broken(address, doing, error)
}

#[cfg(feature = "tls")]
mod tls {
    use super::{Error, speaks_plain};
    use bus_core::ErrorKind;
    use tokio_rustls::rustls::{AlertDescription as Alert, CertificateError as Certificate, Error as Tls};

    pub(super) fn refusal(address: &str, why: &Tls) -> Error {
        let denied = |what: &str| Error::new(ErrorKind::Denied, format!("redis at {address} {what}"));
        match why {
            Tls::InvalidCertificate(wrong) => denied(&certificate(wrong)),
            Tls::AlertReceived(Alert::CertificateRequired) => {
                denied("asks for a client certificate: set `tls.cert` and `tls.key`")
            }
            Tls::AlertReceived(Alert::UnknownCA) => denied(
                "does not trust the authority of our certificate: look at `tls.cert`, or at its `tls-ca-cert-file`",
            ),
            Tls::AlertReceived(Alert::CertificateExpired) => {
                denied("says that our certificate has expired: renew the one in `tls.cert`")
            }
            Tls::AlertReceived(
                Alert::BadCertificate
                | Alert::CertificateUnknown
                | Alert::CertificateRevoked
                | Alert::UnsupportedCertificate
                | Alert::AccessDenied
                | Alert::DecryptError,
            ) => denied("refuses our certificate: look at `tls.cert`").source(why.clone()),
            Tls::AlertReceived(Alert::HandshakeFailure) => denied(
                "refuses the handshake: it asks for a client certificate (set `tls.cert` and `tls.key`), or has no cipher \
                 in common with us (look at its `tls-ciphers`)",
            ),
            Tls::AlertReceived(Alert::ProtocolVersion) | Tls::PeerIncompatible(_) => {
                denied("speaks neither TLS 1.2 nor 1.3 as we do: look at its `tls-protocols`")
                    .source(why.clone())
            }
            Tls::InvalidMessage(_) => speaks_plain(address),
            _ => Error::unavailable(format!("redis at {address} broke TLS off")).source(why.clone()),
        }
    }

    /// What is wrong with a server's certificate.
    fn certificate(wrong: &Certificate) -> String {
        match wrong {
            Certificate::UnknownIssuer | Certificate::BadSignature => {
                "has a certificate of an authority that is not trusted: set `tls.ca` to that authority's file".to_owned()
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "has a certificate that has expired: renew it there, its `tls-cert-file`".to_owned()
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "has a certificate that is not valid yet: look at the clocks of both machines".to_owned()
            }
            Certificate::NotValidForNameContext { expected, presented } => format!(
                "has a certificate for {}, not for `{}`: write a name that it is for in the URL, or set `tls.server.name`",
                match &presented[..] {
                    [] => "no name at all".to_owned(),
                    names => names.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", "),
                },
                expected.to_str()
            ),
            Certificate::NotValidForName => {
                "has a certificate for another name: write one that it is for in the URL, or set `tls.server.name`".to_owned()
            }
            other => format!("has a certificate that cannot be accepted ({other:?}): replace it there, its `tls-cert-file`"),
        }
    }

    /// A name out of `DnsName("localhost")` or `IpAddress(127.0.0.1)`.
    fn plain(name: &str) -> String {
        let inner = name
            .split_once('(')
            .map_or(name, |(_, rest)| rest.trim_end_matches(')'));
        format!("`{}`", inner.trim_matches('"'))
    }
}
