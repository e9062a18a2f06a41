//! The token source that speaks to a token endpoint (RFC 6749 section 4.4).

mod builder;
mod exchange;
mod headers;
mod shown;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clock::Clock;
use http::{HeaderMap, HeaderValue, header};
use idp_http::{Discovery, IdpClient};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

use crate::client_auth::ClientAuth;
use crate::error::{ConfigError, TokenError, TokenErrorKind};
use crate::request::TokenRequest;
use crate::secret::SecretSource;
use crate::source::{TIME_LIMIT, TokenSource};
use crate::token::IssuedToken;
use shown::Shown;

pub use builder::ClientCredentialsBuilder;
pub use exchange::Exchange;

/// Gets tokens from a token endpoint with the client credentials grant.
pub struct ClientCredentials {
    http: IdpClient,
    endpoint: Endpoint,
    client_id: String,
    client_id_file: Option<SecretSource>,
    secret: SecretSource,
    headers: HeaderMap,
    headers_file: Option<SecretSource>,
    auth: ClientAuth,
    #[cfg(feature = "private-key-jwt")]
    assertion: Assertion,
    certificate: Option<Certificate>,
    all_scopes: bool,
    token_types: Vec<String>,
    max_token_size: usize,
    clock: Arc<dyn Clock>,
}

/// What an assertion of our own says beside the client's id.
#[derive(Clone, Debug, Default)]
#[cfg(feature = "private-key-jwt")]
struct Assertion {
    audience: Option<String>,
    key_id: Option<String>,
}

/// The client that presents the certificate, made again when the certificate changes.
#[derive(Debug, Default)]
struct Certificate {
    current: Mutex<Option<(u64, IdpClient)>>,
}

#[derive(Debug)]
enum Endpoint {
    Fixed(Url),
    Discovered(Discovery),
}

impl ClientCredentials {
    /// Returns the settings for a client with this id and secret, or what else
    /// [`ClientAuth`] takes from the secret's source.
    #[must_use]
    pub fn builder(client_id: &str, secret: impl Into<SecretSource>) -> ClientCredentialsBuilder {
        ClientCredentialsBuilder::new(client_id, secret.into())
    }

    /// Checks the text of a file for [`headers_file`](ClientCredentialsBuilder::headers_file), for a program
    /// that does so when it starts.
    ///
    /// # Errors
    ///
    /// Fails at the first line that is not `Name: value`, or with a name that the request owns. The error has
    /// the number of the line and nothing of its text.
    pub fn check_headers(lines: &str) -> Result<(), ConfigError> {
        headers::parse(lines).map(drop)
    }

    /// Returns what proves who the client is: the secret, or an assertion.
    fn credential(&self, shown: &Shown) -> Result<SecretString, TokenError> {
        match self.auth {
            #[cfg(feature = "private-key-jwt")]
            ClientAuth::PrivateKeyJwt(algorithm) => crate::assertion::sign(
                algorithm,
                self.assertion.key_id.as_deref(),
                shown.secret.expose_secret(),
                &shown.id,
                self.assertion.audience.as_deref().unwrap_or_default(),
                self.clock.now(),
            )
            .map(SecretString::from),
            _ => Ok(shown.secret.clone()),
        }
    }

    /// Returns the client to ask with.
    fn http(&self, secret: &SecretString) -> Result<IdpClient, TokenError> {
        let Some(certificate) = &self.certificate else {
            return Ok(self.http.clone());
        };
        let version = SecretSource::fingerprint(secret);
        // Nothing that could panic runs while the lock is held but the allocator.
        let mut current = certificate
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((known, http)) = &*current
            && *known == version
        {
            return Ok(http.clone());
        }
        let http = self
            .http
            .with_client_certificate_pem(secret.expose_secret().as_bytes())
            .map_err(|error| {
                TokenError::new(TokenErrorKind::Config).with_detail(&error.to_string())
            })?;
        *current = Some((version, http.clone()));
        Ok(http)
    }

    /// Returns the headers and the form of one token request.
    fn request(
        &self,
        request: &TokenRequest,
        shown: &Shown,
        credential: &str,
    ) -> (HeaderMap, Vec<u8>) {
        let mut headers = shown.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        request.append_to(&mut form);
        self.auth
            .apply(&shown.id, credential, &mut headers, &mut form);
        (headers, form.finish().into_bytes())
    }

    async fn endpoint(&self) -> Result<Url, TokenError> {
        let discovery = match &self.endpoint {
            Endpoint::Fixed(url) => return Ok(url.clone()),
            Endpoint::Discovered(discovery) => discovery,
        };
        let metadata = discovery.metadata().await.map_err(|error| {
            let found = match error.fetch_error() {
                Some(fetch) => TokenError::from_fetch(fetch),
                None if error.status() == Some(429) => TokenError::new(TokenErrorKind::Throttled),
                None if error.is_overloaded() => TokenError::new(TokenErrorKind::Status5xx),
                None => TokenError::new(TokenErrorKind::Discovery),
            };
            found
                .with_detail(&error.to_string())
                .with_published_issuer(error.published_issuer())
                .with_retry_after(error.retry_after())
        })?;
        metadata.token_endpoint.clone().ok_or_else(|| {
            discovery.forget();
            TokenError::new(TokenErrorKind::Discovery)
                .with_detail("the metadata names no token_endpoint")
        })
    }
}

#[async_trait]
impl TokenSource for ClientCredentials {
    async fn fetch(&self, request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        self.exchange(request).await.result
    }

    /// At least 15 s, and what four exchanges may take: metadata in three places, and the token.
    fn time_limit(&self) -> Duration {
        TIME_LIMIT.max(self.http.timeout().saturating_mul(4))
    }

    async fn credentials_version(&self) -> u64 {
        let files = self.version().await;
        files.wrapping_add(self.http.settings_version().await)
    }
}

/// For an id or a secret that no provider can have issued (RFC 6749 appendix A.1 and A.2).
const HAS_CONTROL: &str = "has a control character";

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("client_id", &self.client_id)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
