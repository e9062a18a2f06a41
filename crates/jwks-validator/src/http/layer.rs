//! The layer that lets only requests with an accepted token through.

use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http::{Extensions, HeaderValue, Request, Response};
use tokio_util::either::Either;
use tower::util::MapResponse;
use tower::{BoxError, Layer, Service};

use super::authorization;
use super::challenge::{Challenges, keep_out_of_shared_caches};
use super::resource::ProtectedResource;
use crate::builder::BuildError;
use crate::claims::Claims;
use crate::error::AuthError;
use crate::reason::Reason;
use crate::validate::Refusal;
use crate::validator::{Decision, JwtValidator, Recall};

/// Lets only requests with an accepted bearer token through.
///
/// The service behind it finds an `Arc<`[`Claims`](crate::Claims)`>` in the request's extensions. Every other
/// request gets the answer of RFC 6750 section 3 as problem+json (RFC 9457), with the [`AuthError`]
/// in the response's extensions. All answers get `Vary: authorization`, and
/// `Cache-Control: no-store` unless the service set that header.
///
/// Put it around the fallback too, or unknown paths answer without a token.
///
/// It guards any tower service over HTTP, whatever its bodies are. Clients of a gRPC service see the
/// 401 as `UNAUTHENTICATED`, the 403 as `PERMISSION_DENIED` and the 503 as `UNAVAILABLE`.
#[derive(Clone, Debug)]
pub struct JwtLayer {
    validator: JwtValidator,
    challenges: Arc<Challenges>,
    optional: bool,
}

/// Marks a request that came without credentials through an optional layer.
#[derive(Clone, Debug)]
pub(super) struct Anonymous(Arc<Challenges>);

/// Tells why a request that reached a place behind the layer has no claims.
pub(super) fn without_claims(extensions: &Extensions) -> AuthError {
    match extensions.get::<Anonymous>() {
        Some(Anonymous(challenges)) => {
            AuthError::with_challenges(Reason::NoCredentials, Arc::clone(challenges))
        }
        None => AuthError::new(Reason::LayerMissing),
    }
}

impl JwtLayer {
    /// Returns a layer with the realm `api`.
    #[must_use]
    pub fn new(validator: JwtValidator) -> Self {
        Self {
            validator,
            challenges: Arc::default(),
            optional: false,
        }
    }

    /// Lets requests through that carry no `Authorization` header at all, without claims.
    ///
    /// Whatever such a header holds is still judged as ever: a bad token is refused, and so are
    /// credentials of another scheme, which nobody here can check. Behind the layer,
    /// `Option<`[`Jwt`](crate::Jwt)`>` tells the two kinds of requests apart; `Jwt` itself and
    /// [`RequireScopes`](crate::RequireScopes) answer 401 to those without a token.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Sets the realm that challenges of this layer name, and those of [`Jwt`](crate::Jwt) behind it to
    /// requests without credentials. [`RequireScopes`](crate::RequireScopes) has its own.
    ///
    /// # Errors
    ///
    /// Fails when it is empty or holds something else than printable ASCII without `"` and `\`.
    pub fn realm(mut self, realm: &str) -> Result<Self, BuildError> {
        self.challenges = Arc::new(self.challenges.with_realm(realm, "")?);
        Ok(self)
    }

    /// Names the resource's metadata in the same challenges (RFC 9728 section 5.1), so that a client
    /// finds out where to get a token. [`ProtectedResource::routes`] serves it, and
    /// [`RequireScopes::resource`](crate::RequireScopes::resource) names it in that layer's own.
    #[must_use]
    pub fn resource(mut self, resource: &ProtectedResource) -> Self {
        self.challenges = Arc::new(self.challenges.with_resource(resource, ""));
        self
    }
}

impl<S> Layer<S> for JwtLayer {
    type Service = JwtService<S>;

    fn layer(&self, inner: S) -> JwtService<S> {
        JwtService {
            inner,
            validator: self.validator.clone(),
            challenges: Arc::clone(&self.challenges),
            optional: self.optional,
        }
    }
}

/// The service of a [`JwtLayer`].
#[derive(Clone)]
pub struct JwtService<S> {
    inner: S,
    validator: JwtValidator,
    challenges: Arc<Challenges>,
    optional: bool,
}

impl<S> fmt::Debug for JwtService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtService")
            .field("validator", &self.validator)
            .finish_non_exhaustive()
    }
}

impl<S, B, ResB> Service<Request<B>> for JwtService<S>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    ResB: HttpBody<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = GuardFuture<S, Request<B>, ResB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let value = authorization::header(request.headers(), request.uri());
        let decision = match value.and_then(|value| self.decide(value)) {
            Ok(decision) => decision,
            Err(reason) => Decision::Now(Err(AuthError::new(reason))),
        };
        match (decision, value) {
            (Decision::Now(Ok(claims)), _) => {
                request.extensions_mut().insert(claims);
                forward(&mut self.inner, request)
            }
            (Decision::UnlessRevoked(claims), _) => {
                self.later(request, Pending::Revocation(claims))
            }
            (Decision::NeedsKeys { issuer, refusal }, Ok(value)) => {
                let value = value.clone();
                self.later(request, Pending::Keys(value, issuer, refusal))
            }
            (Decision::Now(Err(_)), Err(Reason::NoCredentials)) if self.optional => {
                let extensions = request.extensions_mut();
                // Those of a layer further out speak for a token that was not sent here.
                extensions.remove::<Arc<Claims>>();
                extensions.insert(Anonymous(Arc::clone(&self.challenges)));
                forward(&mut self.inner, request)
            }
            (Decision::Now(Err(error)), _) => refuse::<S, B, ResB>(self.challenges.answer(error)),
            // Without a header there was no token to decide on.
            (Decision::NeedsKeys { .. }, Err(reason)) => {
                refuse::<S, B, ResB>(self.challenges.answer(AuthError::new(reason)))
            }
        }
    }
}

impl<S: Clone> JwtService<S> {
    fn decide(&self, value: &HeaderValue) -> Result<Decision, Reason> {
        let credentials = authorization::credentials(value)?;
        // What is remembered was a token when it came first. Looking at each of its characters again
        // would cost half as much as finding it.
        match self.validator.recall(credentials) {
            Recall::Known(decision) => Ok(decision),
            Recall::Unknown(place) => {
                let token = authorization::token(credentials)?;
                Ok(self.validator.decide_anew(token, place))
            }
        }
    }

    /// Decides when what the decision waits for is there.
    fn later<B, ResB>(
        &mut self,
        request: Request<B>,
        pending: Pending,
    ) -> GuardFuture<S, Request<B>, ResB>
    where
        S: Service<Request<B>, Response = Response<ResB>> + Send + 'static,
        S::Future: Send,
        B: Send + 'static,
        ResB: HttpBody<Data = Bytes> + Send + 'static,
        ResB::Error: Into<BoxError>,
    {
        // The service that was polled ready is the one that must be called.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Either::Right(Box::pin(decide_later(
            inner,
            self.validator.clone(),
            Arc::clone(&self.challenges),
            request,
            pending,
        )))
    }
}

/// What a decision waits for.
enum Pending {
    /// Other keys of this issuer, for the token in this header.
    Keys(HeaderValue, usize, Refusal),
    /// Whether the token with these claims is revoked.
    Revocation(Arc<Claims>),
}

/// The future of [`JwtService`] and [`RequireScopesService`](crate::RequireScopesService). It is
/// allocated only for a request that waits for keys or for a revocation hook.
pub type GuardFuture<S, Q, ResB> = Either<
    Either<Ready<Answered<S, Q>>, <Finished<S, ResB> as Service<Q>>::Future>,
    Pin<Box<dyn Future<Output = Answered<S, Q>> + Send>>,
>;

type Answered<S, Q> = Result<Response<Body>, <S as Service<Q>>::Error>;
type Finished<S, ResB> = MapResponse<S, fn(Response<ResB>) -> Response<Body>>;

pub(super) fn refuse<S, B, ResB>(response: Response<Body>) -> GuardFuture<S, Request<B>, ResB>
where
    S: Service<Request<B>, Response = Response<ResB>>,
{
    Either::Left(Either::Left(ready(Ok(response))))
}

pub(super) fn forward<S, B, ResB>(
    inner: &mut S,
    request: Request<B>,
) -> GuardFuture<S, Request<B>, ResB>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    ResB: HttpBody<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let finish: fn(Response<ResB>) -> Response<Body> = finish;
    Either::Left(Either::Right(MapResponse::new(inner, finish).call(request)))
}

async fn decide_later<S, B, ResB>(
    mut inner: S,
    validator: JwtValidator,
    challenges: Arc<Challenges>,
    mut request: Request<B>,
    pending: Pending,
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    ResB: HttpBody<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let result = match pending {
        Pending::Revocation(claims) => validator.unless_revoked(claims).await,
        Pending::Keys(value, issuer, refusal) => match token(&value) {
            Ok(token) => {
                validator
                    .decide_with_other_keys(token, issuer, refusal)
                    .await
            }
            Err(reason) => Err(AuthError::new(reason)),
        },
    };
    match result {
        Ok(claims) => {
            request.extensions_mut().insert(claims);
            Ok(finish(inner.call(request).await?))
        }
        Err(error) => Ok(challenges.answer(error)),
    }
}

fn token(value: &HeaderValue) -> Result<&str, Reason> {
    authorization::credentials(value).and_then(authorization::token)
}

fn finish<ResB>(response: Response<ResB>) -> Response<Body>
where
    ResB: HttpBody<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    // Takes a body that is axum's already as it is.
    let mut response = response.map(Body::new);
    keep_out_of_shared_caches(response.headers_mut());
    response
}
