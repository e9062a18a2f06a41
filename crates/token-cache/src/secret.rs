//! Where the client secret comes from.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::error::{TokenError, TokenErrorKind};

/// A secret file larger than this is not a secret file.
const MAX_FILE_LEN: u64 = 64 * 1024;

/// Where the client secret comes from. `Debug` never shows it.
#[derive(Clone)]
pub enum SecretSource {
    /// A fixed value.
    Value(SecretString),
    /// A file that is read again for every exchange, so that a replaced secret is used without a
    /// restart. One trailing line end is not part of the secret. A file that is empty, longer than
    /// 64 KiB, not UTF-8, or begins with a byte order mark is an error, and so is what is no regular file
    /// after links are followed.
    File(PathBuf),
}

impl SecretSource {
    /// Reads the secret.
    pub(crate) async fn read(&self) -> Result<SecretString, TokenError> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let path = path.clone();
                // `tokio::fs` would do the same behind one more feature.
                match tokio::task::spawn_blocking(move || read_file(&path)).await {
                    Ok(result) => result.map_err(|problem| {
                        TokenError::new(TokenErrorKind::Config).with_detail(problem)
                    }),
                    Err(_) => Err(TokenError::new(TokenErrorKind::Cancelled)),
                }
            }
        }
    }

    /// Returns a number that changes with the secret, and says nothing about it: the hash is keyed
    /// per process.
    pub(crate) async fn version(&self) -> u64 {
        match self {
            Self::Value(_) => 0,
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
        }
    }
}

impl From<SecretString> for SecretSource {
    fn from(secret: SecretString) -> Self {
        Self::Value(secret)
    }
}

fn read_file(path: &Path) -> Result<SecretString, &'static str> {
    let metadata = std::fs::metadata(path).map_err(|_| "the secret file cannot be read")?;
    // Opening a FIFO waits for a writer, and a device may never end.
    if !metadata.is_file() {
        return Err("the secret file is not a regular file");
    }
    if metadata.len() > MAX_FILE_LEN {
        return Err("the secret file is larger than 64 KiB");
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|_| "the secret file cannot be read")?);
    let text = str::from_utf8(&bytes).map_err(|_| "the secret file is not UTF-8")?;
    let secret = text
        .strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() {
        return Err("the secret file is empty");
    }
    if secret.starts_with('\u{feff}') {
        return Err("the secret file begins with a byte order mark");
    }
    Ok(SecretString::from(secret))
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

    /// H5
    #[test]
    fn a_file_loses_one_line_end_and_nothing_else() {
        for (content, expected) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            ("s3cret\n\n", "s3cret\n"),
            (" s3cret ", " s3cret "),
        ] {
            let file = file(content.as_bytes());
            assert_eq!(
                read_file(file.path()).unwrap().expose_secret(),
                expected,
                "{content:?}"
            );
        }
        assert!(read_file(file(b"").path()).is_err());
        assert!(read_file(file(b"\n").path()).is_err());
        assert!(read_file(file(b"\xff").path()).is_err());
        assert!(read_file(file(b"\xef\xbb\xbfs3cret").path()).is_err());
        assert!(read_file(Path::new("/nonexistent/secret")).is_err());
    }

    /// H5
    #[test]
    fn what_is_no_regular_file_is_refused_unread() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let problem = read_file(path).unwrap_err();
            assert_eq!(problem, "the secret file is not a regular file", "{path:?}");
        };
        refused(directory.path());
        #[cfg(unix)]
        {
            refused(Path::new("/dev/null"));
            let socket = directory.path().join("socket");
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            refused(&socket);
            let link = directory.path().join("link");
            std::os::unix::fs::symlink(&socket, &link).unwrap();
            refused(&link);
            let good = file(b"s3cret");
            let link = directory.path().join("secret");
            std::os::unix::fs::symlink(good.path(), &link).unwrap();
            assert_eq!(read_file(&link).unwrap().expose_secret(), "s3cret");
        }
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
