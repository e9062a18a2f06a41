//! What handlers behind a layer take.

use std::fmt;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::Response;
use http::request::Parts;

use crate::answer::{self, Format};
use crate::csrf;
use crate::guard::{Arrived, Kind, format_of, nobody};
use crate::session::Session;
use crate::user_token::{UserToken, UserTokenError};

/// A token for a form: the hidden field `csrf_token`. Each is good for the whole session. `Debug` shows nothing of it.
/// An extractor.
#[derive(Clone)]
pub struct CsrfToken(String);

impl CsrfToken {
    /// Returns the text of the field: base64url, safe in HTML as it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken")
    }
}

impl fmt::Display for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The answer of an extractor without a session: as the layer would give it.
fn without_session(parts: &Parts) -> Response {
    match parts.extensions.get::<Arrived>() {
        Some(arrived) => {
            let kind = match arrived.kind {
                Kind::Optional => Kind::Pages,
                kind => kind,
            };
            nobody(&arrived.sessions.inner, kind, parts, &arrived.origin)
        }
        None => {
            tracing::error!("a handler asks for a session, and no SessionLayer stands before it");
            answer::DEFECT.response(Format::Problem)
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let session = parts.extensions.get::<Self>().cloned();
        session.ok_or_else(|| without_session(parts))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CsrfToken {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        csrf::token(&session.0.live.handle)
            .map(Self)
            .map_err(|_| answer::DEFECT.response(format_of(parts)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserToken {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let format = match parts.extensions.get::<Arrived>().map(|it| it.kind) {
            Some(Kind::Api) => Format::Problem,
            _ => format_of(parts),
        };
        match session.user_token().await {
            Ok(token) => Ok(token),
            Err(UserTokenError::Unavailable(wait)) => {
                Err(answer::NO_USER_TOKEN.after(wait).response(format))
            }
            Err(_) => Err(without_session(parts)),
        }
    }
}
