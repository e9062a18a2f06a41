//! What HTTP callers see.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use jwks_validator::{Answer, Claims, Jwt, JwtLayer, Reason, RequireScopes};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt as _};

use crate::asking::{ask, bearer, challenge, reason, request, text};
use crate::fake_source::{FakeSource, Script, builder, keys, started};
use crate::signer::{NOW, Signer, good_claims};

#[derive(Deserialize)]
struct Mine {
    tenant: String,
}

async fn app(source: &FakeSource) -> Router {
    router(JwtLayer::new(started(source).await))
}

fn router(layer: JwtLayer) -> Router {
    let cached = [(CACHE_CONTROL, "private"), (VARY, "accept")];
    let scoped = |rule: RequireScopes| get(|| async { "scoped" }).layer(rule);
    Router::new()
        .route(
            "/",
            get(|claims: Jwt| async move { claims.subject().unwrap().to_owned() }),
        )
        .route(
            "/typed",
            get(|Jwt(mine): Jwt<Mine>| async move { mine.tenant.clone() }),
        )
        .route("/cached", get(move || async move { (cached, "x") }))
        .route(
            "/all",
            scoped(RequireScopes::all(["data:read", "data:write"]).unwrap()),
        )
        .route(
            "/any",
            scoped(RequireScopes::any(["data:write", "data:read"]).unwrap()),
        )
        .route(
            "/case",
            scoped(RequireScopes::any(["Data:read", "data"]).unwrap()),
        )
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(layer)
}

/// G4, G21
#[tokio::test]
async fn a_good_token_reaches_the_handler_and_its_answer_is_not_stored() {
    let signer = Signer::es256("k");
    let app = app(&FakeSource::with_keys(&[&signer])).await;
    let token = signer.good();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let response = ask(
            &app,
            request("/", &[format!("{scheme} {token}").as_bytes()]),
        )
        .await;
        assert_eq!(response.status(), 200, "{scheme}");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[VARY], "authorization");
        assert_eq!(text(response).await, "client-1");
    }
    let response = ask(&app, bearer("/cached", &token)).await;
    assert_eq!(response.headers()[CACHE_CONTROL], "private");
    let vary: Vec<_> = response.headers().get_all(VARY).iter().collect();
    assert_eq!(vary, ["accept", "authorization"]);
}

/// G7
#[tokio::test]
async fn a_token_in_a_form_is_no_credential() {
    let signer = Signer::es256("k");
    let app = app(&FakeSource::with_keys(&[&signer])).await;
    let mut form = Request::new(Body::from(format!("access_token={}", signer.good())));
    *form.method_mut() = Method::POST;
    let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
    form.headers_mut().insert(CONTENT_TYPE, urlencoded);
    let response = ask(&app, form).await;
    assert_eq!(response.status(), 401);
    assert_eq!(reason(&response), Some(Reason::NoCredentials));
}

/// G1, G2, G3, G5, G6, G7
#[tokio::test]
async fn requests_without_exactly_one_bearer_token_are_refused() {
    let signer = Signer::es256("k");
    let app = app(&FakeSource::with_keys(&[&signer])).await;
    let token = signer.good();
    let good = format!("Bearer {token}");
    let two = format!("Bearer {token}, Bearer {token}");
    let bytes = |text: &str| text.as_bytes().to_vec();
    let cases: Vec<(&str, &str, Vec<Vec<u8>>, Reason)> = vec![
        ("none", "/", vec![], Reason::NoCredentials),
        (
            "query only",
            "/?access_token=x",
            vec![],
            Reason::NoCredentials,
        ),
        ("Basic", "/", vec![bytes("Basic YTpi")], Reason::OtherScheme),
        (
            "unknown scheme",
            "/",
            vec![bytes("BearerX x")],
            Reason::OtherScheme,
        ),
        (
            "DPoP",
            "/",
            vec![bytes(&format!("DPoP {token}"))],
            Reason::OtherScheme,
        ),
        (
            "two headers",
            "/",
            vec![bytes(&good), bytes(&good)],
            Reason::RepeatedAuthorization,
        ),
        (
            "Bearer and Basic",
            "/",
            vec![bytes(&good), bytes("Basic YTpi")],
            Reason::RepeatedAuthorization,
        ),
        (
            "header and query",
            "/?a=b&access_token=x",
            vec![bytes(&good)],
            Reason::TokenInQuery,
        ),
        (
            "header and escaped query",
            "/?%61ccess_token=x",
            vec![bytes(&good)],
            Reason::TokenInQuery,
        ),
        (
            "two in one header",
            "/",
            vec![bytes(&two)],
            Reason::MalformedAuthorization,
        ),
        ("empty", "/", vec![vec![]], Reason::MalformedAuthorization),
        (
            "no token",
            "/",
            vec![bytes("Bearer")],
            Reason::MalformedAuthorization,
        ),
        (
            "empty token",
            "/",
            vec![bytes("Bearer ")],
            Reason::MalformedAuthorization,
        ),
        (
            "two spaces",
            "/",
            vec![bytes("Bearer  x")],
            Reason::MalformedAuthorization,
        ),
        (
            "tab",
            "/",
            vec![bytes("Bearer\tx")],
            Reason::MalformedAuthorization,
        ),
        (
            "trailing space",
            "/",
            vec![bytes("Bearer x ")],
            Reason::MalformedAuthorization,
        ),
        (
            "only padding",
            "/",
            vec![bytes("Bearer ==")],
            Reason::MalformedAuthorization,
        ),
        (
            "padding inside",
            "/",
            vec![bytes("Bearer a=b")],
            Reason::MalformedAuthorization,
        ),
        (
            "quotes",
            "/",
            vec![bytes("Bearer \"x\"")],
            Reason::MalformedAuthorization,
        ),
        (
            "not ASCII",
            "/",
            vec![b"Bearer \xc3\xa9".to_vec()],
            Reason::MalformedAuthorization,
        ),
    ];
    for (name, uri, values, expected) in cases {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let response = ask(&app, request(uri, &values)).await;
        assert_eq!(reason(&response), Some(expected), "{name}");
        let (status, wanted) = match expected {
            Reason::NoCredentials | Reason::OtherScheme => (401, r#"Bearer realm="api""#),
            _ => (
                400,
                r#"Bearer realm="api", error="invalid_request", error_description="The request is malformed""#,
            ),
        };
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(challenge(&response), wanted, "{name}");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
}

/// G19, G20
#[tokio::test]
async fn bad_tokens_get_one_answer_that_tells_nothing() {
    let signer = Signer::es256("k");
    let app = app(&FakeSource::with_keys(&[&signer])).await;
    let mut expired = good_claims();
    expired["exp"] = json!(NOW - 300);
    let mut strange = good_claims();
    strange["aud"] = "canary\r\nSet-Cookie: a=b".into();
    let forged = Signer::es256("canary").good();
    let mut answers = Vec::new();
    for token in [
        "canary".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(9_000),
        signer.token(&expired),
        signer.token(&strange),
        forged,
        format!("{}=", signer.good()),
    ] {
        let response = ask(&app, bearer("/", &token)).await;
        assert_eq!(response.status(), 401);
        assert!(reason(&response).is_some());
        let mut headers = response.headers().clone();
        headers.remove("date");
        answers.push((format!("{headers:?}"), text(response).await));
    }
    answers.dedup();
    let [(headers, body)] = &answers[..] else {
        panic!("more than one answer: {answers:?}");
    };
    assert!(headers.contains("invalid_token") && !headers.contains("canary"));
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["status"], 401);
}

/// F18, F19
#[tokio::test]
async fn a_token_without_the_scope_gets_403_with_the_scope() {
    let signer = Signer::es256("k");
    let app = app(&FakeSource::with_keys(&[&signer])).await;
    let token = signer.good();
    let response = ask(&app, bearer("/all", &token)).await;
    assert_eq!(response.status(), 403);
    assert_eq!(
        challenge(&response),
        r#"Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", scope="data:read data:write""#
    );
    assert_eq!(reason(&response), Some(Reason::InsufficientScope));
    assert_eq!(ask(&app, bearer("/any", &token)).await.status(), 200);
    assert_eq!(ask(&app, bearer("/case", &token)).await.status(), 403);
    assert_eq!(ask(&app, request("/all", &[])).await.status(), 401);
    let mut claims = good_claims();
    claims["scope"] = "data:write data:read".into();
    let token = signer.token(&claims);
    assert_eq!(ask(&app, bearer("/all", &token)).await.status(), 200);
}

/// D1, G26
#[tokio::test]
async fn without_keys_the_answer_is_503_with_retry_after() {
    let source = FakeSource::new(Script::Fail(Answer::None));
    let validator = builder(&source).build().unwrap();
    let app = router(JwtLayer::new(validator));
    let response = ask(&app, bearer("/", &Signer::es256("k").good())).await;
    assert_eq!(response.status(), 503);
    let seconds: u64 = response.headers()[RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&seconds));
    assert!(!response.headers().contains_key("www-authenticate"));
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["status"], 503);
    assert_eq!(
        ask(&app, request("/", &[])).await.status(),
        401,
        "without credentials nothing has to be decided"
    );
}

/// G17, G18
#[tokio::test]
async fn every_method_and_path_asks_for_a_token() {
    let signer = Signer::es256("k");
    let app = app(&FakeSource::with_keys(&[&signer])).await;
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "CONNECT", "X"] {
        for uri in ["/", "//", "/nothing", "/%2e%2e/", "/;x", "/typed/"] {
            let mut anonymous = request(uri, &[]);
            *anonymous.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            let response = ask(&app, anonymous).await;
            assert_eq!(response.status(), 401, "{method} {uri}");
        }
    }
    let token = signer.good();
    assert_eq!(ask(&app, bearer("/nothing", &token)).await.status(), 404);
    let mut post = bearer("/", &token);
    *post.method_mut() = Method::POST;
    assert_eq!(ask(&app, post).await.status(), 405);
}

#[tokio::test]
async fn typed_claims_that_do_not_fit_are_401_and_a_missing_layer_is_500() {
    let signer = Signer::es256("k");
    let app = app(&FakeSource::with_keys(&[&signer])).await;
    let mut claims = good_claims();
    claims["tenant"] = "t1".into();
    let response = ask(&app, bearer("/typed", &signer.token(&claims))).await;
    assert_eq!(text(response).await, "t1");
    let response = ask(&app, bearer("/typed", &signer.good())).await;
    assert_eq!(response.status(), 401);
    assert_eq!(reason(&response), Some(Reason::ClaimsShape));

    let bare: Router = Router::new()
        .route(
            "/",
            get(|claims: Jwt| async move { claims.issuer().to_owned() }),
        )
        .route(
            "/scoped",
            get(|| async {}).layer(RequireScopes::all(["a"]).unwrap()),
        );
    for uri in ["/", "/scoped"] {
        let response = ask(&bare, bearer(uri, &signer.good())).await;
        assert_eq!(response.status(), 500, "{uri}");
        assert_eq!(reason(&response), Some(Reason::LayerMissing), "{uri}");
    }
}

#[tokio::test]
async fn the_realm_is_the_one_that_was_set() {
    let validator = started(&FakeSource::with_keys(&[&Signer::es256("k")])).await;
    let app = router(JwtLayer::new(validator).realm("data, api").unwrap());
    let response = ask(&app, request("/", &[])).await;
    assert_eq!(challenge(&response), r#"Bearer realm="data, api""#);
    let rule = RequireScopes::all(["a"]).unwrap().realm("x").unwrap();
    let service = ServiceBuilder::new().layer(rule).service_fn(ok);
    let mut request = Request::new(Body::empty());
    let signer = Signer::es256("k");
    let claims: Claims = crate::signer::check(&signer.good(), &signer.keys()).unwrap();
    request.extensions_mut().insert(Arc::new(claims));
    let response = service.oneshot(request).await.unwrap();
    assert!(challenge(&response).starts_with(r#"Bearer realm="x", error="insufficient_scope""#));
}

async fn ok(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    Ok("ok".into_response())
}

/// D22
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_keys_reaches_the_handler() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&old]);
    let app = app(&source).await;
    source.set(keys(&[&new]));
    let response = ask(&app, bearer("/", &new.good())).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[VARY], "authorization");
    let response = ask(&app, bearer("/", &old.good())).await;
    assert_eq!(response.status(), 401);
    assert_eq!(source.calls(), 3);
}

/// J1
#[test]
fn errors_are_answers_by_themselves_and_hold_nothing_of_the_token() {
    let signer = Signer::es256("canary");
    let token = signer.good();
    let error = block_on(async {
        builder(&FakeSource::new(Script::Hang))
            .build()
            .unwrap()
            .validate(&token)
            .await
            .unwrap_err()
    });
    assert!(!format!("{error:?} {error}").contains("canary"));
    assert_eq!(error.into_response().status(), 503);
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}
