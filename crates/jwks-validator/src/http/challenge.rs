//! Answers to refused requests: fixed texts, chosen by the kind of refusal.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, Entry, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response};
use idp_http::whole_seconds;

use super::grpc;
use super::resource::ProtectedResource;
use super::token_from::TokenFrom;
use crate::builder::{BuildError, BuildErrorKind};
use crate::error::AuthError;
use crate::reason::ErrorResponse;

/// `WWW-Authenticate` values of one realm.
#[derive(Clone, Debug)]
pub(crate) struct Challenges {
    realm: String,
    resource_metadata: Option<String>,
    no_credentials: HeaderValue,
    invalid_request: HeaderValue,
    invalid_token: HeaderValue,
    insufficient_scope: HeaderValue,
}

impl Challenges {
    /// The realm where none is set.
    pub(super) const DEFAULT_REALM: &str = "api";

    /// `scopes` stand in the challenge of [`ErrorResponse::InsufficientScope`], between single spaces;
    /// `resource_metadata` is the serialization of a URL and stands in every challenge (RFC 9728
    /// section 5.1).
    pub(super) fn new(
        realm: &str,
        scopes: &str,
        resource_metadata: Option<&str>,
    ) -> Result<Self, BuildError> {
        let is_quotable = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\';
        if realm.is_empty() || !realm.bytes().all(is_quotable) {
            return Err(BuildError(BuildErrorKind::Realm));
        }
        let metadata = resource_metadata
            .map_or_else(String::new, |url| format!(", resource_metadata=\"{url}\""));
        let header = |rest: String| {
            HeaderValue::try_from(format!("Bearer realm=\"{realm}\"{rest}{metadata}"))
                .map_err(|_| BuildError(BuildErrorKind::Realm))
        };
        let coded = |code: &str, description: &str| {
            header(format!(
                ", error=\"{code}\", error_description=\"{description}\""
            ))
        };
        let scope = if scopes.is_empty() {
            String::new()
        } else {
            format!(", scope=\"{scopes}\"")
        };
        Ok(Self {
            realm: realm.to_owned(),
            resource_metadata: resource_metadata.map(str::to_owned),
            no_credentials: header(String::new())?,
            invalid_request: coded("invalid_request", "The request is malformed")?,
            invalid_token: coded("invalid_token", "The access token is not valid")?,
            insufficient_scope: header(format!(
                ", error=\"insufficient_scope\", \
                 error_description=\"The access token lacks a required scope\"{scope}"
            ))?,
        })
    }

    /// Returns challenges with another realm.
    pub(super) fn with_realm(&self, realm: &str, scopes: &str) -> Result<Self, BuildError> {
        Self::new(realm, scopes, self.resource_metadata.as_deref())
    }

    /// Returns challenges that point at a resource's metadata.
    pub(super) fn with_resource(&self, resource: &ProtectedResource, scopes: &str) -> Self {
        Self::new(&self.realm, scopes, Some(resource.metadata_url()))
            .expect("the realm and the scopes are in use, and a URL is printable without quotes")
    }

    /// Returns the answer to a refused request, with the error in its extensions. The caller has to keep
    /// it out of shared caches.
    pub(super) fn answer(&self, error: AuthError) -> Response<&'static str> {
        let answer = error.reason().response();
        let (status, reason) = (error.status().as_u16(), error.reason().as_str());
        tracing::debug!(
            target: "jwks_validator::refusal",
            { http.status = status, auth.reason = reason },
            "refused a request: {error}"
        );
        let mut response = if error.is_for_grpc() {
            grpc::response(answer)
        } else {
            let mut response = Response::new(problem(answer));
            *response.status_mut() = error.status();
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/problem+json"),
            );
            response
        };
        let headers = response.headers_mut();
        let challenge = match answer {
            ErrorResponse::NoCredentials => Some(&self.no_credentials),
            ErrorResponse::InvalidRequest => Some(&self.invalid_request),
            ErrorResponse::InvalidToken => Some(&self.invalid_token),
            ErrorResponse::InsufficientScope => Some(&self.insufficient_scope),
            ErrorResponse::Unavailable | ErrorResponse::Internal => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        if let Some(wait) = error.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        response.extensions_mut().insert(error);
        response
    }
}

/// Marks an answer that depends on the token: not to be stored, unless the handler decided on that,
/// and never to be given to the holder of another token. `name` is that of the header which holds it, or `*`.
pub(super) fn keep_out_of_shared_caches(headers: &mut HeaderMap, name: &HeaderValue) {
    headers
        .entry(CACHE_CONTROL)
        .or_insert(const { HeaderValue::from_static("no-store") });
    match headers.entry(VARY) {
        Entry::Vacant(vary) => {
            vary.insert(name.clone());
        }
        Entry::Occupied(mut vary) => {
            let varies = vary
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .map(str::trim)
                .any(|other| other == "*" || *name == *other.to_ascii_lowercase());
            if !varies {
                vary.append(name.clone());
            }
        }
    }
}

impl AuthError {
    /// Returns the answer under the realm `api`; of a request without credentials that an optional layer let
    /// through, with the challenge of that layer.
    #[must_use]
    pub fn into_http_response(mut self) -> Response<&'static str> {
        let mut answer = match self.take_challenges() {
            Some(challenges) => challenges.answer(self),
            None => Challenges::default().answer(self),
        };
        keep_out_of_shared_caches(answer.headers_mut(), TokenFrom::authorization().vary());
        answer
    }
}

impl Default for Challenges {
    fn default() -> Self {
        Self::new(Self::DEFAULT_REALM, "", None)
            .expect("the realm is quotable and no scope follows")
    }
}

fn problem(answer: ErrorResponse) -> &'static str {
    match answer {
        ErrorResponse::NoCredentials => {
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"A bearer token is required."}"#
        }
        ErrorResponse::InvalidToken => {
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The access token is not valid."}"#
        }
        ErrorResponse::InvalidRequest => {
            r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"The request's credentials are malformed."}"#
        }
        ErrorResponse::InsufficientScope => {
            r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"The access token lacks a required scope."}"#
        }
        ErrorResponse::Unavailable => {
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"Tokens cannot be validated at the moment."}"#
        }
        ErrorResponse::Internal => {
            r#"{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"The service failed; its log tells more."}"#
        }
    }
}
