//! The examples run to their end.

#[expect(dead_code, reason = "`main` is for `cargo run`")]
#[path = "../../examples/embed.rs"]
mod embed;
#[expect(dead_code, reason = "`main` is for `cargo run`")]
#[path = "../../examples/many_audiences.rs"]
mod many_audiences;
#[cfg(feature = "tower")]
#[expect(dead_code, reason = "`main` is for `cargo run`")]
#[path = "../../examples/tonic_or_hyper.rs"]
mod tonic_or_hyper;

#[tokio::test]
async fn one_service_gets_one_token() {
    embed::run().await.unwrap();
}

#[tokio::test]
async fn many_audiences_have_a_token_each() {
    many_audiences::run().await.unwrap();
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn a_hyper_client_replays_a_rejected_request() {
    tonic_or_hyper::run().await.unwrap();
}
