//! Token endpoints that are found in the issuer's metadata.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::SecretString;
use token_cache::{ClientCredentials, TokenCache, TokenErrorKind, TokenRequest, TokenSource as _};
use tokio::net::TcpListener;

const TOKEN: &str = r#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#;

/// A provider whose token endpoint answers with these statuses, one after the other, and whose metadata can
/// be had once. Returns its issuer and how often each of the two was asked.
async fn provider_without_metadata(
    answers: &'static [u16],
) -> (String, Arc<(AtomicUsize, AtomicUsize)>) {
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let metadata = format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#);
    let (for_metadata, for_token) = (Arc::clone(&counts), Arc::clone(&counts));
    let app = axum::Router::new()
        .route(
            "/.well-known/openid-configuration",
            axum::routing::get(move || async move {
                match for_metadata.0.fetch_add(1, Ordering::SeqCst) {
                    0 => Ok(metadata),
                    _ => Err(http::StatusCode::SERVICE_UNAVAILABLE),
                }
            }),
        )
        .route(
            "/token",
            axum::routing::post(move || async move {
                let status = answers[for_token.1.fetch_add(1, Ordering::SeqCst)];
                let body = if status == 200 { TOKEN } else { "" };
                (http::StatusCode::from_u16(status).unwrap(), body)
            }),
        );
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    (issuer, counts)
}

/// N33
#[tokio::test]
async fn metadata_that_cannot_be_had_again_leave_the_endpoint_in_use() {
    let answers = &[200, 503, 429, 408, 401, 200, 404, 200, 200];
    let (issuer, counts) = provider_without_metadata(answers).await;
    let source = ClientCredentials::builder("client", SecretString::from("x"))
        .issuer(&issuer)
        .build()
        .unwrap();
    // Only what may be somebody else's answer makes the source ask for metadata.
    let discoveries = [1, 1, 1, 1, 1, 1, 1, 2, 2];
    for (asked, (status, discoveries)) in answers.iter().zip(discoveries).enumerate() {
        let result = source.fetch(&TokenRequest::new()).await;
        assert_eq!(result.is_ok(), *status == 200, "{asked}: {result:?}");
        assert_eq!(counts.1.load(Ordering::SeqCst), asked + 1);
        assert_eq!(counts.0.load(Ordering::SeqCst), discoveries, "{asked}");
    }
}

#[tokio::test]
async fn the_endpoint_is_discovered_once_and_again_after_it_stops_answering() {
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let metadata = format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#);
    let app = {
        let (for_metadata, for_token) = (Arc::clone(&counts), Arc::clone(&counts));
        axum::Router::new()
            .route(
                "/.well-known/oauth-authorization-server",
                axum::routing::get(move || async move {
                    for_metadata.0.fetch_add(1, Ordering::SeqCst);
                    metadata
                }),
            )
            .route(
                "/token",
                axum::routing::post(move || async move {
                    match for_token.1.fetch_add(1, Ordering::SeqCst) {
                        2 => Err(http::StatusCode::NOT_FOUND),
                        _ => Ok(TOKEN),
                    }
                }),
            )
    };
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let source = ClientCredentials::builder("client", SecretString::from("x"))
        .issuer(&issuer)
        .build()
        .unwrap();
    let request = TokenRequest::new();
    for (ok, discoveries) in [(true, 1), (true, 1), (false, 1), (true, 2)] {
        assert_eq!(source.fetch(&request).await.is_ok(), ok);
        assert_eq!(counts.0.load(Ordering::SeqCst), discoveries);
    }
}

/// N32
#[tokio::test]
async fn metadata_that_are_throttled_are_not_asked_for_again_within_the_attempt() {
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let app = {
        let asked = Arc::clone(&asked);
        axum::Router::new().fallback(move || async move {
            asked.fetch_add(1, Ordering::SeqCst);
            http::StatusCode::TOO_MANY_REQUESTS
        })
    };
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let source = ClientCredentials::builder("client", SecretString::from("x"))
        .issuer(&issuer)
        .build()
        .unwrap();
    let cache = TokenCache::builder(source).build().unwrap();
    let error = cache.token().await.unwrap_err();
    let throttled = TokenErrorKind::Throttled;
    assert_eq!(error.kind(), throttled);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
