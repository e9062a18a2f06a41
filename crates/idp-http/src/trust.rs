//! Whom a client trusts, and with what it proves itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::error::BuildError;
use crate::file;

/// Ten times what a system has in all.
const MAX_FILE: u64 = 2 * 1024 * 1024;

/// A client certificate with what else its chain needs, and its key.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, BuildError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let key = PrivateKeyDer::from_pem_slice(pem);
        match (chain, key) {
            (Ok(chain), Ok(key)) if !chain.is_empty() => Ok(Self { chain, key }),
            _ => Err(BuildError::Identity),
        }
    }
}

/// Where extra roots come from.
#[derive(Clone, Debug)]
pub(crate) enum ExtraRoots {
    None,
    Pem(Vec<u8>),
    File(PathBuf),
}

impl ExtraRoots {
    fn read(&self) -> Result<Vec<u8>, BuildError> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Pem(pem) => Ok(pem.clone()),
            Self::File(path) => read(path),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    match file::read(path, MAX_FILE) {
        Ok(mut pem) => Ok(std::mem::take(&mut *pem)),
        Err(problem) => Err(BuildError::RootsFile(problem)),
    }
}

/// The TLS settings of new connections; those to come follow the file of extra roots.
pub(crate) struct Trust {
    extra: ExtraRoots,
    identity: Option<Arc<Identity>>,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    tls: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    /// What the file held when it was last looked at, usable or not.
    seen: Arc<[u8]>,
    looked_at: Instant,
    /// How often the roots have changed.
    version: u64,
}

impl Trust {
    pub(crate) fn new(
        extra: ExtraRoots,
        identity: Option<Arc<Identity>>,
    ) -> Result<Self, BuildError> {
        let pem = extra.read()?;
        let roots = match extra {
            ExtraRoots::None => Arc::new(with_system(RootCertStore::empty())),
            _ => Arc::new(with_system(roots(&pem)?)),
        };
        let current = Current {
            tls: Arc::new(config(Arc::clone(&roots), identity.as_deref())?),
            roots,
            seen: pem.into(),
            looked_at: Instant::now(),
            version: 0,
        };
        Ok(Self {
            extra,
            identity,
            current: Mutex::new(current),
        })
    }

    /// The same roots with another identity. They are shared until the file changes.
    pub(crate) fn with_identity(&self, identity: Identity) -> Result<Self, BuildError> {
        let identity = Some(Arc::new(identity));
        let mut current = self.current().clone();
        current.tls = Arc::new(config(Arc::clone(&current.roots), identity.as_deref())?);
        Ok(Self {
            extra: self.extra.clone(),
            identity,
            current: Mutex::new(current),
        })
    }

    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current().tls)
    }

    pub(crate) fn has_roots(&self) -> bool {
        !self.current().roots.is_empty()
    }

    pub(crate) fn version(&self) -> u64 {
        self.current().version
    }

    /// Looks at the file of extra roots unless that was done less than `after` ago. What cannot be used
    /// changes nothing, and is told once.
    pub(crate) async fn look(&self, after: Duration) {
        let ExtraRoots::File(path) = &self.extra else {
            return;
        };
        {
            let mut current = self.current();
            if current.looked_at.elapsed() < after {
                return;
            }
            current.looked_at = Instant::now();
        }
        let owned = path.clone();
        // `tokio::fs` would do the same behind one more feature.
        let Ok(read) = tokio::task::spawn_blocking(move || read(&owned)).await else {
            return;
        };
        let pem = read.as_deref().unwrap_or_default();
        if *self.current().seen == *pem {
            return;
        }
        let renewed = read
            .as_deref()
            .map_err(BuildError::to_string)
            .and_then(|pem| {
                let roots = roots(pem).map(with_system).map(Arc::new);
                let renewed = roots.and_then(|roots| {
                    let tls = config(Arc::clone(&roots), self.identity.as_deref())?;
                    Ok((roots, Arc::new(tls)))
                });
                renewed.map_err(|error| error.to_string())
            });
        let mut current = self.current();
        current.seen = pem.into();
        match renewed {
            Ok((roots, tls)) => {
                current.roots = roots;
                current.tls = tls;
                current.version += 1;
                drop(current);
                info!(file = %path.display(), "the extra root certificates have changed and are in use");
            }
            Err(error) => {
                drop(current);
                warn!(
                    file = %path.display(),
                    error,
                    "the extra root certificates have changed and cannot be used; the former stay in use"
                );
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // Each change is one assignment, so a poisoned value is still whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("has_identity", &self.identity.is_some())
            .finish_non_exhaustive()
    }
}

/// Every certificate has to be good: one that is left out would be missed later.
fn roots(pem: &[u8]) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| BuildError::Roots)?;
        roots.add(certificate).map_err(|_| BuildError::Roots)?;
    }
    if roots.is_empty() {
        return Err(BuildError::Roots);
    }
    Ok(roots)
}

/// Adds the system's. Those that cannot be read are left out: there are often some.
fn with_system(mut roots: RootCertStore) -> RootCertStore {
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    roots
}

fn config(
    roots: Arc<RootCertStore>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, BuildError> {
    let provider = CryptoProvider::get_default()
        .map_or_else(|| Arc::new(aws_lc_rs::default_provider()), Arc::clone);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(BuildError::Setup)?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|_| BuildError::Identity)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_secs(30);

    fn authority() -> String {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    /// N25
    #[tokio::test(start_paused = true)]
    async fn a_file_of_roots_is_read_again_when_it_changes_and_kept_while_it_is_broken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), authority()).unwrap();
        let trust = Trust::new(ExtraRoots::File(file.path().to_owned()), None).unwrap();
        let mut expected = 0;
        for (name, content, is_used) in [
            ("another", authority(), true),
            (
                "torn",
                "-----BEGIN CERTIFICATE-----\nMIIB".to_owned(),
                false,
            ),
            ("empty", String::new(), false),
            ("mended", authority(), true),
        ] {
            let before = trust.tls();
            std::fs::write(file.path(), content).unwrap();
            trust.look(LOOK).await;
            assert_eq!(trust.version(), expected, "{name}: too early");
            tokio::time::advance(LOOK).await;
            trust.look(LOOK).await;
            expected += u64::from(is_used);
            assert_eq!(trust.version(), expected, "{name}");
            assert_eq!(!Arc::ptr_eq(&before, &trust.tls()), is_used, "{name}");
        }
        std::fs::remove_file(file.path()).unwrap();
        tokio::time::advance(LOOK).await;
        trust.look(LOOK).await;
        assert_eq!(trust.version(), expected);
        assert!(trust.has_roots());
    }
}
