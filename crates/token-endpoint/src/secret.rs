//! Where what a client authenticates with comes from.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use idp_http::file;
use secrecy::{ExposeSecret, SecretString};

use crate::error::EndpointError;
use crate::kind::TokenErrorKind;
use crate::signer::{AssertionSigner, SecretProvider};

/// Where what a client authenticates with comes from: its secret, or what else
/// [`ClientAuth`](crate::ClientAuth) says. `Debug` never shows it.
#[derive(Clone)]
#[non_exhaustive]
pub enum SecretSource {
    /// A fixed value.
    Value(SecretString),
    /// A file that is read again for every exchange, so that a replaced secret is used without a
    /// restart. One trailing line end is not part of the secret. A file that is empty, longer than
    /// 64 KiB, not UTF-8, or begins with a byte order mark is an error, and so is what is no regular file
    /// after links are followed.
    File(PathBuf),
    /// A program's own code, which is asked for every exchange.
    Provided(Arc<dyn SecretProvider>),
    /// A key that is elsewhere: for [`ClientAuth::PrivateKeyJwt`](crate::ClientAuth::PrivateKeyJwt) only.
    Signer(Arc<dyn AssertionSigner>),
}

impl SecretSource {
    /// Reads the secret.
    pub(crate) async fn read(&self) -> Result<SecretString, EndpointError> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::Provided(provider) => provider.secret().await,
            // `ClientBuilder::build` refuses one where something is read.
            Self::Signer(_) => Err(EndpointError::new(TokenErrorKind::Config)),
            Self::File(path) => {
                let path = path.clone();
                // `tokio::fs` would do the same behind one more feature.
                match tokio::task::spawn_blocking(move || file::read_secret(&path)).await {
                    Ok(Ok(file)) => Ok(file.secret),
                    Ok(Err(problem)) => {
                        let detail = format!("the secret file {problem}");
                        Err(EndpointError::new(TokenErrorKind::Config).with_detail(&detail))
                    }
                    Err(_) => Err(EndpointError::new(TokenErrorKind::Cancelled)),
                }
            }
        }
    }

    /// Returns a number that changes with the secret, and says nothing about it: the hash is keyed
    /// per process.
    pub(crate) async fn version(&self) -> u64 {
        match self {
            Self::Value(_) | Self::Signer(_) => 0,
            Self::Provided(provider) => provider.version().await,
            Self::File(_) => match self.read().await {
                Ok(secret) => Self::fingerprint(&secret),
                Err(_) => 0,
            },
        }
    }

    pub(crate) fn fingerprint(secret: &SecretString) -> u64 {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        KEY.hash_one(secret.expose_secret())
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value([redacted])"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Provided(provider) => f.debug_tuple("Provided").field(provider).finish(),
            Self::Signer(signer) => f.debug_tuple("Signer").field(signer).finish(),
        }
    }
}

impl From<SecretString> for SecretSource {
    fn from(secret: SecretString) -> Self {
        Self::Value(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    /// B20
    #[tokio::test]
    async fn the_version_changes_with_the_file() {
        let file = file(b"one");
        let source = SecretSource::File(file.path().to_owned());
        let before = source.version().await;
        assert_eq!(source.version().await, before);
        std::fs::write(file.path(), "two").unwrap();
        assert_ne!(source.version().await, before);
    }

    /// J1
    #[test]
    fn debug_shows_no_secret() {
        let source = SecretSource::from(SecretString::from("canary"));
        assert!(!format!("{source:?}").contains("canary"));
    }
}
