//! Settings of a client.

use std::path::PathBuf;
use std::sync::Arc;

use clock::{Clock, SystemClock};
use http::HeaderMap;
use idp_http::{Discovery, IdpClient, IdpClientBuilder, Reader, UrlProblem};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

#[cfg(feature = "private-key-jwt")]
use super::Assertion;
use super::{Certificate, ClientCredentials, Endpoint, HAS_CONTROL, headers};
use crate::client_auth::ClientAuth;
use crate::error::ConfigError;
use crate::secret::SecretSource;
use crate::token::{DEFAULT_TOKEN_SIZE, MAX_TOKEN_SIZE};

/// Settings of [`ClientCredentials`].
#[derive(Clone, Debug)]
pub struct ClientCredentialsBuilder {
    client_id: String,
    client_id_file: Option<SecretSource>,
    secret: SecretSource,
    headers: Result<HeaderMap, ConfigError>,
    headers_file: Option<SecretSource>,
    endpoint: Option<Place>,
    metadata_url: Option<String>,
    http: Http,
    auth: ClientAuth,
    #[cfg(feature = "private-key-jwt")]
    assertion: Assertion,
    all_scopes: bool,
    token_types: Vec<String>,
    max_token_size: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
enum Http {
    Settings(Box<IdpClientBuilder>),
    Client(IdpClient),
}

#[derive(Clone, Debug)]
enum Place {
    Url(String),
    Issuer(String),
}

impl ClientCredentialsBuilder {
    pub(super) fn new(client_id: &str, secret: SecretSource) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_id_file: None,
            secret,
            headers: Ok(HeaderMap::new()),
            headers_file: None,
            endpoint: None,
            metadata_url: None,
            http: Http::Settings(Box::new(IdpClient::builder())),
            auth: ClientAuth::default(),
            #[cfg(feature = "private-key-jwt")]
            assertion: Assertion::default(),
            all_scopes: true,
            token_types: Vec::new(),
            max_token_size: DEFAULT_TOKEN_SIZE,
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the token endpoint's URL: https, or http on loopback.
    #[must_use]
    pub fn token_endpoint(mut self, url: &str) -> Self {
        self.endpoint = Some(Place::Url(url.to_owned()));
        self
    }

    /// Finds the token endpoint in the issuer's metadata (OpenID Connect Discovery, RFC 8414), with
    /// the first exchange and again when the endpoint seems to have moved: nobody is there, or something
    /// else is. What was found before stays in use until there is a newer document. With
    /// [`ClientAuth::TlsClientCertificate`] it is the one of `mtls_endpoint_aliases`, where there is one
    /// (RFC 8705 section 5).
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.endpoint = Some(Place::Issuer(issuer.to_owned()));
        self
    }

    /// Reads the issuer's metadata at this address and nowhere else; their `issuer` must still be the one that
    /// is set, byte for byte, and that may then be any name. Default: below the issuer.
    #[must_use]
    pub fn metadata_url(mut self, url: &str) -> Self {
        self.metadata_url = Some(url.to_owned());
        self
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

    /// Asks with this client, which any number of sources can share: a program with many tenants then has
    /// one set of root certificates and one pool of connections. It replaces [`http`](Self::http).
    #[must_use]
    pub fn http_client(mut self, client: IdpClient) -> Self {
        self.http = Http::Client(client);
        self
    }

    /// Reads the client's id from a file, together with the secret for every exchange, instead of what
    /// [`ClientCredentials::builder`] was given, which may be empty then: for a client whose id is rotated with
    /// its secret. The rules for [`SecretSource::File`] hold.
    #[must_use]
    pub fn client_id_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_id_file = Some(SecretSource::File(path.into()));
        self
    }

    /// Adds a header to every token request, such as a gateway's key. It is marked sensitive, and stays out of
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

    /// Reads further headers from a file, for every exchange anew as the secret: lines `Name: value`, by the
    /// rules of [`header`](Self::header) and of [`SecretSource::File`].
    #[must_use]
    pub fn headers_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.headers_file = Some(SecretSource::File(path.into()));
        self
    }

    /// Takes tokens whose `token_type` has this name, in any letter case, as bearer tokens: some providers have
    /// a word of their own. Default: `Bearer`, and where there is no `token_type`. Never `DPoP` and `MAC`, which
    /// are more than a name.
    #[must_use]
    pub fn token_type_name(mut self, name: &str) -> Self {
        self.token_types.push(name.to_owned());
        self
    }

    /// Sets the longest token that is taken, in bytes: 1 to 32 KiB. Default: 12 KiB, which is what
    /// `jwks-validator` takes.
    #[must_use]
    pub fn max_token_size(mut self, bytes: usize) -> Self {
        self.max_token_size = bytes;
        self
    }

    /// Sets whom an assertion of [`ClientAuth::PrivateKeyJwt`] is for. Default: the issuer, if it is
    /// set.
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

    /// Takes a token whose granted scope lacks some of what was asked for (RFC 6749 section 3.3), with a
    /// warning in the log. Default: that is an error, because the calls would fail one by one later.
    #[must_use]
    pub fn accept_narrower_scope(mut self) -> Self {
        self.all_scopes = false;
        self
    }

    /// Sets the clock that HTTP dates in `Retry-After` are compared with. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Builds the token source. Nothing is asked over the network.
    ///
    /// # Errors
    ///
    /// Fails when neither endpoint nor issuer is set, when the URL is not https (or http on
    /// loopback), when the client id is empty or has a control character, when a header, a name of a token
    /// type or the limit on tokens is none, and when an assertion has nobody to be for.
    pub fn build(self) -> Result<ClientCredentials, ConfigError> {
        if self.client_id.is_empty() && self.client_id_file.is_none() {
            return Err(ConfigError::new("client_id", "must not be empty"));
        }
        if self.client_id.contains(char::is_control) {
            return Err(ConfigError::new("client_id", HAS_CONTROL));
        }
        let is_none = |name: &str| {
            ["", "dpop", "mac"]
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it))
        };
        if self.token_types.iter().any(|name| is_none(name)) {
            return Err(ConfigError::new(
                "token_type_name",
                "must not be empty, DPoP or MAC",
            ));
        }
        if !(1..=MAX_TOKEN_SIZE).contains(&self.max_token_size) {
            return Err(ConfigError::new(
                "max_token_size",
                "must be 1 to 32768 bytes",
            ));
        }
        let http = match self.http {
            Http::Settings(settings) => settings
                .build()
                .map_err(|error| ConfigError::new("http", error))?,
            Http::Client(client) => client,
        };
        let endpoint = match self.endpoint {
            Some(Place::Url(text)) => {
                let url = Url::parse(&text)
                    .map_err(|_| ConfigError::new("token_endpoint", "must be an absolute URL"))?;
                http.check_url(&url)
                    .map_err(|error| ConfigError::new("token_endpoint", error))?;
                Endpoint::Fixed(url)
            }
            Some(Place::Issuer(issuer)) => {
                let reader = match self.auth {
                    ClientAuth::TlsClientCertificate => Reader::MutualTlsClient,
                    _ => Reader::Client,
                };
                let discovery = match &self.metadata_url {
                    Some(url) => Url::parse(url)
                        .map_err(|_| UrlProblem::Syntax)
                        .and_then(|url| Discovery::at(http.clone(), &issuer, url))
                        .map_err(|error| ConfigError::new("metadata_url", error))?,
                    None => Discovery::new(http.clone(), &issuer)
                        .map_err(|error| ConfigError::new("issuer", error))?,
                };
                Endpoint::Discovered(discovery.for_reader(reader))
            }
            None => return Err(ConfigError::new("token_endpoint", "set it or the issuer")),
        };
        #[cfg(feature = "private-key-jwt")]
        let assertion = self.assertion.clone().or_for(&endpoint, self.auth)?;
        let certificate =
            (self.auth == ClientAuth::TlsClientCertificate).then(Certificate::default);
        Ok(ClientCredentials {
            http,
            certificate,
            #[cfg(feature = "private-key-jwt")]
            assertion,
            endpoint,
            client_id: self.client_id,
            client_id_file: self.client_id_file,
            secret: self.secret,
            headers: self.headers?,
            headers_file: self.headers_file,
            auth: self.auth,
            all_scopes: self.all_scopes,
            token_types: self.token_types,
            max_token_size: self.max_token_size,
            clock: self.clock,
        })
    }
}

#[cfg(feature = "private-key-jwt")]
impl Assertion {
    /// Fills in the issuer that is known from elsewhere.
    fn or_for(mut self, endpoint: &Endpoint, auth: ClientAuth) -> Result<Self, ConfigError> {
        if let (Endpoint::Discovered(discovery), None) = (endpoint, &self.audience) {
            self.audience = Some(discovery.issuer().to_owned());
        }
        if matches!(auth, ClientAuth::PrivateKeyJwt(_)) && self.audience.is_none() {
            return Err(ConfigError::new(
                "assertion_audience",
                "set it or the issuer",
            ));
        }
        Ok(self)
    }
}
