//! Certificates and keys out of PEM files. What a parser says of a key's file is not passed on: it quotes it.

use bus_core::{Error, Result};
use std::path::Path;
use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// The authorities in a file.
pub(super) fn authorities(text: &[u8], path: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text, "tls.ca", path)? {
        roots.add(certificate).map_err(|error| {
            Error::invalid(format!(
                "{} a certificate that cannot be used",
                holds("tls.ca", path)
            ))
            .source(error)
        })?;
    }
    Ok(roots)
}

/// The certificates in a file, in their order; at least one.
pub(super) fn certificates(
    text: &[u8],
    option: &str,
    path: Option<&Path>,
) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match read {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(Error::invalid(format!(
            "{} no certificate in PEM",
            holds(option, path)
        ))),
    }
}

/// The key in a file.
pub(super) fn key(text: &[u8], path: Option<&Path>) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(text).map_err(|_| {
        let encrypted = String::from_utf8_lossy(text).contains("ENCRYPTED");
        let what = match encrypted {
            true => "a key under a passphrase; write it without one, readable for this program alone",
            false => "no private key in PEM",
        };
        Error::invalid(format!("{} {what}", holds("tls.key", path)))
    })
}

fn holds(option: &str, path: Option<&Path>) -> String {
    let path = path
        .map(Path::display)
        .map(|path| path.to_string())
        .unwrap_or_default();
    format!("the file of `{option}`, {path}, holds")
}
