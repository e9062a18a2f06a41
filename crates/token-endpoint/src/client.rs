//! One client of a provider, and its authenticated requests.

mod builder;
mod headers;
mod shown;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use clock::Clock;
use http::{HeaderMap, HeaderValue, header};
use idp_http::IdpClient;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Url, form_urlencoded};

use crate::assertion::Assertion;
use crate::client_auth::{AssertionForm, ClientAuth};
use crate::error::{ConfigError, EndpointError};
use crate::kind::TokenErrorKind;
use crate::response::{Response, Sent, asked_wait};
use crate::secret::SecretSource;
use shown::Shown;

pub use builder::ClientBuilder;

/// Replies are under 20 KiB even with the largest token that is taken.
const MAX_BODY: usize = 64 * 1024;

/// A client that a provider knows (RFC 6749 section 2), and what it authenticates with.
///
/// `Debug` shows neither its secret nor its further headers.
pub struct Client {
    http: IdpClient,
    id: String,
    id_file: Option<SecretSource>,
    secret: SecretSource,
    headers: HeaderMap,
    headers_file: Option<SecretSource>,
    auth: ClientAuth,
    assertion: Assertion,
    assertion_form: AssertionForm,
    certificate: Certificate,
    clock: Arc<dyn Clock>,
}

/// The HTTP client that presents the certificate, made again when the certificate changes.
#[derive(Debug, Default)]
struct Certificate {
    current: Mutex<Option<(u64, IdpClient)>>,
}

impl Client {
    /// Returns the settings for a client with this id and secret, or what else
    /// [`ClientAuth`] takes from the secret's source.
    #[must_use]
    pub fn builder(id: &str, secret: impl Into<SecretSource>) -> ClientBuilder {
        ClientBuilder::new(id, secret.into())
    }

    /// Checks the text of a file for [`headers_file`](ClientBuilder::headers_file), for a program that does
    /// so when it starts.
    ///
    /// # Errors
    ///
    /// Fails at the first line that is not `Name: value`, or with a name that the request owns. The error has
    /// the number of the line and nothing of its text.
    pub fn check_headers(lines: &str) -> Result<(), ConfigError> {
        headers::parse(lines).map(drop)
    }

    /// Sends a form with the client's authentication and returns the endpoint's whole answer, whatever its
    /// status. `form` holds what the request is about, form-urlencoded: `grant_type` of a token request, or
    /// `token` of a revocation (RFC 7009) or an introspection (RFC 7662).
    ///
    /// Files are read anew, and an assertion is signed anew, for every request. Cancelling abandons it.
    ///
    /// # Errors
    ///
    /// Fails when a file cannot be used, when the URL may not be asked, and when no complete answer of at
    /// most 64 KiB came within the HTTP client's limits; [`EndpointError::fetch_error`] tells the last two.
    pub async fn post(&self, url: &Url, form: String) -> Result<Response, EndpointError> {
        let shown = self.shown().await?;
        let (headers, form) = self.request(form, &shown);
        let basic = headers.get(header::AUTHORIZATION).cloned();
        let reply = self
            .http_for(&shown.credential)?
            .post_form(url, headers, form, MAX_BODY)
            .await?;
        Ok(Response {
            wait: asked_wait(&reply, self.clock.now()),
            oddity: shown.oddity(self.auth),
            sent: Sent {
                credential: shown.credential,
                basic,
                headers: shown.headers,
            },
            reply,
        })
    }

    /// Returns the HTTP client, without the client's certificate.
    #[must_use]
    pub fn http(&self) -> &IdpClient {
        &self.http
    }

    /// Returns how the client authenticates.
    #[must_use]
    pub fn auth(&self) -> ClientAuth {
        self.auth
    }

    /// Looks at the files of the settings and returns a number that is another one when what they hold
    /// changed, and says nothing about it.
    pub async fn credentials_version(&self) -> u64 {
        let files = self.version().await;
        files.wrapping_add(self.http.settings_version().await)
    }

    /// Returns the HTTP client to ask with.
    fn http_for(&self, secret: &SecretString) -> Result<IdpClient, EndpointError> {
        if self.auth != ClientAuth::TlsClientCertificate {
            return Ok(self.http.clone());
        }
        let version = SecretSource::fingerprint(secret);
        // Nothing that could panic runs while the lock is held but the allocator.
        let mut current = self
            .certificate
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
                EndpointError::new(TokenErrorKind::Config).with_detail(&error.to_string())
            })?;
        *current = Some((version, http.clone()));
        Ok(http)
    }

    /// Returns the headers and the form of one request.
    fn request(&self, form: String, shown: &Shown) -> (HeaderMap, Vec<u8>) {
        let mut headers = shown.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut form = form_urlencoded::Serializer::new(form);
        self.auth.apply(
            &shown.id,
            shown.credential.expose_secret(),
            self.assertion_form,
            &mut headers,
            &mut form,
        );
        (headers, form.finish().into_bytes())
    }
}

/// For an id or a secret that no provider can have issued (RFC 6749 appendix A.1 and A.2).
const HAS_CONTROL: &str = "has a control character";

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
