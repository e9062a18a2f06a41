//! What no script changes: two issuers, their keys, tokens made with them, and what is wanted of tokens.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use clock::{Clock, ManualClock};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::reference::{Broken, Key, Rules, judge};
use crate::signer::{self, AUDIENCE, NOW, Signer, encode};

/// Things go wrong at the first one only.
pub(super) const TROUBLED: usize = 0;
pub(super) const CALM: usize = 1;
pub(super) const ISSUERS: [&str; 2] = ["https://troubled.example", "https://calm.example"];

/// Key ids of an issuer.
pub(super) const KIDS: usize = 3;
/// Keys of an issuer. Key `n` and key `n + KIDS` share their id.
pub(super) const KEYS: usize = 2 * KIDS;

const DAY: i64 = 86_400;
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(40 * 86_400);

pub(super) static WORLD: LazyLock<World> = LazyLock::new(World::new);

pub(super) struct World {
    /// The keys, as they are published.
    pub(super) jwks: [Vec<Value>; 2],
    /// What the issuers signed for us.
    pub(super) tokens: [Vec<Arc<Token>>; 2],
    /// What they did not sign, or not for us.
    pub(super) forged: [Vec<Arc<Token>>; 2],
    /// The same as the reference reads them.
    published: [Vec<Key>; 2],
    rules: [Rules; 2],
}

#[derive(Debug)]
pub(super) struct Token {
    pub(super) text: String,
    /// Its `jti`: an answer must be about this token.
    pub(super) id: String,
    /// The number of the key id that it names, unless it is none of the issuer's.
    pub(super) kid: Option<usize>,
    /// Whether its issuer is one of ours.
    pub(super) has_issuer: bool,
}

impl World {
    fn new() -> Self {
        let signers = [(); 2].map(|()| {
            (0..KEYS)
                .map(|key| Signer::new("EdDSA", &kid(key)))
                .collect::<Vec<_>>()
        });
        let tokens = [TROUBLED, CALM].map(|issuer| {
            let of_key = |key| good(&signers[issuer], issuer, key);
            (0..KEYS).flat_map(of_key).map(Arc::new).collect()
        });
        let forged = [TROUBLED, CALM].map(|issuer| forged(&signers, issuer));
        let jwks = signers.map(|signers| signers.iter().map(Signer::jwk).collect::<Vec<_>>());
        Self {
            tokens,
            forged,
            published: jwks.each_ref().map(|keys| Key::set(&signer::jwks(keys))),
            jwks,
            rules: ISSUERS.map(rules),
        }
    }

    /// Asks the reference about a token, given the keys in use by their number.
    pub(super) fn judge(
        &self,
        issuer: usize,
        token: &str,
        now: i64,
        keys: &[usize],
    ) -> Result<(), Broken> {
        let published = &self.published[issuer];
        let keys: Vec<Key> = keys.iter().map(|key| published[*key].clone()).collect();
        judge(token, now, &keys, &self.rules[issuer]).map(|_| ())
    }
}

pub(super) fn kid(key: usize) -> String {
    format!("k{}", key % KIDS)
}

fn rules(issuer: &str) -> Rules {
    Rules {
        algorithms: vec!["EdDSA"],
        max_lifetime: MAX_LIFETIME.as_secs().cast_signed(),
        ..Rules::usual(issuer, AUDIENCE)
    }
}

fn claims(issuer: &str, id: &str) -> Value {
    json!({"iss": issuer, "aud": AUDIENCE, "exp": NOW + 20 * DAY, "jti": id})
}

fn good(signers: &[Signer], issuer: usize, key: usize) -> Vec<Token> {
    let signer = &signers[key];
    let make = |what: &str, names_key: bool, claim: Option<(&str, i64)>| {
        let id = format!("{issuer}/{key} {what}");
        let mut claims = claims(ISSUERS[issuer], &id);
        if let Some((name, value)) = claim {
            claims[name] = value.into();
        }
        let mut header = signer.header();
        if !names_key {
            header.as_object_mut().unwrap().remove("kid");
        }
        Token {
            text: signer.raw(header.to_string(), claims.to_string()),
            id,
            kid: names_key.then_some(key % KIDS),
            has_issuer: true,
        }
    };
    vec![
        make("named", true, None),
        make("nameless", false, None),
        make("short-lived", true, Some(("exp", NOW + 240))),
        make("not yet valid", true, Some(("nbf", NOW + 240))),
    ]
}

fn forged(signers: &[Vec<Signer>; 2], issuer: usize) -> Vec<Arc<Token>> {
    let of_key = |key: usize| {
        let signer = &signers[issuer][key];
        let make = |what: &str, issuer_name: &str, sign: &dyn Fn(Value) -> String| {
            let id = format!("{issuer}/{key} {what}");
            Token {
                text: sign(claims(issuer_name, &id)),
                id,
                kid: Some(key % KIDS),
                has_issuer: issuer_name == ISSUERS[issuer],
            }
        };
        let with = |name: &'static str, value: Value| {
            move |mut claims: Value| {
                claims[name] = value.clone();
                signer.token(&claims)
            }
        };
        let ours = ISSUERS[issuer];
        let stranger = Signer::new("EdDSA", &kid(key));
        let neighbour = &signers[1 - issuer][key];
        vec![
            make("by a stranger", ours, &|claims| stranger.token(&claims)),
            make("by the other issuer", ours, &|claims| {
                neighbour.token(&claims)
            }),
            make("changed", ours, &|claims| {
                let signed = signer.token(&claims);
                let (header, signature) = (signed.split('.').next(), signed.split('.').nth(2));
                let payload = encode(claims.to_string().replace("aud", "sub"));
                format!("{}.{payload}.{}", header.unwrap(), signature.unwrap())
            }),
            make("expired", ours, &with("exp", json!(NOW - 2 * DAY))),
            make("for others", ours, &with("aud", json!("https://x"))),
            make("bound", ours, &with("cnf", json!({}))),
            make("of nobody", "https://nobody.example", &|claims| {
                signer.token(&claims)
            }),
        ]
    };
    (0..KEYS).flat_map(of_key).map(Arc::new).collect()
}

/// A token in which nothing is wrong but that its key id is invented.
pub(super) fn invented(issuer: usize, number: u32) -> Arc<Token> {
    let id = format!("{issuer} invented");
    let header = json!({"alg": "EdDSA", "kid": number.to_string()});
    let parts = [header, claims(ISSUERS[issuer], &id)].map(|part| encode(part.to_string()));
    Arc::new(Token {
        text: format!("{}.{}.{}", parts[0], parts[1], encode([7; 64])),
        id,
        kid: None,
        has_issuer: true,
    })
}

/// A manual clock that goes on with paused time.
#[derive(Clone, Debug)]
pub(super) struct WallClock {
    pub(super) steps: ManualClock,
    start: Instant,
}

impl WallClock {
    pub(super) fn new() -> Self {
        Self {
            steps: ManualClock::at_unix(NOW.unsigned_abs()),
            start: Instant::now(),
        }
    }
}

impl Clock for WallClock {
    fn now(&self) -> SystemTime {
        self.steps.now() + self.start.elapsed()
    }
}
