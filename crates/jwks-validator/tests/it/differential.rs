//! Generated tokens, judged by us, by the reference and by two other libraries.
//!
//! Ten thousand of them, ten times as many where `M2M_LONG` is set. `M2M_SEED=n` judges the token of one seed
//! alone and shows what each made of it.

mod libraries;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use clock::{Clock as _, SystemClock, unix_seconds};
use jsonwebtoken::jwk::JwkSet;
use jwks_validator::{Claims, KeySet, Policy, Reason, validate};

use crate::generator::Signers;
use crate::reference::{Accepted, Broken, Json, Key, Rules, base64url, judge, object};
use crate::signer::{AUDIENCE, ISSUER, at, cases, is_long, seed};

const THREADS: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Library {
    Jsonwebtoken,
    JwtCompact,
}
use Library::{Jsonwebtoken, JwtCompact};

/// Rules of ours that a library does not have, by the reference's name for the rule.
const STRICTER: &[(Library, Broken)] = &[
    // The header.
    (Jsonwebtoken, "no crit"),
    (JwtCompact, "no crit"),
    (Jsonwebtoken, FOREIGN),
    (JwtCompact, FOREIGN),
    (Jsonwebtoken, "typ is a string"),
    (JwtCompact, "typ is a string"),
    (Jsonwebtoken, "typ is that of an access token"),
    (JwtCompact, "typ is that of an access token"),
    (Jsonwebtoken, "kid is 1 to 256 printable characters"),
    (JwtCompact, "kid is 1 to 256 printable characters"),
    (Jsonwebtoken, "no header member twice"),
    (JwtCompact, "no header member twice"),
    // The claims.
    (Jsonwebtoken, "no claim twice"),
    (JwtCompact, "no claim twice"),
    (Jsonwebtoken, "aud is a string or strings"),
    (JwtCompact, "aud is a string or strings"),
    (Jsonwebtoken, "dates are numbers"),
    (Jsonwebtoken, "dates lie in the years 1970 to 9999"),
    (JwtCompact, "dates lie in the years 1970 to 9999"),
    (Jsonwebtoken, "not issued in the future"),
    (JwtCompact, "not issued in the future"),
    (Jsonwebtoken, "no longer than the longest lifetime"),
    (JwtCompact, "no longer than the longest lifetime"),
    (Jsonwebtoken, "identities and scopes are strings"),
    (JwtCompact, "identities and scopes are strings"),
    (Jsonwebtoken, "scopes of an array are scope tokens"),
    (JwtCompact, "scopes of an array are scope tokens"),
    (Jsonwebtoken, "sub and client_id are not empty"),
    (JwtCompact, "sub and client_id are not empty"),
    (Jsonwebtoken, "no cnf"),
    (JwtCompact, "no cnf"),
    (Jsonwebtoken, "what RFC 9068 requires"),
    (JwtCompact, "what RFC 9068 requires"),
];
const FOREIGN: Broken = "no key and no foreign parameters in the header";

/// A library, the rule that it has and we have not, and whether a token is one that it concerns.
type Rule = (Library, &'static str, fn(&Json) -> bool);

/// Tokens that we accept and a library does not, told by their header.
const MORE_OPEN: &[Rule] = &[
    (
        Jsonwebtoken,
        "EdDSA spelled Ed25519 (RFC 9864)",
        spells_ed25519,
    ),
    (
        JwtCompact,
        "EdDSA spelled Ed25519 (RFC 9864)",
        spells_ed25519,
    ),
    (
        Jsonwebtoken,
        "types of header members that we ignore",
        has_ignored_member,
    ),
    (
        JwtCompact,
        "types of header members that we ignore",
        has_ignored_member,
    ),
    (
        Jsonwebtoken,
        "several keys for a token that names none",
        names_no_key,
    ),
    (
        JwtCompact,
        "several keys for a token that names none",
        names_no_key,
    ),
];

/// It is their caller who chooses a key, and ours here takes the only one that fits.
fn names_no_key(header: &Json) -> bool {
    header.member("kid").is_none()
}

fn spells_ed25519(header: &Json) -> bool {
    header.member("alg").and_then(Json::text) == Some("Ed25519")
}

fn has_ignored_member(header: &Json) -> bool {
    [
        "cty", "x5t", "x5t#S256", "jku", "x5u", "x5c", "nonce", "url",
    ]
    .iter()
    .any(|name| header.member(name).is_some())
}

/// Everything but the token.
struct World {
    signers: Signers,
    keys: KeySet,
    reference_keys: Vec<Key>,
    jwks: JwkSet,
    deployments: Vec<(Policy, Rules)>,
    /// The system's time: one library reads no other clock.
    now: i64,
}

/// How often each answer and each disagreement was seen, and where first.
#[derive(Default)]
struct Seen {
    accepted: u64,
    named: BTreeMap<(Library, &'static str), u64>,
    unnamed: BTreeMap<String, u64>,
}

#[test]
fn generated_tokens_get_the_answer_of_the_reference() {
    let world = World::new();
    if let Some(seed) = seed() {
        let mut seen = Seen::default();
        world.judge(seed, &mut seen);
        let token = world.signers.token(seed, world.now);
        assert!(seen.unnamed.is_empty(), "{token}: {:?}", seen.unnamed);
        return;
    }
    let tokens = cases(10_000, 100_000);
    let mut all = Seen::default();
    thread::scope(|scope| {
        let world = &world;
        let share = |n: u64| {
            let mut seen = Seen::default();
            (0..tokens / THREADS).for_each(|m| world.judge(m * THREADS + n, &mut seen));
            seen
        };
        let threads: Vec<_> = (0..THREADS)
            .map(|n| scope.spawn(move || share(n)))
            .collect();
        for thread in threads {
            all.merge(thread.join().unwrap());
        }
    });
    assert!(
        all.unnamed.is_empty(),
        "disagreements without a name, each with a seed: {:#?}\nnamed: {:#?}",
        all.unnamed,
        all.named
    );
    // A table that names what no longer happens hides what does. A short run does not come by all of it.
    let is_long = is_long();
    let names = STRICTER
        .iter()
        .copied()
        .chain(MORE_OPEN.iter().map(|(library, name, _)| (*library, *name)));
    for name in names.filter(|_| is_long) {
        assert!(all.named.contains_key(&name), "{name:?} was not seen");
    }
    let share = all.accepted * 100 / tokens;
    assert!((20..80).contains(&share), "{share} % were accepted");
}

impl World {
    fn new() -> Self {
        let signers = Signers::new();
        let jwks = signers.jwks();
        Self {
            keys: KeySet::from_jwks_json(&jwks).unwrap(),
            reference_keys: Key::set(&jwks),
            jwks: serde_json::from_slice(&jwks).unwrap(),
            deployments: deployments(),
            now: unix_seconds(SystemClock.now()),
            signers,
        }
    }

    /// Panics where we and the reference differ.
    fn judge(&self, seed: u64, seen: &mut Seen) {
        let token = &self.signers.token(seed, self.now);
        let (policy, rules) =
            &self.deployments[usize::try_from(seed % 11).unwrap() % self.deployments.len()];
        let keys = |issuer: &str| {
            if issuer == ISSUER {
                Ok(&self.keys)
            } else {
                Err(Reason::UnknownIssuer)
            }
        };
        let ours = validate(token, at(self.now), keys, policy);
        let reference = judge(token, self.now, &self.reference_keys, rules);
        let same = match (&ours, &reference) {
            (Ok(claims), Ok(accepted)) => *accepted == accepted_by_us(claims),
            (Err(_), Err(_)) => true,
            _ => false,
        };
        assert!(
            same,
            "seed {seed}, {token}: {ours:?}, by the reference {reference:?}"
        );
        seen.accepted += u64::from(ours.is_ok());
        for library in [Jsonwebtoken, JwtCompact] {
            let theirs = match library {
                Jsonwebtoken => self.jsonwebtoken(token, rules),
                JwtCompact => self.jwt_compact(token, rules),
            };
            if theirs.is_some() == ours.is_ok() {
                continue;
            }
            if library == Jsonwebtoken && self.depends_on_the_second(token, rules) {
                continue;
            }
            let name = match reference {
                Err(broken) => STRICTER
                    .contains(&(library, broken))
                    .then_some(broken)
                    .ok_or(broken),
                Ok(_) => {
                    let header = header(token);
                    MORE_OPEN
                        .iter()
                        .find(|(other, _, holds)| *other == library && holds(&header))
                        .map(|(_, name, _)| *name)
                        .ok_or("accepted by us")
                }
            };
            match name {
                Ok(name) => *seen.named.entry((library, name)).or_default() += 1,
                Err(what) => {
                    let what = format!("{library:?}: {what}");
                    seen.unnamed.entry(what).or_insert(seed);
                }
            }
        }
    }
}

impl World {
    /// The tokens are made for one instant, and the system's clock goes on while they are judged. One
    /// second before belongs to it: jsonwebtoken still accepts in the second in which a token expires.
    fn depends_on_the_second(&self, token: &str, rules: &Rules) -> bool {
        let answers = (self.now - 1..=unix_seconds(SystemClock.now()) + 1)
            .map(|now| judge(token, now, &self.reference_keys, rules).err());
        answers.collect::<BTreeSet<_>>().len() > 1
    }
}

impl Seen {
    fn merge(&mut self, other: Self) {
        self.accepted += other.accepted;
        for (name, count) in other.named {
            *self.named.entry(name).or_default() += count;
        }
        self.unnamed.extend(other.unnamed);
    }
}

fn deployments() -> Vec<(Policy, Rules)> {
    let rules = Rules::usual(ISSUER, AUDIENCE);
    let policy = || Policy::for_audiences([AUDIENCE]);
    let seconds = std::time::Duration::from_secs;
    vec![
        (policy(), rules.clone()),
        (
            policy().rfc9068(true),
            Rules {
                rfc9068: true,
                ..rules.clone()
            },
        ),
        (
            policy().leeway(seconds(0)).max_lifetime(seconds(3_600)),
            Rules {
                leeway: 0,
                max_lifetime: 3_600,
                ..rules.clone()
            },
        ),
        (
            Policy::for_audiences(["https://other.example", AUDIENCE])
                .algorithms(["ES256", "EdDSA"].map(|name| name.parse().unwrap())),
            Rules {
                audiences: Some(vec![
                    "https://other.example".to_owned(),
                    AUDIENCE.to_owned(),
                ]),
                algorithms: vec!["ES256", "EdDSA"],
                ..rules.clone()
            },
        ),
        (
            Policy::dangerous_for_any_audience(),
            Rules {
                audiences: None,
                ..rules.clone()
            },
        ),
        (
            policy().allow_scope_array(true),
            Rules {
                scope_array: true,
                ..rules.clone()
            },
        ),
        (
            policy().scope_claim("scp").allow_scope_array(true),
            Rules {
                scope_claim: "scp",
                scope_array: true,
                ..rules
            },
        ),
    ]
}

fn accepted_by_us(claims: &Claims) -> Accepted {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Accepted {
        sub: owned(claims.subject()),
        client_id: owned(claims.client_id()),
        scope: owned(claims.scope()),
        jti: owned(claims.id()),
        aud: claims.audiences().map(str::to_owned).collect(),
        exp: unix_seconds(claims.expires_at()),
    }
}

fn header(token: &str) -> Json {
    let (header, _) = token.split_once('.').unwrap();
    object(&base64url(header).unwrap()).unwrap()
}
