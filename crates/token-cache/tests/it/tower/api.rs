//! A resource server as a tower service, and the layer in front of it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{Empty, Full};
use token_cache::{
    BearerTokenError, BearerTokenLayer, BearerTokenLayerBuilder, BearerTokenService, TokenCache,
    TokenErrorKind,
};
use tower::{Layer as _, Service, ServiceExt as _};

pub(crate) const INVALID: &str = r#"Bearer realm="api", error="invalid_token""#;
pub(crate) const ORIGIN: &str = "https://api.example";

pub(crate) type Answer = dyn Fn(&str) -> Response<Empty<Bytes>> + Send + Sync;

/// Notes what it is sent and answers by the token it sees. Panics when it is called before it was
/// polled until it was ready, which clones are not.
pub(crate) struct Api<B> {
    ready: bool,
    pub(crate) seen: Arc<Mutex<Vec<Request<B>>>>,
    answer: Arc<Answer>,
}

impl<B> Api<B> {
    pub(crate) fn new(
        answer: impl Fn(&str) -> Response<Empty<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            ready: false,
            seen: Arc::default(),
            answer: Arc::new(answer),
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The `Authorization` of each request, in order.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|request| authorization(request.headers()).to_owned())
            .collect()
    }
}

impl<B> Clone for Api<B> {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            seen: Arc::clone(&self.seen),
            answer: Arc::clone(&self.answer),
        }
    }
}

impl<B> Service<Request<B>> for Api<B> {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called before it was ready"
        );
        let response = (self.answer)(authorization(request.headers()));
        self.seen.lock().unwrap().push(request);
        ready(Ok(response))
    }
}

pub(crate) fn authorization(headers: &HeaderMap) -> &str {
    headers
        .get(header::AUTHORIZATION)
        .map_or("", |value| value.to_str().unwrap())
}

pub(crate) fn answer(status: StatusCode, challenge: &str) -> Response<Empty<Bytes>> {
    Response::builder()
        .status(status)
        .header(header::WWW_AUTHENTICATE, challenge)
        .body(Empty::new())
        .unwrap()
}

pub(crate) fn fine() -> Response<Empty<Bytes>> {
    Response::new(Empty::new())
}

pub(crate) fn rejects(
    token: &'static str,
) -> impl Fn(&str) -> Response<Empty<Bytes>> + Send + Sync {
    move |authorization| match authorization.strip_prefix("Bearer ") {
        Some(sent) if sent != token => fine(),
        _ => answer(StatusCode::UNAUTHORIZED, INVALID),
    }
}

pub(crate) fn layer(cache: &TokenCache) -> BearerTokenLayerBuilder {
    BearerTokenLayer::builder(cache.clone()).allow_origin(ORIGIN)
}

pub(crate) fn get<B: Default>(uri: &str) -> Request<B> {
    Request::get(uri).body(B::default()).unwrap()
}

pub(crate) fn post(body: &'static str) -> Request<Full<Bytes>> {
    Request::post(ORIGIN).body(Full::from(body)).unwrap()
}

pub(crate) async fn send<B>(
    layer: BearerTokenLayerBuilder,
    api: &Api<B>,
    request: Request<B>,
) -> Result<StatusCode, BearerTokenError>
where
    B: http_body::Body + Default + Send + 'static,
{
    let service = layer.build().unwrap().layer(api.clone());
    Ok(service.oneshot(request).await?.status())
}

pub(crate) fn kind_of(result: Result<StatusCode, BearerTokenError>) -> TokenErrorKind {
    match result {
        Err(BearerTokenError::Token(error)) => error.kind(),
        other => panic!("{other:?}"),
    }
}

/// What a request without a body gets.
pub(crate) async fn status(service: &BearerTokenService<Api<Empty<Bytes>>>) -> StatusCode {
    let sent = service.clone().oneshot(get(ORIGIN));
    sent.await.unwrap().status()
}

/// Drops the token that is there and gets another one.
pub(crate) async fn replace_token(cache: &TokenCache) {
    assert!(cache.invalidate(&cache.token().await.unwrap()));
    cache.token().await.unwrap();
}
