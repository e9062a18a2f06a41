//! The layer around services that are not axum's, as tonic's are.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::body::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use jwks_validator::{Claims, JwtLayer, RequireScopes};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};

use crate::fake_source::{FakeSource, keys, started};
use crate::signer::Signer;

/// A request body of another crate's: not a byte of it is looked at.
struct Opaque(&'static str);

#[derive(Debug)]
struct Status;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("status")
    }
}

impl std::error::Error for Status {}

/// A response body that ends with trailers, as gRPC's do, and has an error type of its own.
type GrpcBody = UnsyncBoxBody<Bytes, Status>;

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

async fn echo(request: Request<Opaque>) -> Result<Response<GrpcBody>, Infallible> {
    let claims = request.extensions().get::<Arc<Claims>>().unwrap();
    let text = format!("{} {}", claims.subject().unwrap(), request.body().0);
    let body = Full::from(text)
        .with_trailers(async { Some(Ok(trailers())) })
        .map_err(|_: Infallible| Status);
    Ok(Response::new(body.boxed_unsync()))
}

fn call(token: Option<&str>) -> Request<Opaque> {
    let mut request = Request::post("/example.Data/Read");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(Opaque("message")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn any_tower_service_can_be_guarded() {
    let (signer, new) = (Signer::es256("k"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&signer]);
    let layer = JwtLayer::new(started(&source).await);
    let scoped = RequireScopes::all(["data:read"])
        .unwrap()
        .layer(service_fn(echo));
    let mut service = layer.layer(scoped);

    let refused = service.ready().await.unwrap().call(call(None)).await;
    assert_eq!(refused.unwrap().status(), 401);

    source.set(keys(&[&signer, &new]));
    // The second one waits for its key.
    for token in [signer.good(), new.good()] {
        let answer = service.ready().await.unwrap().call(call(Some(&token)));
        let body = answer.await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.trailers(), Some(&trailers()));
        assert_eq!(body.to_bytes(), "client-1 message");
    }
}
