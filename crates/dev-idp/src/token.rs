//! The token endpoint: client credentials (RFC 6749 section 4.4), codes (section 4.1.3) and refresh tokens (section
//! 6), resource indicators (RFC 8707).

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use url::Url;

use crate::client::DevClient;
use crate::client_auth::authenticate;
use crate::form::Form;
use crate::mint::TokenSpec;
use crate::oauth_error::{JSON, NO_STORE, OAuthError};
use crate::person_grants;
use crate::provider::{ExpiresIn, Provider, Settings};
use crate::tamper::Target;

// Far above any request of ours; it bounds what a stray client can make us hold.
const MAX_BODY: usize = 64 * 1024;

pub(crate) async fn issue(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    match reply(&provider, &head.headers, body).await {
        Ok(reply) => {
            let reply = provider.next_members(Target::TokenReply).write(reply);
            (NO_STORE, [JSON], reply).into_response()
        }
        Err(error) => {
            tracing::info!(
                oauth.error = error.code(),
                reason = error.description(),
                "refused a token request"
            );
            error.into_response()
        }
    }
}

async fn reply(provider: &Provider, headers: &HeaderMap, body: Body) -> Result<Value, OAuthError> {
    let form = read_form(headers, body).await?;
    let client = authenticate(provider, headers, &form)?;
    let grant = form.value("grant_type");
    match grant {
        Some("client_credentials" | "authorization_code" | "refresh_token") => {}
        Some(_) => return Err(OAuthError::unsupported_grant_type()),
        None => return Err(OAuthError::invalid_request("grant_type is missing")),
    }
    if !client.grant_allowed() {
        return Err(OAuthError::unauthorized_client());
    }
    match grant {
        Some("authorization_code") => {
            return person_grants::exchange_code(provider, &client, &form);
        }
        Some("refresh_token") => return person_grants::refresh(provider, &client, &form),
        _ => {}
    }
    let scope = scope(&client, form.value("scope"))?;
    let audience = audience(provider, &client, &form)?;
    sign(provider, &client, scope, audience)
}

pub(crate) async fn read_form(headers: &HeaderMap, body: Body) -> Result<Form, OAuthError> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let is_form = types
        .next()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| {
            essence
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
    if !is_form || types.next().is_some() {
        return Err(OAuthError::invalid_request(
            "the content type is not application/x-www-form-urlencoded",
        ));
    }
    let malformed = || OAuthError::invalid_request("the form is malformed");
    let body = to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| OAuthError::too_large())?;
    let text = str::from_utf8(&body).map_err(|_| malformed())?;
    let form = Form::parse(text).map_err(|_| malformed())?;
    if form.repeats_any_but("resource") {
        return Err(OAuthError::invalid_request("a parameter is repeated"));
    }
    Ok(form)
}

/// Returns the scopes to grant, each once: those asked for, or all that the client has.
pub(crate) fn scope(
    client: &DevClient,
    requested: Option<&str>,
) -> Result<Vec<String>, OAuthError> {
    let Some(requested) = requested else {
        return Ok(client.granted_scopes().to_vec());
    };
    let mut granted: Vec<String> = Vec::new();
    // RFC 6749 section 3.3 has single spaces between tokens. Splitting at whitespace would accept
    // others; this way an empty token is left over, which no client has.
    for token in requested.split(' ') {
        if !client.granted_scopes().iter().any(|scope| scope == token) {
            return Err(OAuthError::invalid_scope(
                "the scope is malformed or the client may not have it",
            ));
        }
        if !granted.iter().any(|scope| scope == token) {
            granted.push(token.to_owned());
        }
    }
    Ok(granted)
}

/// Returns the `aud` claim: a string for one audience, an array for several.
pub(crate) fn audience(
    provider: &Provider,
    client: &DevClient,
    form: &Form,
) -> Result<Value, OAuthError> {
    let listed = client.listed_audiences();
    let mut audiences: Vec<&str> = Vec::new();
    for resource in form.values("resource") {
        // RFC 8707 section 2: an absolute URI without a fragment.
        if !Url::parse(resource).is_ok_and(|url| url.fragment().is_none()) {
            return Err(OAuthError::invalid_target(
                "a resource is not an absolute URI without a fragment",
            ));
        }
        audiences.push(resource);
    }
    audiences.extend(form.value("audience"));
    if !listed.is_empty()
        && !audiences
            .iter()
            .all(|asked| listed.iter().any(|l| l == asked))
    {
        return Err(OAuthError::invalid_target(
            "the client may not have a requested audience or resource",
        ));
    }
    let mut once: Vec<&str> = Vec::new();
    for audience in audiences {
        if !once.contains(&audience) {
            once.push(audience);
        }
    }
    Ok(match once.as_slice() {
        [] => json!(listed.first().unwrap_or(&provider.default_audience)),
        [one] => json!(one),
        several => json!(several),
    })
}

fn sign(
    provider: &Provider,
    client: &DevClient,
    scope: Vec<String>,
    audience: Value,
) -> Result<Value, OAuthError> {
    let settings = provider.settings.lock().clone();
    let mut spec = TokenSpec::new()
        .claim("sub", client.id())
        .claim("client_id", client.id())
        .claim("aud", audience)
        .lifetime(settings.lifetime);
    let scope = scope.join(" ");
    spec = if scope.is_empty() {
        spec.without_claim("scope")
    } else {
        spec.claim("scope", scope.as_str())
    };
    let token = spec
        .sign(provider)
        .map_err(|_| OAuthError::server_error())?;
    tracing::debug!(
        oauth.client_id = client.id(),
        oauth.scope = scope,
        token.lifetime_s = settings.lifetime.as_secs(),
        "issued a token"
    );

    Ok(token_reply(&token, &scope, settings))
}

/// Returns the members that every reply with an access token has (RFC 6749 section 5.1).
pub(crate) fn token_reply(token: &str, scope: &str, settings: Settings) -> Value {
    let mut reply = json!({ "access_token": token, "token_type": "Bearer" });
    match settings.expires_in {
        ExpiresIn::Lifetime => reply["expires_in"] = json!(settings.lifetime.as_secs()),
        ExpiresIn::Omitted => {}
        ExpiresIn::Value(value) => reply["expires_in"] = value,
    }
    if !scope.is_empty() {
        reply["scope"] = json!(scope);
    }
    reply
}
