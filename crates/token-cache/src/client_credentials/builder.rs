//! Settings of a client.

use std::path::PathBuf;
use std::sync::Arc;

use clock::Clock;
use idp_http::{Discovery, IdpClient, IdpClientBuilder, Reader, UrlProblem};
use secrecy::SecretString;
use token_endpoint::{
    AssertionAlgorithm, AssertionType, CertificateHeader, Client, ClientAuth, ClientBuilder,
    ConfigError, Endpoint, MAX_TOKEN_SIZE, SecretSource,
};
use url::Url;

use super::ClientCredentials;
use crate::token::DEFAULT_TOKEN_SIZE;

/// Settings of [`ClientCredentials`].
#[derive(Clone, Debug)]
pub struct ClientCredentialsBuilder {
    client: ClientBuilder,
    endpoint: Option<EndpointSetting>,
    metadata_url: Option<String>,
    assertion_audience: Option<String>,
    all_scopes: bool,
    token_types: Vec<String>,
    max_token_size: usize,
}

#[derive(Clone, Debug)]
enum EndpointSetting {
    Url(String),
    Issuer(String),
}

impl ClientCredentialsBuilder {
    pub(super) fn new(client_id: &str, secret: SecretSource) -> Self {
        Self {
            client: Client::builder(client_id, secret),
            endpoint: None,
            metadata_url: None,
            assertion_audience: None,
            all_scopes: true,
            token_types: Vec::new(),
            max_token_size: DEFAULT_TOKEN_SIZE,
        }
    }

    /// Sets the token endpoint's URL: https, or http on loopback.
    #[must_use]
    pub fn token_endpoint(mut self, url: &str) -> Self {
        self.endpoint = Some(EndpointSetting::Url(url.to_owned()));
        self
    }

    /// Finds the token endpoint in the issuer's metadata (OpenID Connect Discovery, RFC 8414), with
    /// the first exchange and again when the endpoint seems to have moved: nobody is there, or something
    /// else is. What was found before stays in use until there is a newer document. With
    /// [`ClientAuth::TlsClientCertificate`] it is the one of `mtls_endpoint_aliases`, where there is one
    /// (RFC 8705 section 5).
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.endpoint = Some(EndpointSetting::Issuer(issuer.to_owned()));
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
        self.client = self.client.auth(auth);
        self
    }

    /// Sets how the identity provider is asked: timeouts, root certificates, a proxy. Default:
    /// [`IdpClient::builder`] as it is.
    #[must_use]
    pub fn http(mut self, settings: IdpClientBuilder) -> Self {
        self.client = self.client.http(settings);
        self
    }

    /// Asks with this client, which any number of sources can share: a program with many tenants then has
    /// one set of root certificates and one pool of connections. It replaces [`http`](Self::http).
    #[must_use]
    pub fn http_client(mut self, client: IdpClient) -> Self {
        self.client = self.client.http_client(client);
        self
    }

    /// Sets what else there is to say about the client, as for one that asks for other grants. What this builder sets
    /// by itself goes before: the audience of assertions.
    #[must_use]
    pub fn client(mut self, set: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        self.client = set(self.client);
        self
    }

    /// Reads the client's id from a file, together with the secret for every exchange, instead of what
    /// [`ClientCredentials::builder`] was given, which may be empty then: for a client whose id is rotated with
    /// its secret. The rules for [`SecretSource::File`] hold.
    #[must_use]
    pub fn client_id_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client = self.client.id_file(path);
        self
    }

    /// Adds a header to every token request, such as a gateway's key. It is marked sensitive, and stays out of
    /// errors. [`build`](Self::build) refuses names that the request or its connection owns (`Authorization`,
    /// `Host`, `Accept`, `DPoP`, `Content-*` and so on), one name twice and more than 32.
    #[must_use]
    pub fn header(mut self, name: &str, value: &SecretString) -> Self {
        self.client = self.client.header(name, value);
        self
    }

    /// Reads further headers from a file, for every exchange anew as the secret: lines `Name: value`, by the
    /// rules of [`header`](Self::header) and of [`SecretSource::File`].
    #[must_use]
    pub fn headers_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client = self.client.headers_file(path);
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
    #[must_use]
    pub fn assertion_audience(mut self, audience: &str) -> Self {
        self.assertion_audience = Some(audience.to_owned());
        self
    }

    /// Sets what assertions of [`ClientAuth::PrivateKeyJwt`] are signed with. Default: what the key's kind
    /// suggests, RS256, ES256, ES384 or EdDSA. A signer has its own.
    #[must_use]
    pub fn assertion_algorithm(mut self, algorithm: AssertionAlgorithm) -> Self {
        self.client = self.client.assertion_algorithm(algorithm);
        self
    }

    /// Sets the `typ` in the header of assertions of [`ClientAuth::PrivateKeyJwt`]. Default:
    /// `client-authentication+jwt` (draft-ietf-oauth-rfc7523bis); `JWT` is for servers that refuse it.
    #[must_use]
    pub fn assertion_typ(mut self, typ: &str) -> Self {
        self.client = self.client.assertion_typ(typ);
        self
    }

    /// Names the client's certificate in the header of assertions of [`ClientAuth::PrivateKeyJwt`], as Entra
    /// wants it. The source holds the certificate of the key, with its chain behind it, as PEM; it is read
    /// anew for every request. Default: no such member.
    #[must_use]
    pub fn assertion_certificate(
        mut self,
        certificate: impl Into<SecretSource>,
        headers: impl IntoIterator<Item = CertificateHeader>,
    ) -> Self {
        self.client = self.client.assertion_certificate(certificate, headers);
        self
    }

    /// Sets the type of assertions of [`ClientAuth::ClientAssertion`]. Default: `jwt-bearer`.
    #[must_use]
    pub fn client_assertion_type(mut self, kind: AssertionType) -> Self {
        self.client = self.client.client_assertion_type(kind);
        self
    }

    /// Sets whether `client_id` goes with an assertion (RFC 7521 section 4.2 leaves it open). Default: it
    /// does.
    #[must_use]
    pub fn client_id_in_form(mut self, sent: bool) -> Self {
        self.client = self.client.client_id_in_form(sent);
        self
    }

    /// Sets the `kid` in the header of an assertion of [`ClientAuth::PrivateKeyJwt`]. Default: none.
    #[must_use]
    pub fn assertion_key_id(mut self, key_id: &str) -> Self {
        self.client = self.client.assertion_key_id(key_id);
        self
    }

    /// Takes a token whose granted scope lacks some of what was asked for (RFC 6749 section 3.3), with a
    /// warning in the log. Default: that is an error, because the calls would fail one by one later.
    #[must_use]
    pub fn accept_narrower_scope(mut self) -> Self {
        self.all_scopes = false;
        self
    }

    /// Sets the clock that assertions are dated with, and HTTP dates in `Retry-After` compared. Default: the
    /// system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.client = self.client.clock(clock);
        self
    }

    /// Builds the token source. Nothing is asked over the network.
    ///
    /// # Errors
    ///
    /// Fails when neither endpoint nor issuer is set, when the URL is not https (or http on
    /// loopback), when the client id is empty or has a control character, when a header, a name of a token
    /// type or the limit on tokens is none, when an assertion has no audience, and when a signer stands where there
    /// is nothing to sign.
    pub fn build(self) -> Result<ClientCredentials, ConfigError> {
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
        let place = self
            .endpoint
            .ok_or_else(|| ConfigError::new("token_endpoint", "set it or the issuer"))?;
        let client = self.client;
        let client = match (&self.assertion_audience, &place) {
            (Some(audience), _) | (None, EndpointSetting::Issuer(audience)) => {
                client.assertion_audience(audience)
            }
            (None, EndpointSetting::Url(_)) => client,
        };
        let client = client.build()?;
        let endpoint = place.endpoint(&client, self.metadata_url.as_deref())?;
        Ok(ClientCredentials {
            client,
            endpoint,
            all_scopes: self.all_scopes,
            token_types: self.token_types,
            max_token_size: self.max_token_size,
        })
    }
}

impl EndpointSetting {
    fn endpoint(
        self,
        client: &Client,
        metadata_url: Option<&str>,
    ) -> Result<Endpoint, ConfigError> {
        let http = client.http();
        let issuer = match self {
            Self::Url(text) => {
                let url = Url::parse(&text)
                    .map_err(|_| ConfigError::new("token_endpoint", "must be an absolute URL"))?;
                http.check_url(&url)
                    .map_err(|error| ConfigError::new("token_endpoint", error))?;
                return Ok(Endpoint::Fixed(url));
            }
            Self::Issuer(issuer) => issuer,
        };
        let reader = match client.auth() {
            ClientAuth::TlsClientCertificate => Reader::MutualTlsClient,
            _ => Reader::Client,
        };
        let discovery = match metadata_url {
            Some(url) => Url::parse(url)
                .map_err(|_| UrlProblem::Syntax)
                .and_then(|url| Discovery::at(http.clone(), &issuer, url))
                .map_err(|error| ConfigError::new("metadata_url", error))?,
            None => Discovery::new(http.clone(), &issuer)
                .map_err(|error| ConfigError::new("issuer", error))?,
        };
        Ok(Endpoint::Discovered(discovery.for_reader(reader)))
    }
}
