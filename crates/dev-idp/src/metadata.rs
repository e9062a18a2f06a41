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
use crate::requests::{
    AUTHORIZE_PATH, FORGOT_TENANT_PATH, JWKS_PATH, LOGIN_PATH, LOGOUT_PATH, OAUTH_PATH,
    OPENID_PATH, PAR_PATH, REVOCATION_PATH, SIGN_IN_PATH, SIGN_UP_PATH, STYLE_PATH, TOKEN_PATH,
    USERINFO_PATH,
};
use crate::{
    authorize, find_tenant, forgot_tenant, logout, pages, pushed, revoke, sign_in, sign_up, token,
    userinfo,
};

/// The claims of the ID token and of userinfo.
const CLAIMS: [&str; 19] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "sid",
    "at_hash",
    "amr",
    "tnt_id",
    "tnt_name",
    "idp_name",
    "app_id",
    "email",
    "email_verified",
    "name",
    "preferred_username",
    "roles",
];

pub(crate) fn routes(provider: Arc<Provider>) -> Router {
    Router::new()
        .route(OPENID_PATH, get(metadata))
        .route(OAUTH_PATH, get(metadata))
        .route(JWKS_PATH, get(jwks))
        .route(TOKEN_PATH, post(token::issue))
        .route(AUTHORIZE_PATH, get(authorize::authorize))
        .route(SIGN_IN_PATH, get(sign_in::page).post(sign_in::submit))
        .route(
            USERINFO_PATH,
            get(userinfo::userinfo).post(userinfo::userinfo),
        )
        .route(REVOCATION_PATH, post(revoke::revoke))
        .route(STYLE_PATH, get(pages::style))
        .route(LOGIN_PATH, get(find_tenant::page).post(find_tenant::submit))
        .route(SIGN_UP_PATH, get(sign_up::page).post(sign_up::submit))
        .route(
            FORGOT_TENANT_PATH,
            get(forgot_tenant::page).post(forgot_tenant::submit),
        )
        .route(LOGOUT_PATH, get(logout::logout).post(logout::logout))
        .route(PAR_PATH, post(pushed::push))
        .nest("/tenants/{tenant}", tenant_routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(provider)
}

fn tenant_routes() -> Router<Arc<Provider>> {
    let sign_in = get(sign_in::page_of_tenant).post(sign_in::submit_at_tenant);
    Router::new()
        .route(AUTHORIZE_PATH, get(authorize::authorize_at_tenant))
        .route(LOGIN_PATH, sign_in)
        .route(
            LOGOUT_PATH,
            get(logout::logout_at_tenant).post(logout::logout_at_tenant),
        )
}

/// OpenID Connect Discovery 1.0 section 3 and RFC 8414 section 2.
async fn metadata(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let scopes: BTreeSet<String> = provider
        .clients
        .lock()
        .values()
        .flat_map(|client| client.granted_scopes().iter().cloned())
        .collect();
    let pushed_requests_required = provider.settings.lock().pushed_requests_required;
    let mut document = json!({
        "issuer": provider.issuer,
        "token_endpoint": format!("{}{TOKEN_PATH}", provider.base),
        "jwks_uri": format!("{}{JWKS_PATH}", provider.base),
        "authorization_endpoint": format!("{}{AUTHORIZE_PATH}", provider.base),
        "userinfo_endpoint": format!("{}{USERINFO_PATH}", provider.base),
        "revocation_endpoint": format!("{}{REVOCATION_PATH}", provider.base),
        "end_session_endpoint": format!("{}{LOGOUT_PATH}", provider.base),
        "pushed_authorization_request_endpoint": format!("{}{PAR_PATH}", provider.base),
        "require_pushed_authorization_requests": pushed_requests_required,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": AuthMethod::ALL.map(AuthMethod::name),
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": ["login", "none"],
        "claims_supported": CLAIMS,
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
