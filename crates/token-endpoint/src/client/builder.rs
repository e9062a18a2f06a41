//! Settings of a client.

use std::path::PathBuf;
use std::sync::Arc;

use clock::{Clock, SystemClock};
use http::HeaderMap;
use idp_http::{IdpClient, IdpClientBuilder};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Certificate, Client, HAS_CONTROL, headers};
use crate::assertion::{Assertion, CertificateHeader};
use crate::client_auth::{AssertionForm, AssertionType, ClientAuth};
use crate::error::ConfigError;
use crate::key::AssertionAlgorithm;
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
    assertion: Assertion,
    assertion_form: AssertionForm,
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
            assertion: Assertion::default(),
            assertion_form: AssertionForm {
                kind: AssertionType::default(),
                has_client_id: true,
            },
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
    /// assertion for a token endpoint's address can be used at any server that claims that address.
    #[must_use]
    pub fn assertion_audience(mut self, audience: &str) -> Self {
        self.assertion.audience = Some(audience.to_owned());
        self
    }

    /// Sets what assertions of [`ClientAuth::PrivateKeyJwt`] are signed with. Default: what the key's kind
    /// suggests, RS256, ES256, ES384 or EdDSA. A signer has its own.
    #[must_use]
    pub fn assertion_algorithm(mut self, algorithm: AssertionAlgorithm) -> Self {
        self.assertion.algorithm = Some(algorithm);
        self
    }

    /// Sets the `typ` in the header of assertions of [`ClientAuth::PrivateKeyJwt`]. Default:
    /// `client-authentication+jwt` (draft-ietf-oauth-rfc7523bis); `JWT` is for servers that refuse it.
    #[must_use]
    pub fn assertion_typ(mut self, typ: &str) -> Self {
        self.assertion.typ = typ.to_owned();
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
        self.assertion.certificate = Some((certificate.into(), headers.into_iter().collect()));
        self
    }

    /// Sets the type of assertions of [`ClientAuth::ClientAssertion`]. Default: `jwt-bearer`.
    #[must_use]
    pub fn client_assertion_type(mut self, kind: AssertionType) -> Self {
        self.assertion_form.kind = kind;
        self
    }

    /// Sets whether `client_id` goes with an assertion (RFC 7521 section 4.2 leaves it open). Default: it
    /// does.
    #[must_use]
    pub fn client_id_in_form(mut self, sent: bool) -> Self {
        self.assertion_form.has_client_id = sent;
        self
    }

    /// Sets the `kid` in the header of an assertion of [`ClientAuth::PrivateKeyJwt`]. Default: the
    /// signer's, else none.
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
    /// client cannot be built, when an assertion has no audience, and when a signer stands where there is nothing
    /// to sign.
    pub fn build(self) -> Result<Client, ConfigError> {
        if self.id.is_empty() && self.id_file.is_none() {
            return Err(ConfigError::new("client_id", "must not be empty"));
        }
        if self.id.contains(char::is_control) {
            return Err(ConfigError::new("client_id", HAS_CONTROL));
        }
        let signs = self.auth == ClientAuth::PrivateKeyJwt;
        if signs && self.assertion.audience.is_none() {
            return Err(ConfigError::new(
                "assertion_audience",
                "set it or the issuer",
            ));
        }
        if matches!(self.secret, SecretSource::Signer(_)) && !signs {
            return Err(ConfigError::new(
                "secret",
                "a signer is for private_key_jwt only",
            ));
        }
        if matches!(
            self.assertion.certificate,
            Some((SecretSource::Signer(_), _))
        ) {
            return Err(ConfigError::new(
                "assertion_certificate",
                "a signer holds no certificate",
            ));
        }
        let assertion_form = match self.auth {
            ClientAuth::ClientAssertion => self.assertion_form,
            _ => AssertionForm {
                kind: AssertionType::JwtBearer,
                ..self.assertion_form
            },
        };
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
            assertion: self.assertion,
            assertion_form,
            certificate: Certificate::default(),
            clock: self.clock,
        })
    }
}
