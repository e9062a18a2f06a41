//! A gRPC server behind the validator's layer, and a client whose channel carries the cache's token.

use std::sync::Arc;

use bytes::Bytes;
use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DevIdp};
use jwks_validator::{Claims, IdpClient, JwtLayer, JwtValidator, RemoteJwks};
use token_cache::{BearerTokenLayer, TokenCache};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::Layer as _;

use crate::client_credentials;

/// Says who calls.
fn who(message: Request<Bytes>) -> Result<Bytes, Status> {
    let claims = message.extensions().get::<Arc<Claims>>();
    let id = claims.and_then(|claims| claims.client_id());
    let id = id.ok_or_else(|| Status::internal("no claims"))?;
    Ok(Bytes::from(id.to_owned()))
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
    let origin = raw_grpc::serve(JwtLayer::new(validator), who).await;

    let cache = TokenCache::builder(client_credentials(&idp))
        .build()
        .unwrap();
    let bearer = BearerTokenLayer::builder(cache.clone()).connected_to(&origin);
    let channel: Channel = Endpoint::from_shared(origin).unwrap().connect_lazy();

    let message = || Request::new(Bytes::new());
    let refused = raw_grpc::call(channel.clone(), message()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let channel = bearer.build().unwrap().layer(channel);
    let who = raw_grpc::call(channel, message()).await.unwrap();
    assert_eq!(who, DEFAULT_CLIENT_ID);
    cache.shutdown().await;
}
