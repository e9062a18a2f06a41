//! Puts the token on outgoing calls.

use async_trait::async_trait;
use http::{Extensions, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next};

use crate::bearer::{Bearer, BearerBuilder, Sent};
use crate::cache::TokenCache;
use crate::error::ConfigError;
use crate::placement::TokenPlacement;
#[cfg(doc)]
use crate::request::TokenRequest;

/// Attaches the cache's token to requests for the allowed origins.
///
/// - A request to any other origin fails before a token is asked for, and is not sent, unless
///   [`pass_through`](BearerTokenMiddlewareBuilder::pass_through) says that it needs no token.
/// - A request that has an `Authorization` header already, or what else
///   [`placement`](BearerTokenMiddlewareBuilder::placement) names, is passed on untouched.
/// - A [`TokenRequest`] in the request's extensions is used instead of the cache's own.
/// - After a 401 the token is invalidated by compare-and-swap and the request is sent once more with a new one,
///   if its body can be cloned and the new token differs. Not if a Bearer challenge names another error
///   (`insufficient_scope`, `invalid_request`, `insufficient_user_authentication`). 403 is never repeated, unless
///   [`rejected_statuses`](BearerTokenMiddlewareBuilder::rejected_statuses) has it.
/// - The status UNAUTHENTICATED of gRPC in the headers (`grpc-status: 16`) invalidates the token as a 401 does; the
///   request is not repeated.
/// - Where the rejected token is less than 35 s old and the one before it has not expired, the request is sent once
///   more with that one instead, and nothing is invalidated, whatever comes of it: after a rotation a resource
///   server, or one of several behind an address, may learn of the new key late.
///
/// Without a token the request fails with a [`TokenError`](crate::TokenError), which
/// [`reqwest_middleware::Error::Middleware`] carries. Cancelling a request cancels no fetch.
///
/// Redirects are followed underneath it, so turn them off ([`reqwest::redirect::Policy::none`]) or
/// keep in mind that reqwest drops `Authorization`, and no header of your own, when the host changes.
///
/// A client that calls several hosts has one of these for each, and each of them lets the requests of the others
/// [pass](BearerTokenMiddlewareBuilder::pass_through).
///
/// # Its place in a stack
///
/// Add it last, so that it is next to the client, below retrying and tracing middleware:
///
/// ```
/// use reqwest_middleware::ClientBuilder;
/// use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
/// use reqwest_tracing::TracingMiddleware;
///
/// # fn example(bearer: token_cache::BearerTokenMiddleware) {
/// let backoff = ExponentialBackoff::builder().build_with_max_retries(2);
/// let client = ClientBuilder::new(reqwest::Client::new())
///     .with(TracingMiddleware::default())
///     .with(RetryTransientMiddleware::new_with_policy(backoff))
///     .with(bearer)
///     .build();
/// # let _ = client;
/// # }
/// ```
///
/// | | retrying above it | retrying below it |
/// |---|---|---|
/// | token of a retry | asked for anew | that of the first sending, even if it was replaced since |
/// | 401 and replay | happen inside one try and are no retry | the replay begins the retries anew: up to 2 × (1 + retries) requests |
/// | no token to be had | not retried: to reqwest-retry's default strategy any middleware error is final | fails before it gets there |
///
/// So a caller waits for the provider once, in the cache, and not once per retry. reqwest-retry wraps
/// the error: the `TokenError` is inside `RetryError::Error`'s (or
/// `RetryError::WithRetries`') [`reqwest_middleware::Error::Middleware`]. It also refuses requests
/// whose body is a stream before they reach this middleware.
///
/// Tracing above it sees one request with its final answer, and tracing below it each sending. The
/// header is marked sensitive, so `Debug` does not show it in either place.
#[derive(Clone, Debug)]
pub struct BearerTokenMiddleware {
    bearer: Bearer,
}

/// Settings of a [`BearerTokenMiddleware`].
#[derive(Clone, Debug)]
pub struct BearerTokenMiddlewareBuilder {
    bearer: BearerBuilder,
}

impl BearerTokenMiddleware {
    /// Returns the settings; at least one origin has to be allowed.
    #[must_use]
    pub fn builder(cache: TokenCache) -> BearerTokenMiddlewareBuilder {
        BearerTokenMiddlewareBuilder {
            bearer: Bearer::builder(cache),
        }
    }
}

impl BearerTokenMiddlewareBuilder {
    /// Allows an origin: scheme, host and, unless it is the default, port. https, or http on
    /// loopback.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        self.bearer.allow(origin, false);
        self
    }

    /// Allows an origin that may be http on any host. The token then crosses the network in the
    /// clear.
    #[must_use]
    pub fn dangerous_allow_http_origin(mut self, origin: &str) -> Self {
        self.bearer.allow(origin, true);
        self
    }

    /// Lets requests to an origin pass without a token, instead of refusing them: for hosts that need none, or
    /// whose tokens another middleware or layer attaches. http or https.
    #[must_use]
    pub fn pass_through(mut self, origin: &str) -> Self {
        self.bearer.pass_through(origin);
        self
    }

    /// Sets whether every request that is not for an allowed origin passes without a token. Default: it fails.
    #[must_use]
    pub fn pass_through_others(mut self, passes: bool) -> Self {
        self.bearer.pass_through_others(passes);
        self
    }

    /// Sets where the token goes in a request. Default: `Authorization: Bearer <token>`.
    #[must_use]
    pub fn placement(mut self, placement: TokenPlacement) -> Self {
        self.bearer.placement(placement);
        self
    }

    /// Sets which statuses reject the token of a request, unless a Bearer challenge says otherwise. Default: 401.
    /// Some resource servers answer 403 to a token that is dead.
    #[must_use]
    pub fn rejected_statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.bearer.rejected_statuses(statuses);
        self
    }

    /// Builds the middleware.
    ///
    /// # Errors
    ///
    /// Fails when no origin is allowed, when one is not scheme, host and port of an https URL (or http on
    /// loopback, or to be passed through), when a token cannot go where it is to be placed, and when a status that
    /// rejects it is not from 400 to 499.
    pub fn build(self) -> Result<BearerTokenMiddleware, ConfigError> {
        Ok(BearerTokenMiddleware {
            bearer: self.bearer.build()?,
        })
    }
}

#[async_trait]
impl Middleware for BearerTokenMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let bearer = &self.bearer;
        let attaches = bearer.attaches(request.headers(), |it| it.covers(request.url()));
        if !attaches.map_err(Error::middleware)? {
            return next.run(request, extensions).await;
        }
        let token = bearer
            .token(extensions.get())
            .await
            .map_err(Error::middleware)?;
        // Cloned before the token is on it. A streamed body cannot be, and is sent once.
        let mut copy = request.try_clone();
        bearer.authorize(request.headers_mut(), &token);
        let sent = Sent::new(bearer, token);
        let response = next.clone().run(request, extensions).await?;
        if !sent.is_rejected(response.status(), response.headers()) {
            return Ok(response);
        }
        let headers = copy.as_mut().map(Request::headers_mut);
        let replayed = sent.replay(headers, extensions.get()).await;
        let Some((copy, replayed)) = copy.zip(replayed) else {
            return Ok(response);
        };
        // Unread, it would hold its connection for as long as the replay takes.
        drop(response);
        let result = next.run(copy, extensions).await;
        replayed.count(result.as_ref().ok().map(Response::status));
        result
    }
}
