//! The rules by which a token goes out, shared by the reqwest middleware and the tower layer.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::cache::TokenCache;
use crate::challenge::rejects_token;
use crate::error::{ConfigError, TokenError, TokenErrorKind};
use crate::metrics::Replay;
use crate::origin::Origin;
use crate::placement::{Place, TokenPlacement};
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
    place: Place,
    rejected_statuses: Box<[StatusCode]>,
}

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
        if headers.contains_key(rules.place.name()) {
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
        self.rules.place.put(token, headers);
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
        self.rules.rejected_statuses.contains(&status) && rejects_token(headers)
    }

    /// Drops the token of a gRPC request whose answer is nothing but a refusal of it: the status UNAUTHENTICATED
    /// in the headers. Where it comes in trailers, the answer was given out before.
    #[cfg(feature = "tower")]
    pub(crate) fn read_grpc_status(&self, headers: &HeaderMap, token: &AccessToken) {
        if headers.get("grpc-status").is_some_and(|it| it == "16") && rejects_token(headers) {
            self.cache.invalidate(token);
        }
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
            Some(status) if self.rules.rejected_statuses.contains(&status) => Replay::Rejected,
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
        self.allowed.push((origin.to_owned(), allow_http));
    }

    pub(crate) fn pass_through(&mut self, origin: &str) {
        self.passed.push(origin.to_owned());
    }

    pub(crate) fn pass_through_others(&mut self) {
        self.passes_others = true;
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
                place: Place::of(&self.placement)?,
                rejected_statuses: self.rejected_statuses.into(),
            }),
        })
    }
}
