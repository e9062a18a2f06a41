//! The middleware over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error};
use token_cache::{BearerTokenMiddleware, TokenCache, TokenError, TokenErrorKind, TokenRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::script::{DOWN, Script, Step, cache};

pub(crate) const INVALID: &str = r#"Bearer realm="api", error="invalid_token""#;

type Answer = dyn Fn(&str) -> Response + Send + Sync;

/// A resource server that counts, and answers by the token it sees.
pub(crate) struct Api {
    pub(crate) origin: String,
    requests: Arc<AtomicUsize>,
}

impl Api {
    pub(crate) async fn start(answer: impl Fn(&str) -> Response + Send + Sync + 'static) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let answer: Arc<Answer> = Arc::new(answer);
        let state = (answer, Arc::clone(&requests));
        let app = Router::new().fallback(any(serve)).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { origin, requests }
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn client(&self, cache: &TokenCache) -> ClientWithMiddleware {
        plain_client().with(self.bearer(cache)).build()
    }

    pub(crate) fn bearer(&self, cache: &TokenCache) -> BearerTokenMiddleware {
        bearer(&self.origin, cache)
    }
}

fn bearer(origin: &str, cache: &TokenCache) -> BearerTokenMiddleware {
    let builder = BearerTokenMiddleware::builder(cache.clone());
    builder.allow_origin(origin).build().unwrap()
}

pub(crate) fn plain_client() -> ClientBuilder {
    ClientBuilder::new(reqwest::Client::builder().no_proxy().build().unwrap())
}

async fn serve(
    State((answer, requests)): State<(Arc<Answer>, Arc<AtomicUsize>)>,
    headers: HeaderMap,
) -> Response {
    requests.fetch_add(1, Ordering::SeqCst);
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map_or("", |value| value.to_str().unwrap());
    answer(authorization)
}

pub(crate) fn unauthorized(challenge: &'static str) -> Response {
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, challenge)],
    )
        .into_response()
}

fn kind_of(error: &Error) -> TokenErrorKind {
    match error {
        Error::Middleware(error) => error.downcast_ref::<TokenError>().unwrap().kind(),
        Error::Reqwest(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_token_is_attached_and_an_existing_header_left_alone() {
    let api = Api::start(|authorization| authorization.to_owned().into_response()).await;
    let script = Script::new([]);
    let client = api.client(&cache(&script));
    let own = client
        .get(&api.origin)
        .header("authorization", "Basic eA==")
        .send()
        .await
        .unwrap();
    assert_eq!(own.text().await.unwrap(), "Basic eA==");
    assert_eq!(script.calls(), 0);
    let ours = client.get(&api.origin).send().await.unwrap();
    assert_eq!(ours.text().await.unwrap(), "Bearer token-1");
}

/// N13
#[tokio::test]
async fn a_call_that_grpc_refuses_costs_its_token_and_is_not_repeated() {
    let api = Api::start(|authorization| {
        let status = if authorization == "Bearer token-1" {
            "16"
        } else {
            "0"
        };
        [("grpc-status", status)].into_response()
    })
    .await;
    let script = Script::new([]);
    let client = api.client(&cache(&script));
    for expected in ["16", "0"] {
        let answer = client.post(&api.origin).body("message").send().await;
        assert_eq!(answer.unwrap().headers()["grpc-status"], expected);
    }
    assert_eq!((api.requests(), script.calls()), (2, 2));
}

/// C1
#[tokio::test]
async fn a_rejected_token_is_replaced_and_the_request_sent_once_more() {
    for challenge in [Some(INVALID), None] {
        let api = Api::start(move |authorization| match (authorization, challenge) {
            ("Bearer token-2", _) => "fine".into_response(),
            (_, Some(challenge)) => unauthorized(challenge),
            (_, None) => StatusCode::UNAUTHORIZED.into_response(),
        })
        .await;
        let script = Script::new([]);
        let client = api.client(&cache(&script));
        let response = client
            .post(&api.origin)
            .body("cloneable")
            .send()
            .await
            .unwrap();
        assert_eq!(response.text().await.unwrap(), "fine");
        assert_eq!((api.requests(), script.calls()), (2, 2));
    }
}

/// C2
#[tokio::test]
async fn a_second_rejection_is_the_answer() {
    let api = Api::start(|_| unauthorized(INVALID)).await;
    let script = Script::new([]);
    let client = api.client(&cache(&script));
    let response = client.get(&api.origin).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((api.requests(), script.calls()), (2, 2));
}

/// N10, D22
#[tokio::test]
async fn a_new_token_that_is_rejected_is_kept_and_the_one_before_it_sent_instead() {
    let api = Api::start(|authorization| match authorization {
        "Bearer token-1" => "fine".into_response(),
        _ => unauthorized(INVALID),
    })
    .await;
    let script = Script::new([]);
    let cache = cache(&script);
    let client = api.client(&cache);
    cache.token().await.unwrap();
    // As a refresh does: the resource server has seen no reason yet to learn of another key.
    assert!(cache.invalidate(&cache.token().await.unwrap()));
    for requests in [2, 4] {
        let response = client.get(&api.origin).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!((api.requests(), script.calls()), (requests, 2));
    }
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");
}

/// C1, C3
#[tokio::test]
async fn a_dead_token_is_replaced_however_it_is_refused() {
    for challenge in [
        "Bearer",
        r#"Bearer realm="api""#,
        r#"Bearer realm="api" error="invalid_token""#,
        r#"Basic realm="x""#,
        "Negotiate",
        r#"Token error="expired""#,
    ] {
        let api = Api::start(move |authorization| match authorization {
            "Bearer token-1" => unauthorized(challenge),
            _ => "fine".into_response(),
        })
        .await;
        let script = Script::new([]);
        let client = api.client(&cache(&script));
        for requests in [2, 3] {
            let response = client.get(&api.origin).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{challenge}");
            assert_eq!((api.requests(), script.calls()), (requests, 2));
        }
    }
}

/// C3, C4
#[tokio::test]
async fn other_refusals_cost_neither_a_token_nor_a_replay() {
    for (status, challenge) in [
        (
            StatusCode::UNAUTHORIZED,
            r#"Bearer realm="api" error="insufficient_scope""#,
        ),
        (
            StatusCode::UNAUTHORIZED,
            r#"Bearer error="invalid_request""#,
        ),
        (
            StatusCode::FORBIDDEN,
            r#"Bearer error="insufficient_scope", scope="x""#,
        ),
        (StatusCode::FORBIDDEN, INVALID),
    ] {
        let api =
            Api::start(move |_| (status, [(header::WWW_AUTHENTICATE, challenge)]).into_response())
                .await;
        let script = Script::new([]);
        let client = api.client(&cache(&script));
        let response = client.get(&api.origin).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(
            (api.requests(), script.calls()),
            (1, 1),
            "{status} {challenge}"
        );
    }
}

/// A38
#[tokio::test]
async fn nothing_is_replayed_with_the_same_token() {
    let api = Api::start(|_| unauthorized(INVALID)).await;
    let script = Script::new([]).then_always(Step::Token("same", Some(300)));
    let client = api.client(&cache(&script));
    for _ in 0..3 {
        let response = client.get(&api.origin).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(api.requests(), 3);
    assert!(script.calls() <= 3);
}

#[tokio::test]
async fn the_rejection_stands_when_no_other_token_is_to_be_had() {
    let api = Api::start(|_| unauthorized(INVALID)).await;
    let script = Script::new([Step::Token("one", Some(300))]).then_always(DOWN);
    let client = api.client(&cache(&script));
    let response = client.get(&api.origin).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(api.requests(), 1);
}

/// C7
#[tokio::test]
async fn a_redirect_does_not_carry_the_token_to_another_origin() {
    let other = Api::start(|authorization| authorization.to_owned().into_response()).await;
    let target = other.origin.clone().replace("127.0.0.1", "localhost");
    let api = Api::start(move |_| Redirect::temporary(&target).into_response()).await;
    let script = Script::new([]);
    let client = api.client(&cache(&script));
    let response = client.get(&api.origin).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "");
}

/// C8
#[tokio::test]
async fn a_request_outside_the_allowed_origins_is_not_sent_and_no_token_asked_for() {
    let api = Api::start(|_| "never".into_response()).await;
    let other = Api::start(|_| "never".into_response()).await;
    let script = Script::new([]);
    let client = api.client(&cache(&script));
    let userinfo = api
        .origin
        .replace("http://", "http://127.0.0.1:1@")
        .replace("127.0.0.1:1@", "x@");
    for url in [
        other.origin.clone(),
        api.origin.replace("127.0.0.1", "localhost"),
    ] {
        let error = client.get(&url).send().await.unwrap_err();
        assert_eq!(kind_of(&error), TokenErrorKind::OriginNotAllowed, "{url}");
    }
    // Credentials in the URL become a header of the caller's own, which is left alone.
    assert!(client.get(&userinfo).send().await.is_ok());
    assert_eq!(script.calls(), 0);
    assert_eq!((api.requests(), other.requests()), (1, 0));
}

#[tokio::test]
async fn at_least_one_origin_must_be_allowed() {
    let error = BearerTokenMiddleware::builder(cache(&Script::new([])))
        .build()
        .unwrap_err();
    assert_eq!(error.setting(), "allow_origin");
}

#[tokio::test]
async fn the_request_fails_with_the_reason_when_there_is_no_token() {
    let api = Api::start(|_| "never".into_response()).await;
    let script = Script::new([]).then_always(DOWN);
    let error = api
        .client(&cache(&script))
        .get(&api.origin)
        .send()
        .await
        .unwrap_err();
    assert!(kind_of(&error).is_transient());
    assert_eq!(api.requests(), 0);
}

/// C5
#[tokio::test]
async fn a_stream_is_sent_once_its_rejection_kept_and_the_next_call_uses_a_new_token() {
    let api = Api::start(|authorization| match authorization {
        "Bearer token-1" => unauthorized(INVALID),
        _ => "fine".into_response(),
    })
    .await;
    let script = Script::new([]);
    let client = api.client(&cache(&script));
    let post = async || {
        let stream = reqwest::Body::wrap(http_body_util::Full::new(bytes::Bytes::from("once")));
        client.post(&api.origin).body(stream).send().await.unwrap()
    };
    let rejected = post().await;
    assert_eq!(rejected.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(rejected.headers()[header::WWW_AUTHENTICATE], INVALID);
    assert_eq!(api.requests(), 1);
    assert_eq!(post().await.status(), StatusCode::OK);
    assert_eq!((api.requests(), script.calls()), (2, 2));
}

/// C6
#[tokio::test]
async fn a_post_that_fails_midway_is_not_sent_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let posts = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let posts = Arc::clone(&posts);
        async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(answer_gets_and_hang_up_on_posts(
                    connection,
                    Arc::clone(&posts),
                ));
            }
        }
    });
    let script = Script::new([]);
    let client = plain_client()
        .with(bearer(&origin, &cache(&script)))
        .build();
    for keep_alive in [false, true] {
        if keep_alive {
            let response = client.get(&origin).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "");
        }
        let before = posts.load(Ordering::SeqCst);
        let error = client.post(&origin).body("order").send().await.unwrap_err();
        assert!(matches!(error, Error::Reqwest(_)), "{error}");
        assert_eq!(posts.load(Ordering::SeqCst) - before, 1, "{keep_alive}");
    }
    // Nobody said that the token is bad.
    assert_eq!(script.calls(), 1);
}

async fn answer_gets_and_hang_up_on_posts(
    mut connection: tokio::net::TcpStream,
    posts: Arc<AtomicUsize>,
) {
    let mut read = Vec::new();
    while connection.read_buf(&mut read).await.unwrap() > 0 {
        if read.starts_with(b"GET") && read.ends_with(b"\r\n\r\n") {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            connection.write_all(answer).await.unwrap();
            read.clear();
        } else if read.ends_with(b"order") {
            posts.fetch_add(1, Ordering::SeqCst);
            return;
        }
    }
}

/// B17
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_rejections_at_once_cost_one_refresh_and_one_replay_each() {
    const CALLERS: usize = 500;
    let api = Api::start(|authorization| match authorization {
        "Bearer token-1" => unauthorized(INVALID),
        _ => "fine".into_response(),
    })
    .await;
    let script = Script::new([]);
    let cache = cache(&script);
    cache.token().await.unwrap();
    let client = api.client(&cache);
    let barrier = Arc::new(Barrier::new(CALLERS));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (client, barrier, url) = (client.clone(), Arc::clone(&barrier), api.origin.clone());
        callers.spawn(async move {
            barrier.wait().await;
            client.get(&url).send().await.unwrap().status()
        });
    }
    while let Some(status) = callers.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
    assert_eq!(script.calls(), 2);
    assert!(api.requests() <= 2 * CALLERS);
}

#[tokio::test]
async fn a_request_can_ask_for_a_token_of_its_own() {
    let api = Api::start(|authorization| authorization.to_owned().into_response()).await;
    let script = Script::new([]);
    let cache = cache(&script);
    cache.token().await.unwrap();
    let client = api.client(&cache);
    let other = TokenRequest::new().scope("other");
    let response = client
        .get(&api.origin)
        .with_extension(other)
        .send()
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "Bearer token-2");
}
