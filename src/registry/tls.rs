//! Whom a registry's certificate must be signed by.

use bus_core::{Error, Result};
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{error, io, path::Path, sync::Arc};

/// With ring, whatever provider the process has: ours must not depend on who comes first.
pub(super) fn config(ca_file: Option<&Path>, secure: bool) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => own(file, &mut roots)?,
        // Reading those of the machine takes a while, and nobody looks at them without TLS.
        None if secure => {
            let machine = rustls_native_certs::load_native_certs();
            let (good, _) = roots.add_parsable_certificates(machine.certs);
            if good == 0 {
                return Err(Error::invalid(
                    "this machine trusts no certificates that could be read; name some by `ca_file`",
                ));
            }
        }
        None => {}
    }
    let failed = |e: rustls::Error| Error::invalid("TLS cannot be set up").source(e);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn own(file: &Path, roots: &mut RootCertStore) -> Result<()> {
    let unreadable = || {
        Error::invalid(format!(
            "no certificates (PEM) can be read from `{}`",
            file.display()
        ))
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| unreadable().source(e))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| unreadable().source(e))?;
        roots.add(certificate).map_err(|e| unreadable().source(e))?;
    }
    if roots.is_empty() {
        Err(unreadable())
    } else {
        Ok(())
    }
}

/// What TLS did not like, and which setting changes it.
pub(super) fn refusal(error: &(dyn error::Error + 'static)) -> Option<String> {
    let mut inner = error;
    // An I/O error does not name what it was made of as its source, which may be another one.
    while let Some(error) = inner.downcast_ref::<io::Error>() {
        inner = error.get_ref()?;
    }
    Some(match inner.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(wrong) => certificate(wrong),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS there; write `http://` or its other port".into()
        }
        other => format!("TLS: {other}"),
    })
}

fn certificate(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is of an authority that is not trusted; name that authority's file by `ca_file` \
             (KAFKA_SCHEMA_REGISTRY_CAFILE)"
                .into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired; renew it there".into()
        }
        CertificateError::NotValidForName => {
            "its certificate is for another name; write one that it is for in the URL".into()
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "its certificate is for {}, not for `{}`; write a name that it is for in the URL",
            presented.join(", "),
            expected.to_str()
        ),
        other => format!("its certificate cannot be accepted ({other:?})"),
    }
}
