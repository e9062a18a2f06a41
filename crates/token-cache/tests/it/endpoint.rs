//! The token endpoint client over real sockets.

pub(crate) mod server;

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use idp_http::{FetchError, FetchErrorKind, IdpClient, IdpClientBuilder};
use secrecy::SecretString;
use token_cache::{
    ClientAuth, ClientCredentials, ConfigError, SecretSource, TokenCache, TokenError,
    TokenErrorKind, TokenRequest, TokenSource,
};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use self::server::{Endpoint, Then};

fn http() -> IdpClientBuilder {
    IdpClient::builder().timeout(Duration::from_millis(300))
}

fn source(url: &str) -> ClientCredentials {
    ClientCredentials::builder("client", SecretString::from("canary-secret"))
        .token_endpoint(url)
        .http(http())
        .build()
        .unwrap()
}

async fn failure(url: &str) -> TokenError {
    let error = source(url).fetch(&TokenRequest::new()).await.unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("canary"),
        "{error:?}"
    );
    error
}

const TOKEN: &str = r#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#;

/// A9
#[tokio::test]
async fn the_request_is_the_one_of_the_rfc() {
    let mut endpoint = Endpoint::json("200 OK", TOKEN).await;
    let request = TokenRequest::new()
        .scope("b a")
        .audience("api")
        .resource("https://r.example/");
    let issued = source(&endpoint.url).fetch(&request).await.unwrap();
    drop(issued);
    let sent = endpoint.requests.recv().await.unwrap().to_ascii_lowercase();
    assert!(sent.starts_with("post /token http/1.1\r\n"), "{sent}");
    assert!(
        sent.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"),
        "{sent}"
    );
    assert!(sent.contains("\r\naccept: application/json\r\n"), "{sent}");
    assert!(
        sent.contains("\r\nauthorization: basic y2xpzw50omnhbmfyes1zzwnyzxq=\r\n"),
        "{sent}"
    );
    // Without it some providers compress.
    assert!(sent.contains("\r\naccept-encoding: identity\r\n"), "{sent}");
    assert!(!sent.contains("cookie"), "{sent}");
    assert!(
        sent.ends_with(
            "grant_type=client_credentials&scope=a+b&audience=api&resource=https%3a%2f%2fr.example%2f"
        ),
        "{sent}"
    );
}

/// A33
#[tokio::test]
async fn client_secret_post_sends_no_authorization_header() {
    let mut endpoint = Endpoint::json("200 OK", TOKEN).await;
    ClientCredentials::builder("client", SecretString::from("canary-secret"))
        .token_endpoint(&endpoint.url)
        .auth(ClientAuth::SecretPost)
        .build()
        .unwrap()
        .fetch(&TokenRequest::new())
        .await
        .unwrap();
    let sent = endpoint.requests.recv().await.unwrap();
    assert!(
        !sent.to_ascii_lowercase().contains("authorization"),
        "{sent}"
    );
    assert!(
        sent.ends_with("&client_id=client&client_secret=canary-secret"),
        "{sent}"
    );
}

/// A1
#[tokio::test]
async fn a_refused_connection_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let error = failure(&url).await;
    assert_eq!(error.kind(), TokenErrorKind::Connect);
    assert!(error.kind().is_transient() && error.is_transient());
    let source = std::error::Error::source(&error).unwrap();
    let fetch = source.downcast_ref::<FetchError>().unwrap();
    assert_eq!(fetch.kind(), FetchErrorKind::Connect);
}

/// A3
#[tokio::test]
async fn a_name_that_does_not_resolve_is_transient() {
    let error = failure("https://idp.invalid/token").await;
    assert_eq!(error.kind(), TokenErrorKind::Dns);
}

/// A5, A7, A8
#[tokio::test]
async fn broken_answers_have_their_kinds() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    for (name, raw, then, expected) in [
        (
            "hangs up at once",
            String::new(),
            Then::Close,
            TokenErrorKind::Truncated,
        ),
        (
            "never answers",
            String::new(),
            Then::Hang,
            TokenErrorKind::Timeout,
        ),
        (
            "stops in the headers",
            head.to_owned(),
            Then::Close,
            TokenErrorKind::Truncated,
        ),
        (
            "stops in the body",
            format!("{head}Content-Length: 100\r\n\r\n{{\"access_token\""),
            Then::Close,
            TokenErrorKind::Truncated,
        ),
        (
            "hangs in the body",
            format!("{head}Content-Length: 100\r\n\r\n{{"),
            Then::Hang,
            TokenErrorKind::Timeout,
        ),
        (
            "is no HTTP",
            "SSH-2.0-x\r\n\r\n".to_owned(),
            Then::Close,
            TokenErrorKind::NotHttp,
        ),
        (
            "never ends",
            format!("{head}\r\n"),
            Then::Flood,
            TokenErrorKind::TooLarge,
        ),
        (
            "promises 10 GB",
            format!("{head}Content-Length: 10000000000\r\n\r\n"),
            Then::Flood,
            TokenErrorKind::TooLarge,
        ),
    ] {
        let endpoint = Endpoint::start(raw, then).await;
        assert_eq!(failure(&endpoint.url).await.kind(), expected, "{name}");
    }
}

/// A9
#[tokio::test]
async fn compressed_answers_are_not_inflated() {
    let raw = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\u{0}..";
    let endpoint = Endpoint::start(raw, Then::Close).await;
    assert_eq!(failure(&endpoint.url).await.kind(), TokenErrorKind::Json);
}

/// A28, A29
#[tokio::test]
async fn redirects_are_not_followed_and_the_secret_stays() {
    let mut elsewhere = Endpoint::json("200 OK", TOKEN).await;
    for status in [301, 302, 303, 307, 308] {
        let location = &elsewhere.url;
        let raw =
            format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let endpoint = Endpoint::start(raw, Then::Close).await;
        let error = failure(&endpoint.url).await;
        assert_eq!(error.kind(), TokenErrorKind::Redirect, "{status}");
    }
    assert_eq!(elsewhere.count(), 0);
}

/// A30
#[tokio::test]
async fn plain_http_is_refused_when_the_source_is_built() {
    let build = |url: &str| -> Result<ClientCredentials, ConfigError> {
        ClientCredentials::builder("client", SecretString::from("x"))
            .token_endpoint(url)
            .build()
    };
    assert_eq!(
        build("http://idp.example/token").unwrap_err().setting(),
        "token_endpoint"
    );
    assert_eq!(build("not a url").unwrap_err().setting(), "token_endpoint");
    assert!(build("https://idp.example/token").is_ok());
    assert!(build("http://127.0.0.1:1/token").is_ok());
    let http = IdpClient::builder().dangerous_allow_http(true);
    let builder = ClientCredentials::builder("client", SecretString::from("x")).http(http);
    assert!(
        builder
            .token_endpoint("http://idp.example/token")
            .build()
            .is_ok()
    );
}

/// A25, A39
#[tokio::test]
async fn cookies_and_other_tokens_in_an_answer_are_ignored() {
    let body = r#"{"access_token":"abc","token_type":"Bearer","refresh_token":"r","id_token":"i"}"#;
    let length = body.len();
    let raw = format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut endpoint = Endpoint::start(raw, Then::Close).await;
    let source = source(&endpoint.url);
    for _ in 0..2 {
        let issued = source.fetch(&TokenRequest::new()).await.unwrap();
        assert!(!format!("{issued:?}").contains("refresh"));
        let sent = endpoint.requests.recv().await.unwrap().to_ascii_lowercase();
        assert!(!sent.contains("cookie"), "{sent}");
    }
}

/// B20
#[tokio::test]
async fn a_secret_file_is_read_for_every_exchange() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "one\n").unwrap();
    let mut endpoint = Endpoint::json("200 OK", TOKEN).await;
    let source = ClientCredentials::builder("client", SecretSource::File(file.path().to_owned()))
        .token_endpoint(&endpoint.url)
        .auth(ClientAuth::SecretPost)
        .build()
        .unwrap();
    for secret in ["one", "two"] {
        std::fs::write(file.path(), format!("{secret}\n")).unwrap();
        source.fetch(&TokenRequest::new()).await.unwrap();
        let sent = endpoint.requests.recv().await.unwrap();
        assert!(sent.ends_with(&format!("client_secret={secret}")), "{sent}");
    }
    file.close().unwrap();
    let error = source.fetch(&TokenRequest::new()).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Config);
}

/// B1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_callers_without_a_token_send_one_request_over_the_network() {
    const CALLERS: usize = 10_000;
    let begin = Arc::new(Barrier::new(CALLERS));
    // The endpoint answers when every caller waits.
    let waiting = Arc::new(Barrier::new(CALLERS + 1));
    let requests = Arc::new(AtomicUsize::new(0));
    let app = axum::Router::new().fallback({
        let (waiting, requests) = (Arc::clone(&waiting), Arc::clone(&requests));
        move || async move {
            requests.fetch_add(1, Ordering::SeqCst);
            waiting.wait().await;
            ([("content-type", "application/json")], TOKEN)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let source = ClientCredentials::builder("client", SecretString::from("canary-secret"))
        .token_endpoint(&url)
        .http(IdpClient::builder().timeout(Duration::from_secs(60)))
        .build()
        .unwrap();
    let cache = TokenCache::builder(source).build().unwrap();

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (cache, begin) = (cache.clone(), Arc::clone(&begin));
        let waiting = Arc::clone(&waiting);
        callers.spawn(async move {
            begin.wait().await;
            let mut token = pin!(cache.token());
            let first = poll_fn(|context| Poll::Ready(token.as_mut().poll(context))).await;
            assert!(first.is_pending());
            waiting.wait().await;
            token.await.unwrap().secret().to_owned()
        });
    }
    while let Some(token) = callers.join_next().await {
        assert_eq!(token.unwrap(), "abc");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

/// For whoever looks for a mistake: what the endpoint said beside the token, or instead of it.
#[tokio::test]
async fn an_exchange_shows_the_answer_beside_what_it_was_read_as() {
    let body = r#"{"access_token":"canary","token_type":"Bearer","expires_in":60,"scope":"a"}"#;
    let endpoint = Endpoint::json("200 OK", body).await;
    let exchange = source(&endpoint.url).exchange(&TokenRequest::new()).await;
    assert!(!format!("{exchange:?}").contains("canary"), "{exchange:?}");
    let issued = exchange.result.unwrap();
    assert_eq!(issued.access_token(), "canary");
    assert_eq!(issued.lifetime(), Some(Duration::from_secs(60)));
    assert_eq!(exchange.reply.unwrap().body, body.as_bytes());

    let body = r#"{"error":"invalid_scope"}"#;
    let endpoint = Endpoint::json("400 Bad Request", body).await;
    let exchange = source(&endpoint.url).exchange(&TokenRequest::new()).await;
    let error = exchange.result.unwrap_err();
    assert_eq!(error.oauth_code(), Some("invalid_scope"));
    assert_eq!(exchange.reply.unwrap().status, 400);

    let exchange = source("http://127.0.0.1:1/token")
        .exchange(&TokenRequest::new())
        .await;
    assert!(exchange.result.is_err() && exchange.reply.is_none());
}

/// J1
#[tokio::test]
async fn an_error_code_shows_no_secret() {
    let body = r#"{"error":"canary-secret\u001b"}"#;
    let endpoint = Endpoint::json("400 Bad Request", body).await;
    assert_eq!(failure(&endpoint.url).await.oauth_code(), Some(""));
    let body = r#"{"error":"x\u001b"}"#;
    let endpoint = Endpoint::json("400 Bad Request", body).await;
    assert_eq!(failure(&endpoint.url).await.oauth_code(), Some("x?"));
}

#[test]
fn advice_ends_the_text_of_an_error() {
    let error = TokenError::new(TokenErrorKind::OAuth)
        .with_advice("change SETTING")
        .with_detail("invalid_scope")
        .with_retry_after(Some(Duration::from_secs(2)));
    assert_eq!(
        error.to_string(),
        "the provider refused the token request: invalid_scope; change SETTING"
    );
}
