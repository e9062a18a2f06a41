//! What people, their clients and their sessions are like from now on.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde_json::{Value, json};

use super::{BadRequest, number, query};
use crate::back_channel;
use crate::form::Form;
use crate::grants::RefreshTokens;
use crate::people::DevPerson;
use crate::provider::Provider;

const UNKNOWN_CLIENT: BadRequest = BadRequest("No client has this `id`.");
const UNKNOWN_PERSON: BadRequest = BadRequest("Nobody has this `email`.");

pub(super) async fn refresh_tokens(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let query = query(&uri)?;
    let grace = number(&query, "grace")?;
    let grace = grace.map(u32::try_from).transpose();
    let grace = grace.map_err(|_| BadRequest("`grace` is too long."))?;
    let tokens = match (query.value("mode"), grace) {
        (Some("rotate"), None) => RefreshTokens::Rotate,
        (Some("rotate"), Some(seconds)) => RefreshTokens::RotateWithGrace(seconds),
        (Some("keep"), None) => RefreshTokens::Keep,
        (Some("omit"), None) => RefreshTokens::Omit,
        _ => {
            return Err(BadRequest(
                "`mode` is rotate, keep or omit; `grace` goes with rotate.",
            ));
        }
    };
    provider.settings.lock().refresh_tokens = tokens;
    Ok(Json(json!({})))
}

pub(super) async fn pushed_requests(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let required = flag(&query(&uri)?, "required")?;
    let required = required.ok_or(BadRequest("`required` is missing."))?;
    provider.settings.lock().pushed_requests_required = required;
    Ok(Json(json!({})))
}

pub(super) async fn client(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let query = query(&uri)?;
    let mut clients = provider.clients.lock();
    let known = query.value("id").and_then(|id| clients.get_mut(id));
    let known = known.ok_or(UNKNOWN_CLIENT)?;
    let mut client = known.clone();
    for origin in query.values("application_at") {
        client = client.application_at(origin);
    }
    for uri in query.values("redirect_uri") {
        client = client.redirect_uri(uri);
    }
    for uri in query.values("post_logout_redirect_uri") {
        client = client.post_logout_redirect_uri(uri);
    }
    if let Some(url) = query.value("login_url") {
        client = client.login_url(url);
    }
    if let Some(uri) = query.value("back_channel_logout_uri") {
        client = client.back_channel_logout_uri(uri);
    }
    *known = client;
    Ok(Json(json!({})))
}

pub(super) async fn person(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let query = query(&uri)?;
    let email = query.value("email").ok_or(UNKNOWN_PERSON)?;
    let disabled = flag(&query, "disabled")?;
    let tenant = query.value("tenant");
    let roles: Vec<&str> = query.values("role").collect();
    if tenant.is_none() && !roles.is_empty() {
        return Err(BadRequest("`role` needs a `tenant`."));
    }
    let edited = provider.people.lock().edit(email, |mut person| {
        if let Some(tenant) = tenant {
            person = person.member(tenant, roles);
        }
        match disabled {
            Some(disabled) => person.disabled(disabled),
            None => person,
        }
    });
    edited.map_err(|_| UNKNOWN_PERSON)?;
    Ok(Json(json!({ "sub": DevPerson::new(email, "").subject() })))
}

pub(super) async fn sessions(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let query = query(&uri)?;
    let email = query.value("email").ok_or(UNKNOWN_PERSON)?;
    let person = DevPerson::new(email, "");
    let sids = provider.logins.lock().sids(person.email());
    Ok(Json(json!({ "sids": sids })))
}

pub(super) async fn end_sessions(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
) -> Result<Json<Value>, BadRequest> {
    let query = query(&uri)?;
    let sids: Vec<&str> = query.values("sid").collect();
    if sids.is_empty() {
        return Err(BadRequest("`sid` is missing."));
    }
    let mut told = Vec::new();
    for sid in sids {
        let deliveries = back_channel::end(&provider, sid).await;
        told.extend(
            deliveries.into_iter().map(
                |delivery| json!({ "client_id": delivery.client_id, "status": delivery.status }),
            ),
        );
    }
    Ok(Json(json!({ "told": told })))
}

fn flag(query: &Form, name: &str) -> Result<Option<bool>, BadRequest> {
    let value = query.value(name).map(str::parse);
    value
        .transpose()
        .map_err(|_| BadRequest("A switch is true or false."))
}
