//! The extractor of an accepted token's claims.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::claims::Claims;
use crate::error::AuthError;
use crate::reason::Reason;

/// Extracts the claims of the accepted token: [`Claims`], or the payload read into a type of the
/// handler's.
///
/// Rejects with 500 where the route is not behind a [`JwtLayer`](crate::JwtLayer), and with 401
/// `invalid_token` where the payload does not fit the type.
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
        parts
            .extensions
            .get::<Arc<Claims>>()
            .ok_or(Reason::LayerMissing)
            .and_then(C::from_claims)
            .map(Jwt)
            .map_err(AuthError::new)
    }
}
