//! The rules of `tower/rules.rs`, in the reqwest middleware.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{Extensions, HeaderMap, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use token_cache::{BearerTokenMiddleware, BearerTokenMiddlewareBuilder, TokenPlacement};

use crate::middleware::plain_client;
use crate::script::{Script, cache};

/// Answers every request itself, with this status where the headers hold the first token.
#[derive(Clone, Debug)]
struct Api(Arc<Mutex<Vec<HeaderMap>>>, StatusCode);

impl Api {
    fn new(to_the_first: StatusCode) -> Self {
        Self(Arc::default(), to_the_first)
    }

    fn client(&self, middlewares: &[BearerTokenMiddleware]) -> ClientWithMiddleware {
        let add = |client: ClientBuilder, it: &BearerTokenMiddleware| client.with(it.clone());
        let client = middlewares.iter().fold(plain_client(), add);
        client.with(self.clone()).build()
    }

    /// What each request had under a name.
    fn seen(&self, name: &str) -> Vec<Option<String>> {
        let seen = self.0.lock().unwrap();
        let value = |headers: &HeaderMap| Some(headers.get(name)?.to_str().unwrap().to_owned());
        seen.iter().map(value).collect()
    }
}

#[async_trait]
impl Middleware for Api {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let is_first = |value: &http::HeaderValue| value.as_bytes().ends_with(b"token-1");
        let status = match request.headers().values().any(is_first) {
            true => self.1,
            false => StatusCode::OK,
        };
        self.0.lock().unwrap().push(request.headers().clone());
        let response = http::Response::builder().status(status);
        Ok(response.body(reqwest::Body::default()).unwrap().into())
    }
}

const ORIGIN: &str = "https://api.example";

fn bearer(script: &Script) -> BearerTokenMiddlewareBuilder {
    BearerTokenMiddleware::builder(cache(script)).allow_origin(ORIGIN)
}

/// N11
#[tokio::test(start_paused = true)]
async fn the_token_goes_where_it_is_placed_and_is_replaced_there() {
    for (placement, name, word) in [
        (TokenPlacement::header("X-Api-Token"), "x-api-token", ""),
        (
            TokenPlacement::authorization("Token"),
            "authorization",
            "Token ",
        ),
    ] {
        let api = Api::new(StatusCode::UNAUTHORIZED);
        let bearer = bearer(&Script::new([])).placement(placement).build();
        let client = api.client(&[bearer.unwrap()]);
        client.get(ORIGIN).send().await.unwrap();
        client
            .get(ORIGIN)
            .header(name, "mine")
            .send()
            .await
            .unwrap();
        let expected = [
            format!("{word}token-1"),
            format!("{word}token-2"),
            "mine".to_owned(),
        ];
        assert_eq!(api.seen(name), expected.map(Some));
        let tokens = api.0.lock().unwrap();
        assert!(
            tokens[..2]
                .iter()
                .all(|it| it.len() == 1 && it[name].is_sensitive())
        );
    }
}

/// N12
#[tokio::test(start_paused = true)]
async fn several_hosts_share_a_client_and_each_gets_its_own_token_or_none() {
    let (one, other) = (Script::new([]), Script::new([]));
    let api = Api::new(StatusCode::OK);
    let one = bearer(&one).pass_through_others(true).build().unwrap();
    let other = BearerTokenMiddleware::builder(cache(&other))
        .allow_origin("https://other.example")
        .placement(TokenPlacement::header("x-other"))
        .pass_through(ORIGIN)
        .pass_through("http://cdn.example:8080");
    let client = api.client(&[one, other.build().unwrap()]);
    for url in [
        ORIGIN,
        "https://other.example/",
        "http://cdn.example:8080/a",
    ] {
        client.get(url).send().await.unwrap();
    }
    client.get("http://cdn.example/").send().await.unwrap_err();
    let token = |word: &str| Some(format!("{word}token-1"));
    assert_eq!(api.seen("authorization"), [token("Bearer "), None, None]);
    assert_eq!(api.seen("x-other"), [None, token(""), None]);
}

/// N14
#[tokio::test(start_paused = true)]
async fn a_403_replaces_the_token_where_it_was_named() {
    for (statuses, calls) in [(&[403][..], 2), (&[401], 1)] {
        let script = Script::new([]);
        let statuses = statuses.iter().map(|it| StatusCode::from_u16(*it).unwrap());
        let bearer = bearer(&script).rejected_statuses(statuses);
        let api = Api::new(StatusCode::FORBIDDEN);
        let client = api.client(&[bearer.build().unwrap()]);
        client.get(ORIGIN).send().await.unwrap();
        assert_eq!(script.calls(), calls);
        assert_eq!(api.seen("authorization").len() as u64, calls);
    }
}
