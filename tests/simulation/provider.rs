//! An identity provider with two issuers, and what it answers while nothing is wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::faults::{Issuer, JWKS_PATH, TOKEN_PATH};
use crate::network::{Request, Response};
use crate::wall_clock::WallClock;

pub(crate) const AUDIENCE: &str = "https://api.example";

impl Issuer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "https://a.example",
            Self::B => "https://b.example",
        }
    }
}

/// One issuer. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    issuer: Issuer,
    seed: u64,
    pub(crate) clock: WallClock,
    lifetime: Duration,
    max_age: Option<Duration>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The last one signs.
    published: Vec<Arc<Key>>,
    /// Keys that are not published any more. Somebody may have got hold of them.
    withdrawn: Vec<Arc<Key>>,
    made: u64,
    issued: u64,
}

/// A signing key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) kid: String,
    pair: Ed25519KeyPair,
}

impl Key {
    /// From a seed, so that signatures are the same in each run.
    pub(crate) fn new(seed: u64, kid: String) -> Self {
        let mut bytes = [0; 32];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        Self {
            kid,
            pair: Ed25519KeyPair::from_seed_unchecked(&bytes).unwrap(),
        }
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "alg": "EdDSA", "use": "sig"})
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "kid": self.kid, "typ": "at+jwt"});
        self.signed(&header, claims)
    }

    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

impl Provider {
    pub(crate) fn new(
        issuer: Issuer,
        seed: u64,
        clock: WallClock,
        lifetime: Duration,
        max_age: Option<Duration>,
    ) -> Self {
        let provider = Self {
            issuer,
            seed,
            clock,
            lifetime,
            max_age,
            state: Arc::default(),
        };
        provider.add_key();
        provider
    }

    /// Publishes another key and signs with it from now on.
    pub(crate) fn add_key(&self) {
        let mut state = self.state.lock().unwrap();
        state.made += 1;
        let seed = self.seed ^ (state.made << 8 | self.issuer as u64);
        let kid = format!("{:?}-{}", self.issuer, state.made);
        state.published.push(Arc::new(Key::new(seed, kid)));
    }

    /// Withdraws every key but the one that signs, and returns their ids.
    pub(crate) fn withdraw_old_keys(&self) -> Vec<String> {
        let mut state = self.state.lock().unwrap();
        let last = state.published.len() - 1;
        let old: Vec<_> = state.published.drain(..last).collect();
        let kids = old.iter().map(|key| key.kid.clone()).collect();
        state.withdrawn.extend(old);
        kids
    }

    pub(crate) fn signer(&self) -> Arc<Key> {
        let state = self.state.lock().unwrap();
        Arc::clone(state.published.last().unwrap())
    }

    /// The key that was withdrawn last.
    pub(crate) fn stolen(&self) -> Option<Arc<Key>> {
        self.state.lock().unwrap().withdrawn.last().cloned()
    }

    /// The claims of the next token.
    pub(crate) fn claims(&self) -> Value {
        let mut state = self.state.lock().unwrap();
        state.issued += 1;
        let now = self.clock.unix();
        json!({
            "iss": self.issuer.name(),
            "sub": "client-1",
            "client_id": "client-1",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + i64::try_from(self.lifetime.as_secs()).unwrap(),
            "jti": state.issued.to_string(),
            "scope": "data:read",
        })
    }

    pub(crate) fn token(&self) -> String {
        let claims = self.claims();
        self.signer().token(&claims)
    }

    pub(crate) fn jwks(&self) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let keys: Vec<Value> = state.published.iter().map(|key| key.jwk()).collect();
        json!({ "keys": keys }).to_string().into_bytes()
    }

    pub(crate) fn answer(&self, request: &Request) -> Response {
        match request.uri().path() {
            TOKEN_PATH => json_response(&json!({
                "access_token": self.token(),
                "token_type": "Bearer",
                "expires_in": self.lifetime.as_secs(),
            })),
            JWKS_PATH => self.keys(request),
            other => panic!("nobody asks for {other}"),
        }
    }

    fn keys(&self, request: &Request) -> Response {
        let body = self.jwks();
        let tag = {
            let state = self.state.lock().unwrap();
            format!("\"{}-{}\"", state.made, state.published.len())
        };
        let known = request.headers().get(header::IF_NONE_MATCH);
        let mut response = Response::new(Bytes::from(body));
        if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Bytes::new();
        }
        let headers = response.headers_mut();
        headers.insert(header::ETAG, tag.parse().unwrap());
        if let Some(age) = self.max_age {
            let value = format!("max-age={}", age.as_secs());
            headers.insert(header::CACHE_CONTROL, value.parse().unwrap());
        }
        response
    }
}

fn json_response(value: &Value) -> Response {
    Response::new(Bytes::from(value.to_string()))
}
