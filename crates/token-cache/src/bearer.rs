//! The rules by which a token goes out, shared by the reqwest middleware and the tower layer.

use std::borrow::Borrow;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use idp_http::rejects_token;
use tracing::debug;

use crate::cache::TokenCache;
use crate::error::{ConfigError, TokenError, TokenErrorKind};
use crate::metrics::Replay;
use crate::origin::Origin;
use crate::placement::{CheckedPlacement, TokenPlacement};
use crate::request::TokenRequest;
use crate::token::AccessToken;

/// A cache, and who may receive its tokens in which way.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    cache: TokenCache,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    allowed: Box<[Origin]>,
    passed: Box<[Origin]>,
    passes_others: bool,
    placement: CheckedPlacement,
    rejected_statuses: Box<[StatusCode]>,
}

/// A request that went out with a token, until its answer is read.
pub(crate) struct Sent<B> {
    bearer: B,
    token: AccessToken,
}

/// A request that goes out once more.
#[must_use]
pub(crate) struct Replayed<B>(B);

#[derive(Clone, Debug)]
pub(crate) struct BearerBuilder {
    cache: TokenCache,
    /// With whether each may be http on any host.
    allowed: Vec<(String, bool)>,
    passed: Vec<String>,
    passes_others: bool,
    placement: TokenPlacement,
    rejected_statuses: Vec<StatusCode>,
}

impl Bearer {
    pub(crate) fn builder(cache: TokenCache) -> BearerBuilder {
        BearerBuilder {
            cache,
            allowed: Vec::new(),
            passed: Vec::new(),
            passes_others: false,
            placement: TokenPlacement::default(),
            rejected_statuses: vec![StatusCode::UNAUTHORIZED],
        }
    }

    /// Tells whether a request is to carry the token: not when it has something in the token's place, and not to
    /// an origin that is passed through. Decided before a token is asked for.
    ///
    /// # Errors
    ///
    /// Fails when the origin is neither allowed nor passed through.
    pub(crate) fn attaches(
        &self,
        headers: &HeaderMap,
        covers: impl Fn(&Origin) -> bool,
    ) -> Result<bool, TokenError> {
        let rules = &*self.rules;
        if headers.contains_key(rules.placement.name()) {
            return Ok(false);
        }
        if rules.allowed.iter().any(&covers) {
            Ok(true)
        } else if rules.passes_others || rules.passed.iter().any(&covers) {
            Ok(false)
        } else {
            Err(TokenError::new(TokenErrorKind::OriginNotAllowed))
        }
    }

    pub(crate) fn authorize(&self, headers: &mut HeaderMap, token: &AccessToken) {
        self.rules.placement.put(token, headers);
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
}

impl<B: Borrow<Bearer>> Sent<B> {
    /// `token` is on the request.
    pub(crate) fn new(bearer: B, token: AccessToken) -> Self {
        Self { bearer, token }
    }

    /// Reads an answer. Returns whether it rejects the token, so that [`replay`](Self::replay) is due.
    pub(crate) fn is_rejected(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        // The status UNAUTHENTICATED in the headers: an answer that is nothing but a refusal. Where it comes in
        // trailers, the answer was given out before. gRPC clients repeat by themselves.
        let bearer = self.bearer.borrow();
        let grpc = headers.get("grpc-status").is_some_and(|it| it == "16");
        let by_status = bearer.rules.rejected_statuses.contains(&status);
        if !(grpc || by_status) || !rejects_token(headers) {
            return false;
        }
        if !by_status {
            bearer.cache.invalidate(&self.token);
        }
        by_status
    }

    /// Puts another token on the copy of a rejected request and returns who counts the answer to it. `None` if the
    /// answer at hand stands: there is no copy, or no other token, and the failure to get one says less.
    ///
    /// The other token is the one before the rejected one, if that is new and the other lives. Else the rejected
    /// one is dropped, and it is its successor.
    pub(crate) async fn replay(
        self,
        copy: Option<&mut HeaderMap>,
        request: Option<&TokenRequest>,
    ) -> Option<Replayed<B>> {
        let Self {
            bearer: owner,
            token,
        } = self;
        let bearer = owner.borrow();
        let Some(headers) = copy else {
            bearer.cache.invalidate(&token);
            bearer.cache.metrics().replay(Replay::Body);
            return None;
        };
        let mut other = bearer.cache.token_before(request, &token);
        if other.is_none() {
            bearer.cache.invalidate(&token);
            let newer = bearer.token(request).await.ok();
            other = newer.filter(|newer| !newer.is_same(&token));
        }
        let Some(other) = other else {
            bearer.cache.metrics().replay(Replay::NoToken);
            return None;
        };
        debug!("the token was not accepted, sending the request once more with another one");
        bearer.authorize(headers, &other);
        Some(Replayed(owner))
    }
}

impl<B: Borrow<Bearer>> Replayed<B> {
    /// Counts the replay by the answer to it; `None` when none came.
    pub(crate) fn count(self, status: Option<StatusCode>) {
        let bearer = self.0.borrow();
        bearer.cache.metrics().replay(match status {
            Some(status) if bearer.rules.rejected_statuses.contains(&status) => Replay::Rejected,
            Some(_) => Replay::Ok,
            None => Replay::Failed,
        });
    }
}

impl BearerBuilder {
    pub(crate) fn allow(&mut self, origin: &str, allow_http: bool) {
        self.allowed.push((origin.to_owned(), allow_http));
    }

    pub(crate) fn pass_through(&mut self, origin: &str) {
        self.passed.push(origin.to_owned());
    }

    pub(crate) fn pass_through_others(&mut self, passes: bool) {
        self.passes_others = passes;
    }

    pub(crate) fn placement(&mut self, placement: TokenPlacement) {
        self.placement = placement;
    }

    pub(crate) fn rejected_statuses(&mut self, statuses: impl IntoIterator<Item = StatusCode>) {
        self.rejected_statuses = statuses.into_iter().collect();
    }

    pub(crate) fn build(self) -> Result<Bearer, ConfigError> {
        if self.allowed.is_empty() {
            return Err(ConfigError::new(
                "allow_origin",
                "at least one origin must be allowed",
            ));
        }
        let statuses = &self.rejected_statuses;
        if statuses.is_empty() || !statuses.iter().all(StatusCode::is_client_error) {
            return Err(ConfigError::new(
                "rejected_statuses",
                "must be one or more statuses from 400 to 499",
            ));
        }
        let allowed = self.allowed.iter();
        let allowed =
            allowed.map(|(text, allow_http)| Origin::parse("allow_origin", text, *allow_http));
        let passed = self.passed.iter();
        // No token goes there, so http is as good as https.
        let passed = passed.map(|text| Origin::parse("pass_through", text, true));
        Ok(Bearer {
            cache: self.cache,
            rules: Arc::new(Rules {
                allowed: allowed.collect::<Result<_, _>>()?,
                passed: passed.collect::<Result<_, _>>()?,
                passes_others: self.passes_others,
                placement: CheckedPlacement::of(&self.placement)?,
                rejected_statuses: self.rejected_statuses.into(),
            }),
        })
    }
}
