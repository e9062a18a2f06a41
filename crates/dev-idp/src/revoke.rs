//! Revocation (RFC 7009).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use crate::client_auth::authenticate;
use crate::oauth_error::{NO_STORE, OAuthError};
use crate::provider::Provider;
use crate::token::read_form;

pub(crate) async fn revoke(State(provider): State<Arc<Provider>>, request: Request) -> Response {
    match revoked(&provider, request).await {
        Ok(()) => (StatusCode::OK, NO_STORE).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn revoked(provider: &Provider, request: Request) -> Result<(), OAuthError> {
    let (head, body) = request.into_parts();
    let form = read_form(&head.headers, body).await?;
    let client = authenticate(provider, &head.headers, &form)?;
    let token = form.value("token");
    let token = token.ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    // A token that is unknown is as good as revoked (section 2.2); the hint is not needed.
    provider.grants.lock().revoke(client.id(), token);
    Ok(())
}
