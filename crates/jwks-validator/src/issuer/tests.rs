use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::UNIX_EPOCH;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::ManualClock;
use idp_http::Supervisor;
use serde_json::json;

use super::*;
use crate::metrics::ValidatorMetrics;
use crate::policy::Policy;
use crate::source::{Fetched, SourceError};
use crate::validate::validate;
use crate::validator::{Decision, Inner, JwtValidator};
use crate::verified_cache::VerifiedCache;

const ISSUER: &str = "https://idp.example";
const NOW: u64 = 1_800_000_000;

#[derive(Debug)]
struct Nobody;

#[async_trait::async_trait]
impl KeySource for Nobody {
    async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        std::future::pending().await
    }
}

fn issuer() -> Issuer {
    let settings = IssuerSettings {
        max_stale: Duration::from_secs(86_400),
        rsa_default: Algorithm::Rs256,
        clock: Arc::new(ManualClock::at_unix(NOW)),
        idle_after: None,
    };
    let refresher = Supervisor::new().task();
    Issuer::new(ISSUER, ISSUER, IssuerKeys::new(Nobody), settings, refresher)
}

fn publish(issuer: &Issuer, keys: &KeySet) {
    issuer.begin();
    issuer.end(
        Instant::now(),
        false,
        Ok(Fetched::keys(keys.with_revoked(&[]))),
    );
}

/// A token that names no key fits one key of its own set, and two of any mixture.
fn nameless_token(kid: &str) -> (String, KeySet) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encode(pair.public_key().as_ref()),
    });
    let keys = json!({ "keys": [jwk] }).to_string();
    let claims = json!({"iss": ISSUER, "exp": NOW + 300, "jti": kid});
    let parts = [json!({"alg": "EdDSA"}), claims].map(|part| encode(part.to_string().as_bytes()));
    let message = parts.join(".");
    let signature = encode(pair.sign(message.as_bytes()).as_ref());
    let keys = KeySet::from_jwks_json(keys.as_bytes()).unwrap();
    (format!("{message}.{signature}"), keys)
}

/// D35
#[test]
fn readers_see_the_old_set_or_the_new_one_and_never_a_mixture() {
    const READERS: usize = 3;
    let issuer = issuer();
    let sets = ["a", "b"].map(nameless_token);
    publish(&issuer, &sets[0].1);
    let policy = Policy::dangerous_for_any_audience();
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let satisfied = AtomicUsize::new(0);
    let read = |token: &str| {
        let (mut accepted, mut refused, mut is_satisfied) = (0_u32, 0_u32, false);
        while satisfied.load(Ordering::SeqCst) < READERS {
            match validate(token, now, |_| issuer.keys(now), &policy) {
                Ok(_) => accepted += 1,
                Err(Reason::Signature) => refused += 1,
                Err(other) => {
                    // Nobody shall wait for this reader.
                    satisfied.store(READERS, Ordering::SeqCst);
                    panic!("{other}");
                }
            }
            if accepted.min(refused) > 100 && !is_satisfied {
                is_satisfied = true;
                satisfied.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    thread::scope(|scope| {
        for reader in 0..READERS {
            let token = &sets[reader % 2].0;
            scope.spawn(move || read(token));
        }
        let mut turns = sets.iter().cycle();
        while satisfied.load(Ordering::SeqCst) < READERS {
            publish(&issuer, &turns.next().unwrap().1);
        }
    });
}

/// D35
#[test]
fn a_decision_that_has_begun_keeps_its_keys() {
    let issuer = issuer();
    let sets = ["a", "b"].map(nameless_token);
    publish(&issuer, &sets[0].1);
    let policy = Policy::dangerous_for_any_audience();
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    let meanwhile = |_: &str| {
        let keys = issuer.keys(now);
        publish(&issuer, &sets[1].1);
        keys
    };
    assert!(validate(&sets[0].0, now, meanwhile, &policy).is_ok());
    let after = validate(&sets[0].0, now, |_| issuer.keys(now), &policy);
    assert_eq!(after.err(), Some(Reason::Signature));
}

/// With the lock held by this very thread, whoever takes it never returns.
///
/// D35
#[test]
fn a_token_with_a_known_key_is_decided_on_without_the_lock() {
    let issuer = Arc::new(issuer());
    let (token, keys) = nameless_token("a");
    publish(&issuer, &keys);
    let validator = JwtValidator::new(Inner {
        issuers: vec![Arc::clone(&issuer)],
        admitted: None,
        policy: Policy::dangerous_for_any_audience(),
        clock: Arc::new(ManualClock::at_unix(NOW)),
        verified: Some(VerifiedCache::new(8).unwrap()),
        revocation: None,
        metrics: ValidatorMetrics::new(),
        published: Arc::default(),
        supervisor: Supervisor::new(),
        is_started: AtomicBool::new(false),
    });
    let state = issuer.state();
    for _ in ["from its signature", "from the cache"] {
        assert!(matches!(validator.decide(&token), Decision::Now(Ok(_))));
    }
    assert!(validator.ready());
    drop(state);
}
