//! The function for those who have a request and no tower stack.

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use jwks_validator::{JwtLayer, Reason, RequestContext, TokenFrom, TokenScheme};
use serde_json::json;

use crate::asking::{ask, bearer};
use crate::claims::with;
use crate::fake_source::{FakeSource, reason, started};
use crate::signer::Signer;

/// F21
#[tokio::test(start_paused = true)]
async fn the_function_decides_and_answers_as_the_layer_does() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let app = Router::new()
        .route("/", get(async || "in"))
        .layer(JwtLayer::new(validator.clone()));
    let bound = Some(Reason::SenderConstrained);
    let minted = |name, value| signer.token(&with(name, &value));
    for (name, token, refusal) in [
        ("good", signer.good(), None),
        (
            "for others",
            minted("aud", json!("x")),
            Some(Reason::AudienceMismatch),
        ),
        ("bound to a key", minted("cnf", json!({"jkt": "x"})), bound),
        (
            "bound to a certificate",
            minted("cnf", json!({"x5t#S256": "x"})),
            bound,
        ),
        ("bound to nothing", minted("cnf", json!({})), bound),
    ] {
        assert_eq!(reason(&validator, &token).await, refusal, "{name}");
        for content_type in ["application/json", "application/grpc"] {
            let request = || {
                let mut request = bearer("/", &token);
                let value = HeaderValue::from_static(content_type);
                request.headers_mut().insert(CONTENT_TYPE, value);
                request
            };
            let request_here = request();
            let context = RequestContext::from(&request_here);
            let (scheme, found) = TokenFrom::authorization().token(context).unwrap();
            assert_eq!((scheme, found), (TokenScheme::Bearer, &*token), "{name}");
            let decided = validator.authenticate(found, scheme, &context).await;
            let answer = ask(&app, request()).await;
            match decided {
                Ok(_) => assert_eq!((answer.status().as_u16(), refusal), (200, None), "{name}"),
                Err(error) => {
                    assert_eq!(Some(error.reason()), refusal, "{name}");
                    let ours = error.into_response();
                    assert_eq!(ours.status(), answer.status(), "{name}: {content_type}");
                    for header in ["content-type", "www-authenticate", "grpc-status", "vary"] {
                        let (ours, theirs) = (ours.headers(), answer.headers());
                        assert_eq!(ours.get(header), theirs.get(header), "{name}: {header}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_request_and_its_parts_give_the_same_token_and_show_none() {
    let request = Request::get("/?access_token=eyJ").header("authorization", "Bearer eyJx");
    let request = request.body(()).unwrap();
    let place = TokenFrom::authorization();
    let shown = format!("{:?}", RequestContext::from(&request));
    assert!(!shown.contains("eyJ"), "{shown}");
    let of_request = place.token(&request).map(|(_, token)| token.to_owned());
    let (parts, ()) = request.into_parts();
    assert_eq!(of_request, Err(Reason::TokenInQuery));
    assert_eq!(place.token(&parts).err(), Some(Reason::TokenInQuery));
    let request = Request::get("/").header("authorization", "Bearer eyJx");
    let request = request.body(()).unwrap();
    assert_eq!(place.token(&request), Ok((TokenScheme::Bearer, "eyJx")));
    let (parts, ()) = request.into_parts();
    assert_eq!(place.token(&parts), Ok((TokenScheme::Bearer, "eyJx")));
}
