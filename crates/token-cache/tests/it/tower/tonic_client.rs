//! A tonic client behind the layer, and a tonic server that refuses its token.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use http::{Request, Response};
use token_cache::{BearerTokenLayer, BearerTokenService};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tower::{Layer as _, Service, service_fn};

use crate::script::{Script, cache};

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

/// Refuses the first token, and notes what it was sent.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<Vec<String>>>);

impl NamedService for Api {
    const NAME: &'static str = "example.Data";
}

type Answered = Response<tonic::body::Body>;

impl Service<Request<tonic::body::Body>> for Api {
    type Response = Answered;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answered, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let seen = Arc::clone(&self.0);
        let answer = move |request: tonic::Request<Bytes>| {
            let sent = request.metadata().get("authorization").unwrap();
            let sent = sent.to_str().unwrap().to_owned();
            let answer = match &*sent {
                "Bearer token-1" => Err(Status::unauthenticated("not valid")),
                _ => Ok(tonic::Response::new(request.into_inner())),
            };
            seen.lock().unwrap().push(sent);
            std::future::ready(answer)
        };
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(grpc.unary(service_fn(answer), request).await)
        })
    }
}

async fn call(client: &BearerTokenService<Channel>) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(client.clone());
    client.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from_static(b"message"));
    let path = PathAndQuery::from_static("/example.Data/Echo");
    Ok(client.unary(request, path, Raw).await?.into_inner())
}

/// N13
#[tokio::test]
async fn a_tonic_client_whose_token_is_refused_calls_with_another_one_next() {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let origin = format!("http://{}", incoming.local_addr().unwrap());
    let api = Api::default();
    let server = Server::builder().add_service(api.clone());
    tokio::spawn(server.serve_with_incoming(incoming));

    let script = Script::new([]);
    let bearer = BearerTokenLayer::builder(cache(&script)).connected_to(&origin);
    let channel = Endpoint::from_shared(origin).unwrap().connect_lazy();
    let client = bearer.build().unwrap().layer(channel);
    let refused = call(&client).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(call(&client).await.unwrap(), "message");
    assert_eq!(*api.0.lock().unwrap(), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(script.calls(), 2);
}
