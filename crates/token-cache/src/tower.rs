//! Puts the token on the calls of a `tower` client: hyper, hyper-util, tonic.

mod service;

use std::fmt;

use ::tower::Layer;
use http::StatusCode;
use http_body::Body;

use crate::bearer::{Bearer, BearerBuilder};
use crate::cache::TokenCache;
use crate::error::ConfigError;
use crate::placement::TokenPlacement;
#[cfg(doc)]
use crate::request::TokenRequest;

pub use service::{BearerTokenError, BearerTokenFuture, BearerTokenService};

/// Attaches the cache's token to requests for the allowed origins, as a [`tower::Layer`](Layer) over
/// any client that is a `Service<http::Request<B>>` and can be cloned: hyper-util's client, a tonic
/// channel.
///
/// The rules are those of [`BearerTokenMiddleware`](crate::BearerTokenMiddleware):
///
/// - A request to any other origin fails before a token is asked for, and is not sent, unless
///   [`pass_through`](BearerTokenLayerBuilder::pass_through) says that it needs no token.
/// - A request that has an `Authorization` header already, or what else
///   [`placement`](BearerTokenLayerBuilder::placement) names, is passed on untouched.
/// - A [`TokenRequest`] in the request's extensions is used instead of the cache's own.
/// - Without a token the request fails with [`BearerTokenError::Token`].
/// - After a 401 the token is invalidated by compare-and-swap and the request is sent once more with a new one,
///   if its body can be sent twice and the new token differs. Not if a Bearer challenge names another error
///   (`insufficient_scope`, `invalid_request`, `insufficient_user_authentication`). 403 is never repeated, unless
///   [`rejected_statuses`](BearerTokenLayerBuilder::rejected_statuses) has it.
/// - Where the rejected token is less than 35 s old and the one before it has not expired, the request is sent once
///   more with that one instead, and nothing is invalidated, whatever comes of it: after a rotation a resource
///   server, or one of several behind an address, may learn of the new key late.
///
/// While the token is fresh nothing is boxed and nobody waits. Cancelling a request cancels no fetch.
/// A request that waits for a token holds its place in the inner service.
///
/// # Bodies
///
/// A stream can be sent only once. By default a request is repeated only if its body was known to be
/// empty before it was sent ([`ReplayEmpty`]), so a tonic call is never repeated. Bodies that can be
/// cloned are repeated after [`replay`](BearerTokenLayerBuilder::replay). A request that is not
/// repeated gets the 401, and the next request uses a new token.
///
/// # tonic
///
/// A generated client leaves scheme and host out of its requests' URIs, and the channel goes to its
/// endpoint whatever they say. State the endpoint's origin with
/// [`connected_to`](BearerTokenLayerBuilder::connected_to). A refusal of gRPC is no 401: where it is the whole
/// answer, the status UNAUTHENTICATED (`grpc-status: 16`) stands in its headers, and the token is invalidated
/// there as after a 401; the call is not repeated. Where it comes in the trailers of an answer that had begun, it
/// is not looked at. Who gets one may call [`TokenCache::invalidate`].
///
/// ```
/// use http_body_util::Full;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
/// use token_cache::{BearerTokenLayer, TokenCache};
/// use tower::ServiceBuilder;
///
/// # fn example(cache: TokenCache) -> Result<(), token_cache::ConfigError> {
/// let bearer = BearerTokenLayer::builder(cache)
///     .allow_origin("https://api.example")
///     .replay(|body: &Full<bytes::Bytes>| Some(body.clone()))
///     .build()?;
/// let client = ServiceBuilder::new()
///     .layer(bearer)
///     .service(Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>());
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BearerTokenLayer<R = ReplayEmpty> {
    bearer: Bearer,
    /// Whether a URI without scheme and host is taken for an allowed origin.
    connected: bool,
    replay: R,
}

/// Settings of a [`BearerTokenLayer`].
#[derive(Clone)]
pub struct BearerTokenLayerBuilder<R = ReplayEmpty> {
    bearer: BearerBuilder,
    connected: bool,
    replay: R,
}

/// Decides which bodies can be sent twice. Implemented by [`ReplayEmpty`] and by functions.
pub trait ReplayBody<B> {
    /// Returns a body with the same content, before the given one is sent; `None` if there is no such
    /// thing.
    fn again(&self, body: &B) -> Option<B>;
}

/// Repeats requests whose body is known to be empty, and no others.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayEmpty;

impl BearerTokenLayer {
    /// Returns the settings; at least one origin has to be allowed.
    #[must_use]
    pub fn builder(cache: TokenCache) -> BearerTokenLayerBuilder {
        BearerTokenLayerBuilder {
            bearer: Bearer::builder(cache),
            connected: false,
            replay: ReplayEmpty,
        }
    }
}

impl<R> BearerTokenLayerBuilder<R> {
    /// Allows an origin: scheme, host and, unless it is the default, port. https, or http on
    /// loopback.
    ///
    /// A request's URI must spell the host as here, apart from upper and lower case; an
    /// internationalised name in its `xn--` form.
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

    /// Allows an origin, and states that the inner service is connected to it: a request whose URI is
    /// only a path goes there. Without this, such a request fails.
    #[must_use]
    pub fn connected_to(mut self, origin: &str) -> Self {
        self.connected = true;
        self.allow_origin(origin)
    }

    /// Sets which bodies are sent twice, by a function that copies them. Default: [`ReplayEmpty`],
    /// which asks of the body type that it implements `Default`; a function that returns `None` does
    /// not.
    #[must_use]
    pub fn replay<B, F>(self, again: F) -> BearerTokenLayerBuilder<F>
    where
        F: Fn(&B) -> Option<B>,
    {
        BearerTokenLayerBuilder {
            bearer: self.bearer,
            connected: self.connected,
            replay: again,
        }
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

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// Fails when no origin is allowed, when one is not scheme, host and port of an https URL (or http on
    /// loopback, or to be passed through), when a token cannot go where it is to be placed, and when a status that
    /// rejects it is not from 400 to 499.
    pub fn build(self) -> Result<BearerTokenLayer<R>, ConfigError> {
        Ok(BearerTokenLayer {
            bearer: self.bearer.build()?,
            connected: self.connected,
            replay: self.replay,
        })
    }
}

impl<B: Body + Default> ReplayBody<B> for ReplayEmpty {
    fn again(&self, body: &B) -> Option<B> {
        let empty = || Some(B::default()).filter(Body::is_end_stream);
        body.is_end_stream().then(empty).flatten()
    }
}

impl<B, F: Fn(&B) -> Option<B>> ReplayBody<B> for F {
    fn again(&self, body: &B) -> Option<B> {
        self(body)
    }
}

impl<S, R: Clone> Layer<S> for BearerTokenLayer<R> {
    type Service = BearerTokenService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        BearerTokenService::new(inner, self.clone())
    }
}

impl<R> fmt::Debug for BearerTokenLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerTokenLayer")
            .field("bearer", &self.bearer)
            .field("connected", &self.connected)
            .finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for BearerTokenLayerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerTokenLayerBuilder")
            .field("bearer", &self.bearer)
            .field("connected", &self.connected)
            .finish_non_exhaustive()
    }
}
