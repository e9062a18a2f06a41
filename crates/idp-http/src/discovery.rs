//! Authorization server metadata.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use url::{Origin, Url};

use crate::backoff::Answer;
use crate::client::IdpClient;
use crate::error::FetchError;
use crate::json;
use crate::text::printable;
use crate::url_rules::{self, UrlProblem};

/// Metadata documents are a few KiB; the cap leaves room for long lists of claims.
const MAX_BODY: usize = 256 * 1024;

/// What an issuer publishes about itself, as far as a client or a validator needs it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metadata {
    /// The issuer, equal byte for byte to the one asked for.
    pub issuer: String,
    /// Where tokens are asked for.
    pub token_endpoint: Option<Url>,
    /// Where the keys are.
    pub jwks_uri: Option<Url>,
    /// How clients may authenticate at the token endpoint
    /// (`token_endpoint_auth_methods_supported`, RFC 8414 section 2), as far as these are strings;
    /// `None` if the issuer does not say, which stands for `client_secret_basic`.
    pub token_endpoint_auth_methods: Option<Vec<String>>,
}

/// Finds an issuer's endpoints and remembers them.
///
/// Asks for OpenID Connect Discovery 1.0 section 4 (`ISSUER/.well-known/openid-configuration`), then
/// for RFC 8414 section 3 with the well-known part before the issuer's path, then with it behind. The
/// next one is tried only when the provider answers that the former does not exist.
///
/// The published `issuer` must equal the configured one byte for byte (RFC 8414 section 3.3).
/// Endpoints may be on other hosts, since the operator named the issuer and large providers do so,
/// but they must be https (or http on loopback), and a private address is accepted only when the
/// issuer's own address is private. For an issuer that nobody named beforehand there is
/// [`restrict_to_origins`](Self::restrict_to_origins).
#[derive(Debug)]
pub struct Discovery {
    client: IdpClient,
    issuer: String,
    candidates: Vec<Url>,
    issuer_is_private: bool,
    /// Where endpoints may be; anywhere if `None`.
    origins: Option<Vec<Origin>>,
    known: Mutex<Option<Arc<Metadata>>>,
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
        Ok(Self {
            candidates: candidates(&url),
            issuer_is_private: url_rules::is_private(&url),
            origins: None,
            issuer: issuer.to_owned(),
            client,
            known: Mutex::new(None),
        })
    }

    /// Accepts endpoints on the issuer's own origin and those of `others` only. Keys elsewhere make
    /// the metadata unusable, a token endpoint elsewhere is left out of it.
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

    /// Returns the metadata, from memory if it is known.
    ///
    /// Concurrent first calls each ask the provider. Cancelling is safe.
    ///
    /// # Errors
    ///
    /// Fails when no usable document was found; nothing is remembered then.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, DiscoveryError> {
        if let Some(known) = self.lock().clone() {
            return Ok(known);
        }
        let found = Arc::new(self.fetch().await?);
        *self.lock() = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Forgets the metadata: the next call asks again. For when an endpoint stops working.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Metadata>>> {
        // Nothing can panic while the lock is held, so a poisoned value is still whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Metadata, DiscoveryError> {
        let mut last_status = None;
        for url in &self.candidates {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
            let reply = self
                .client
                .get(url, headers, MAX_BODY)
                .await
                .map_err(|error| DiscoveryError::new(Problem::Fetch(error)))?;
            if reply.status == StatusCode::OK {
                return self.read(&reply.body);
            }
            if reply.is_overloaded() {
                return Err(DiscoveryError {
                    problem: Problem::Status(reply.status),
                    overloaded: true,
                    retry_after: reply.retry_after(wall_time()),
                });
            }
            last_status = Some(reply.status);
        }
        Err(DiscoveryError::new(match last_status {
            Some(status) => Problem::Status(status),
            None => Problem::Document("no address to ask"),
        }))
    }

    /// Reads a metadata document that was obtained otherwise. It has to pass the same checks, and is not
    /// remembered.
    ///
    /// # Errors
    ///
    /// Fails when the document is not strict JSON, names another issuer, or has an endpoint that would
    /// not be asked.
    pub fn read(&self, body: &[u8]) -> Result<Metadata, DiscoveryError> {
        let document = |what| DiscoveryError::new(Problem::Document(what));
        let Ok(Value::Object(members)) = json::from_slice(body) else {
            return Err(document("not a strict JSON object"));
        };
        let published = match members.get("issuer") {
            Some(Value::String(issuer)) => issuer,
            _ => return Err(document("`issuer` is missing or not a string")),
        };
        if *published != self.issuer {
            return Err(DiscoveryError::new(Problem::IssuerMismatch {
                configured: self.issuer.clone(),
                published: printable(published),
            }));
        }
        let endpoint = |name: &'static str| match members.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => match Url::parse(text) {
                Ok(url) => self.check_endpoint(name, url).map(Some),
                Err(_) => Err(DiscoveryError::new(Problem::Endpoint(
                    name,
                    UrlProblem::Syntax,
                ))),
            },
            Some(_) => Err(DiscoveryError::new(Problem::Endpoint(
                name,
                UrlProblem::Syntax,
            ))),
        };
        Ok(Metadata {
            issuer: published.clone(),
            token_endpoint: match endpoint("token_endpoint") {
                Err(error) if matches!(error.problem, Problem::ForeignEndpoint(_)) => None,
                endpoint => endpoint?,
            },
            jwks_uri: endpoint("jwks_uri")?,
            token_endpoint_auth_methods: members
                .get("token_endpoint_auth_methods_supported")
                .and_then(Value::as_array)
                .map(|methods| {
                    let texts = methods.iter().filter_map(Value::as_str);
                    texts.map(str::to_owned).collect()
                }),
        })
    }

    fn check_endpoint(&self, name: &'static str, url: Url) -> Result<Url, DiscoveryError> {
        url_rules::check(&url, self.client.allows_http())
            .map_err(|problem| DiscoveryError::new(Problem::Endpoint(name, problem)))?;
        if url_rules::is_private(&url) && !self.issuer_is_private {
            return Err(DiscoveryError::new(Problem::PrivateEndpoint(name)));
        }
        if let Some(origins) = &self.origins
            && !origins.contains(&url.origin())
        {
            return Err(DiscoveryError::new(Problem::ForeignEndpoint(name)));
        }
        Ok(url)
    }
}

/// Why no metadata was found.
#[derive(Clone, Debug)]
pub struct DiscoveryError {
    problem: Problem,
    overloaded: bool,
    retry_after: Option<Duration>,
}

#[derive(Clone, Debug)]
enum Problem {
    Fetch(FetchError),
    Status(StatusCode),
    Document(&'static str),
    IssuerMismatch {
        configured: String,
        published: String,
    },
    Endpoint(&'static str, UrlProblem),
    PrivateEndpoint(&'static str),
    ForeignEndpoint(&'static str),
}

impl DiscoveryError {
    fn new(problem: Problem) -> Self {
        Self {
            problem,
            overloaded: false,
            retry_after: None,
        }
    }

    /// Returns what the attempt got, for [`Backoff`](crate::Backoff).
    #[must_use]
    pub fn answer(&self) -> Answer {
        match &self.problem {
            Problem::Fetch(error) => error.answer(),
            _ => Answer::Unusable,
        }
    }

    /// Tells whether the provider says that it cannot serve now: 408, 425, 429 or 5xx.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.overloaded
    }

    /// Returns the wait that the provider asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the exchange's error when no complete answer came.
    #[must_use]
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match &self.problem {
            Problem::Fetch(error) => Some(error),
            _ => None,
        }
    }

    /// Tells whether the published issuer differs from the configured one.
    #[must_use]
    pub fn is_issuer_mismatch(&self) -> bool {
        matches!(self.problem, Problem::IssuerMismatch { .. })
    }

    /// Returns the issuer that the metadata names, where it differs from the configured one: at most
    /// 200 printable characters of it.
    #[must_use]
    pub fn published_issuer(&self) -> Option<&str> {
        match &self.problem {
            Problem::IssuerMismatch { published, .. } => Some(published),
            _ => None,
        }
    }
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("discovery failed: ")?;
        match &self.problem {
            Problem::Fetch(error) => write!(f, "{error}"),
            Problem::Status(status) => write!(f, "the provider answered {}", status.as_u16()),
            Problem::Document(what) => write!(f, "unusable metadata: {what}"),
            Problem::IssuerMismatch {
                configured,
                published,
            } => write!(
                f,
                "the metadata names issuer \"{published}\", but \"{configured}\" is configured; \
                 they must be equal byte for byte"
            ),
            Problem::Endpoint(name, problem) => write!(f, "unusable metadata: `{name}` {problem}"),
            Problem::ForeignEndpoint(name) => {
                write!(
                    f,
                    "unusable metadata: `{name}` is on another origin than the issuer"
                )
            }
            Problem::PrivateEndpoint(name) => {
                write!(
                    f,
                    "unusable metadata: `{name}` is a private address, the issuer is not"
                )
            }
        }
    }
}

impl std::error::Error for DiscoveryError {}

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
mod tests {
    use super::*;

    fn paths(issuer: &str) -> Vec<String> {
        candidates(&issuer.parse().unwrap())
            .iter()
            .map(|url| url.path().to_owned())
            .collect()
    }

    #[test]
    fn an_issuer_without_a_path_has_two_well_known_addresses() {
        let expected = [
            "/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server",
        ];
        assert_eq!(paths("https://idp.example"), expected);
        assert_eq!(paths("https://idp.example/"), expected);
    }

    #[test]
    fn an_issuer_with_a_path_has_three() {
        assert_eq!(
            paths("https://idp.example/realms/main"),
            [
                "/realms/main/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/realms/main",
                "/realms/main/.well-known/oauth-authorization-server",
            ]
        );
    }

    fn read(issuer: &str, document: &str) -> Result<Metadata, DiscoveryError> {
        let client = IdpClient::builder().build().unwrap();
        Discovery::new(client, issuer)
            .unwrap()
            .read(document.as_bytes())
    }

    /// D26
    #[test]
    fn the_published_issuer_must_be_the_configured_one_byte_for_byte() {
        for published in [
            "https://idp.example/",
            "https://IDP.example",
            "https://idp.example:443",
            "https://idp.example\\u0000",
            "https://evil.example",
        ] {
            let error = read(
                "https://idp.example",
                &format!(r#"{{"issuer":"{published}"}}"#),
            )
            .unwrap_err();
            assert!(error.is_issuer_mismatch(), "{published}");
            let shown = published.replace("\\u0000", "?");
            assert_eq!(error.published_issuer(), Some(&*shown));
            assert_eq!(error.answer(), Answer::Unusable);
        }
        assert!(read("https://idp.example", r#"{"issuer":"https://idp.example"}"#).is_ok());
    }

    /// D25
    #[test]
    fn endpoints_of_a_public_issuer_are_public_https_addresses() {
        for (uri, ok) in [
            ("https://keys.example/jwks", true),
            ("http://idp.example/jwks", false),
            ("http://127.0.0.1/jwks", false),
            ("https://127.0.0.1/jwks", false),
            ("https://169.254.169.254/jwks", false),
            ("https://user:pw@idp.example/jwks", false),
            ("file:///etc/passwd", false),
            ("/jwks", false),
        ] {
            let document = format!(r#"{{"issuer":"https://idp.example","jwks_uri":"{uri}"}}"#);
            assert_eq!(read("https://idp.example", &document).is_ok(), ok, "{uri}");
        }
        let local = r#"{"issuer":"http://127.0.0.1:1","jwks_uri":"http://127.0.0.1:1/jwks"}"#;
        assert!(read("http://127.0.0.1:1", local).is_ok());
    }

    /// D25
    #[test]
    fn endpoints_of_an_issuer_from_outside_stay_on_allowed_origins() {
        let keys: Url = "https://keys.example/".parse().unwrap();
        for (uri, ok) in [
            ("https://idp.example/jwks", true),
            ("https://idp.example:443/other", true),
            ("https://keys.example/jwks", true),
            ("https://idp.example:8443/jwks", false),
            ("http://idp.example/jwks", false),
            ("https://evil.example/jwks", false),
            ("https://idp.example.evil.example/jwks", false),
            ("https://sub.idp.example/jwks", false),
            ("https://keys.example:1/jwks", false),
            ("https://169.254.169.254/latest", false),
            ("https://idp.example@evil.example/jwks", false),
        ] {
            let document = format!(r#"{{"issuer":"https://idp.example","jwks_uri":"{uri}"}}"#);
            let client = IdpClient::builder().build().unwrap();
            let discovery = Discovery::new(client, "https://idp.example")
                .unwrap()
                .restrict_to_origins([&keys]);
            assert_eq!(discovery.read(document.as_bytes()).is_ok(), ok, "{uri}");
        }
    }

    #[test]
    fn authentication_methods_are_those_that_are_strings() {
        for (member, expected) in [
            ("", None),
            (
                r#","token_endpoint_auth_methods_supported":["client_secret_post",7,"none"]"#,
                Some(vec!["client_secret_post", "none"]),
            ),
            (
                r#","token_endpoint_auth_methods_supported":[]"#,
                Some(vec![]),
            ),
            (r#","token_endpoint_auth_methods_supported":"x""#, None),
        ] {
            let document = format!(r#"{{"issuer":"https://idp.example"{member}}}"#);
            let metadata = read("https://idp.example", &document).unwrap();
            let methods = metadata.token_endpoint_auth_methods;
            let expected: Option<Vec<String>> =
                expected.map(|methods| methods.into_iter().map(str::to_owned).collect());
            assert_eq!(methods, expected, "{member}");
        }
    }

    #[test]
    fn unusable_documents_are_refused() {
        for document in [
            "",
            "[]",
            "<html>",
            "{}",
            r#"{"issuer":1}"#,
            r#"{"issuer":"https://idp.example","issuer":"https://idp.example"}"#,
            r#"{"issuer":"https://idp.example","jwks_uri":7}"#,
        ] {
            assert!(read("https://idp.example", document).is_err(), "{document}");
        }
    }

    #[test]
    fn an_issuer_url_has_no_query_fragment_or_credentials() {
        let client = IdpClient::builder().build().unwrap();
        for (issuer, expected) in [
            ("idp.example", UrlProblem::Syntax),
            ("http://idp.example", UrlProblem::Scheme),
            ("https://idp.example?tenant=1", UrlProblem::Query),
            ("https://idp.example#a", UrlProblem::Fragment),
            ("https://a@idp.example", UrlProblem::Credentials),
        ] {
            assert_eq!(
                Discovery::new(client.clone(), issuer).unwrap_err(),
                expected,
                "{issuer}"
            );
        }
    }
}
