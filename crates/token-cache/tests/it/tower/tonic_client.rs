//! A tonic client behind the layer, and a tonic server that refuses its token.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use token_cache::{BearerTokenLayer, BearerTokenService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::Layer as _;
use tower::layer::util::Identity;

use crate::script::{Script, cache};

async fn call(client: &BearerTokenService<Channel>) -> Result<Bytes, Status> {
    let message = tonic::Request::new(Bytes::from_static(b"message"));
    raw_grpc::call(client.clone(), message).await
}

/// N13
#[tokio::test]
async fn a_tonic_client_whose_token_is_refused_calls_with_another_one_next() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let refuses_the_first = move |message: tonic::Request<Bytes>| {
        let sent = message.metadata().get("authorization").unwrap();
        let sent = sent.to_str().unwrap().to_owned();
        let is_first = sent == "Bearer token-1";
        notes.lock().unwrap().push(sent);
        if is_first {
            return Err(Status::unauthenticated("not valid"));
        }
        Ok(message.into_inner())
    };
    let origin = raw_grpc::serve(Identity::new(), refuses_the_first).await;

    let script = Script::new([]);
    let bearer = BearerTokenLayer::builder(cache(&script)).connected_to(&origin);
    let channel = Endpoint::from_shared(origin).unwrap().connect_lazy();
    let client = bearer.build().unwrap().layer(channel);
    let refused = call(&client).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(call(&client).await.unwrap(), "message");
    assert_eq!(*seen.lock().unwrap(), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(script.calls(), 2);
}
