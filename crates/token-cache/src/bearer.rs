//! The rules by which a token goes out, shared by the reqwest middleware and the tower layer.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tracing::info;

use crate::accepted::LastAccepted;
use crate::bridge::Bridge;
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
    bridge: Arc<Bridge>,
}

/// A request that went out with a token.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) token: AccessToken,
    /// Whether it is the cache's own token.
    own: bool,
    /// Whether the request can be sent once more.
    repeatable: bool,
    /// Whether its method is idempotent (RFC 9110 section 9.2.2).
    idempotent: bool,
}

/// Why a request is to be sent once more, and with what.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// The token was rejected: with the one before it, which was accepted just now.
    Former(AccessToken),
    /// The token was rejected and dropped, and there is no such one: with a new one.
    Dropped,
    /// The token is new and nobody could tell whether it is good: with the one before it. If that is not
    /// accepted, the answer at hand stands.
    Unavailable(AccessToken),
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
        let token = self.cache.ready_token(request)?;
        Some(match request {
            Some(_) => token,
            None => self.or_former(token),
        })
    }

    pub(crate) async fn token(
        &self,
        request: Option<&TokenRequest>,
    ) -> Result<AccessToken, TokenError> {
        match request {
            Some(request) => self.cache.token_for(request).await,
            None => Ok(self.or_former(self.cache.token().await?)),
        }
    }

    /// The token before `token`, while that is the one which is accepted.
    fn or_former(&self, token: AccessToken) -> AccessToken {
        if !self.bridge.may_hold() {
            return token;
        }
        let now = self.cache.now();
        let Some(former) = self.accepted.instead_of(&token, now) else {
            self.bridge.over();
            return token;
        };
        match self.bridge.spares(&token, now.monotonic) {
            true => former,
            false => token,
        }
    }

    /// Tells whether a request is to be sent once more after this answer, and with what: with the token before, if
    /// that is still accepted. A token that is rejected is dropped, unless it is new and the one before it is
    /// accepted: then the resource server has yet to learn of a new key. That is known of the cache's own token
    /// only, and helps only a request that can be repeated.
    pub(crate) fn rejected(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        sent: &Sent,
    ) -> Option<Rejection> {
        let token = &sent.token;
        match status {
            StatusCode::UNAUTHORIZED if rejects_token(headers) => {}
            StatusCode::SERVICE_UNAVAILABLE if sent.own && sent.repeatable && sent.idempotent => {
                let now = self.cache.now();
                self.cache.age_of(token, now)?;
                let former = self.accepted.instead_of(token, now)?;
                return self
                    .bridge
                    .may_try(token)
                    .then_some(Rejection::Unavailable(former));
            }
            status => {
                if sent.own && status.is_success() {
                    self.note(token);
                }
                return None;
            }
        }
        self.accepted.forget(token);
        let now = self.cache.now();
        let age = self.cache.age_of(token, now);
        let former = age
            .filter(|_| sent.own && sent.repeatable)
            .and_then(|_| self.accepted.instead_of(token, now));
        if former.is_none() || age.is_some_and(|age| age >= BRIDGED) {
            self.cache.invalidate(token);
        }
        Some(former.map_or(Rejection::Dropped, Rejection::Former))
    }

    fn note(&self, accepted: &AccessToken) {
        self.accepted.note(accepted, self.cache.now());
        if self.bridge.accepted(accepted) {
            info!("the new token is accepted; requests carry it from now on");
        }
    }

    /// A token other than the one that was sent. Without it there is nothing to repeat the request with:
    /// the answer at hand says more than the failure to get another token.
    pub(crate) async fn another_token(
        &self,
        rejection: &Rejection,
        request: Option<&TokenRequest>,
        rejected: &AccessToken,
    ) -> Option<AccessToken> {
        if let Rejection::Former(former) | Rejection::Unavailable(former) = rejection {
            return Some(former.clone());
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

    /// Takes note of the answer to a replay; `None` when none came. `first` is the request as it was sent first,
    /// `token` that of the replay.
    pub(crate) fn replayed(
        &self,
        rejection: &Rejection,
        status: Option<StatusCode>,
        first: &Sent,
        token: &AccessToken,
    ) {
        let succeeded = status.is_some_and(|status| status.is_success());
        let unavailable = matches!(rejection, Rejection::Unavailable(_));
        let replay = match status {
            Some(_) if unavailable && !succeeded => Replay::Failed,
            Some(StatusCode::UNAUTHORIZED) => Replay::Rejected,
            Some(_) => Replay::Ok,
            None => Replay::Failed,
        };
        if status == Some(StatusCode::UNAUTHORIZED) {
            self.accepted.forget(token);
            if !unavailable {
                // If the former token was sent, the new one is still in its place.
                self.cache.invalidate(&first.token);
            }
        } else if first.own && succeeded {
            self.note(token);
            let is_former = !matches!(rejection, Rejection::Dropped);
            if is_former && self.bridge.hold(&first.token, self.cache.now().monotonic) {
                let http_status = if unavailable { 503 } else { 401 };
                info!(
                    http.status = http_status,
                    "a new token is not accepted yet; requests carry the one before it"
                );
            }
        }
        self.count(replay);
    }
}

impl Sent {
    pub(crate) fn new(token: AccessToken, own: bool, repeatable: bool, method: &Method) -> Self {
        Self {
            token,
            own,
            repeatable,
            idempotent: method.is_idempotent(),
        }
    }
}

impl Rejection {
    /// The answer at hand, if it is the one to give unless the replay succeeds. Otherwise it is dropped: unread,
    /// it would hold its connection for as long as the replay takes.
    pub(crate) fn keep<A>(&self, answer: A) -> Option<A> {
        matches!(self, Self::Unavailable(_)).then_some(answer)
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
            bridge: Arc::default(),
        })
    }
}

pub(crate) fn authorize(headers: &mut HeaderMap<HeaderValue>, token: &AccessToken) {
    headers.insert(header::AUTHORIZATION, token.authorization().clone());
}
