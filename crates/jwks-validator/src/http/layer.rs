//! The layer that lets only requests with an accepted token through.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, HeaderValue, Request, Response};
use tower::{Layer, Service};

use super::body::GuardBody;
use super::challenge::Challenges;
use super::future::GuardFuture;
use super::resource::ProtectedResource;
use super::token_from::TokenFrom;
use crate::builder::BuildError;
use crate::claims::Claims;
use crate::error::AuthError;
use crate::issuer::Issuer;
use crate::reason::Reason;
use crate::validate::Refusal;
use crate::validator::{Decision, JwtValidator, Recall};

/// Lets only requests with an accepted bearer token through.
///
/// The service behind it finds an `Arc<`[`Claims`](crate::Claims)`>` in the request's extensions. Every other
/// request gets the answer of RFC 6750 section 3 as problem+json (RFC 9457), with the [`AuthError`]
/// in the response's extensions. All answers get `Vary: authorization`, and
/// `Cache-Control: no-store` unless the service set that header. Where the token stands
/// [elsewhere](Self::token_from), `Vary` is `cookie`, or `*` for another header.
///
/// Put it around the fallback too, or unknown paths answer without a token.
///
/// It guards any tower service over HTTP, whatever its bodies are. A gRPC request (by its content type,
/// gRPC-Web not included) is refused in gRPC's words, with a status of 200 and no body: `grpc-status` is 16
/// (`UNAUTHENTICATED`) for what is 401 or 400 otherwise, 7 (`PERMISSION_DENIED`) for 403 and 14
/// (`UNAVAILABLE`) for 503, and the challenge is in `WWW-Authenticate` all the same. That goes for
/// [`RequireScopes`](crate::RequireScopes) and [`Jwt`](crate::Jwt) too.
#[derive(Clone, Debug)]
pub struct JwtLayer {
    validator: JwtValidator,
    challenges: Arc<Challenges>,
    from: TokenFrom,
    optional: bool,
}

/// Marks a request that came without credentials through an optional layer.
#[derive(Clone, Debug)]
pub(super) struct Anonymous(Arc<Challenges>);

/// Tells why a request that reached a place behind the layer has no claims.
pub(super) fn without_claims(extensions: &Extensions) -> AuthError {
    match extensions.get::<Anonymous>() {
        Some(Anonymous(challenges)) => {
            AuthError::from(Reason::NoCredentials).challenged_by(Arc::clone(challenges))
        }
        None => AuthError::from(Reason::LayerMissing),
    }
}

impl JwtLayer {
    /// Returns a layer with the realm `api`.
    #[must_use]
    pub fn new(validator: JwtValidator) -> Self {
        Self {
            validator,
            challenges: Arc::default(),
            from: TokenFrom::authorization(),
            optional: false,
        }
    }

    /// Sets where the token is looked for. Default: the `Authorization` header. [`TokenFrom`] says what a
    /// cookie needs besides.
    ///
    /// Refusals name the Bearer challenge in any case: it is the only one that fits, and tells a client nothing
    /// about the place.
    #[must_use]
    pub fn token_from(mut self, place: TokenFrom) -> Self {
        self.from = place;
        self
    }

    /// Sets whether requests are let through, without claims, that carry no `Authorization` header at all (or
    /// nothing where [`token_from`](Self::token_from) says). Default: they are refused.
    ///
    /// A request that has the header is decided on in either case: a bad token is refused, and so are
    /// credentials of another scheme, which the layer cannot check. Behind the layer,
    /// `Option<`[`Jwt`](crate::Jwt)`>` tells the two kinds of requests apart; `Jwt` itself and
    /// [`RequireScopes`](crate::RequireScopes) answer 401 to those without a token.
    #[must_use]
    pub fn optional(mut self, optional: bool) -> Self {
        self.optional = optional;
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
            from: self.from.clone(),
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
    from: TokenFrom,
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
{
    type Response = Response<GuardBody<ResB>>;
    type Error = S::Error;
    type Future = GuardFuture<S::Future, ResB, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let vary = self.from.vary();
        let value = self.from.value((&request).into());
        let decision = match value.and_then(|value| self.decide(value)) {
            Ok(decision) => decision,
            Err(reason) => Decision::Now(Err(AuthError::from(reason))),
        };
        match (decision, value) {
            (Decision::Now(Ok(claims)), _) => {
                request.extensions_mut().insert(claims);
                GuardFuture::forwarded(self.inner.call(request), vary)
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
                GuardFuture::forwarded(self.inner.call(request), vary)
            }
            (Decision::Now(Err(error)), _) => {
                let error = error.in_answer_to(&request);
                GuardFuture::refused(self.challenges.answer(error), vary)
            }
            // Without a header there was no token to decide on.
            (Decision::NeedsKeys { .. }, Err(reason)) => {
                let error = AuthError::from(reason).in_answer_to(&request);
                GuardFuture::refused(self.challenges.answer(error), vary)
            }
        }
    }
}

impl<S: Clone> JwtService<S> {
    fn decide(&self, value: &HeaderValue) -> Result<Decision, Reason> {
        let credentials = self.from.credentials(value)?;
        // What is in the cache was a token when it came first. Looking at each of its characters again
        // would cost half as much as finding it.
        match self.validator.recall(credentials) {
            Recall::Known(decision) => Ok(decision),
            Recall::Unknown(digest) => {
                let token = self.from.checked(credentials)?;
                Ok(self.validator.decide_anew(token, digest))
            }
        }
    }

    /// Decides when what the decision waits for is there.
    fn later<B, ResB>(
        &mut self,
        mut request: Request<B>,
        pending: Pending,
    ) -> GuardFuture<S::Future, ResB, S::Error>
    where
        S: Service<Request<B>, Response = Response<ResB>> + Send + 'static,
        S::Future: Send,
        B: Send + 'static,
    {
        // The service that was polled ready is the one that must be called.
        let clone = self.clone();
        let mut guard = std::mem::replace(self, clone);
        let vary = guard.from.vary();
        let answer = async move {
            match decide_later(&guard.validator, &guard.from, pending).await {
                Ok(claims) => {
                    request.extensions_mut().insert(claims);
                    let response = guard.inner.call(request).await?;
                    Ok(response.map(GuardBody::served))
                }
                Err(error) => {
                    let error = error.in_answer_to(&request);
                    Ok(guard.challenges.answer(error).map(GuardBody::refused))
                }
            }
        };
        GuardFuture::deciding(answer, vary)
    }
}

async fn decide_later(
    validator: &JwtValidator,
    from: &TokenFrom,
    pending: Pending,
) -> Result<Arc<Claims>, AuthError> {
    match pending {
        Pending::Revocation(claims) => validator.unless_revoked(claims).await,
        Pending::Keys(value, issuer, refusal) => {
            let token = from.checked(from.credentials(&value)?)?;
            let deciding = validator.decide_with_other_keys(token, issuer, refusal);
            deciding.await
        }
    }
}

/// What a decision waits for.
enum Pending {
    /// Other keys of this issuer, for the token in this header.
    Keys(HeaderValue, Arc<Issuer>, Refusal),
    /// Whether the token with these claims is revoked.
    Revocation(Arc<Claims>),
}
