//! What a protected API publishes about itself (RFC 9728).

use serde::Serialize;
use url::Url;

use super::token_from::TokenFrom;
use crate::builder::{BuildError, BuildErrorKind};

/// An API's metadata (RFC 9728): who it is, whose tokens it takes, and for which scopes.
///
/// ```
/// use axum::{Router, routing::get};
/// use jwks_validator::{JwtLayer, JwtValidator, ProtectedResource};
///
/// # fn example(validator: JwtValidator) -> Result<Router, Box<dyn std::error::Error>> {
/// let resource = ProtectedResource::new("https://api.example/v1")?
///     .authorization_server("https://idp.example")
///     .scopes(["data:read"]);
/// let app = Router::new()
///     .route("/v1/data", get(async || "data"))
///     .layer(JwtLayer::new(validator).resource(&resource))
///     .merge(resource.routes());
/// # Ok(app)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    document: Document,
    path: String,
    url: String,
}

/// RFC 9728 section 2.
#[derive(Clone, Debug, Serialize)]
struct Document {
    resource: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bearer_methods_supported: Option<[&'static str; 1]>,
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

impl ProtectedResource {
    /// Returns the metadata of the API with this identifier, which is published as it is given here:
    /// clients compare it byte for byte (RFC 9728 section 3.3). It should be an audience of the
    /// validator.
    ///
    /// # Errors
    ///
    /// Fails when it is not an https URL (or http to a loopback address) without credentials, query
    /// and fragment.
    pub fn new(resource: &str) -> Result<Self, BuildError> {
        let invalid = BuildError(BuildErrorKind::Resource);
        let Ok(mut url) = Url::parse(resource) else {
            return Err(invalid);
        };
        let is_allowed_scheme = match url.scheme() {
            "https" => true,
            "http" => idp_http::is_loopback(&url),
            _ => false,
        };
        if !is_allowed_scheme
            || !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(invalid);
        }
        // Section 3.1: the slash that ends the host goes, the rest of the path follows.
        let path = match url.path() {
            "/" => WELL_KNOWN.to_owned(),
            path => format!("{WELL_KNOWN}{path}"),
        };
        url.set_path(&path);
        Ok(Self {
            document: Document {
                resource: resource.to_owned(),
                authorization_servers: Vec::new(),
                scopes_supported: Vec::new(),
                bearer_methods_supported: Some(["header"]),
            },
            path,
            url: url.into(),
        })
    }

    /// Adds an issuer whose tokens the API takes.
    #[must_use]
    pub fn authorization_server(mut self, issuer: impl Into<String>) -> Self {
        self.document.authorization_servers.push(issuer.into());
        self
    }

    /// Adds scopes that requests to the API may need.
    #[must_use]
    pub fn scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        let scopes = scopes.into_iter().map(Into::into);
        self.document.scopes_supported.extend(scopes);
        self
    }

    /// Says where the API takes tokens from, by default the `Authorization` header.
    ///
    /// RFC 6750 has no name for another header or a cookie, so the document then says nothing of how tokens
    /// are sent (RFC 9728 section 2, `bearer_methods_supported`).
    #[must_use]
    pub fn token_from(mut self, place: &TokenFrom) -> Self {
        let is_authorization = *place == TokenFrom::authorization();
        self.document.bearer_methods_supported = is_authorization.then_some(["header"]);
        self
    }

    /// Returns the API's identifier.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.document.resource
    }

    /// Returns where clients look for the document: the identifier with
    /// `/.well-known/oauth-protected-resource` before its path.
    #[must_use]
    pub fn metadata_url(&self) -> &str {
        &self.url
    }

    /// Returns the path of that URL, for routers that are not axum's.
    #[must_use]
    pub fn metadata_path(&self) -> &str {
        &self.path
    }

    /// Returns the document.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.document).expect("strings and arrays of them serialize")
    }

    /// Returns the route that serves the document, to be merged outside of the
    /// [`JwtLayer`](crate::JwtLayer): a client that asks for it has no token yet.
    #[cfg(feature = "axum")]
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        use axum::routing::get;
        use http::HeaderValue;
        use http::header::{CACHE_CONTROL, CONTENT_TYPE};

        let json = self.to_json();
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            // It changes with a deployment; a copy that is an hour old misleads no client for long.
            (
                CACHE_CONTROL,
                HeaderValue::from_static("public, max-age=3600"),
            ),
        ];
        // The path is text to compare, whatever axum's older syntax made of `:` and `*` in it.
        axum::Router::new()
            .without_v07_checks()
            .route(&self.path, get(async move || (headers, json)))
    }
}
