//! Where the token goes, and who may have it.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use token_cache::{BearerTokenLayerBuilder, TokenErrorKind, TokenPlacement};
use tower::{Layer as _, ServiceExt as _};

use super::api::{Api, INVALID, ORIGIN, answer, fine, get, kind_of, layer, send};
use crate::script::{Script, cache};

/// N11
#[tokio::test(start_paused = true)]
async fn the_token_goes_where_it_is_placed_and_a_header_that_is_there_stays() {
    for (placement, name, expected) in [
        (
            TokenPlacement::header("X-Api-Token"),
            "x-api-token",
            "token-1",
        ),
        (
            TokenPlacement::authorization("Token"),
            "authorization",
            "Token token-1",
        ),
    ] {
        let cache = cache(&Script::new([]));
        let api = Api::<Empty<Bytes>>::new(|_| fine());
        let layer = || layer(&cache).placement(placement.clone());
        send(layer(), &api, get(ORIGIN)).await.unwrap();
        let mut own = get(ORIGIN);
        own.headers_mut().insert(name, "mine".parse().unwrap());
        send(layer(), &api, own).await.unwrap();
        let seen = api.seen.lock().unwrap();
        assert_eq!(seen[0].headers()[name], expected);
        assert!(seen[0].headers()[name].is_sensitive());
        assert_eq!(seen[0].headers().len(), 1);
        assert_eq!(seen[1].headers()[name], "mine");
        assert_eq!(seen[1].headers().len(), 1);
    }
}

/// N11, C1
#[tokio::test(start_paused = true)]
async fn a_token_that_is_rejected_elsewhere_than_in_authorization_is_replaced_there() {
    let cache = cache(&Script::new([]));
    let service = tower::service_fn(|request: Request<Empty<Bytes>>| {
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        let refused = request.headers()["x-api-token"] == "token-1";
        ready(Ok::<_, Infallible>(match refused {
            true => answer(StatusCode::UNAUTHORIZED, "ApiToken"),
            false => fine(),
        }))
    });
    let layer = layer(&cache).placement(TokenPlacement::header("X-Api-Token"));
    let service = layer.build().unwrap().layer(service);
    let response = service.oneshot(get(ORIGIN)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// N12, C8
#[tokio::test(start_paused = true)]
async fn what_is_passed_through_has_no_token_and_the_rest_stays_closed() {
    type Change = fn(BearerTokenLayerBuilder) -> BearerTokenLayerBuilder;
    let named: Change = |layer| layer.pass_through("http://cdn.example");
    let others: Change = |layer| layer.pass_through_others(true);
    for (name, change, uri, passes) in [
        ("named", named, "http://cdn.example/a", true),
        ("its https", named, "https://cdn.example/a", false),
        (
            "another port of it",
            named,
            "http://cdn.example:81/a",
            false,
        ),
        (
            "a name that begins so",
            named,
            "http://cdn.example.evil.example/",
            false,
        ),
        ("nobody's", named, "/a", false),
        ("any", others, "http://cdn.example/a", true),
        (
            "any, with a user",
            others,
            "https://api.example@evil.example/",
            true,
        ),
        ("any, without a host", others, "/a", true),
    ] {
        let script = Script::new([]);
        let cache = cache(&script);
        // A 401 of theirs is theirs.
        let api = Api::<Empty<Bytes>>::new(|_| answer(StatusCode::UNAUTHORIZED, INVALID));
        let result = send(change(layer(&cache)), &api, get(uri)).await;
        match passes {
            true => {
                assert_eq!(result.unwrap(), StatusCode::UNAUTHORIZED, "{name}");
                assert_eq!(api.authorizations(), [""], "{name}");
            }
            false => assert_eq!(kind_of(result), TokenErrorKind::OriginNotAllowed, "{name}"),
        }
        assert_eq!(script.calls(), 0, "{name}");
        let api = Api::<Empty<Bytes>>::new(|_| fine());
        send(change(layer(&cache)), &api, get(ORIGIN))
            .await
            .unwrap();
        assert_eq!(api.authorizations(), ["Bearer token-1"], "{name}");
    }
}

/// N12
#[tokio::test(start_paused = true)]
async fn two_layers_on_one_client_attach_a_token_each_to_its_own_host() {
    let (one, other) = (cache(&Script::new([])), cache(&Script::new([])));
    // So that their tokens differ.
    crate::tower::api::replace_token(&other).await;
    let api = Api::<Empty<Bytes>>::new(|_| fine());
    let inner = token_cache::BearerTokenLayer::builder(other.clone())
        .allow_origin("https://other.example")
        .pass_through(ORIGIN);
    let outer = layer(&one).pass_through_others(true);
    let service = inner.build().unwrap().layer(api.clone());
    let service = outer.build().unwrap().layer(service);
    for uri in [ORIGIN, "https://other.example/"] {
        service.clone().oneshot(get(uri)).await.unwrap();
    }
    assert_eq!(api.authorizations(), ["Bearer token-1", "Bearer token-2"]);
}

/// N14
#[tokio::test(start_paused = true)]
async fn a_403_replaces_the_token_where_it_was_named() {
    let scope = r#"Bearer error="insufficient_scope""#;
    let both = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
    for (name, statuses, challenge, requests) in [
        ("named", &both[..], "Bearer", 2),
        ("a missing scope", &both, scope, 1),
        ("not named", &both[..1], "Bearer", 1),
    ] {
        let script = Script::new([]);
        let api = Api::<Empty<Bytes>>::new(move |authorization| match authorization {
            "Bearer token-1" => answer(StatusCode::FORBIDDEN, challenge),
            _ => fine(),
        });
        let layer = layer(&cache(&script)).rejected_statuses(statuses.iter().copied());
        send(layer, &api, get(ORIGIN)).await.unwrap();
        assert_eq!(api.requests(), requests, "{name}");
        assert_eq!(script.calls(), requests as u64, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_cannot_be_kept_is_refused_when_the_layer_is_built() {
    let cache = cache(&Script::new([]));
    let layer = || layer(&cache);
    for (setting, layer) in [
        (
            "placement",
            layer().placement(TokenPlacement::header("host")),
        ),
        ("pass_through", layer().pass_through("cdn.example")),
        (
            "pass_through",
            layer().pass_through("https://cdn.example/a"),
        ),
        ("rejected_statuses", layer().rejected_statuses([])),
        (
            "rejected_statuses",
            layer().rejected_statuses([StatusCode::OK]),
        ),
    ] {
        assert_eq!(layer.build().unwrap_err().setting(), setting);
    }
}
