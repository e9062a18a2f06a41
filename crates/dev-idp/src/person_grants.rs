//! The grants of the token endpoint behind which there is a person.

use clock::unix_seconds;
use serde_json::{Value, json};

use crate::client::DevClient;
use crate::form::Form;
use crate::grants::{Grant, Refreshed};
use crate::oauth_error::OAuthError;
use crate::person_tokens::{Occasion, id_token, user_token};
use crate::provider::Provider;
use crate::token::token_reply;

/// The scope that refresh tokens are given for (OpenID Connect Core 1.0 section 11).
const OFFLINE_ACCESS: &str = "offline_access";

/// RFC 6749 section 4.1.3.
pub(crate) fn exchange_code(
    provider: &Provider,
    client: &DevClient,
    form: &Form,
) -> Result<Value, OAuthError> {
    let [code, redirect_uri, verifier] =
        ["code", "redirect_uri", "code_verifier"].map(|name| form.value(name).ok_or(()));
    let (Ok(code), Ok(redirect_uri), Ok(verifier)) = (code, redirect_uri, verifier) else {
        return Err(OAuthError::invalid_request(
            "code, redirect_uri or code_verifier is missing",
        ));
    };
    let now = unix_seconds(provider.clock.now());
    let (grant, family) = provider
        .grants
        .lock()
        .redeem_code(client.id(), code, redirect_uri, verifier, now)
        .ok_or_else(OAuthError::invalid_grant)?;
    let refresh_token = if grant.has_scope(OFFLINE_ACCESS) {
        let issued = provider.grants.lock().issue_refresh_token(&family);
        issued.map_err(|_| OAuthError::server_error())?
    } else {
        None
    };
    reply(provider, &grant, &family, refresh_token, Occasion::SignIn)
}

/// RFC 6749 section 6. A narrower scope cannot be asked for.
pub(crate) fn refresh(
    provider: &Provider,
    client: &DevClient,
    form: &Form,
) -> Result<Value, OAuthError> {
    let token = form
        .value("refresh_token")
        .ok_or_else(|| OAuthError::invalid_request("refresh_token is missing"))?;
    let tokens = provider.settings.lock().refresh_tokens;
    let now = unix_seconds(provider.clock.now());
    let refreshed = provider
        .grants
        .lock()
        .refresh(client.id(), token, tokens, now)
        .map_err(|_| OAuthError::server_error())?;
    let Some(Refreshed {
        grant,
        family,
        token,
    }) = refreshed
    else {
        return Err(OAuthError::invalid_grant());
    };
    reply(provider, &grant, &family, token, Occasion::Refresh)
}

fn reply(
    provider: &Provider,
    grant: &Grant,
    family: &str,
    refresh_token: Option<String>,
    occasion: Occasion,
) -> Result<Value, OAuthError> {
    let person = {
        let people = provider.people.lock();
        people.member(&grant.email, &grant.tenant).cloned()
    };
    let person = person.ok_or_else(OAuthError::invalid_grant)?;
    let settings = provider.settings.lock().clone();
    let user = user_token(provider, family, grant, &person, settings.lifetime);
    let user = user.map_err(|_| OAuthError::server_error())?;
    let id = id_token(provider, grant, &person, &user, occasion);
    let id = id.map_err(|_| OAuthError::server_error())?;
    let scope = grant.scopes.join(" ");
    tracing::debug!(
        oauth.client_id = grant.client_id,
        oauth.scope = scope,
        token.lifetime_s = settings.lifetime.as_secs(),
        "issued a person's tokens"
    );
    let mut reply = token_reply(&user, &scope, settings);
    reply["id_token"] = json!(id);
    if let Some(refresh_token) = refresh_token {
        reply["refresh_token"] = json!(refresh_token);
    }
    Ok(reply)
}
