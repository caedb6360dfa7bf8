//! Certificates for servers and clients of a test: a throw-away authority, and what it signs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::error::{Doing, Error, Result};
use crate::paths;

/// An authority of the caller's own. What it signs lies as PEM files in a folder that goes when it is dropped.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key (PKCS #8, without a passphrase), each in a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one; it takes a few milliseconds.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let all = paths::brokers_dir().join("certificates");
        clear(&all);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = all.join(format!("{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).doing(|| format!("creating {}", dir.display()))?;
        let mut params = named(
            &format!("authority {}-{number} of tests", std::process::id()),
            &[],
        )?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed)?;
        let signed = params.self_signed(&key).map_err(failed)?;
        let file = dir.join("ca.pem");
        write(&file, &signed.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self { dir, file, issuer })
    }

    /// The PEM file of its own certificate: what is to be trusted.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for these host names and IP addresses, good for a server and for a client; its subject is `name`.
    ///
    /// # Errors
    ///
    /// When a name is none, or a file cannot be written.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> Result<Certificate> {
        self.sign(name, named(name, hosts)?)
    }

    /// The same, one that ended years ago.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue`].
    pub fn issue_expired(&self, name: &str, hosts: &[&str]) -> Result<Certificate> {
        let mut params = named(name, hosts)?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(name, params)
    }

    fn sign(&self, name: &str, params: CertificateParams) -> Result<Certificate> {
        let key = KeyPair::generate().map_err(failed)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let files = Certificate {
            certificate: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}-key.pem")),
        };
        write(&files.certificate, &signed.pem())?;
        write(&files.key, &key.serialize_pem())?;
        Ok(files)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn named(name: &str, hosts: &[&str]) -> Result<CertificateParams> {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    // Servers name the authority to clients by it, and clients look for one that it signed.
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).doing(|| format!("writing {}", path.display()))
}

fn failed(why: rcgen::Error) -> Error {
    Error::State(format!("a certificate could not be made: {why}"))
}

/// Removes what processes left behind that are gone.
fn clear(all: &Path) {
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.split_once('-'))
            .map(|(pid, _)| pid);
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
