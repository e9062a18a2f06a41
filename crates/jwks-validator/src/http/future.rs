//! The future of the layers' services.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderValue, Response};
use pin_project_lite::pin_project;

use super::body::GuardBody;
use super::challenge::keep_out_of_shared_caches;

pin_project! {
    /// The future of [`JwtService`](crate::JwtService) and
    /// [`RequireScopesService`](crate::RequireScopesService). It allocates only for a request that waits for
    /// keys or for a revocation hook.
    pub struct GuardFuture<F, B, E> {
        #[pin]
        stage: Stage<F, B, E>,
        vary: &'static HeaderValue,
    }
}

pin_project! {
    #[project = Projected]
    enum Stage<F, B, E> {
        Refused { answer: Option<Response<&'static str>> },
        Forwarded { #[pin] future: F },
        Deciding { future: Deciding<B, E> },
    }
}

/// A decision that waits, and the request behind it.
type Deciding<B, E> = Pin<Box<dyn Future<Output = Result<Response<GuardBody<B>>, E>> + Send>>;

impl<F, B, E> GuardFuture<F, B, E> {
    /// `vary` names the header that decided on the request.
    pub(super) fn refused(answer: Response<&'static str>, vary: &'static HeaderValue) -> Self {
        let answer = Some(answer);
        let stage = Stage::Refused { answer };
        Self { stage, vary }
    }

    pub(super) fn forwarded(future: F, vary: &'static HeaderValue) -> Self {
        let stage = Stage::Forwarded { future };
        Self { stage, vary }
    }

    pub(super) fn deciding(
        future: impl Future<Output = Result<Response<GuardBody<B>>, E>> + Send + 'static,
        vary: &'static HeaderValue,
    ) -> Self {
        let future: Deciding<B, E> = Box::pin(future);
        let stage = Stage::Deciding { future };
        Self { stage, vary }
    }
}

impl<F, B, E> Future for GuardFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<GuardBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let guard = self.project();
        let mut answer = match guard.stage.project() {
            Projected::Refused { answer } => answer
                .take()
                .expect("a future is not polled after it has ended")
                .map(GuardBody::refused),
            Projected::Forwarded { future } => ready!(future.poll(cx))?.map(GuardBody::served),
            Projected::Deciding { future } => ready!(future.as_mut().poll(cx))?,
        };
        keep_out_of_shared_caches(answer.headers_mut(), guard.vary);
        Poll::Ready(Ok(answer))
    }
}

impl<F, B, E> fmt::Debug for GuardFuture<F, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardFuture").finish_non_exhaustive()
    }
}
