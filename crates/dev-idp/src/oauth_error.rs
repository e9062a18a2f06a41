use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

/// Keeps a token reply, or its error, out of every cache (RFC 6749 section 5.1).
pub(crate) const NO_STORE: [(HeaderName, &str); 2] =
    [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

/// The type of a reply whose text is written by hand.
pub(crate) const JSON: (HeaderName, &str) = (CONTENT_TYPE, "application/json");

/// An error of the token endpoint (RFC 6749 section 5.2, RFC 8707 section 2) and its kin, or of the authorization
/// endpoint (RFC 6749 section 4.1.2.1).
#[derive(Debug)]
pub(crate) struct OAuthError {
    status: StatusCode,
    code: &'static str,
    // From a fixed list: nothing that the caller sent is echoed.
    description: &'static str,
    challenge: bool,
}

impl OAuthError {
    fn new(code: &'static str, description: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            description,
            challenge: false,
        }
    }

    pub(crate) fn invalid_request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    pub(crate) fn too_large() -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::invalid_request("the body is too large")
        }
    }

    /// The same words for an unknown client, a wrong secret and a method that the client may not
    /// use, so that the answer does not tell which ids exist.
    pub(crate) fn invalid_client() -> Self {
        Self::new("invalid_client", "client authentication failed")
    }

    /// Answers 401 with a challenge, as the RFC requires once the `Authorization` header was used.
    pub(crate) fn with_challenge(mut self) -> Self {
        self.status = StatusCode::UNAUTHORIZED;
        self.challenge = true;
        self
    }

    pub(crate) fn unauthorized_client() -> Self {
        Self::new("unauthorized_client", "the client may not use this grant")
    }

    pub(crate) fn unsupported_grant_type() -> Self {
        Self::new("unsupported_grant_type", "the grant is not supported")
    }

    /// The same words whatever is wrong, so that the answer does not tell what was guessed right.
    pub(crate) fn invalid_grant() -> Self {
        Self::new(
            "invalid_grant",
            "the code or refresh token is unknown, used, expired, revoked or another client's",
        )
    }

    /// OpenID Connect Core 1.0 section 3.1.2.6.
    pub(crate) fn request_not_supported() -> Self {
        Self::new("request_not_supported", "request objects are not supported")
    }

    /// OpenID Connect Core 1.0 section 3.1.2.6.
    pub(crate) fn login_required() -> Self {
        Self::new("login_required", "the person is not signed in")
    }

    pub(crate) fn unsupported_response_type() -> Self {
        Self::new("unsupported_response_type", "response_type is not code")
    }

    pub(crate) fn invalid_scope(description: &'static str) -> Self {
        Self::new("invalid_scope", description)
    }

    pub(crate) fn invalid_target(description: &'static str) -> Self {
        Self::new("invalid_target", description)
    }

    pub(crate) fn server_error() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..Self::new("server_error", "the token could not be signed")
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn description(&self) -> &'static str {
        self.description
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = Json(json!({
            "error": self.code,
            "error_description": self.description,
        }));
        let mut response = (self.status, NO_STORE, body).into_response();
        if self.challenge {
            let challenge = HeaderValue::from_static(r#"Basic realm="dev-idp", charset="UTF-8""#);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
