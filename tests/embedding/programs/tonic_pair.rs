//! A gRPC server behind the validator's layer, and a client whose channel carries the cache's token.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::HttpBody;
use axum::http::uri::PathAndQuery;
use axum::http::{Request, Response};
use bytes::{Buf as _, BufMut as _, Bytes};
use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp};
use jwks_validator::{Claims, IdpClient, JwtLayer, JwtValidator, RemoteJwks};
use std::sync::Arc;
use token_cache::{BearerTokenLayer, ClientCredentials, SecretString, TokenCache};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tower::{Layer as _, Service, service_fn};

/// Messages are bytes, so that no code has to be generated.
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

/// Says who calls.
#[derive(Clone)]
struct Who;

impl NamedService for Who {
    const NAME: &'static str = "example.Who";
}

type Answered = Response<tonic::body::Body>;

impl Service<Request<tonic::body::Body>> for Who {
    type Response = Answered;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answered, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let who = |request: tonic::Request<Bytes>| {
            let claims = request.extensions().get::<Arc<Claims>>();
            let id = claims.and_then(|claims| claims.client_id());
            let id = id.ok_or_else(|| Status::internal("no claims"));
            ready(id.map(|id| tonic::Response::new(Bytes::from(id.to_owned()))))
        };
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(grpc.unary(service_fn(who), request).await)
        })
    }
}

async fn call<S>(channel: S) -> Result<Bytes, Status>
where
    S: tonic::client::GrpcService<tonic::body::Body>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<tower::BoxError>,
{
    let mut client = tonic::client::Grpc::new(channel);
    let ready = client.ready().await;
    ready.map_err(|_| Status::unknown("the channel is not ready"))?;
    let request = tonic::Request::new(Bytes::new());
    let path = PathAndQuery::from_static("/example.Who/Ask");
    Ok(client.unary(request, path, Raw).await?.into_inner())
}

#[tokio::test]
async fn a_tonic_server_knows_who_calls_and_refuses_a_call_without_a_token() {
    let idp = DevIdp::builder().start().await.unwrap();
    let http = IdpClient::builder().build().unwrap();
    let keys = RemoteJwks::new(http, idp.jwks_uri().parse().unwrap());
    let validator = JwtValidator::builder()
        .issuer(idp.issuer(), keys)
        .audience(DEFAULT_AUDIENCE)
        .build()
        .unwrap();
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let origin = format!("http://{}", incoming.local_addr().unwrap());
    let mut server = Server::builder().layer(JwtLayer::new(validator));
    tokio::spawn(server.add_service(Who).serve_with_incoming(incoming));

    let secret = SecretString::from(DEFAULT_CLIENT_SECRET);
    let source = ClientCredentials::builder(DEFAULT_CLIENT_ID, secret)
        .issuer(idp.issuer())
        .build()
        .unwrap();
    let cache = TokenCache::builder(source).build().unwrap();
    let bearer = BearerTokenLayer::builder(cache.clone()).connected_to(&origin);
    let channel: Channel = Endpoint::from_shared(origin).unwrap().connect_lazy();

    let refused = call(channel.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let channel = bearer.build().unwrap().layer(channel);
    assert_eq!(call(channel).await.unwrap(), DEFAULT_CLIENT_ID);
    cache.shutdown().await;
}
