//! What a refused token is near to.

use jwks_validator::{Algorithm, Check};
use serde_json::json;

use super::{detail, explained, with};
use crate::fake_source::{FakeSource, Script, builder, started};
use crate::signer::{ISSUER, NOW, Signer};

#[tokio::test(start_paused = true)]
async fn near_misses_are_named() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let rs256 = Signer::new("RS256", "k");
    let typ = |typ: &str| signer.with_header(&json!({"alg": "ES256", "kid": "k", "typ": typ}));
    for (name, token, check, expected) in [
        (
            "trailing slash",
            signer.token(&with("iss", json!(format!("{ISSUER}/")))),
            Check::Issuer,
            r#""https://idp.example/", differs from "https://idp.example" by a trailing slash"#,
        ),
        (
            "letter case",
            signer.token(&with("iss", json!("https://IDP.example"))),
            Check::Issuer,
            r#""https://IDP.example", differs from "https://idp.example" by letter case"#,
        ),
        (
            "both",
            signer.token(&with("iss", json!("https://IDP.example/"))),
            Check::Issuer,
            r#""https://IDP.example/", differs from "https://idp.example" by a trailing slash and letter case"#,
        ),
        (
            "another issuer",
            signer.token(&with("iss", json!("https://x\n"))),
            Check::Issuer,
            r#""https://x?", known are "https://idp.example""#,
        ),
        (
            "no issuer",
            signer.token(&with("iss", json!([ISSUER]))),
            Check::Issuer,
            "an array of strings",
        ),
        (
            "audience",
            signer.token(&with("aud", json!(["https://a", "https://API.example"]))),
            Check::Audience,
            r#"the token has "https://a" "https://API.example", ours are "https://api.example"; differs from "https://api.example" by letter case"#,
        ),
        (
            "audience number",
            signer.token(&with("aud", json!(1))),
            Check::Audience,
            "a number",
        ),
        (
            "expired",
            signer.token(&with("exp", json!(NOW - 70))),
            Check::Expiry,
            "1 min 10 s ago by our clock, leeway 1 min",
        ),
        (
            "issued ahead",
            signer.token(&with("iat", json!(NOW + 70))),
            Check::IssuedAt,
            "1 min 10 s ahead of our clock, leeway 1 min: ours is slow or the issuer's fast by at least 10 s",
        ),
        (
            "not yet",
            signer.token(&with("nbf", json!(NOW + 61))),
            Check::NotBefore,
            "1 min 1 s ahead of our clock, leeway 1 min: ours is slow or the issuer's fast by at least 1 s",
        ),
        (
            "lifetime",
            signer.token(&with("exp", json!(NOW + 86_401))),
            Check::Lifetime,
            "1 d 1 s of 1 d",
        ),
        (
            "dates",
            signer.token(&with("exp", json!("soon"))),
            Check::Dates,
            "exp is a string, nbf is a number, iat is a number",
        ),
        (
            "claim types",
            signer.token(&with("scope", json!(["data:read"]))),
            Check::ClaimTypes,
            "sub is a string, client_id is a string, jti is a string, scope is an array, and only a string is allowed",
        ),
        (
            "binding",
            signer.token(&with("cnf", json!({}))),
            Check::Binding,
            "the claim cnf is there",
        ),
        (
            "type",
            typ("id_token"),
            Check::Type,
            r#""id_token", allowed are at+jwt, JWT, JOSE and none"#,
        ),
        (
            "extensions",
            signer.with_header(&json!({"alg": "ES256", "jku": "x", "crit": ["b64"], "b64": false})),
            Check::Extensions,
            "the header has crit b64",
        ),
        (
            "key of another algorithm",
            rs256.good(),
            Check::Key,
            r#"published are "k" (ES256); as of 0 s ago"#,
        ),
        (
            "unknown key",
            Signer::es256("other").good(),
            Check::Key,
            r#"published are "k" (ES256); as of 0 s ago"#,
        ),
        ("parts", "a.b".to_owned(), Check::Segments, "2 parts"),
        (
            "size",
            "x".repeat(13_000),
            Check::Size,
            "13000 bytes of 12288",
        ),
    ] {
        let explanation = explained(&validator, &token).await;
        assert_eq!(detail(&explanation, check), expected, "{name}");
        let line = explanation.one_line();
        assert!(line.ends_with(expected), "{name}: {line}");
        assert!(
            line.contains(&format!("{} failed", check.as_str())),
            "{line}"
        );
    }
    let hs256 = signer.with_header(&json!({"alg": "HS256"}));
    let allowed = builder(&FakeSource::new(Script::Hang))
        .algorithms([Algorithm::Rs256, Algorithm::Es256])
        .build()
        .unwrap();
    assert_eq!(
        explained(&allowed, &hs256).await.one_line(),
        "refused, algorithm failed: the header's algorithm is not on the allow-list; \
         \"HS256\", allowed are RS256 ES256"
    );
}
