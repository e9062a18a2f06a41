//! Requests to a router, and what their answers say.

use axum::Router;
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use jwks_validator::{AuthError, Reason};
use tower::ServiceExt as _;

pub(crate) fn request(uri: &str, authorization: &[&[u8]]) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri.parse().unwrap();
    for value in authorization {
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append(AUTHORIZATION, value);
    }
    request
}

pub(crate) fn bearer(uri: &str, token: &str) -> Request<Body> {
    request(uri, &[format!("Bearer {token}").as_bytes()])
}

pub(crate) async fn ask(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

pub(crate) fn challenge<B>(response: &Response<B>) -> &str {
    response.headers()["www-authenticate"].to_str().unwrap()
}

pub(crate) fn reason<B>(response: &Response<B>) -> Option<Reason> {
    response
        .extensions()
        .get::<AuthError>()
        .map(AuthError::reason)
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}
