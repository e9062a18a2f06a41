//! A tonic server behind the layers, and what a tonic client makes of refusals.

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::routing::post;
use http::Request;
use http_body_util::BodyExt as _;
use jwks_validator::{Answer, Jwt, JwtLayer, RequireScopes};
use serde::Deserialize;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceBuilder};

use crate::asking::{ask, challenge, reason};
use crate::fake_source::{FakeSource, Script, builder, started};
use crate::signer::Signer;

/// Serves what answers a message with itself, behind the layer.
async fn serve<L, B>(layer: L) -> Endpoint
where
    L: Layer<Routes> + Clone + Send + 'static,
    L::Service:
        Service<Request<tonic::body::Body>, Response = http::Response<B>> + Clone + Send + 'static,
    <L::Service as Service<Request<tonic::body::Body>>>::Future: Send,
    <L::Service as Service<Request<tonic::body::Body>>>::Error: Into<tower::BoxError> + Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    let origin = raw_grpc::serve(layer, |message| Ok(message.into_inner())).await;
    Endpoint::from_shared(origin).unwrap()
}

async fn call(server: &Endpoint, authorization: Option<&str>) -> Result<Bytes, Status> {
    let mut message = tonic::Request::new(Bytes::from_static(b"message"));
    if let Some(value) = authorization {
        let metadata = message.metadata_mut();
        metadata.insert("authorization", value.parse().unwrap());
    }
    raw_grpc::call(server.connect_lazy(), message).await
}

/// N54
#[tokio::test]
async fn a_grpc_client_is_refused_in_its_own_words() {
    let signer = Signer::es256("k");
    let layer = JwtLayer::new(started(&FakeSource::with_keys(&[&signer])).await);
    let scopes = RequireScopes::all(["data:write"]).unwrap();
    let plain = serve(layer.clone()).await;
    let scoped = serve(
        ServiceBuilder::new()
            .layer(layer)
            .layer(scopes)
            .into_inner(),
    )
    .await;
    let nobody = FakeSource::new(Script::Fail(Answer::None));
    let without_keys = builder(&nobody).build().unwrap();
    without_keys.start();
    let without_keys = serve(JwtLayer::new(without_keys)).await;

    let good = format!("Bearer {}", signer.good());
    assert_eq!(call(&plain, Some(&good)).await.unwrap(), "message");
    let forged = format!("Bearer {}", Signer::es256("k").good());
    for (name, server, authorization, code, message) in [
        (
            "no token",
            &plain,
            None,
            Code::Unauthenticated,
            "a bearer token is required",
        ),
        (
            "malformed",
            &plain,
            Some("Bearer a b"),
            Code::Unauthenticated,
            "a bearer token is required",
        ),
        (
            "forged",
            &plain,
            Some(forged.as_str()),
            Code::Unauthenticated,
            "the access token is not valid",
        ),
        (
            "without a scope",
            &scoped,
            Some(&good),
            Code::PermissionDenied,
            "the access token lacks a required scope",
        ),
        (
            "no keys",
            &without_keys,
            Some(&good),
            Code::Unavailable,
            "tokens cannot be validated at the moment",
        ),
    ] {
        let status = call(server, authorization).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message), "{name}");
        let challenge = status.metadata().get("www-authenticate");
        assert_eq!(challenge.is_some(), code != Code::Unavailable, "{name}");
        let retry_after = status.metadata().get("retry-after");
        assert_eq!(retry_after.is_some(), code == Code::Unavailable, "{name}");
    }
}

#[derive(Deserialize)]
struct Mine {
    #[expect(dead_code, reason = "no token of this test has it")]
    tenant: String,
}

/// N54
#[tokio::test]
async fn only_grpc_is_answered_with_a_status_of_200_and_no_body() {
    let signer = Signer::es256("k");
    let layer = JwtLayer::new(started(&FakeSource::with_keys(&[&signer])).await);
    let guarded = Router::new()
        .route("/", post(async |_: Jwt<Mine>| "in"))
        .layer(layer);
    let unguarded = Router::new().route("/", post(async |_: Jwt| "in"));
    let good = format!("Bearer {}", signer.good());
    for (name, app, content_type, authorization, status, grpc) in [
        (
            "layer",
            &guarded,
            "application/grpc+proto",
            "",
            200,
            Some("16"),
        ),
        (
            "layer",
            &guarded,
            "application/grpc-web+proto",
            "",
            401,
            None,
        ),
        ("layer", &guarded, "application/json", "", 401, None),
        (
            "extractor",
            &guarded,
            "application/grpc",
            &good,
            200,
            Some("16"),
        ),
        ("extractor", &guarded, "application/json", &good, 401, None),
        (
            "no layer",
            &unguarded,
            "application/grpc",
            "",
            200,
            Some("13"),
        ),
        ("no layer", &unguarded, "application/json", "", 500, None),
    ] {
        let mut request = Request::post("/").header("content-type", content_type);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let response = ask(app, request.body(Body::empty()).unwrap()).await;
        let name = format!("{name} {content_type}");
        assert_eq!(response.status(), status, "{name}");
        assert!(reason(&response).is_some(), "{name}");
        let said = response.headers().get("grpc-status");
        assert_eq!(said.map(|value| value.to_str().unwrap()), grpc, "{name}");
        assert_eq!(response.headers()["vary"], "authorization", "{name}");
        if status != 500 && grpc != Some("13") {
            assert!(challenge(&response).starts_with("Bearer realm"), "{name}");
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.is_empty(), grpc.is_some(), "{name}");
    }
}
