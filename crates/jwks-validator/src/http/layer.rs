//! The layer that lets only requests with an accepted token through.

use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http::{HeaderValue, Request, Response};
use tokio_util::either::Either;
use tower::util::MapResponse;
use tower::{BoxError, Layer, Service};

use super::authorization;
use super::challenge::{Challenges, keep_out_of_shared_caches};
use crate::builder::BuildError;
use crate::error::AuthError;
use crate::validate::Refusal;
use crate::validator::{Decision, JwtValidator};

/// Lets only requests with an accepted bearer token through.
///
/// The service behind it finds an `Arc<`[`Claims`](crate::Claims)`>` in the request's extensions. Every other
/// request gets the answer of RFC 6750 section 3 as problem+json (RFC 9457), with the [`AuthError`]
/// in the response's extensions. All answers get `Vary: authorization`, and
/// `Cache-Control: no-store` unless the service set that header.
///
/// Put it around the fallback too, or unknown paths answer without a token.
#[derive(Clone, Debug)]
pub struct JwtLayer {
    validator: JwtValidator,
    challenges: Arc<Challenges>,
}

impl JwtLayer {
    /// Returns a layer with the realm `api`.
    #[must_use]
    pub fn new(validator: JwtValidator) -> Self {
        Self {
            validator,
            challenges: Arc::default(),
        }
    }

    /// Sets the realm that challenges name.
    ///
    /// # Errors
    ///
    /// Fails when it is empty or holds something else than printable ASCII without `"` and `\`.
    pub fn realm(mut self, realm: &str) -> Result<Self, BuildError> {
        self.challenges = Arc::new(Challenges::new(realm, "")?);
        Ok(self)
    }
}

impl<S> Layer<S> for JwtLayer {
    type Service = JwtService<S>;

    fn layer(&self, inner: S) -> JwtService<S> {
        JwtService {
            inner,
            validator: self.validator.clone(),
            challenges: Arc::clone(&self.challenges),
        }
    }
}

/// The service of a [`JwtLayer`].
#[derive(Clone)]
pub struct JwtService<S> {
    inner: S,
    validator: JwtValidator,
    challenges: Arc<Challenges>,
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
        let decision = match value.and_then(authorization::token) {
            Ok(token) => self.validator.decide(token),
            Err(reason) => Decision::Now(Err(AuthError::new(reason))),
        };
        match (decision, value) {
            (Decision::Now(Ok(claims)), _) => {
                request.extensions_mut().insert(claims);
                forward(&mut self.inner, request)
            }
            (Decision::NeedsKeys { issuer, refusal }, Ok(value)) => {
                let value = value.clone();
                // The service that was polled ready is the one that must be called.
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                Either::Right(Box::pin(wait_for_keys(
                    inner,
                    self.validator.clone(),
                    Arc::clone(&self.challenges),
                    request,
                    (value, issuer, refusal),
                )))
            }
            (Decision::Now(Err(error)), _) => refuse::<S, B, ResB>(self.challenges.answer(error)),
            // Without a header there was no token to decide on.
            (Decision::NeedsKeys { .. }, Err(reason)) => {
                refuse::<S, B, ResB>(self.challenges.answer(AuthError::new(reason)))
            }
        }
    }
}

/// The future of [`JwtService`] and [`RequireScopesService`](crate::RequireScopesService). It is
/// allocated only for a request that waits for keys.
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

async fn wait_for_keys<S, B, ResB>(
    mut inner: S,
    validator: JwtValidator,
    challenges: Arc<Challenges>,
    mut request: Request<B>,
    (value, issuer, refusal): (HeaderValue, usize, Refusal),
) -> Result<Response<Body>, S::Error>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    ResB: HttpBody<Data = Bytes> + Send + 'static,
    ResB::Error: Into<BoxError>,
{
    let result = match authorization::token(&value) {
        Ok(token) => {
            validator
                .decide_with_other_keys(token, issuer, refusal)
                .await
        }
        Err(reason) => Err(AuthError::new(reason)),
    };
    match result {
        Ok(claims) => {
            request.extensions_mut().insert(claims);
            Ok(finish(inner.call(request).await?))
        }
        Err(error) => Ok(challenges.answer(error)),
    }
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
