//! A forward proxy between us and the provider.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use url::Url;

use crate::error::{FetchError, FetchErrorKind, ProxyProblem};
use crate::file;
use crate::url_rules::UrlProblem;

/// Longer heads than that are no proxy's.
const MAX_HEAD: usize = 8 * 1024;

/// A forward proxy (RFC 9110 section 3.7), by http or https. Connections to https addresses go through it
/// as tunnels (`CONNECT`, section 9.3.6), so it sees the provider's name and no more; requests to http
/// addresses are sent to it whole.
///
/// `Debug` shows no credentials.
#[derive(Clone)]
pub struct Proxy {
    url: Url,
    credentials: Option<Credentials>,
}

#[derive(Clone)]
enum Credentials {
    Value(SecretString),
    File(PathBuf),
}

impl Proxy {
    /// Returns the proxy at this address.
    ///
    /// # Errors
    ///
    /// Fails unless the URL is http or https, and has neither credentials nor path, query or fragment.
    pub fn new(url: Url) -> Result<Self, UrlProblem> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(UrlProblem::ProxyScheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlProblem::Credentials);
        }
        if url.fragment().is_some() {
            return Err(UrlProblem::Fragment);
        }
        if url.query().is_some() {
            return Err(UrlProblem::Query);
        }
        if url.path() != "/" {
            return Err(UrlProblem::Path);
        }
        Ok(Self {
            url,
            credentials: None,
        })
    }

    /// Shows the proxy these credentials, `user:password` (RFC 7617).
    #[must_use]
    pub fn credentials(mut self, credentials: SecretString) -> Self {
        self.credentials = Some(Credentials::Value(credentials));
        self
    }

    /// Shows the proxy the credentials in this file, `user:password`, which is read again for every
    /// connection. One line end at its end is not part of them.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials = Some(Credentials::File(path.into()));
        self
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns a number that changes with the credentials, and says nothing about them.
    pub(crate) async fn version(&self) -> u64 {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        match &self.credentials {
            Some(Credentials::File(_)) => match self.read().await {
                Ok(Some(credentials)) => KEY.hash_one(credentials.expose_secret()),
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Returns the value of `Proxy-Authorization`.
    pub(crate) async fn authorization(&self) -> Result<Option<HeaderValue>, FetchError> {
        let Some(credentials) = self.read().await? else {
            return Ok(None);
        };
        let encoded = STANDARD.encode(credentials.expose_secret());
        let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
            .map_err(|_| FetchError::new(FetchErrorKind::Proxy(ProxyProblem::Credentials)))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn read(&self) -> Result<Option<SecretString>, FetchError> {
        let unreadable = |problem: &str| {
            let kind = FetchErrorKind::Proxy(ProxyProblem::Credentials);
            FetchError::with_text(kind, &format!("their file {problem}"))
        };
        match &self.credentials {
            None => Ok(None),
            Some(Credentials::Value(credentials)) => Ok(Some(credentials.clone())),
            Some(Credentials::File(path)) => {
                let path = path.clone();
                // `tokio::fs` would do the same behind one more feature.
                let read = tokio::task::spawn_blocking(move || file::read_secret(&path)).await;
                match read {
                    Ok(Ok(file)) => Ok(Some(file.secret)),
                    Ok(Err(problem)) => Err(unreadable(&problem.to_string())),
                    Err(_) => Err(unreadable("cannot be read")),
                }
            }
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.url.as_str())
            .field("has_credentials", &self.credentials.is_some())
            .finish()
    }
}

/// Asks the proxy at the other end for a tunnel to `authority`.
pub(crate) async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    authority: &str,
    authorization: Option<&HeaderValue>,
) -> Result<(), FetchError> {
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
    if let Some(value) = authorization {
        head.extend_from_slice(b"proxy-authorization: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let unreachable = |error: &std::io::Error| {
        FetchError::told(FetchErrorKind::Proxy(ProxyProblem::Unreachable), error)
    };
    stream
        .write_all(&head)
        .await
        .map_err(|error| unreachable(&error))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        // One by one: what follows the head belongs to the tunnel.
        let byte = stream
            .read_u8()
            .await
            .map_err(|error| unreachable(&error))?;
        answer.push(byte);
        if answer.len() > MAX_HEAD {
            return Err(refused("no HTTP"));
        }
    }
    match status(&answer) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(FetchError::new(FetchErrorKind::Proxy(
            ProxyProblem::Credentials,
        ))),
        // The proxy did what it could: this passes as soon as the provider is back.
        Some(status @ 502..=504) => Err(FetchError::with_text(
            FetchErrorKind::Connect,
            &format!("the proxy answered {status}"),
        )),
        Some(status) => Err(refused(&status.to_string())),
        None => Err(refused("no HTTP")),
    }
}

fn refused(how: &str) -> FetchError {
    FetchError::with_text(FetchErrorKind::Proxy(ProxyProblem::Refused), how)
}

/// The status of `HTTP/1.1 200 …`.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N23
    #[test]
    fn a_proxy_is_an_origin_and_nothing_more() {
        for (url, expected) in [
            ("http://proxy.example:3128", Ok(())),
            ("https://proxy.example/", Ok(())),
            ("http://10.0.0.1:3128/", Ok(())),
            ("socks5://proxy.example", Err(UrlProblem::ProxyScheme)),
            ("http://user:pw@proxy.example", Err(UrlProblem::Credentials)),
            ("http://proxy.example/path", Err(UrlProblem::Path)),
            ("http://proxy.example/?q", Err(UrlProblem::Query)),
            ("http://proxy.example/#f", Err(UrlProblem::Fragment)),
        ] {
            let found = Proxy::new(url.parse().unwrap()).map(drop);
            assert_eq!(found, expected, "{url}");
        }
    }

    /// J1
    #[test]
    fn debug_shows_no_credentials() {
        let proxy = Proxy::new("http://proxy.example".parse().unwrap()).unwrap();
        let proxy = proxy.credentials(SecretString::from("user:canary"));
        assert!(!format!("{proxy:?}").contains("canary"));
    }
}
