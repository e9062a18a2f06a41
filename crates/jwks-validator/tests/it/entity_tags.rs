//! What an entity tag confirms, and where it is shown.

use http::header::IF_NONE_MATCH;
use jwks_validator::{Discovery, KeySource as _, RemoteJwks};
use serde_json::json;

use crate::remote::{Server, client, etag};
use crate::signer::{Signer, jwks};

/// D31
#[tokio::test]
async fn a_confirmation_of_another_version_is_no_confirmation() {
    let server = Server::start().await;
    let source = server.source();
    for (confirmed, requests) in [("\"7\"", 1), ("W/\"7\"", 1), ("\"8\"", 2)] {
        let before = server.requests().len();
        server.answer(304, &[("etag", confirmed)], "");
        let fetched = source.fetch(Some(&etag("\"7\""))).await;
        assert_eq!(server.requests().len() - before, requests, "{confirmed}");
        // What was asked without conditions was answered with 304 here.
        assert_eq!(fetched.is_ok(), requests == 1, "{confirmed}");
    }
    let last = server.requests().pop().unwrap();
    assert!(!last.1.contains_key(IF_NONE_MATCH));
}

/// D31
#[tokio::test]
async fn an_entity_tag_is_shown_only_where_it_came_from() {
    let server = Server::start().await;
    let issuer = server.url("").as_str().trim_end_matches('/').to_owned();
    let well_known = "/.well-known/openid-configuration";
    let metadata = |path: &str| {
        let url = server.url(path);
        json!({ "issuer": issuer, "jwks_uri": url.as_str() }).to_string()
    };
    let tagged = [("etag", "\"1\"")];
    let source = RemoteJwks::discover(client(), Discovery::new(client(), &issuer).unwrap());
    server.answer(404, &[], "");
    server.answer_at(well_known, 200, &[], metadata("/one"));
    server.answer_at("/one", 200, &tagged, jwks(&[Signer::es256("k").jwk()]));
    assert!(source.fetch(None).await.is_ok());
    server.answer_at("/one", 404, &[], "");
    server.answer_at("/two", 200, &tagged, jwks(&[Signer::es256("l").jwk()]));
    server.answer_at(well_known, 200, &[], metadata("/two"));
    let version = etag("\"1\"");
    assert!(source.fetch(Some(&version)).await.is_err());
    assert!(source.fetch(Some(&version)).await.is_ok());
    assert!(source.fetch(Some(&version)).await.is_ok());
    let shown = |path: &str| -> Vec<bool> {
        let requests = server.requests().into_iter().filter(|it| it.0 == path);
        requests
            .map(|it| it.1.contains_key(IF_NONE_MATCH))
            .collect()
    };
    assert_eq!(shown("/one"), [false, true]);
    assert_eq!(shown("/two"), [false, true]);
}
