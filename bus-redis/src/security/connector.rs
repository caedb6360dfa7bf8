//! The handshake.

use super::{Tls, explain, file, pem};
use crate::{servers::Host, wire::Stream};
use bus_core::{Error, Result};
use parking_lot::Mutex;
use std::{fmt, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// Makes TLS connections, with the files as they are at the time.
pub(super) struct Connector {
    tls: Tls,
    /// What was made last, and of which files.
    made: Mutex<Option<(Files, TlsConnector)>>,
}

/// Contents of the files that settings name.
#[derive(PartialEq)]
struct Files {
    ca: Option<Vec<u8>>,
    certificate: Option<(Vec<u8>, Vec<u8>)>,
}

impl Connector {
    pub(super) fn new(tls: Tls) -> Self {
        Self {
            tls,
            made: Mutex::new(None),
        }
    }

    pub(super) async fn connect(&self, host: &Host, stream: TcpStream) -> Result<Stream> {
        let name = self.tls.server_name.as_deref().unwrap_or(&host.name);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| {
            Error::invalid(format!(
                "`{name}` is no name that a certificate can have; set `tls.server.name`"
            ))
        })?;
        let connector = self.connector().await?;
        match connector.connect(server, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(explain(&host.to_string(), error, "broke off the TLS handshake")),
        }
    }

    async fn connector(&self) -> Result<TlsConnector> {
        let files = self.files().await?;
        if let Some((of, made)) = &*self.made.lock()
            && *of == files
        {
            return Ok(made.clone());
        }
        // Reading what the system trusts takes milliseconds, and so does parsing it.
        let tls = self.tls.clone();
        let making = tokio::task::spawn_blocking(move || make(&tls, &files).map(|made| (files, made)));
        let (files, made) = making
            .await
            .map_err(|error| Error::unavailable("TLS could not be set up").source(error))??;
        *self.made.lock() = Some((files, made.clone()));
        Ok(made)
    }

    async fn files(&self) -> Result<Files> {
        Ok(Files {
            ca: match &self.tls.ca {
                Some(path) => Some(file::read(path, "tls.ca").await?),
                None => None,
            },
            certificate: match (&self.tls.certificate, &self.tls.key) {
                (Some(certificate), Some(key)) => Some((
                    file::read(certificate, "tls.cert").await?,
                    file::read(key, "tls.key").await?,
                )),
                _ => None,
            },
        })
    }
}

fn make(tls: &Tls, files: &Files) -> Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let roots = match &files.ca {
        Some(ca) => pem::authorities(ca, tls.ca.as_deref())?,
        None => of_the_system()?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::invalid("TLS could not be set up").source(error))?
        .with_root_certificates(roots);
    let config = match &files.certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = pem::certificates(certificate, "tls.cert", tls.certificate.as_deref())?;
            let key = pem::key(key, tls.key.as_deref())?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let sentence = "certificate and key do not belong together or are of a kind that cannot be used: \
                                look at the files of `tls.cert` and `tls.key`";
                Error::invalid(sentence).source(error)
            })?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The authorities that the operating system trusts.
fn of_the_system() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    match added {
        0 => Err(Error::invalid(
            "the system trusts no authority; install its certificates (`ca-certificates`), or set `tls.ca`",
        )),
        _ => Ok(roots),
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tls.fmt(f)
    }
}
