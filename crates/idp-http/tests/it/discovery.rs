//! Which documents are found, and how long they are kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use idp_http::{Discovery, IdpClient};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::tcp::read_request;

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// A provider that answers 404 wherever it was not told otherwise.
#[derive(Clone)]
struct Provider {
    issuer: String,
    /// Status and body for each path.
    answers: Arc<Mutex<BTreeMap<String, (u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let own = provider.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let answer = own.answers.lock().unwrap().get(&path).cloned();
                let (status, body) = answer.unwrap_or((404, String::new()));
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                );
                own.asked.lock().unwrap().push(path);
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        provider
    }

    fn answer(&self, path: &str, status: u16, body: &str) {
        let body = body.replace("ISSUER", &self.issuer);
        let mut answers = self.answers.lock().unwrap();
        answers.insert(path.to_owned(), (status, body));
    }

    fn discovery(&self) -> Discovery {
        Discovery::new(IdpClient::builder().build().unwrap(), &self.issuer).unwrap()
    }

    /// Publishes metadata with keys at this path.
    fn publish(&self, path: &str) {
        let document = format!(r#"{{"issuer":"ISSUER","jwks_uri":"ISSUER{path}"}}"#);
        self.answer(OPENID, 200, &document);
    }

    /// Returns what was asked for since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// Where the keys are, as far as `discovery` knows.
async fn keys_path(discovery: &Discovery) -> String {
    let metadata = discovery.metadata().await.unwrap();
    metadata.jwks_uri.as_ref().unwrap().path().to_owned()
}

#[tokio::test]
async fn metadata_that_were_forgotten_stay_in_use_until_there_are_others() {
    let provider = Provider::start().await;
    let discovery = provider.discovery();
    let keys = async || keys_path(&discovery).await;
    provider.answer(OPENID, 503, "");
    discovery.forget();
    assert!(discovery.metadata().await.is_err());

    provider.publish("/old");
    assert_eq!(keys().await, "/old");
    provider.asked();
    for (status, body) in [
        (503, String::new()),
        (404, String::new()),
        (
            200,
            r#"{"issuer":"http://127.0.0.1:1","jwks_uri":"http://127.0.0.1:1/new"}"#.to_owned(),
        ),
        (
            200,
            r#"{"issuer":"ISSUER","jwks_uri":"ftp://x"}"#.to_owned(),
        ),
    ] {
        provider.answer(OPENID, status, &body);
        discovery.forget();
        assert_eq!(keys().await, "/old", "{status} {body}");
        assert_eq!(provider.asked()[0], OPENID);
        // Until they are forgotten once more.
        assert_eq!(keys().await, "/old");
        assert!(provider.asked().is_empty());
    }

    provider.publish("/new");
    discovery.forget();
    assert_eq!(keys().await, "/new");
    assert_eq!(provider.asked(), [OPENID]);
}

/// Steps the time without which nothing happens on its own: a paused clock would run ahead of the sockets.
async fn advance(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

#[tokio::test]
async fn metadata_are_read_again_after_an_hour_and_after_a_minute_where_that_fails() {
    const MINUTE: Duration = Duration::from_secs(60);
    let provider = Provider::start().await;
    let discovery = provider.discovery();
    let keys = async || keys_path(&discovery).await;
    provider.publish("/old");
    assert_eq!(keys().await, "/old");
    advance(58 * MINUTE).await;
    assert_eq!(keys().await, "/old");
    assert_eq!(provider.asked(), [OPENID]);

    provider.answer(OPENID, 503, "");
    advance(2 * MINUTE).await;
    assert_eq!(keys().await, "/old");
    assert_eq!(provider.asked(), [OPENID]);
    provider.publish("/new");
    assert_eq!(keys().await, "/old");
    assert!(provider.asked().is_empty());
    advance(MINUTE).await;
    assert_eq!(keys().await, "/new");
    assert_eq!(provider.asked(), [OPENID]);

    // Whoever gives up on a provider that hangs goes on with what is known.
    advance(60 * MINUTE).await;
    tokio::select! {
        biased;
        _ = discovery.metadata() => panic!("not asked"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(keys().await, "/new");
    assert!(provider.asked().is_empty());
}

#[tokio::test]
async fn a_page_where_metadata_should_be_is_passed_over() {
    let provider = Provider::start().await;
    let document = r#"{"issuer":"ISSUER","token_endpoint":"ISSUER/token"}"#;
    provider.answer(OAUTH, 200, document);
    for page in ["<html>", "", "[]", "7", &"x".repeat(300_000)] {
        provider.answer(OPENID, 200, page);
        let metadata = provider.discovery().metadata().await.unwrap();
        assert_eq!(metadata.token_endpoint.as_ref().unwrap().path(), "/token");
        assert_eq!(provider.asked(), [OPENID, OAUTH]);
    }
}

#[tokio::test]
async fn without_any_metadata_the_first_page_is_what_is_wrong() {
    let provider = Provider::start().await;
    provider.answer(OPENID, 200, "<html>");
    for status in [200, 404] {
        provider.answer(OAUTH, status, &"x".repeat(300_000));
        let error = provider.discovery().metadata().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "discovery failed: unusable metadata: not a strict JSON object"
        );
    }
    // The document may be the one that cannot be had now.
    provider.answer(OAUTH, 503, "");
    let error = provider.discovery().metadata().await.unwrap_err();
    assert!(error.is_overloaded(), "{error}");
}

/// D26
#[tokio::test]
async fn a_document_of_another_issuer_is_not_passed_over() {
    let provider = Provider::start().await;
    provider.answer(OPENID, 200, r#"{"issuer":"https://evil.example"}"#);
    provider.answer(OAUTH, 200, r#"{"issuer":"ISSUER"}"#);
    let error = provider.discovery().metadata().await.unwrap_err();
    assert!(error.is_issuer_mismatch(), "{error}");
    assert_eq!(provider.asked(), [OPENID]);
}
