//! Userinfo (OpenID Connect Core 1.0 section 5.3), with bearer tokens in the header only (RFC 6750 section 2.1).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use clock::unix_seconds;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::grants::Grant;
use crate::oauth_error::{JSON, NO_STORE};
use crate::people::{self, DevPerson};
use crate::person_tokens::IDP_NAME;
use crate::provider::Provider;
use crate::tamper::Target;

pub(crate) async fn userinfo(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
) -> Response {
    let Some(token) = bearer(&headers) else {
        return refused(r#"Bearer realm="dev-idp""#);
    };
    let now = unix_seconds(provider.clock.now());
    let grant = provider.grants.lock().of_user_token(token, now);
    let claims = grant.and_then(|grant| {
        let people = provider.people.lock();
        let person = people.member(&grant.email, &grant.tenant)?;
        Some(claims(&provider, &grant, person))
    });
    match claims {
        Some(claims) => {
            let claims = provider.next_members(Target::Userinfo).write(claims);
            (NO_STORE, [JSON], claims).into_response()
        }
        None => refused(r#"Bearer realm="dev-idp", error="invalid_token""#),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (scheme, token) = values.next()?.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && values.next().is_none();
    is_bearer.then_some(token)
}

fn refused(challenge: &'static str) -> Response {
    let challenge = [(WWW_AUTHENTICATE, challenge)];
    (StatusCode::UNAUTHORIZED, NO_STORE, challenge).into_response()
}

fn claims(provider: &Provider, grant: &Grant, person: &DevPerson) -> Value {
    let clients = provider.clients.lock();
    let client = clients.get(&grant.client_id);
    let application = client.map_or(&*grant.client_id, |client| client.application());
    let mut claims = json!({
        "sub": person.subject(),
        "tnt_id": people::tenant_id(&grant.tenant),
        "tnt_name": grant.tenant,
        "app_id": application,
        "idp_name": IDP_NAME,
    });
    if grant.has_scope("email") {
        claims["email"] = json!(person.email());
        claims["email_verified"] = json!(true);
    }
    if grant.has_scope("profile") {
        claims["name"] = json!(person.full_name());
        claims["preferred_username"] = json!(person.email());
    }
    if grant.has_scope("roles") {
        let roles = person.roles(&grant.tenant).unwrap_or_default();
        let roles = roles.iter().map(|role| told_role(role, application));
        claims["roles"] = roles.collect();
    }
    claims
}

fn told_role(role: &str, application: &str) -> Value {
    let name = if role.contains(':') {
        role.to_owned()
    } else {
        format!("app:{application}:{role}")
    };
    let display_name = role.rsplit(':').next().unwrap_or(role);
    json!({
        "id": people::role_id(&name),
        "name": name,
        "display_name": display_name,
    })
}
