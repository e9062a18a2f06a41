//! Pushed authorization requests (RFC 9126).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use clock::unix_seconds;
use http::StatusCode;
use serde_json::{Value, json};

use crate::authorize::{AuthorizationRequest, Refusal};
use crate::bounded::Bounded;
use crate::client_auth::authenticate;
use crate::form::Form;
use crate::keys::random_id;
use crate::oauth_error::{NO_STORE, OAuthError};
use crate::provider::Provider;
use crate::token::read_form;

/// Section 2.2.
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// How long a request waits for its browser, in seconds.
const LIFETIME: i64 = 60;

const REQUESTS: usize = 10_000;

/// A request that a client pushed, as a query.
struct Pushed {
    client_id: String,
    query: String,
    expires: i64,
}

pub(crate) struct PushedRequests(Bounded<Pushed>);

impl PushedRequests {
    pub(crate) fn new() -> Self {
        Self(Bounded::new(REQUESTS))
    }
}

pub(crate) async fn push(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    match pushed(&provider, request).await {
        Ok(reply) => (StatusCode::CREATED, NO_STORE, Json(reply)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn pushed(provider: &Provider, request: Request) -> Result<Value, OAuthError> {
    let (head, body) = request.into_parts();
    let form = read_form(&head.headers, body).await?;
    let client = authenticate(provider, &head.headers, &form)?;
    if form.value("request_uri").is_some() {
        return Err(OAuthError::invalid_request("request_uri cannot be pushed"));
    }
    let named = form.value("client_id").unwrap_or(client.id());
    if named != client.id() {
        return Err(OAuthError::invalid_request("client_id is another client's"));
    }
    let query = form.without(&["client_secret", "client_assertion", "client_assertion_type"]);
    let query = query.with("client_id", client.id()).to_query();
    AuthorizationRequest::check(provider, &query)?;
    let id = random_id().map_err(|_| OAuthError::server_error())?;
    let reply = json!({ "request_uri": format!("{PREFIX}{id}"), "expires_in": LIFETIME });
    let pushed = Pushed {
        client_id: client.id().to_owned(),
        query,
        expires: unix_seconds(provider.clock.now()).saturating_add(LIFETIME),
    };
    provider.pushed_requests.lock().0.insert(id, pushed);
    Ok(reply)
}

/// Returns the query that is meant: that of the pushed request which it names, once and in its time, or itself.
pub(crate) fn expand(provider: &Provider, query: &str) -> Result<String, Refusal> {
    let form = Form::parse(query).map_err(|_| Refusal::Page("The link cannot be read."))?;
    let Some(uri) = form.value("request_uri") else {
        return Ok(query.to_owned());
    };
    let id = uri.strip_prefix(PREFIX).unwrap_or_default();
    let pushed = provider.pushed_requests.lock().0.remove(id);
    let now = unix_seconds(provider.clock.now());
    let meant = pushed.filter(|pushed| {
        form.value("client_id") == Some(&pushed.client_id) && now <= pushed.expires
    });
    let meant = meant.map(|pushed| pushed.query);
    meant.ok_or(Refusal::Page(
        "The request was used before, is too old, or never came.",
    ))
}
