//! Authorization server metadata.

mod error;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};
use tokio::time::Instant;
use tracing::debug;
use url::{Origin, Url};

use crate::client::IdpClient;
use crate::error::FetchErrorKind;
use crate::json;
use crate::text::printable;
use crate::url_rules::{self, UrlProblem};

pub use self::error::DiscoveryError;
use self::error::DiscoveryProblem;

/// Metadata documents are a few KiB; the cap leaves room for long lists of claims.
const MAX_BODY: usize = 256 * 1024;
/// Endpoints move rarely, and the old ones often answer for a while, the keys with a set that no longer changes.
const MAX_AGE: Duration = Duration::from_secs(3_600);
/// When to ask for others once more where that failed.
const RETRY: Duration = Duration::from_secs(60);

/// What an issuer publishes about itself, as far as a client or a validator needs it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metadata {
    /// The issuer, equal byte for byte to the one asked for.
    pub issuer: String,
    /// Where tokens are asked for; for [`Reader::MutualTlsClient`] that is the alias, if there is one.
    /// Never one that the reader would not ask, nor is the next.
    pub token_endpoint: Option<Url>,
    /// Where the keys are.
    pub jwks_uri: Option<Url>,
    /// How clients may authenticate at the token endpoint
    /// (`token_endpoint_auth_methods_supported`, RFC 8414 section 2), as far as these are strings;
    /// `None` if the issuer does not say, which stands for `client_secret_basic`.
    pub token_endpoint_auth_methods: Option<Vec<String>>,
    /// What a client needs besides that logs people in; empty for other readers.
    pub login: LoginMetadata,
}

/// What an issuer publishes for clients that log people in (OpenID Connect Discovery 1.0 section 3). An endpoint
/// that could not be asked is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginMetadata {
    /// Where people are sent (RFC 6749 section 3.1).
    pub authorization_endpoint: Option<Url>,
    /// Who a person is (OpenID Connect Core 1.0 section 5.3).
    pub userinfo_endpoint: Option<Url>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// Where people are sent to log out (OpenID Connect RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<Url>,
    /// Where an authorization request is pushed (RFC 9126).
    pub pushed_authorization_request_endpoint: Option<Url>,
    /// Whether it has to be.
    pub require_pushed_authorization_requests: bool,
    /// Whether `iss` is in every answer of the authorization endpoint (RFC 9207).
    pub authorization_response_iss_parameter: bool,
}

/// Who reads the metadata: what it does not ask for need not be usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reader {
    /// A client, which asks for tokens.
    Client,
    /// A client that proves itself with a certificate. It asks for tokens at the `token_endpoint` of
    /// `mtls_endpoint_aliases` where there is one (RFC 8705 section 5).
    MutualTlsClient,
    /// A validator, which asks for keys.
    Validator,
    /// A client that logs people in: it asks for tokens and keys, and for what [`LoginMetadata`] has.
    Login,
}

/// Finds an issuer's endpoints and remembers them.
///
/// Asks for OpenID Connect Discovery 1.0 section 4 (`ISSUER/.well-known/openid-configuration`), then
/// for RFC 8414 section 3 with the well-known part before the issuer's path, then with it behind. The
/// next one is tried only when the provider answers that the former does not exist, or with something
/// that is no JSON object: some web servers have a page for every path.
///
/// The published `issuer` must equal the configured one byte for byte (RFC 8414 section 3.3).
/// Endpoints must be https (or http on loopback) and may be on any host, since the operator named the
/// issuer: large providers have them elsewhere, and clusters on private addresses. For an issuer that
/// nobody named beforehand there is [`restrict_to_origins`](Self::restrict_to_origins).
#[derive(Debug)]
pub struct Discovery {
    client: IdpClient,
    issuer: String,
    candidates: Vec<Url>,
    issuer_is_private: bool,
    /// Everybody if `None`.
    reader: Option<Reader>,
    /// Where endpoints may be; anywhere if `None`.
    origins: Option<Vec<Origin>>,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    metadata: Arc<Metadata>,
    /// Ask for others when the metadata are needed from then on.
    until: Instant,
}

impl Discovery {
    /// Returns a discovery that has not asked yet.
    ///
    /// # Errors
    ///
    /// Fails when the issuer is not an https URL (or http on loopback) without credentials, query and
    /// fragment.
    pub fn new(client: IdpClient, issuer: &str) -> Result<Self, UrlProblem> {
        let url = Url::parse(issuer).map_err(|_| UrlProblem::Syntax)?;
        client.check_url(&url)?;
        if url.query().is_some() {
            return Err(UrlProblem::Query);
        }
        let is_private = url_rules::is_private(&url);
        Ok(Self::asking(client, issuer, candidates(&url), is_private))
    }

    /// Returns a discovery that asks this address alone, for an issuer whose metadata are not below its
    /// name, or whose name is no address at all, such as `urn:example:issuer`: the name is compared, and
    /// never asked. The address may have a query.
    ///
    /// # Errors
    ///
    /// Fails when `metadata_url` is not an https URL (or http on loopback) without credentials and
    /// fragment.
    pub fn at(client: IdpClient, issuer: &str, metadata_url: Url) -> Result<Self, UrlProblem> {
        client.check_url(&metadata_url)?;
        let is_private = url_rules::is_private(&metadata_url);
        Ok(Self::asking(client, issuer, vec![metadata_url], is_private))
    }

    fn asking(client: IdpClient, issuer: &str, candidates: Vec<Url>, is_private: bool) -> Self {
        Self {
            candidates,
            issuer_is_private: is_private,
            reader: None,
            origins: None,
            issuer: issuer.to_owned(),
            client,
            known: Mutex::new(None),
        }
    }

    /// Reads the metadata for this reader only: an endpoint that it does not ask is left out of them
    /// where it could not be asked (null, http, a private address), instead of making them unusable.
    /// Default: both endpoints have to be usable, where they are named.
    #[must_use]
    pub fn for_reader(mut self, reader: Reader) -> Self {
        self.reader = Some(reader);
        self
    }

    /// Accepts endpoints on the origin of the metadata and those of `others` only, and private addresses only
    /// if that of the metadata is private. Keys elsewhere make the metadata unusable, a token endpoint
    /// elsewhere is left out of it.
    ///
    /// For an issuer whose name came from outside: else its metadata could send requests anywhere.
    /// Names that resolve to private addresses are another matter, see
    /// [`IdpClientBuilder::deny_private_addresses`](crate::IdpClientBuilder::deny_private_addresses).
    #[must_use]
    pub fn restrict_to_origins<'u>(mut self, others: impl IntoIterator<Item = &'u Url>) -> Self {
        let own = self.candidates.first().map(Url::origin);
        let others = others.into_iter().map(Url::origin);
        self.origins = Some(own.into_iter().chain(others).collect());
        self
    }

    /// Returns the issuer as configured.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the metadata, from memory if they were read within the last hour. Older ones stay in use, and are
    /// asked for again after a minute, where there are no others to be had.
    ///
    /// Concurrent first calls each ask the provider. Cancelling is safe, and counts as a failure.
    ///
    /// # Errors
    ///
    /// Fails when no usable document was found, now or before.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, DiscoveryError> {
        let known = match &mut *self.lock() {
            Some(known) if Instant::now() < known.until => return Ok(Arc::clone(&known.metadata)),
            Some(known) => {
                // Set before it is known what comes of it: who gives up waiting, and comes back, is not to
                // wait again.
                known.until = Instant::now() + RETRY;
                Some(Arc::clone(&known.metadata))
            }
            None => None,
        };
        match (self.fetch().await, known) {
            (Ok(found), _) => {
                let metadata = Arc::new(found);
                *self.lock() = Some(Known {
                    metadata: Arc::clone(&metadata),
                    until: Instant::now() + MAX_AGE,
                });
                Ok(metadata)
            }
            (Err(error), None) => Err(error),
            (Err(error), Some(metadata)) => {
                debug!("keeping the metadata that were found before: {error}");
                Ok(metadata)
            }
        }
    }

    /// Makes the next call ask again. For when an endpoint stops working. What is known stays in use until
    /// another usable document was found: the endpoint may be back before the metadata are.
    pub fn forget(&self) {
        if let Some(known) = &mut *self.lock() {
            known.until = Instant::now();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        // Nothing can panic while the lock is held, so a poisoned value is still whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Metadata, DiscoveryError> {
        let mut last_status = None;
        let mut unreadable = None;
        for url in &self.candidates {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
            let reply = match self.client.get(url, headers, MAX_BODY).await {
                Ok(reply) => reply,
                Err(error) => {
                    let is_too_large = error.kind() == FetchErrorKind::TooLarge;
                    let error = DiscoveryError::new(DiscoveryProblem::Fetch(error));
                    if !is_too_large {
                        return Err(error);
                    }
                    unreadable.get_or_insert(error);
                    continue;
                }
            };
            if reply.status == StatusCode::OK {
                match members(&reply.body) {
                    Ok(members) => return self.read_members(&members),
                    Err(error) => unreadable.get_or_insert(error),
                };
                continue;
            }
            if reply.is_overloaded() {
                return Err(DiscoveryError {
                    problem: DiscoveryProblem::Status(reply.status),
                    overloaded: true,
                    retry_after: reply.retry_after(wall_time()),
                });
            }
            last_status = Some(reply.status);
        }
        Err(unreadable.unwrap_or_else(|| {
            DiscoveryError::new(match last_status {
                Some(status) => DiscoveryProblem::Status(status),
                None => DiscoveryProblem::Document("no address to ask"),
            })
        }))
    }

    /// Reads a metadata document that was obtained otherwise. It has to pass the same checks, and is not
    /// remembered.
    ///
    /// # Errors
    ///
    /// Fails when the document is not strict JSON, names another issuer, or has an endpoint that its
    /// reader would not ask.
    pub fn read(&self, body: &[u8]) -> Result<Metadata, DiscoveryError> {
        self.read_members(&members(body)?)
    }

    fn read_members(&self, members: &Map<String, Value>) -> Result<Metadata, DiscoveryError> {
        let Some(Value::String(published)) = members.get("issuer") else {
            let what = "`issuer` is missing or not a string";
            return Err(DiscoveryError::new(DiscoveryProblem::Document(what)));
        };
        if *published != self.issuer {
            return Err(DiscoveryError::new(DiscoveryProblem::IssuerMismatch {
                configured: self.issuer.clone(),
                published: printable(published),
            }));
        }
        Ok(Metadata {
            issuer: published.clone(),
            token_endpoint: match self.token_endpoint(members) {
                Err(_) if self.reader == Some(Reader::Validator) => None,
                Err(error) if matches!(error.problem, DiscoveryProblem::ForeignEndpoint(_)) => None,
                endpoint => endpoint?,
            },
            jwks_uri: match self.endpoint(members, "jwks_uri") {
                Err(_)
                    if !matches!(self.reader, None | Some(Reader::Validator | Reader::Login)) =>
                {
                    None
                }
                endpoint => endpoint?,
            },
            token_endpoint_auth_methods: members
                .get("token_endpoint_auth_methods_supported")
                .and_then(Value::as_array)
                .map(|methods| {
                    let texts = methods.iter().filter_map(Value::as_str);
                    texts.map(str::to_owned).collect()
                }),
            login: match self.reader {
                Some(Reader::Login) => self.login_metadata(members),
                _ => LoginMetadata::default(),
            },
        })
    }

    fn login_metadata(&self, members: &Map<String, Value>) -> LoginMetadata {
        let endpoint = |name| self.endpoint(members, name).ok().flatten();
        let is_set = |name: &str| members.get(name) == Some(&Value::Bool(true));
        LoginMetadata {
            authorization_endpoint: endpoint("authorization_endpoint"),
            userinfo_endpoint: endpoint("userinfo_endpoint"),
            revocation_endpoint: endpoint("revocation_endpoint"),
            end_session_endpoint: endpoint("end_session_endpoint"),
            pushed_authorization_request_endpoint: endpoint(
                "pushed_authorization_request_endpoint",
            ),
            require_pushed_authorization_requests: is_set("require_pushed_authorization_requests"),
            authorization_response_iss_parameter: is_set(
                "authorization_response_iss_parameter_supported",
            ),
        }
    }

    fn token_endpoint(&self, members: &Map<String, Value>) -> Result<Option<Url>, DiscoveryError> {
        const NAME: &str = "token_endpoint";
        if self.reader == Some(Reader::MutualTlsClient)
            && let Some(Value::Object(aliases)) = members.get("mtls_endpoint_aliases")
            && aliases.contains_key(NAME)
        {
            return self.endpoint(aliases, NAME);
        }
        self.endpoint(members, NAME)
    }

    fn endpoint(
        &self,
        members: &Map<String, Value>,
        name: &'static str,
    ) -> Result<Option<Url>, DiscoveryError> {
        let Some(value) = members.get(name) else {
            return Ok(None);
        };
        let url = value.as_str().and_then(|text| Url::parse(text).ok());
        let url = url.ok_or_else(|| {
            DiscoveryError::new(DiscoveryProblem::Endpoint(name, UrlProblem::Syntax))
        })?;
        self.check_endpoint(name, url).map(Some)
    }

    fn check_endpoint(&self, name: &'static str, url: Url) -> Result<Url, DiscoveryError> {
        url_rules::check(&url, self.client.allows_http())
            .map_err(|problem| DiscoveryError::new(DiscoveryProblem::Endpoint(name, problem)))?;
        let Some(origins) = &self.origins else {
            return Ok(url);
        };
        if url_rules::is_private(&url) && !self.issuer_is_private {
            return Err(DiscoveryError::new(DiscoveryProblem::PrivateEndpoint(name)));
        }
        if !origins.contains(&url.origin()) {
            return Err(DiscoveryError::new(DiscoveryProblem::ForeignEndpoint(name)));
        }
        Ok(url)
    }
}

fn members(body: &[u8]) -> Result<Map<String, Value>, DiscoveryError> {
    // Some editors put a byte order mark before what they save.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(DiscoveryError::new(DiscoveryProblem::Document(
            "not a strict JSON object",
        ))),
    }
}

fn wall_time() -> SystemTime {
    use clock::Clock as _;
    clock::SystemClock.now()
}

/// Well-known addresses in the order they are asked.
fn candidates(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut found = Vec::with_capacity(3);
    for candidate in [
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("{path}/.well-known/oauth-authorization-server"),
    ] {
        let mut url = issuer.clone();
        url.set_path(&candidate);
        if !found.contains(&url) {
            found.push(url);
        }
    }
    found
}

#[cfg(test)]
mod provider_shapes;

#[cfg(test)]
mod tests;
