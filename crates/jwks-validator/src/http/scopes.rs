//! The layer that asks an accepted token for scopes.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::{Layer, Service};

use super::body::GuardBody;
use super::challenge::Challenges;
use super::future::GuardFuture;
use super::layer::without_claims;
use super::resource::ProtectedResource;
use super::token_from::TokenFrom;
use crate::builder::{BuildError, BuildErrorKind};
use crate::claims::{Claims, is_scope_token};
use crate::error::AuthError;
use crate::reason::Reason;

/// Lets only requests through whose token has the required scopes; others get 403
/// `insufficient_scope` with the scopes in question.
///
/// Belongs behind a [`JwtLayer`](crate::JwtLayer); without one every request gets 500. Behind an
/// [optional](crate::JwtLayer::optional) one, requests without credentials get 401.
#[derive(Clone, Debug)]
pub struct RequireScopes {
    rule: Arc<Rule>,
}

#[derive(Debug)]
struct Rule {
    scopes: Vec<String>,
    all: bool,
    challenges: Challenges,
}

impl RequireScopes {
    /// Requires every one of the scopes.
    ///
    /// # Errors
    ///
    /// Fails when there is no scope, or one that is not a scope token (RFC 6749 section 3.3).
    pub fn all<T: Into<String>>(scopes: impl IntoIterator<Item = T>) -> Result<Self, BuildError> {
        Self::new(scopes, true)
    }

    /// Requires at least one of the scopes.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub fn any<T: Into<String>>(scopes: impl IntoIterator<Item = T>) -> Result<Self, BuildError> {
        Self::new(scopes, false)
    }

    /// Returns the scopes, in the order in which they were given.
    pub fn scopes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.rule.scopes.iter().map(String::as_str)
    }

    /// Sets the realm that the challenge names. Default: `api`.
    ///
    /// # Errors
    ///
    /// As [`JwtLayer::realm`](crate::JwtLayer::realm).
    pub fn realm(self, realm: &str) -> Result<Self, BuildError> {
        let scopes = self.rule.scopes.join(" ");
        let challenges = self.rule.challenges.with_realm(realm, &scopes)?;
        Ok(self.with_challenges(challenges))
    }

    /// Names the resource's metadata in the challenge, as
    /// [`JwtLayer::resource`](crate::JwtLayer::resource) does.
    #[must_use]
    pub fn resource(self, resource: &ProtectedResource) -> Self {
        let scopes = self.rule.scopes.join(" ");
        let challenges = self.rule.challenges.with_resource(resource, &scopes);
        self.with_challenges(challenges)
    }

    fn with_challenges(self, challenges: Challenges) -> Self {
        Self {
            rule: Arc::new(Rule {
                scopes: self.rule.scopes.clone(),
                all: self.rule.all,
                challenges,
            }),
        }
    }

    fn new<T: Into<String>>(
        scopes: impl IntoIterator<Item = T>,
        all: bool,
    ) -> Result<Self, BuildError> {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        // An empty list would let every request through, or none; both are mistakes.
        if scopes.is_empty() || !scopes.iter().all(|scope| is_scope_token(scope)) {
            return Err(BuildError(BuildErrorKind::Scope));
        }
        let challenges = Challenges::new(Challenges::DEFAULT_REALM, &scopes.join(" "), None)?;
        Ok(Self {
            rule: Arc::new(Rule {
                scopes,
                all,
                challenges,
            }),
        })
    }
}

impl Rule {
    fn check<B>(&self, request: &Request<B>) -> Result<(), Reason> {
        let claims = request
            .extensions()
            .get::<Arc<Claims>>()
            .ok_or_else(|| without_claims(request.extensions()).reason())?;
        let mut scopes = self.scopes.iter();
        let granted = if self.all {
            scopes.all(|scope| claims.has_scope(scope))
        } else {
            scopes.any(|scope| claims.has_scope(scope))
        };
        if granted {
            Ok(())
        } else {
            Err(Reason::InsufficientScope)
        }
    }
}

impl<S> Layer<S> for RequireScopes {
    type Service = RequireScopesService<S>;

    fn layer(&self, inner: S) -> RequireScopesService<S> {
        RequireScopesService {
            inner,
            rule: Arc::clone(&self.rule),
        }
    }
}

/// The service of a [`RequireScopes`] layer.
#[derive(Clone)]
pub struct RequireScopesService<S> {
    inner: S,
    rule: Arc<Rule>,
}

impl<S> fmt::Debug for RequireScopesService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireScopesService")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

impl<S, B, ResB> Service<Request<B>> for RequireScopesService<S>
where
    S: Service<Request<B>, Response = Response<ResB>>,
{
    type Response = Response<GuardBody<ResB>>;
    type Error = S::Error;
    type Future = GuardFuture<S::Future, ResB, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let vary = TokenFrom::authorization().vary();
        match self.rule.check(&request) {
            Ok(()) => GuardFuture::forwarded(self.inner.call(request), vary),
            Err(reason) => {
                let error = AuthError::from(reason).in_answer_to(&request);
                GuardFuture::refused(self.rule.challenges.answer(error), vary)
            }
        }
    }
}
