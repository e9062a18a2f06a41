//! What handlers behind a layer take.

use std::fmt;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::Response;
use http::request::Parts;
use secrecy::SecretString;

use crate::answer::{self, Form};
use crate::csrf;
use crate::guard::{Arrived, Kind, form_of, nobody};
use crate::refresh::Refreshed;
use crate::session::Session;
use crate::state::Freshness;

/// The person's access token, as good as it can be had: for calls in their name. An extractor.
///
/// Where it is about to expire the request waits for a newer one, 5 s at most. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct UserToken {
    token: SecretString,
    expires: crate::store::Time,
    generation: u64,
}

/// A token for a form: the hidden field `csrf_token`. Each is good for the whole session. `Debug` shows nothing of it.
/// An extractor.
#[derive(Clone)]
pub struct CsrfToken(String);

impl UserToken {
    /// Returns the token.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.token
    }

    /// Returns when it expires.
    #[must_use]
    pub fn expires(&self) -> crate::store::Time {
        self.expires
    }

    /// Returns a number that grows with every refresh.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserToken")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

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
            answer::DEFECT.response(Form::Problem)
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
            .map_err(|_| answer::DEFECT.response(form_of(parts)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for UserToken {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let form = match parts.extensions.get::<Arrived>().map(|it| it.kind) {
            Some(Kind::Api) => Form::Problem,
            _ => form_of(parts),
        };
        match session.user_token().await {
            Ok(token) => Ok(token),
            Err(NoToken::Ended) => Err(without_session(parts)),
            Err(NoToken::Away(wait)) => Err(answer::NO_USER_TOKEN.after(wait).response(form)),
        }
    }
}

/// Why there is no token of a person.
pub(crate) enum NoToken {
    /// There is no session that could have one.
    Ended,
    Away(std::time::Duration),
}

impl Session {
    pub(crate) async fn user_token(&self) -> Result<UserToken, NoToken> {
        let (inner, live) = (&self.0.inner, &self.0.live);
        let tokens = &live.state.tokens;
        let token_of = |tokens: &crate::state::Tokens| UserToken {
            token: SecretString::from(tokens.access.expose()),
            expires: tokens.expires,
            generation: tokens.generation,
        };
        let now = inner.clock.now();
        let freshness = tokens.freshness(now);
        if freshness < Freshness::Critical {
            return Ok(token_of(tokens));
        }
        if tokens.refresh.is_none() {
            return match freshness {
                Freshness::Expired => Err(NoToken::Ended),
                _ => Ok(token_of(tokens)),
            };
        }
        let held = live.state.held(now).map(|hold| hold.until.since(now));
        let wait = match held {
            Some(wait) => wait,
            None => match inner.refreshed(live.key, tokens.generation).await {
                Refreshed::Tokens(_, state) => return Ok(token_of(&state.tokens)),
                Refreshed::Ended => return Err(NoToken::Ended),
                Refreshed::Held(wait) => wait,
            },
        };
        match tokens.freshness(inner.clock.now()) {
            Freshness::Expired => Err(NoToken::Away(wait)),
            _ => Ok(token_of(tokens)),
        }
    }
}
