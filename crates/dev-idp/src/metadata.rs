//! The documents that tell clients and APIs where everything is, and the routes to all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::client::AuthMethod;
use crate::client_auth::ASSERTION_ALGORITHMS;
use crate::keys::Algorithm;
use crate::provider::Provider;
use crate::requests::{JWKS_PATH, OAUTH_PATH, OPENID_PATH, TOKEN_PATH};
use crate::token;

pub(crate) fn routes(provider: Arc<Provider>) -> Router {
    Router::new()
        .route(OPENID_PATH, get(metadata))
        .route(OAUTH_PATH, get(metadata))
        .route(JWKS_PATH, get(jwks))
        .route(TOKEN_PATH, post(token::issue))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(provider)
}

/// OpenID Connect Discovery 1.0 section 3 and RFC 8414 section 2.
async fn metadata(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let scopes: BTreeSet<String> = provider
        .clients
        .lock()
        .values()
        .flat_map(|client| client.granted_scopes().iter().cloned())
        .collect();
    let mut document = json!({
        "issuer": provider.issuer,
        "token_endpoint": format!("{}{TOKEN_PATH}", provider.base),
        "jwks_uri": format!("{}{JWKS_PATH}", provider.base),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": AuthMethod::ALL.map(AuthMethod::name),
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        // Required by both documents; empty, as there is no authorization endpoint.
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
    });
    if !scopes.is_empty() {
        document["scopes_supported"] = json!(scopes);
    }
    Json(document)
}

/// RFC 7517 section 5, with the validators of RFC 9110 section 8.8.
async fn jwks(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    let published = provider.keys.lock().published();
    let caching = [
        (CACHE_CONTROL, "public, max-age=60"),
        (ETAG, published.etag.as_str()),
    ];
    if has_seen(&headers, &published.etag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = [(CONTENT_TYPE, "application/jwk-set+json")];
    (caching, kind, published.body).into_response()
}

/// Weak comparison (RFC 9110 section 13.1.2).
fn has_seen(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|seen| seen == "*" || seen.strip_prefix("W/").unwrap_or(seen) == etag)
}

pub(crate) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "not_found" }))).into_response()
}

pub(crate) async fn method_not_allowed() -> Response {
    let body = Json(json!({ "error": "method_not_allowed" }));
    (StatusCode::METHOD_NOT_ALLOWED, body).into_response()
}
