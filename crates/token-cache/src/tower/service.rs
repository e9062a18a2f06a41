//! One request through the layer.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tower::{BoxError, Service};
use http::{Request, Response};
use pin_project_lite::pin_project;

use super::{BearerTokenLayer, ReplayBody, ReplayEmpty};
use crate::bearer::{Bearer, Sent};
use crate::error::TokenError;

/// The service that a [`BearerTokenLayer`] makes.
#[derive(Clone)]
pub struct BearerTokenService<S, R = ReplayEmpty> {
    inner: S,
    layer: BearerTokenLayer<R>,
}

/// Why a request through a [`BearerTokenService`] failed. The source says more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BearerTokenError {
    /// The request was not sent: there is no token for it, or its origin may not receive one.
    #[error("the request may not go out without a token")]
    Token(#[source] TokenError),
    /// The inner service failed.
    #[error("the request failed")]
    Inner(#[source] BoxError),
}

impl<S, R> BearerTokenService<S, R> {
    pub(super) fn new(inner: S, layer: BearerTokenLayer<R>) -> Self {
        Self { inner, layer }
    }
}

impl<S, R, B, ResB> Service<Request<B>> for BearerTokenService<S, R>
where
    S: Service<Request<B>, Response = Response<ResB>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: ReplayBody<B>,
    B: Send + 'static,
    ResB: Send + 'static,
{
    type Response = Response<ResB>;
    type Error = BearerTokenError;
    type Future = BearerTokenFuture<S, B, ResB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(inner_error)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let bearer = &self.layer.bearer;
        let uri = request.uri();
        let only_path = uri.scheme().is_none() && uri.authority().is_none();
        let attaches = bearer.attaches(request.headers(), |origin| {
            if only_path {
                self.layer.connected
            } else {
                origin.covers_uri(uri)
            }
        });
        let (state, rejectable) = match attaches {
            Err(error) => (State::Refused { error: Some(error) }, None),
            Ok(false) => {
                let response = self.inner.call(request);
                (State::Sending { response }, None)
            }
            Ok(true) => {
                // Copied before the token is on it.
                let again = self.layer.replay.again(request.body()).map(|body| Again {
                    service: self.inner.clone(),
                    request: copy(&request, body),
                });
                let bearer = bearer.clone();
                match bearer.ready_token(request.extensions().get()) {
                    Some(token) => {
                        bearer.authorize(request.headers_mut(), &token);
                        let response = self.inner.call(request);
                        let sent = Sent::new(bearer, token);
                        let rejectable = Rejectable { sent, again };
                        (State::Sending { response }, Some(rejectable))
                    }
                    None => {
                        // The one that was polled until it was ready has to be the one that is called.
                        let unready = self.inner.clone();
                        let service = std::mem::replace(&mut self.inner, unready);
                        let future = Box::pin(send_later(bearer, service, request, again));
                        (State::Waiting { future }, None)
                    }
                }
            }
        };
        BearerTokenFuture { state, rejectable }
    }
}

pin_project! {
    /// The answer to a request through a [`BearerTokenService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct BearerTokenFuture<S, B, ResB>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S::Future, ResB>,
        // Until the answer came; `None` for a request that went out as it was.
        rejectable: Option<Rejectable<S, B>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, ResB> {
        Refused { error: Option<TokenError> },
        Sending { #[pin] response: F },
        // For a token, and then for the answer.
        Waiting { future: Pin<Box<dyn Future<Output = Answer<ResB>> + Send>> },
    }
}

type Answer<ResB> = Result<Response<ResB>, BearerTokenError>;

/// What is needed if the answer to a request rejects its token.
struct Rejectable<S, B> {
    sent: Sent<Bearer>,
    again: Option<Again<S, B>>,
}

/// A request that can be sent once more, and who sends it.
struct Again<S, B> {
    service: S,
    request: Request<B>,
}

impl<S, B, ResB> Future for BearerTokenFuture<S, B, ResB>
where
    S: Service<Request<B>, Response = Response<ResB>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Send + 'static,
    ResB: Send + 'static,
{
    type Output = Answer<ResB>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Refused { error } => {
                    return match error.take() {
                        Some(error) => Poll::Ready(Err(BearerTokenError::Token(error))),
                        // Polled after it was ready.
                        None => Poll::Pending,
                    };
                }
                StateProjection::Waiting { future } => return future.as_mut().poll(cx),
                StateProjection::Sending { response } => {
                    let response = ready!(response.poll(cx)).map_err(inner_error)?;
                    let Some(rejectable) = this.rejectable.take() else {
                        return Poll::Ready(Ok(response));
                    };
                    if !rejectable.is_rejected_by(&response) {
                        return Poll::Ready(Ok(response));
                    }
                    let future = Box::pin(rejectable.send_again(response));
                    this.state.set(State::Waiting { future });
                }
            }
        }
    }
}

/// Waits for a token and sends the request. `service` is ready.
async fn send_later<S, B, ResB>(
    bearer: Bearer,
    mut service: S,
    mut request: Request<B>,
    again: Option<Again<S, B>>,
) -> Answer<ResB>
where
    S: Service<Request<B>, Response = Response<ResB>>,
    S::Error: Into<BoxError>,
{
    let token = bearer
        .token(request.extensions().get())
        .await
        .map_err(BearerTokenError::Token)?;
    bearer.authorize(request.headers_mut(), &token);
    let response = service.call(request).await.map_err(inner_error)?;
    let sent = Sent::new(bearer, token);
    let rejectable = Rejectable { sent, again };
    match rejectable.is_rejected_by(&response) {
        true => rejectable.send_again(response).await,
        false => Ok(response),
    }
}

impl<S, B> Rejectable<S, B> {
    fn is_rejected_by<ResB>(&self, response: &Response<ResB>) -> bool {
        self.sent.is_rejected(response.status(), response.headers())
    }

    /// Sends the request once more with another token, or returns the answer to the first sending.
    async fn send_again<ResB>(self, response: Response<ResB>) -> Answer<ResB>
    where
        S: Service<Request<B>, Response = Response<ResB>>,
        S::Error: Into<BoxError>,
    {
        let Self { sent, mut again } = self;
        let request = again.as_mut().map(|again| &mut again.request);
        let wanted = request
            .as_ref()
            .and_then(|it| it.extensions().get().cloned());
        let headers = request.map(Request::headers_mut);
        let replayed = sent.replay(headers, wanted.as_ref()).await;
        let Some((again, replayed)) = again.zip(replayed) else {
            return Ok(response);
        };
        // Unread, it would hold its connection for as long as the replay takes.
        drop(response);
        let Again {
            mut service,
            request,
        } = again;
        let result = match poll_fn(|cx| service.poll_ready(cx).map_err(inner_error)).await {
            Ok(()) => service.call(request).await.map_err(inner_error),
            Err(error) => Err(error),
        };
        replayed.count(result.as_ref().ok().map(Response::status));
        result
    }
}

/// Everything of a request but its body.
fn copy<B>(request: &Request<B>, body: B) -> Request<B> {
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

fn inner_error(error: impl Into<BoxError>) -> BearerTokenError {
    BearerTokenError::Inner(error.into())
}

impl<S: fmt::Debug, R> fmt::Debug for BearerTokenService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerTokenService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}

impl<S: Service<Request<B>>, B, ResB> fmt::Debug for BearerTokenFuture<S, B, ResB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerTokenFuture").finish_non_exhaustive()
    }
}
