//! Layers that want a role or a permission.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use tower::{Layer, Service};

use crate::answer::{self, Format};
use crate::guard::{Arrived, Kind, format_of, nobody};
use crate::session::Session;

/// Lets through who has permissions: behind a [`SessionLayer`](crate::SessionLayer). Others get 403.
#[derive(Clone, Debug)]
pub struct RequirePermission(Requirement);

/// Lets through who has a role: behind a [`SessionLayer`](crate::SessionLayer). Others get 403.
#[derive(Clone, Debug)]
pub struct RequireRole(Requirement);

/// Nothing is required, or something without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at least one role or permission, each with a name")]
pub struct RequirementError;

#[derive(Clone, Debug)]
enum Requirement {
    AllPermissions(Arc<[String]>),
    AnyRole(Arc<[String]>),
}

impl Requirement {
    fn is_met(&self, session: &Session) -> bool {
        match self {
            Self::AllPermissions(all) => all.iter().all(|one| session.has_permission(one)),
            Self::AnyRole(any) => any.iter().any(|one| session.has_role(one)),
        }
    }
}

fn names<N: Into<String>>(
    names: impl IntoIterator<Item = N>,
) -> Result<Arc<[String]>, RequirementError> {
    let names: Arc<[String]> = names.into_iter().map(Into::into).collect();
    match names.is_empty() || names.iter().any(String::is_empty) {
        true => Err(RequirementError),
        false => Ok(names),
    }
}

impl RequirePermission {
    /// Requires every one of these permissions.
    ///
    /// # Errors
    ///
    /// Fails for none, and for one without a name.
    pub fn all<N: Into<String>>(
        permissions: impl IntoIterator<Item = N>,
    ) -> Result<Self, RequirementError> {
        Ok(Self(Requirement::AllPermissions(names(permissions)?)))
    }
}

impl RequireRole {
    /// Requires one of these roles, by their keys.
    ///
    /// # Errors
    ///
    /// Fails for none, and for one without a name.
    pub fn any<N: Into<String>>(
        roles: impl IntoIterator<Item = N>,
    ) -> Result<Self, RequirementError> {
        Ok(Self(Requirement::AnyRole(names(roles)?)))
    }
}

/// The service of [`RequirePermission`] and [`RequireRole`].
#[derive(Clone, Debug)]
pub struct RequireService<S> {
    inner: S,
    requirement: Requirement,
}

impl<S> Layer<S> for RequirePermission {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let requirement = self.0.clone();
        RequireService { inner, requirement }
    }
}

impl<S> Layer<S> for RequireRole {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let requirement = self.0.clone();
        RequireService { inner, requirement }
    }
}

impl<S> Service<Request> for RequireService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let refusal = match request.extensions().get::<Session>() {
            Some(session) if self.requirement.is_met(session) => None,
            session => Some(refusal(session.is_some(), request_parts(&request))),
        };
        match refusal {
            Some(response) => Box::pin(std::future::ready(Ok(response))),
            None => Box::pin(self.inner.call(request)),
        }
    }
}

fn request_parts(request: &Request) -> http::request::Parts {
    let mut copy = http::Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy.into_parts().0
}

fn refusal(is_known: bool, parts: http::request::Parts) -> Response {
    let Some(arrived) = parts.extensions.get::<Arrived>() else {
        tracing::error!("a role is required, and no SessionLayer stands before that");
        return answer::DEFECT.response(Format::Problem);
    };
    let (kind, format) = match arrived.kind {
        Kind::Api => (Kind::Api, Format::Problem),
        Kind::Pages | Kind::Optional => (Kind::Pages, format_of(&parts)),
    };
    match is_known {
        true => answer::NO_PERMISSION.response(format),
        false => nobody(&arrived.sessions.inner, kind, &parts, &arrived.origin),
    }
}
