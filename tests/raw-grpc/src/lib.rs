//! A gRPC method and its caller for tests. Messages are bytes, so that no code has to be generated.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use http_body::Body as HttpBody;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::{BoxError, Layer, Service, service_fn};

/// Messages as they are.
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

/// A service whose methods are all this function.
#[derive(Clone)]
struct Method<F>(F);

impl<F> NamedService for Method<F> {
    const NAME: &'static str = "example.Data";
}

impl<F> Service<http::Request<Body>> for Method<F>
where
    F: Fn(tonic::Request<Bytes>) -> Result<Bytes, Status> + Clone + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.0.clone();
        let answer = move |request| ready(method(request).map(tonic::Response::new));
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(grpc.unary(service_fn(answer), request).await)
        })
    }
}

/// Serves a method behind a layer until the runtime ends, and returns the origin of the server.
pub async fn serve<L, B, F>(layer: L, method: F) -> String
where
    L: Layer<Routes> + Clone + Send + 'static,
    L::Service: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    <L::Service as Service<http::Request<Body>>>::Future: Send,
    <L::Service as Service<http::Request<Body>>>::Error: Into<BoxError> + Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    F: Fn(tonic::Request<Bytes>) -> Result<Bytes, Status> + Clone + Send + Sync + 'static,
{
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let origin = format!("http://{}", incoming.local_addr().unwrap());
    let server = Server::builder().layer(layer).add_service(Method(method));
    tokio::spawn(server.serve_with_incoming(incoming));
    origin
}

/// Calls the method with this message.
///
/// # Errors
///
/// Fails with the status of the answer.
pub async fn call<S>(channel: S, message: tonic::Request<Bytes>) -> Result<Bytes, Status>
where
    S: tonic::client::GrpcService<Body>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<BoxError>,
{
    let mut client = tonic::client::Grpc::new(channel);
    let ready = client.ready().await;
    ready.map_err(|_| Status::unknown("the channel is not ready"))?;
    let path = PathAndQuery::from_static("/example.Data/Call");
    Ok(client.unary(message, path, Raw).await?.into_inner())
}
