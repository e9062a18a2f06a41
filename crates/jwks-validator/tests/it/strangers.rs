//! Input of strangers: whatever it is, it is refused and nothing panics.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use jwks_validator::{JwtLayer, KeySet};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tower::ServiceExt as _;

use crate::fake_source::{FakeSource, started};
use crate::signer::{Signer, cases, check, decode, encode, good_claims, key_set};

/// Good tokens, and the keys that they are good with.
static GOOD: LazyLock<(Vec<String>, KeySet)> = LazyLock::new(|| {
    let signers = ["RS256", "ES256", "EdDSA"].map(|alg| Signer::new(alg, alg));
    let tokens = signers.iter().map(Signer::good).collect();
    (tokens, key_set(&signers.each_ref().map(Signer::jwk)))
});

/// Text that looks like a token, from afar or from close by.
fn token_like() -> impl Strategy<Value = String> {
    let part = || {
        prop_oneof![
            vec(any::<u8>(), 0..2_000).prop_map(encode),
            "[A-Za-z0-9_-]{0,2000}",
            json().prop_map(encode),
        ]
    };
    let header = Just(encode(r#"{"alg":"ES256","kid":"ES256","typ":"at+jwt"}"#));
    let payload = Just(encode(good_claims().to_string()));
    let signature = vec(any::<u8>(), 64).prop_map(encode);
    let three = (
        prop_oneof![4 => header, 1 => part()],
        prop_oneof![4 => payload, 1 => part()],
        prop_oneof![4 => signature, 1 => part()],
    );
    prop_oneof![
        vec(part(), 0..6).prop_map(|parts| parts.join(".")),
        three.prop_map(|(header, payload, signature)| format!("{header}.{payload}.{signature}")),
    ]
}

/// Text that is JSON, with names and values that mean something here.
fn json() -> impl Strategy<Value = String> {
    let word = || select(WORDS).prop_map(|word| format!("\"{word}\""));
    let leaf = prop_oneof![
        word(),
        select(
            &[
                "null",
                "true",
                "-0",
                "1e400",
                "1.5",
                "\"\\ud800\"",
                "1800000300"
            ][..]
        )
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        any::<i64>().prop_map(|number| number.to_string()),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        let member = (word(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            vec(inner, 0..8).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

const WORDS: &[&str] = &[
    "alg",
    "kid",
    "typ",
    "crit",
    "jwk",
    "jku",
    "b64",
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "sub",
    "scope",
    "cnf",
    "RS256",
    "ES256",
    "EdDSA",
    "HS256",
    "none",
    "at+jwt",
    "\\u0061lg",
];

/// What somebody does to a good token who has no key.
#[derive(Clone, Debug)]
enum Change {
    Bit(usize, Index, u8),
    Byte(usize, Index, u8),
    Cut(usize, Index),
    Grow(usize, Vec<u8>),
    /// Another part, as it is or out of another good token.
    Part(usize, String),
    Borrow(usize, Index),
    Swap(usize, usize),
    /// One member more, or once more.
    Member(usize, String, String),
    Text(Index, String),
}

fn change() -> impl Strategy<Value = Change> {
    let part = 0..3_usize;
    let index = any::<Index>;
    prop_oneof![
        (part.clone(), index(), 0..8_u8).prop_map(|(part, at, bit)| Change::Bit(part, at, bit)),
        (part.clone(), index(), any::<u8>()).prop_map(|(part, at, to)| Change::Byte(part, at, to)),
        (part.clone(), index()).prop_map(|(part, at)| Change::Cut(part, at)),
        (part.clone(), vec(any::<u8>(), 1..80)).prop_map(|(part, more)| Change::Grow(part, more)),
        (part.clone(), json()).prop_map(|(part, text)| Change::Part(part, text)),
        (part.clone(), index()).prop_map(|(part, of)| Change::Borrow(part, of)),
        (part.clone(), part.clone()).prop_map(|(one, other)| Change::Swap(one, other)),
        (0..2_usize, select(WORDS), json()).prop_map(|(part, name, value)| Change::Member(
            part,
            name.to_owned(),
            value
        )),
        (index(), "[A-Za-z0-9_=+/. \\x00-]{0,3}").prop_map(|(at, text)| Change::Text(at, text)),
    ]
}

impl Change {
    fn apply(&self, token: &str) -> String {
        let mut parts: Vec<Vec<u8>> = token.split('.').map(decode).collect();
        match self {
            Self::Bit(part, at, bit) => {
                let at = at.index(parts[*part].len());
                parts[*part][at] ^= 1 << bit;
            }
            Self::Byte(part, at, to) => {
                let at = at.index(parts[*part].len());
                parts[*part][at] = *to;
            }
            Self::Cut(part, at) => {
                let at = at.index(parts[*part].len());
                parts[*part].truncate(at);
            }
            Self::Grow(part, more) => parts[*part].extend(more),
            Self::Part(part, text) => parts[*part] = text.clone().into_bytes(),
            Self::Borrow(part, of) => {
                let other = of.get(&GOOD.0).split('.').nth(*part).unwrap();
                parts[*part] = decode(other);
            }
            Self::Swap(one, other) => parts.swap(*one, *other),
            Self::Member(part, name, value) => {
                parts[*part].pop();
                parts[*part].extend(format!(",\"{name}\":{value}}}").into_bytes());
            }
            Self::Text(at, text) => {
                let at = at.index(token.len());
                return format!("{}{text}{}", &token[..at], &token[at + 1..]);
            }
        }
        parts.iter().map(encode).collect::<Vec<_>>().join(".")
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(100, 1_000).try_into().unwrap(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// E37
    #[test]
    fn no_text_of_a_stranger_is_accepted(
        token in prop_oneof![
            "\\PC{0,4000}",
            vec(any::<u8>(), 0..16_384).prop_map(|bytes| String::from_utf8_lossy(&bytes).into()),
            token_like(),
        ],
    ) {
        prop_assert!(check(&token, &GOOD.1).is_err());
    }

    /// E37
    #[test]
    fn no_change_of_a_good_token_is_accepted(good in any::<Index>(), change in change()) {
        let (tokens, keys) = &*GOOD;
        let good = good.get(tokens);
        prop_assert!(check(good, keys).is_ok());
        let changed = change.apply(good);
        prop_assert_eq!(check(&changed, keys).is_ok(), changed == *good);
    }
}

/// E37, G5
#[tokio::test]
async fn no_header_of_a_stranger_reaches_a_handler() {
    let signer = Signer::es256("k");
    let validator = started(&FakeSource::with_keys(&[&signer])).await;
    let app = Router::new()
        .route("/", get(|| async { "reached" }))
        .layer(JwtLayer::new(validator));
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..5_000 {
        let mut value = match rng.u8(..4) {
            0 => Vec::new(),
            1 => b"Bearer".to_vec(),
            _ => b"Bearer ".to_vec(),
        };
        let text = b"ABCxyz019-._~+/= \t,\"";
        for _ in 0..rng.usize(..200) {
            value.push(match rng.u8(..8) {
                0 => rng.u8(..),
                _ => text[rng.usize(..text.len())],
            });
        }
        let Ok(value) = HeaderValue::from_bytes(&value) else {
            continue;
        };
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(AUTHORIZATION, value.clone());
        let status = app.clone().oneshot(request).await.unwrap().status();
        assert!(matches!(status.as_u16(), 400 | 401), "{status}: {value:?}");
    }
}
