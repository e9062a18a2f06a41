//! A tonic server behind the layers, and what a tonic client makes of refusals.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::body::Bytes;
use axum::routing::post;
use axum::{Router, body::Body};
use bytes::{Buf as _, BufMut as _};
use http::uri::PathAndQuery;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use jwks_validator::{Answer, Jwt, JwtLayer, RequireScopes};
use serde::Deserialize;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tower::{Layer, Service, ServiceBuilder, service_fn};

use crate::asking::{ask, challenge, reason};
use crate::fake_source::{FakeSource, Script, builder, started};
use crate::signer::Signer;

/// Messages are bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Answers a message with itself.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "example.Data";
}

type Answered = Response<tonic::body::Body>;

impl Service<Request<tonic::body::Body>> for Echo {
    type Response = Answered;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Answered, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let echo = |request: tonic::Request<Bytes>| -> Ready<Result<_, Status>> {
            ready(Ok(tonic::Response::new(request.into_inner())))
        };
        Box::pin(async move {
            Ok(tonic::server::Grpc::new(Raw)
                .unary(service_fn(echo), request)
                .await)
        })
    }
}

/// Starts a server behind the layer; it ends with the test's runtime.
async fn serve<L>(layer: L) -> SocketAddr
where
    L: Layer<tonic::service::Routes> + Clone + Send + 'static,
    L::Service:
        Service<Request<tonic::body::Body>, Response = Response<Body>> + Clone + Send + 'static,
    <L::Service as Service<Request<tonic::body::Body>>>::Future: Send,
    <L::Service as Service<Request<tonic::body::Body>>>::Error: Into<tower::BoxError> + Send,
{
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Echo);
    tokio::spawn(server.serve_with_incoming(incoming));
    address
}

async fn call(address: SocketAddr, authorization: Option<&str>) -> Result<Bytes, Status> {
    let channel: Channel = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(Bytes::from_static(b"message"));
    if let Some(value) = authorization {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", value.parse().unwrap());
    }
    let path = PathAndQuery::from_static("/example.Data/Echo");
    let answer = client.unary(request, path, Raw).await?;
    Ok(answer.into_inner())
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
    assert_eq!(call(plain, Some(&good)).await.unwrap(), "message");
    let forged = format!("Bearer {}", Signer::es256("k").good());
    for (name, address, authorization, code, message) in [
        (
            "no token",
            plain,
            None,
            Code::Unauthenticated,
            "a bearer token is required",
        ),
        (
            "malformed",
            plain,
            Some("Bearer a b"),
            Code::Unauthenticated,
            "a bearer token is required",
        ),
        (
            "forged",
            plain,
            Some(forged.as_str()),
            Code::Unauthenticated,
            "the access token is not valid",
        ),
        (
            "without a scope",
            scoped,
            Some(&good),
            Code::PermissionDenied,
            "the access token lacks a required scope",
        ),
        (
            "no keys",
            without_keys,
            Some(&good),
            Code::Unavailable,
            "tokens cannot be validated at the moment",
        ),
    ] {
        let status = call(address, authorization).await.unwrap_err();
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
