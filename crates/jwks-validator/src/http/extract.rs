//! For axum: the extractor of an accepted token's claims, and errors as responses.

use std::ops::Deref;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::IntoResponse;
use http::Response;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::layer::without_claims;
use crate::claims::Claims;
use crate::error::AuthError;
use crate::reason::Reason;

/// Extracts the claims of the accepted token: [`Claims`], or the payload read into a type of the
/// handler's.
///
/// Rejects with 500 where the route is not behind a [`JwtLayer`](crate::JwtLayer), with 401
/// `invalid_token` where the payload does not fit the type, and with 401 without an error code where
/// an [optional](crate::JwtLayer::optional) layer let a request without credentials through. That
/// challenge is the layer's, with its realm and metadata; the one of `invalid_token` names the realm `api`.
///
/// `Option<Jwt<C>>` is `None` in that last case, and rejects in the other two all the same.
#[derive(Debug)]
pub struct Jwt<C = Claims>(pub Arc<C>);

impl<C> Clone for Jwt<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Deref for Jwt<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

/// What [`Jwt`] can extract: [`Claims`] and everything that serde reads.
pub trait FromClaims: Sized {
    /// Reads the claims.
    ///
    /// # Errors
    ///
    /// Fails when the payload does not fit the type.
    fn from_claims(claims: &Arc<Claims>) -> Result<Arc<Self>, Reason>;
}

impl FromClaims for Claims {
    fn from_claims(claims: &Arc<Self>) -> Result<Arc<Self>, Reason> {
        Ok(Arc::clone(claims))
    }
}

impl<C: DeserializeOwned> FromClaims for C {
    fn from_claims(claims: &Arc<Claims>) -> Result<Arc<Self>, Reason> {
        claims.to_typed().map(Arc::new)
    }
}

impl<S: Sync, C: FromClaims> FromRequestParts<S> for Jwt<C> {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AuthError> {
        let extracted = match parts.extensions.get::<Arc<Claims>>() {
            Some(claims) => C::from_claims(claims).map(Jwt).map_err(AuthError::from),
            None => Err(without_claims(&parts.extensions)),
        };
        extracted.map_err(|error| error.in_answer_to(&*parts))
    }
}

impl<S: Sync, C: FromClaims> OptionalFromRequestParts<S> for Jwt<C> {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, AuthError> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(jwt) => Ok(Some(jwt)),
            Err(error) if error.reason() == Reason::NoCredentials => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The answer of [`AuthError::into_http_response`].
impl IntoResponse for AuthError {
    fn into_response(self) -> Response<Body> {
        self.into_http_response().map(Body::from)
    }
}
