//! The rules by which a token goes out, shared by the reqwest middleware and the tower layer.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::accepted::LastAccepted;
use crate::cache::TokenCache;
use crate::challenge::rejects_token;
use crate::error::{ConfigError, TokenError, TokenErrorKind};
use crate::metrics::Replay;
use crate::origin::Origin;
use crate::request::TokenRequest;
use crate::token::AccessToken;

/// A resource server learns of a new key within half a minute, or is not going to. A token that is rejected
/// for longer is to be replaced.
const BRIDGED: Duration = Duration::from_secs(35);

/// A cache, and the origins that may receive its tokens.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    cache: TokenCache,
    origins: Arc<[Origin]>,
    accepted: Arc<LastAccepted>,
}

/// What to do with a request whose token was rejected.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// Send it once more with the token before, which was accepted just now.
    Former(AccessToken),
    /// The token was dropped: send it once more with a new one.
    Dropped,
}

#[derive(Clone, Debug)]
pub(crate) struct BearerBuilder {
    cache: TokenCache,
    origins: Vec<(String, bool)>,
}

impl Bearer {
    pub(crate) fn builder(cache: TokenCache) -> BearerBuilder {
        BearerBuilder {
            cache,
            origins: Vec::new(),
        }
    }

    /// Tells whether a request is to carry the token: not when it has an `Authorization` of its own.
    /// Decided before a token is asked for.
    ///
    /// # Errors
    ///
    /// Fails when no allowed origin covers the request.
    pub(crate) fn attaches(
        &self,
        headers: &HeaderMap,
        covers: impl Fn(&Origin) -> bool,
    ) -> Result<bool, TokenError> {
        if headers.contains_key(header::AUTHORIZATION) {
            return Ok(false);
        }
        if self.origins.iter().any(covers) {
            Ok(true)
        } else {
            Err(TokenError::new(TokenErrorKind::OriginNotAllowed))
        }
    }

    /// The token, if nobody has to wait for it.
    #[cfg(feature = "tower")]
    pub(crate) fn ready_token(&self, request: Option<&TokenRequest>) -> Option<AccessToken> {
        self.cache.ready_token(request)
    }

    pub(crate) async fn token(
        &self,
        request: Option<&TokenRequest>,
    ) -> Result<AccessToken, TokenError> {
        match request {
            Some(request) => self.cache.token_for(request).await,
            None => self.cache.token().await,
        }
    }

    /// Tells whether an answer rejects the token that was sent. If so, the token is dropped, unless it is
    /// new and the one before it is still accepted: then the resource server has yet to learn of a new key.
    /// That is known of the cache's `own` token only, and helps only a request that can be `repeated`.
    pub(crate) fn rejected(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        sent: &AccessToken,
        own: bool,
        repeated: bool,
    ) -> Option<Rejection> {
        if own && status.is_success() {
            self.accepted.note(sent, self.cache.now());
        }
        if status != StatusCode::UNAUTHORIZED || !rejects_token(headers) {
            return None;
        }
        self.accepted.forget(sent);
        let now = self.cache.now();
        let age = self.cache.age_of(sent, now).filter(|_| own && repeated);
        if age.is_some_and(|age| age < BRIDGED)
            && let Some(former) = self.accepted.instead_of(sent, now)
        {
            return Some(Rejection::Former(former));
        }
        self.cache.invalidate(sent);
        Some(Rejection::Dropped)
    }

    /// A token other than the rejected one. Without it there is nothing to repeat the request with:
    /// the answer at hand says more than the failure to get another token.
    pub(crate) async fn another_token(
        &self,
        rejection: Rejection,
        request: Option<&TokenRequest>,
        rejected: &AccessToken,
    ) -> Option<AccessToken> {
        if let Rejection::Former(former) = rejection {
            return Some(former);
        }
        let newer = self.token(request).await.ok();
        let newer = newer.filter(|newer| !newer.is_same(rejected));
        if newer.is_none() {
            self.count(Replay::NoToken);
        }
        newer
    }

    pub(crate) fn count(&self, replay: Replay) {
        self.cache.metrics().replay(replay);
    }

    /// Takes note of the answer to a replay; `None` when none came. `rejected` is the token of the first
    /// sending, `sent` that of the replay.
    pub(crate) fn replayed(
        &self,
        status: Option<StatusCode>,
        rejected: &AccessToken,
        sent: &AccessToken,
        own: bool,
    ) {
        let replay = match status {
            Some(StatusCode::UNAUTHORIZED) => Replay::Rejected,
            Some(_) => Replay::Ok,
            None => Replay::Failed,
        };
        if replay == Replay::Rejected {
            // If the former token was sent, the new one is still in its place.
            self.accepted.forget(sent);
            self.cache.invalidate(rejected);
        } else if own && status.is_some_and(|status| status.is_success()) {
            self.accepted.note(sent, self.cache.now());
        }
        self.count(replay);
    }
}

impl BearerBuilder {
    pub(crate) fn allow(&mut self, origin: &str, allow_http: bool) {
        self.origins.push((origin.to_owned(), allow_http));
    }

    pub(crate) fn build(self) -> Result<Bearer, ConfigError> {
        if self.origins.is_empty() {
            return Err(ConfigError::new(
                "allow_origin",
                "at least one origin must be allowed",
            ));
        }
        let origins = self
            .origins
            .iter()
            .map(|(text, allow_http)| Origin::parse(text, *allow_http))
            .collect::<Result<_, _>>()?;
        Ok(Bearer {
            cache: self.cache,
            origins,
            accepted: Arc::default(),
        })
    }
}

pub(crate) fn authorize(headers: &mut HeaderMap<HeaderValue>, token: &AccessToken) {
    headers.insert(header::AUTHORIZATION, token.authorization().clone());
}
