//! Those who call from outside: good ones, hostile ones, and ones without patience.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, header};
use fastrand::Rng;
use serde_json::json;

use crate::faults::{Host, Issuer, PROTECTED_PATH, PUBLIC_PATH};
use crate::network::Request;
use crate::nonsense::CANARY;
use crate::provider::{Key, Provider};

/// A request from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    pub(crate) to: Host,
    pub(crate) kind: Kind,
    /// How long the caller waits for the answer.
    pub(crate) patience: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Through public-data to protected-data.
    Chain,
    /// With a token of one's own.
    Good(Issuer),
    /// With one that was good when it was issued.
    Old(Issuer),
    /// With one that never was.
    Forged(u8),
    /// Something that nobody serves.
    Odd(u8),
    Health,
}

/// What callers know. The hostile one has keys of its own, and those that were stolen.
#[derive(Debug)]
pub(crate) struct Clients {
    providers: [Provider; 2],
    own: Key,
    old: [VecDeque<String>; 2],
    rng: Rng,
}

const REMEMBERED: usize = 12;

impl Clients {
    pub(crate) fn new(seed: u64, providers: [Provider; 2]) -> Self {
        Self {
            providers,
            own: Key::new(!seed, "A-1".to_owned()),
            old: Default::default(),
            rng: Rng::with_seed(!seed),
        }
    }

    pub(crate) fn request(&mut self, call: &Call) -> Request {
        let id = format!("r-{}", call.number);
        let request = axum::http::Request::get(match call.kind {
            Kind::Chain | Kind::Odd(_) => PUBLIC_PATH,
            Kind::Health => ["/livez", "/readyz"][usize::from(call.number.is_multiple_of(2))],
            Kind::Good(_) | Kind::Old(_) | Kind::Forged(_) => PROTECTED_PATH,
        });
        let request = request.header("x-request-id", id);
        let mut request = request.body(Bytes::new()).unwrap();
        match call.kind {
            Kind::Chain => {
                // Credentials and cookies of the caller end here.
                for (name, value) in [("authorization", "Bearer "), ("cookie", "id=")] {
                    let value = format!("{value}{CANARY}").parse().unwrap();
                    request.headers_mut().insert(name, value);
                }
            }
            Kind::Good(issuer) => {
                let token = self.providers[issuer as usize].token();
                self.remember(issuer, &token);
                authorize(&mut request, &token);
            }
            Kind::Old(issuer) => {
                let old = &self.old[issuer as usize];
                let index = self.rng.usize(0..old.len().max(1));
                let token = old.get(index).cloned();
                let token = token.unwrap_or_else(|| self.providers[issuer as usize].token());
                authorize(&mut request, &token);
            }
            Kind::Forged(how) => self.forge(&mut request, how, call.number),
            Kind::Odd(how) => odd(&mut request, how),
            Kind::Health => {}
        }
        request
    }

    fn remember(&mut self, issuer: Issuer, token: &str) {
        let old = &mut self.old[issuer as usize];
        if old.len() == REMEMBERED {
            old.pop_front();
        }
        old.push_back(token.to_owned());
    }

    fn forge(&self, request: &mut Request, how: u8, number: u64) {
        let issuer = if number.is_multiple_of(5) {
            Issuer::B
        } else {
            Issuer::A
        };
        let [a, b] = &self.providers;
        let provider = &self.providers[issuer as usize];
        let (signer, mut claims) = (provider.signer(), provider.claims());
        let now = provider.clock.unix();
        let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid, "typ": "at+jwt"});
        let token = match how % 16 {
            0 | 1 => {
                let kid = format!("forged-{number}");
                self.own.signed(&header("EdDSA", &kid), &claims)
            }
            2 => self.own.signed(&header("EdDSA", &signer.kid), &claims),
            3 => {
                let token = signer.signed(&header("none", &signer.kid), &claims);
                token[..=token.rfind('.').unwrap()].to_owned()
            }
            4 => {
                claims["exp"] = (now - 3_600).into();
                claims["iat"] = (now - 7_200).into();
                signer.token(&claims)
            }
            5 => {
                claims["aud"] = "https://other.example".into();
                signer.token(&claims)
            }
            6 => {
                claims["iss"] = "https://c.example".into();
                signer.token(&claims)
            }
            // Each issuer's keys are good for its own tokens only.
            7 => b.signer().token(&a.claims()),
            8 => a.signer().token(&b.claims()),
            9 => match provider.stolen() {
                Some(stolen) => stolen.token(&claims),
                None => self.own.token(&claims),
            },
            10 => {
                let token = signer.token(&claims);
                token[..token.len() - 3].to_owned()
            }
            11 => signer.signed(&header("HS256", &signer.kid), &claims),
            12 => {
                let mut header = header("EdDSA", &signer.kid);
                header["crit"] = json!(["exp"]);
                signer.signed(&header, &claims)
            }
            13 => {
                claims["cnf"] = json!({"jkt": "x"});
                signer.token(&claims)
            }
            14 => {
                // A good token, twice.
                let token = signer.token(&claims);
                authorize(request, &token);
                let again = request.headers()[header::AUTHORIZATION].clone();
                request.headers_mut().append(header::AUTHORIZATION, again);
                return;
            }
            _ => {
                let token = signer.token(&claims);
                let uri = format!("{PROTECTED_PATH}?access_token={token}");
                *request.uri_mut() = uri.parse().unwrap();
                return;
            }
        };
        authorize(request, &token);
    }
}

fn odd(request: &mut Request, how: u8) {
    match how % 4 {
        0 => *request.method_mut() = Method::POST,
        1 => *request.uri_mut() = format!("/{CANARY}").parse().unwrap(),
        2 => *request.uri_mut() = format!("{PUBLIC_PATH}/{CANARY}").parse().unwrap(),
        _ => *request.uri_mut() = "/livez/../api".parse().unwrap(),
    }
}

fn authorize(request: &mut Request, token: &str) {
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
}
