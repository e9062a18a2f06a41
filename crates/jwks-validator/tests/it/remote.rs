//! Keys over loopback HTTP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::IF_NONE_MATCH;
use http::{HeaderMap, Response, Uri};
use jwks_validator::{
    Answer, Discovery, EntityTag, Fetched, IdpClient, KeySetErrorKind, KeySource as _, RemoteJwks,
    SourceError, SourceErrorKind,
};
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use crate::signer::{Signer, jwks};

/// A server that gives one answer to every request, and keeps the requests.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: Vec<(String, Reply)>,
    requests: Vec<(String, HeaderMap)>,
}

#[derive(Clone, Default)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap| async move {
            let mut state = shared.lock().unwrap();
            state.requests.push((uri.path().to_owned(), headers));
            let reply = state
                .answers
                .iter()
                .rev()
                .find(|(path, _)| path.is_empty() || path == uri.path())
                .map(|(_, reply)| reply.clone())
                .unwrap_or_default();
            let mut response = Response::builder().status(reply.status.max(200));
            for (name, value) in reply.headers {
                response = response.header(name, value);
            }
            response.body(Body::from(reply.body)).unwrap()
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, state }
    }

    pub(crate) fn answer(&self, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) {
        self.answer_at("", status, headers, body);
    }

    pub(crate) fn answer_at(
        &self,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let reply = Reply {
            status,
            headers,
            body: body.into(),
        };
        self.state
            .lock()
            .unwrap()
            .answers
            .push((path.to_owned(), reply));
    }

    pub(crate) fn requests(&self) -> Vec<(String, HeaderMap)> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(crate) fn source(&self) -> RemoteJwks {
        RemoteJwks::new(client(), self.url("/jwks"))
    }
}

pub(crate) fn client() -> IdpClient {
    IdpClient::builder().build().unwrap()
}

pub(crate) fn etag(value: &'static str) -> EntityTag {
    EntityTag::new(http::HeaderValue::from_static(value))
}

#[tokio::test]
async fn keys_come_with_their_freshness_and_entity_tag() {
    let server = Server::start().await;
    let signer = Signer::es256("k");
    server.answer(
        200,
        &[("etag", "\"7\""), ("cache-control", "public, max-age=600")],
        jwks(&[signer.jwk()]),
    );
    let Fetched::Modified {
        keys,
        max_age,
        entity_tag,
        ..
    } = server.source().fetch(None).await.unwrap()
    else {
        panic!("keys");
    };
    assert_eq!(keys.len(), 1);
    assert_eq!(max_age, Some(Duration::from_secs(600)));
    assert_eq!(entity_tag, Some(etag("\"7\"")));
    assert!(!server.requests()[0].1.contains_key(IF_NONE_MATCH));
}

/// D31
#[tokio::test]
async fn not_modified_answers_only_a_conditional_request() {
    let server = Server::start().await;
    server.answer(304, &[("cache-control", "max-age=90")], "");
    let source = server.source();
    let fetched = source.fetch(Some(&etag("\"7\""))).await.unwrap();
    assert!(
        matches!(fetched, Fetched::NotModified { max_age: Some(age), .. } if age.as_secs() == 90)
    );
    assert_eq!(server.requests()[0].1[IF_NONE_MATCH], "\"7\"");
    let error = source.fetch(None).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Status(304));
}

/// D4, D7, D8, D24
#[tokio::test]
async fn answers_that_are_no_key_set_are_told_apart() {
    let good = jwks(&[Signer::es256("k").jwk()]);
    let html = ("content-type", "text/html; charset=utf-8");
    let keys = SourceErrorKind::Keys;
    let mut large = good.clone();
    large.resize(512 * 1024 + 1, b' ');
    let too_large = SourceErrorKind::Fetch(idp_http::FetchErrorKind::TooLarge);
    let cases = [
        (
            "500",
            500,
            html,
            good.clone(),
            SourceErrorKind::Status(500),
            Answer::Unusable,
        ),
        (
            "429",
            429,
            ("retry-after", "7"),
            good.clone(),
            SourceErrorKind::Status(429),
            Answer::Unusable,
        ),
        (
            "404",
            404,
            html,
            good.clone(),
            SourceErrorKind::Status(404),
            Answer::Unusable,
        ),
        (
            "302",
            302,
            ("location", "/other"),
            good.clone(),
            SourceErrorKind::Status(302),
            Answer::Unusable,
        ),
        (
            "307",
            307,
            ("location", "/other"),
            good.clone(),
            SourceErrorKind::Status(307),
            Answer::Unusable,
        ),
        (
            "204",
            204,
            ("x", "y"),
            vec![],
            SourceErrorKind::Status(204),
            Answer::None,
        ),
        (
            "HTML",
            200,
            html,
            b"<!doctype html><title>Log in</title>".to_vec(),
            SourceErrorKind::Html,
            Answer::None,
        ),
        (
            "empty",
            200,
            ("x", "y"),
            vec![],
            keys(KeySetErrorKind::NotJwks),
            Answer::None,
        ),
        (
            "no keys",
            200,
            ("x", "y"),
            jwks(&[]),
            keys(KeySetErrorKind::NoUsableKey),
            Answer::None,
        ),
        (
            "cut off",
            200,
            ("x", "y"),
            good[..20].to_vec(),
            keys(KeySetErrorKind::NotJwks),
            Answer::None,
        ),
        (
            "too large",
            200,
            ("x", "y"),
            large,
            too_large,
            Answer::Unusable,
        ),
    ];
    for (name, status, header, body, kind, answer) in cases {
        let server = Server::start().await;
        server.answer(status, &[header], body);
        let error: SourceError = server.source().fetch(None).await.unwrap_err();
        assert_eq!((error.kind(), error.answer()), (kind, answer), "{name}");
        let source = std::error::Error::source(&error);
        let fetch = source.and_then(|source| source.downcast_ref::<idp_http::FetchError>());
        let broken = fetch.map(|fetch| SourceErrorKind::Fetch(fetch.kind()));
        assert_eq!(broken, (kind == too_large).then_some(kind), "{name}");
        let asked = (name == "429").then_some(Duration::from_secs(7));
        assert_eq!(error.retry_after(), asked, "{name}");
        assert_eq!(server.requests().len(), 1, "{name}");
    }
}

/// D37
#[tokio::test]
async fn a_key_set_is_told_by_its_content_whatever_its_label_and_a_page_is_none() {
    let good = jwks(&[Signer::es256("k").jwk()]);
    let marked = [&b"\xef\xbb\xbf"[..], &good].concat();
    let json = "application/json; charset=utf-8";
    for content_type in [
        None,
        Some("application/jwk-set+json"),
        Some("Application/JWK-Set+JSON"),
        Some(json),
        Some("text/plain"),
        Some("text/json"),
        Some("application/octet-stream"),
        Some("image/png"),
        Some("text/html; charset=utf-8"),
        Some("application/xhtml+xml"),
        Some("no content type"),
        Some(""),
    ] {
        for body in [&good, &marked] {
            let server = Server::start().await;
            let header = content_type.map(|value| ("content-type", value));
            server.answer(200, header.as_slice(), body.clone());
            let fetched = server.source().fetch(None).await;
            let is_set = matches!(&fetched, Ok(Fetched::Modified { keys, .. }) if keys.len() == 1);
            assert!(is_set, "{content_type:?}: {fetched:?}");
        }
    }
    let page = b"<!doctype html><title>Log in</title>".to_vec();
    let pages = [
        "text/html",
        "Text/HTML; charset=utf-8",
        "application/xhtml+xml",
    ];
    for (content_type, expected) in pages
        .map(|page_type| (page_type, SourceErrorKind::Html))
        .into_iter()
        // What is declared as keys does not become keys by that.
        .chain([json, "application/jwk-set+json"].map(|content_type| {
            let not_keys = SourceErrorKind::Keys(KeySetErrorKind::NotJwks);
            (content_type, not_keys)
        }))
    {
        let server = Server::start().await;
        server.answer(200, &[("content-type", content_type)], page.clone());
        let error = server.source().fetch(None).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{content_type}");
    }
}

/// D4
#[tokio::test]
async fn a_compressed_answer_is_not_asked_for_and_not_inflated() {
    let server = Server::start().await;
    // "{}", deflated into a stored block.
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x02\0\xfd\xff{}\x43\xbf\xa6\xa3\x02\0\0\0";
    server.answer(200, &[("content-encoding", "gzip")], gzip.to_vec());
    let error = server.source().fetch(None).await.unwrap_err();
    assert_eq!(
        error.kind(),
        SourceErrorKind::Keys(KeySetErrorKind::NotJwks)
    );
    assert_eq!(server.requests()[0].1["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_refused_connection_is_nobodys_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url: Url = format!("http://{address}/jwks").parse().unwrap();
    let error = RemoteJwks::new(client(), url.clone())
        .fetch(None)
        .await
        .unwrap_err();
    assert_eq!(error.answer(), Answer::None);
    assert!(!error.to_string().contains(&address.to_string()));
}

/// D25
#[tokio::test]
async fn addresses_that_are_not_https_are_not_asked() {
    for url in [
        "http://192.0.2.1/jwks",
        "file:///etc/passwd",
        "https://user@idp.example/jwks",
    ] {
        let source = RemoteJwks::new(client(), url.parse().unwrap());
        let error = source.fetch(None).await.unwrap_err();
        assert_eq!(
            error.kind(),
            SourceErrorKind::Fetch(idp_http::FetchErrorKind::Url),
            "{url}"
        );
    }
}

/// D26, N33
#[tokio::test]
async fn discovered_keys_come_from_the_metadata_of_the_same_issuer_only() {
    let server = Server::start().await;
    let issuer = server.url("").as_str().trim_end_matches('/').to_owned();
    let metadata = |issuer: &str, path: &str| {
        json!({
            "issuer": issuer,
            "jwks_uri": server.url(path).as_str(),
            "token_endpoint": server.url("/token").as_str(),
        })
        .to_string()
    };
    let well_known = "/.well-known/openid-configuration";
    let source = RemoteJwks::discover(client(), Discovery::new(client(), &issuer).unwrap());

    server.answer(404, &[], "");
    server.answer_at(
        well_known,
        200,
        &[],
        metadata("https://evil.example", "/jwks"),
    );
    let error = source.fetch(None).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::IssuerMismatch);

    // An endpoint that is not asked here does not matter.
    let token_endpoint = json!(server.url("/token").as_str()).to_string();
    let partly = metadata(&issuer, "/jwks").replace(&token_endpoint, "null");
    assert!(partly.contains("null"));
    server.answer_at(well_known, 200, &[], partly);
    server.answer_at("/jwks", 200, &[], jwks(&[Signer::es256("k").jwk()]));
    assert!(source.fetch(None).await.is_ok());
    assert!(source.fetch(None).await.is_ok());
    let asked = |path: &str| {
        let requests = server.requests();
        requests.iter().filter(|(asked, _)| asked == path).count()
    };
    assert_eq!(asked("/jwks"), 2);
    let discovered = asked(well_known);

    // Who answers as such has not moved.
    for status in [429, 503, 403] {
        server.answer_at("/jwks", status, &[], "");
        assert!(source.fetch(None).await.is_err());
        assert!(source.fetch(None).await.is_err());
        assert_eq!(asked(well_known), discovered, "{status}");
    }

    // The keys move: their old address fails, and the metadata is read again.
    server.answer_at("/jwks", 404, &[], "");
    server.answer_at("/moved", 200, &[], jwks(&[Signer::es256("k").jwk()]));
    server.answer_at(well_known, 200, &[], metadata(&issuer, "/moved"));
    assert!(source.fetch(None).await.is_err());
    assert!(source.fetch(None).await.is_ok());
    assert_eq!(asked(well_known), discovered + 1);
}
