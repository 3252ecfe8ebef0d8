//! The node's certificate: the administrator's own, or one signed by itself that is made at the
//! first start and kept; and the TLS set-ups made of it.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::settings::TlsSettings;

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateFailure {
    /// A file cannot be read or written.
    #[error("{}: cannot use this file for TLS", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no PEM of the kind needed.
    #[error("{}: holds no usable PEM {kind}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        kind: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and the key cannot be used together.
    #[error("{}: the certificate and its key cannot be used", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// The TLS set-ups of this node; handles share them, and see it when they are replaced.
#[derive(Debug, Clone)]
pub(crate) struct Tls(Arc<RwLock<SetUps>>);

#[derive(Debug)]
struct SetUps {
    sip_server: Arc<ServerConfig>,
    http_server: Arc<ServerConfig>,
    sip_client: Arc<ClientConfig>,
}

impl Tls {
    /// Loads the certificate, making one at the first start.
    pub(crate) fn load(
        settings: &TlsSettings,
        data_dir: &Path,
        domain: &str,
        addresses: &[IpAddr],
    ) -> Result<Self, CertificateFailure> {
        let (certificate, key) = match &settings.identity {
            Some((certificate, key)) => (certificate.clone(), key.clone()),
            None => {
                let certificate = data_dir.join("certificate.pem");
                let key = data_dir.join("certificate.key");
                if !(certificate.exists() && key.exists()) {
                    make(&certificate, &key, domain, addresses)?;
                }
                (certificate, key)
            }
        };
        let chain = read_chain(&certificate)?;
        let sip_server = server(&certificate, &chain, &key)?;
        let mut http_server = sip_server.clone();
        http_server.alpn_protocols = vec![b"http/1.1".to_vec()];

        let mut roots = RootCertStore::empty();
        // Nodes that share our certificate are trusted; others by the file of authorities.
        roots.add_parsable_certificates(chain);
        if let Some(path) = &settings.trust {
            roots.add_parsable_certificates(read_chain(path)?);
        }
        let sip_client =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self(Arc::new(RwLock::new(SetUps {
            sip_server: Arc::new(sip_server),
            http_server: Arc::new(http_server),
            sip_client: Arc::new(sip_client),
        }))))
    }

    /// Takes over another's set-ups, for connections from now on.
    pub(crate) fn replace(&self, other: &Self) {
        let other = other.set_ups();
        let fresh = SetUps {
            sip_server: Arc::clone(&other.sip_server),
            http_server: Arc::clone(&other.http_server),
            sip_client: Arc::clone(&other.sip_client),
        };
        drop(other);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// For SIP connections to us.
    pub(crate) fn sip_server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.set_ups().sip_server)
    }

    /// For HTTP connections to us.
    pub(crate) fn http_server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.set_ups().http_server)
    }

    /// For SIP connections that we make.
    pub(crate) fn sip_client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.set_ups().sip_client)
    }

    fn set_ups(&self) -> RwLockReadGuard<'_, SetUps> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn server(
    path: &Path,
    chain: &[CertificateDer<'static>],
    key: &Path,
) -> Result<ServerConfig, CertificateFailure> {
    let key = PrivateKeyDer::from_pem_file(key).map_err(|source| CertificateFailure::Pem {
        path: key.to_owned(),
        kind: "private key",
        source,
    })?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain.to_vec(), key)
        .map_err(|source| CertificateFailure::Unusable { path: path.to_owned(), source })?;
    // One ticket serves a phone that comes back; each costs a record and a cache entry.
    config.send_tls13_tickets = 1;
    Ok(config)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateFailure> {
    let failure =
        |source| CertificateFailure::Pem { path: path.to_owned(), kind: "certificate", source };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failure)?
        .collect::<Result<_, _>>()
        .map_err(failure)?;
    if chain.is_empty() {
        return Err(failure(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(chain)
}

fn make(
    certificate: &Path,
    key: &Path,
    domain: &str,
    addresses: &[IpAddr],
) -> Result<(), CertificateFailure> {
    let mut names = vec![domain.to_owned()];
    for name in addresses.iter().map(ToString::to_string).chain(["localhost".to_owned()]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, domain);
    let pair = KeyPair::generate()?;
    let made = params.self_signed(&pair)?;
    write(key, pair.serialize_pem().as_bytes(), 0o600)?;
    write(certificate, made.pem().as_bytes(), 0o644)?;
    tracing::info!(path = %certificate.display(), "made a certificate signed by itself");
    Ok(())
}

/// Whole or not at all, and readable by others only if `mode` says so from the first byte.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CertificateFailure> {
    let write = || {
        let fresh = path.with_extension("new");
        if fresh.exists() {
            std::fs::remove_file(&fresh)?;
        }
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(|source| CertificateFailure::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_private() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let settings = TlsSettings::default();
        let load = || {
            Tls::load(&settings, dir.path(), "example.test", &["127.0.0.1".parse().unwrap()])
                .unwrap()
        };
        load();
        let key = dir.path().join("certificate.key");
        let first = std::fs::read(&key).unwrap();
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        load();
        assert_eq!(std::fs::read(&key).unwrap(), first);
    }

    #[test]
    fn a_key_that_is_not_one_is_named() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bad.pem");
        std::fs::write(&file, "nothing").unwrap();
        let settings =
            TlsSettings { identity: Some((file.clone(), file)), ..TlsSettings::default() };
        let error = Tls::load(&settings, dir.path(), "example.test", &[]).unwrap_err();
        assert!(error.to_string().contains("bad.pem"), "{error}");
    }
}
