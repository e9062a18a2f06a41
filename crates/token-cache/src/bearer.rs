//! The rules by which a token goes out, shared by the reqwest middleware and the tower layer.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::cache::TokenCache;
use crate::challenge::rejects_token;
use crate::error::{ConfigError, TokenError, TokenErrorKind};
use crate::metrics::Replay;
use crate::origin::Origin;
use crate::request::TokenRequest;
use crate::token::AccessToken;

/// A cache, and the origins that may receive its tokens.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    cache: TokenCache,
    origins: Arc<[Origin]>,
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

    /// Tells whether an answer rejects the token of its request.
    pub(crate) fn is_rejection(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        status == StatusCode::UNAUTHORIZED && rejects_token(headers)
    }

    /// Drops the rejected token of a request that cannot be sent once more.
    pub(crate) fn drop_token(&self, rejected: &AccessToken) {
        self.cache.invalidate(rejected);
        self.count(Replay::Body);
    }

    /// Returns what to send a request with once more: the token before the rejected one, if that is new and the
    /// other lives. Else the rejected one is dropped, and it is its successor. Without either the answer at hand
    /// says more than the failure to get another token.
    pub(crate) async fn another_token(
        &self,
        request: Option<&TokenRequest>,
        rejected: &AccessToken,
    ) -> Option<AccessToken> {
        if let Some(former) = self.cache.token_before(request, rejected) {
            return Some(former);
        }
        self.cache.invalidate(rejected);
        let newer = self.token(request).await.ok();
        let newer = newer.filter(|newer| !newer.is_same(rejected));
        if newer.is_none() {
            self.count(Replay::NoToken);
        }
        newer
    }

    /// Counts a replay by the answer to it; `None` when none came.
    pub(crate) fn replayed(&self, status: Option<StatusCode>) {
        self.count(match status {
            Some(StatusCode::UNAUTHORIZED) => Replay::Rejected,
            Some(_) => Replay::Ok,
            None => Replay::Failed,
        });
    }

    fn count(&self, replay: Replay) {
        self.cache.metrics().replay(replay);
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
        })
    }
}

pub(crate) fn authorize(headers: &mut HeaderMap<HeaderValue>, token: &AccessToken) {
    headers.insert(header::AUTHORIZATION, token.authorization().clone());
}
