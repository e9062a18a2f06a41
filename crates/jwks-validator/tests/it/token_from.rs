//! Tokens in another place than `Authorization`.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use jwks_validator::{Jwt, JwtLayer, Reason, TokenFrom};

use crate::asking::{ask, challenge, reason, text};
use crate::fake_source::{FakeSource, keys, started};
use crate::signer::Signer;

const HEADER: &str = "cf-access-jwt-assertion";

async fn app(signer: &Signer, place: TokenFrom) -> Router {
    let validator = started(&FakeSource::with_keys(&[signer])).await;
    Router::new()
        .route(
            "/",
            get(async |claims: Jwt| claims.subject().unwrap().to_owned()),
        )
        .layer(JwtLayer::new(validator).token_from(place))
}

async fn get_with(app: &Router, uri: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(app, request.body(Body::empty()).unwrap()).await
}

/// N53
#[tokio::test]
async fn exactly_one_place_is_read() {
    let signer = Signer::es256("k");
    let good = signer.good();
    let bearer = format!("Bearer {good}");
    let cookie = format!("theme=dark; session={good}; x={good}");
    let (twice, quoted) = (
        format!("session={good}; session={good}"),
        format!("session=\"{good}\""),
    );
    let list = format!("{good}, {good}");
    let other_case = format!("Session={good}");
    let longer = format!("my-session={good}; sessions={good}");
    let all = [
        ("authorization", bearer.as_str()),
        (HEADER, &good),
        ("cookie", &cookie),
    ];
    let none = Some(Reason::NoCredentials);
    let in_header = TokenFrom::header("Cf-Access-Jwt-Assertion").unwrap();
    let in_cookie = TokenFrom::cookie("session").unwrap();
    let authorization = TokenFrom::default();
    for (name, place, uri, headers, expected) in [
        ("all three", &authorization, "/", &all[..], None),
        ("all three", &in_header, "/", &all[..], None),
        ("all three", &in_cookie, "/", &all[..], None),
        ("the others", &authorization, "/", &all[1..], none),
        ("the other", &in_header, "/", &all[..1], none),
        ("the others", &in_cookie, "/", &all[..2], none),
        ("nothing", &in_header, "/", &[], none),
        ("nothing", &in_cookie, "/", &[], none),
        (
            "no such cookie",
            &in_cookie,
            "/",
            &[("cookie", "theme=dark")],
            none,
        ),
        ("other names", &in_cookie, "/", &[("cookie", &longer)], none),
        (
            "other case",
            &in_cookie,
            "/",
            &[("cookie", &other_case)],
            none,
        ),
        (
            "the query too",
            &in_header,
            "/?access_token=a",
            &all[..],
            None,
        ),
        (
            "two headers",
            &in_header,
            "/",
            &[(HEADER, &good), (HEADER, &good)],
            Some(Reason::RepeatedToken),
        ),
        (
            "two cookies",
            &in_cookie,
            "/",
            &[("cookie", &twice)],
            Some(Reason::RepeatedToken),
        ),
        (
            "two headers of cookies",
            &in_cookie,
            "/",
            &[("cookie", &cookie), ("cookie", &cookie)],
            Some(Reason::RepeatedToken),
        ),
        (
            "cookies in two headers",
            &in_cookie,
            "/",
            &[("cookie", "theme=dark"), ("cookie", &cookie)],
            None,
        ),
        (
            "a list",
            &in_header,
            "/",
            &[(HEADER, &list)],
            Some(Reason::MalformedToken),
        ),
        (
            "a scheme",
            &in_header,
            "/",
            &[(HEADER, &bearer)],
            Some(Reason::MalformedToken),
        ),
        (
            "empty",
            &in_header,
            "/",
            &[(HEADER, "")],
            Some(Reason::MalformedToken),
        ),
        (
            "empty cookie",
            &in_cookie,
            "/",
            &[("cookie", "session=")],
            Some(Reason::MalformedToken),
        ),
        (
            "quotes",
            &in_cookie,
            "/",
            &[("cookie", &quoted)],
            Some(Reason::MalformedToken),
        ),
        (
            "opaque",
            &in_header,
            "/",
            &[(HEADER, "junk")],
            Some(Reason::Opaque),
        ),
    ] {
        let app = app(&signer, place.clone()).await;
        let response = get_with(&app, uri, headers).await;
        assert_eq!(reason(&response), expected, "{name} {place:?}");
        if matches!(
            expected,
            Some(Reason::RepeatedToken | Reason::MalformedToken)
        ) {
            assert_eq!(response.status(), 400, "{name}");
            assert!(challenge(&response).contains("invalid_request"), "{name}");
        }
    }
}

/// G21, N53
#[tokio::test(start_paused = true)]
async fn answers_vary_by_the_place_and_a_token_may_wait_for_its_key_there() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    for (place, vary) in [
        (TokenFrom::authorization(), "authorization"),
        (TokenFrom::header(HEADER).unwrap(), "*"),
        (TokenFrom::cookie("session").unwrap(), "cookie"),
    ] {
        let source = FakeSource::with_keys(&[&old]);
        let layer = JwtLayer::new(started(&source).await).token_from(place);
        let app = Router::new()
            .route("/", get(async |_: Jwt| "in"))
            .layer(layer);
        source.set(keys(&[&new]));
        let token = new.good();
        let (bearer, cookie) = (format!("Bearer {token}"), format!("session={token}"));
        let headers = [
            ("authorization", bearer.as_str()),
            (HEADER, &token),
            ("cookie", &cookie),
        ];
        let response = get_with(&app, "/", &headers).await;
        assert_eq!(response.headers()["vary"], vary);
        assert_eq!(text(response).await, "in");
        let refused = get_with(&app, "/", &[]).await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()["vary"], vary);
        assert_eq!(refused.headers()["cache-control"], "no-store");
    }
}
