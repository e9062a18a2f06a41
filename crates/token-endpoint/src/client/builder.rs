//! Settings of a client.

use std::path::PathBuf;
use std::sync::Arc;

use clock::{Clock, SystemClock};
use http::HeaderMap;
use idp_http::{IdpClient, IdpClientBuilder};
use secrecy::{ExposeSecret as _, SecretString};

#[cfg(feature = "private-key-jwt")]
use super::Assertion;
use super::{Certificate, Client, HAS_CONTROL, headers};
use crate::client_auth::ClientAuth;
use crate::error::ConfigError;
use crate::secret::SecretSource;

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    id: String,
    id_file: Option<SecretSource>,
    secret: SecretSource,
    headers: Result<HeaderMap, ConfigError>,
    headers_file: Option<SecretSource>,
    http: Http,
    auth: ClientAuth,
    #[cfg(feature = "private-key-jwt")]
    assertion: Assertion,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
enum Http {
    Settings(Box<IdpClientBuilder>),
    Client(IdpClient),
}

impl ClientBuilder {
    pub(super) fn new(id: &str, secret: SecretSource) -> Self {
        Self {
            id: id.to_owned(),
            id_file: None,
            secret,
            headers: Ok(HeaderMap::new()),
            headers_file: None,
            http: Http::Settings(Box::new(IdpClient::builder())),
            auth: ClientAuth::default(),
            #[cfg(feature = "private-key-jwt")]
            assertion: Assertion::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets how the client authenticates. Default: [`ClientAuth::SecretBasic`].
    #[must_use]
    pub fn auth(mut self, auth: ClientAuth) -> Self {
        self.auth = auth;
        self
    }

    /// Sets how the identity provider is asked: timeouts, root certificates, a proxy. Default:
    /// [`IdpClient::builder`] as it is.
    #[must_use]
    pub fn http(mut self, settings: IdpClientBuilder) -> Self {
        self.http = Http::Settings(Box::new(settings));
        self
    }

    /// Asks with this HTTP client, which any number of clients can share. It replaces [`http`](Self::http).
    #[must_use]
    pub fn http_client(mut self, client: IdpClient) -> Self {
        self.http = Http::Client(client);
        self
    }

    /// Reads the client's id from a file, together with the secret for every request, instead of what
    /// [`Client::builder`] was given, which may be empty then: for a client whose id is rotated with its
    /// secret. The rules for [`SecretSource::File`] hold.
    #[must_use]
    pub fn id_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.id_file = Some(SecretSource::File(path.into()));
        self
    }

    /// Adds a header to every request, such as a gateway's key. It is marked sensitive, and stays out of
    /// errors. [`build`](Self::build) refuses names that the request or its connection owns (`Authorization`,
    /// `Host`, `Accept`, `DPoP`, `Content-*` and so on), one name twice and more than 32.
    #[must_use]
    pub fn header(mut self, name: &str, value: &SecretString) -> Self {
        self.headers = self.headers.and_then(|mut all| {
            match headers::add(&mut all, name, value.expose_secret()) {
                Ok(()) => Ok(all),
                Err(problem) => Err(ConfigError::new("header", problem)),
            }
        });
        self
    }

    /// Reads further headers from a file, for every request anew as the secret: lines `Name: value`, by the
    /// rules of [`header`](Self::header) and of [`SecretSource::File`].
    #[must_use]
    pub fn headers_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.headers_file = Some(SecretSource::File(path.into()));
        self
    }

    /// Sets whom an assertion of [`ClientAuth::PrivateKeyJwt`] is for: the issuer, and nobody else. An
    /// assertion for a token endpoint's address can be used at whoever claims that address.
    #[cfg(feature = "private-key-jwt")]
    #[must_use]
    pub fn assertion_audience(mut self, audience: &str) -> Self {
        self.assertion.audience = Some(audience.to_owned());
        self
    }

    /// Sets the `kid` in the header of an assertion of [`ClientAuth::PrivateKeyJwt`]. Default: none.
    #[cfg(feature = "private-key-jwt")]
    #[must_use]
    pub fn assertion_key_id(mut self, key_id: &str) -> Self {
        self.assertion.key_id = Some(key_id.to_owned());
        self
    }

    /// Sets the clock that assertions are dated with, and HTTP dates in `Retry-After` compared. Default: the
    /// system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the client. Nothing is asked over the network.
    ///
    /// # Errors
    ///
    /// Fails when the client id is empty or has a control character, when a header is none, when the HTTP
    /// client cannot be built, and when an assertion has nobody to be for.
    pub fn build(self) -> Result<Client, ConfigError> {
        if self.id.is_empty() && self.id_file.is_none() {
            return Err(ConfigError::new("client_id", "must not be empty"));
        }
        if self.id.contains(char::is_control) {
            return Err(ConfigError::new("client_id", HAS_CONTROL));
        }
        #[cfg(feature = "private-key-jwt")]
        if matches!(self.auth, ClientAuth::PrivateKeyJwt(_)) && self.assertion.audience.is_none() {
            return Err(ConfigError::new(
                "assertion_audience",
                "set it or the issuer",
            ));
        }
        let http = match self.http {
            Http::Settings(settings) => settings
                .build()
                .map_err(|error| ConfigError::new("http", error))?,
            Http::Client(client) => client,
        };
        Ok(Client {
            http,
            id: self.id,
            id_file: self.id_file,
            secret: self.secret,
            headers: self.headers?,
            headers_file: self.headers_file,
            auth: self.auth,
            #[cfg(feature = "private-key-jwt")]
            assertion: self.assertion,
            certificate: Certificate::default(),
            clock: self.clock,
        })
    }
}
