//! One issuer, its keys, and what two APIs demand of its tokens.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwks_validator::{Claims, KeySet, Policy, Reason, explain, validate};
use serde_json::Value;

use crate::reference::{Accepted, Broken, Key, Rules, judge};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const AUDIENCE: &str = "https://api.example";
/// 2027-01-15T08:00:00Z; the corpus has tokens of that time.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) const GOOD_HEADER: &str = r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}"#;
pub(crate) const GOOD_PAYLOAD: &str = r#"{"iss":"https://idp.example","aud":"https://api.example","exp":1800000300,"iat":1800000000,"nbf":1800000000,"sub":"client","client_id":"client","jti":"1","scope":"data:read"}"#;

// Made from a constant, unlike every key of the tests: a corpus is of use only while its tokens verify.
static SIGNER: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());

static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::from_jwks_json(published().as_bytes()).unwrap());
static REFERENCE_KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| Key::set(published().as_bytes()));

struct Deployment {
    policy: Policy,
    rules: Rules,
}

/// The default one first.
static DEPLOYMENTS: LazyLock<[Deployment; 2]> = LazyLock::new(|| {
    let policy = Policy::for_audiences([AUDIENCE]);
    let rules = Rules::usual(ISSUER, AUDIENCE);
    let strict = Deployment {
        policy: policy
            .clone()
            .rfc9068(true)
            .leeway(Duration::ZERO)
            .max_lifetime(Duration::from_secs(3_600)),
        rules: Rules {
            rfc9068: true,
            leeway: 0,
            max_lifetime: 3_600,
            ..rules.clone()
        },
    };
    [Deployment { policy, rules }, strict]
});

/// The signer's key, whose id is `k`, and one of another algorithm.
pub(crate) fn published() -> String {
    format!(r#"{{"keys":[{},{}]}}"#, ed25519_jwk("k"), p256_jwk("e"))
}

pub(crate) fn ed25519_jwk(kid: &str) -> String {
    let x = encode(SIGNER.public_key());
    format!(r#"{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"{kid}","x":"{x}"}}"#)
}

pub(crate) fn p256_jwk(kid: &str) -> String {
    let key = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, &[7; 32]).unwrap();
    let point = key.compute_public_key().unwrap();
    let (x, y) = point.as_ref()[1..].split_at(32);
    let (x, y) = (encode(x), encode(y));
    format!(r#"{{"kty":"EC","crv":"P-256","alg":"ES256","kid":"{kid}","x":"{x}","y":"{y}"}}"#)
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs whatever it is given, so that the checks behind the signature are reached.
pub(crate) fn sign(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = SIGNER.sign(message.as_bytes());
    format!("{message}.{}", encode(signature))
}

/// Judges a token for both APIs, each time by us and by the reference. Tells whether the first API
/// accepts it.
pub(crate) fn compare(token: &str) -> bool {
    let [default, strict] = &*DEPLOYMENTS;
    let reference = |rules| judge(token, NOW.cast_signed(), &REFERENCE_KEYS, rules);
    let accepted = agree(token, &KEYS, default, reference(&default.rules));
    let by_strict = agree(token, &KEYS, strict, reference(&strict.rules));
    assert!(accepted || !by_strict, "stricter rules accept more");
    accepted
}

/// Judges a token by any keys. What is accepted must be the reference's answer for one of `sound`, the
/// keys that it can read.
pub(crate) fn check_with(token: &str, keys: &KeySet, sound: Option<&[Key]>) {
    let [deployment, _] = &*DEPLOYMENTS;
    let Some(claims) = decide(token, keys, deployment) else {
        return;
    };
    let Some(sound) = sound else {
        return;
    };
    let accepts = |key: &Key| {
        let key = std::slice::from_ref(key);
        judge(token, NOW.cast_signed(), key, &deployment.rules)
            .is_ok_and(|accepted| accepted == said(&claims))
    };
    assert!(sound.iter().any(accepts), "no key of the reference fits");
}

fn agree(
    token: &str,
    keys: &KeySet,
    deployment: &Deployment,
    reference: Result<Accepted, Broken>,
) -> bool {
    let ours = decide(token, keys, deployment);
    match (&ours, &reference) {
        (Some(claims), Ok(accepted)) => assert_eq!(said(claims), *accepted),
        (None, Err(_)) => {}
        _ => panic!("{ours:?}, by the reference {reference:?}"),
    }
    ours.is_some()
}

/// Decides twice and explains; all three must say the same.
fn decide(token: &str, keys: &KeySet, deployment: &Deployment) -> Option<Claims> {
    let known = |issuer: &str| {
        if issuer == ISSUER {
            Ok(keys)
        } else {
            Err(Reason::UnknownIssuer)
        }
    };
    let ours = validate(token, now(), known, &deployment.policy);
    let again = validate(token, now(), known, &deployment.policy);
    assert_eq!(
        ours.as_ref().map(said).map_err(|reason| *reason),
        again.as_ref().map(said).map_err(|reason| *reason),
    );
    let explanation = explain(token, now(), known, &deployment.policy);
    assert_eq!(explanation.reason(), ours.as_ref().err().copied());
    // An operator's terminal takes what is in a token as text.
    let report = format!("{explanation}{}", explanation.one_line());
    assert!(
        report
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\n'))
    );
    let claims = ours.ok()?;
    assert_eq!(claims.issuer(), ISSUER);
    survives_writing(&claims);
    Some(claims)
}

fn said(claims: &Claims) -> Accepted {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Accepted {
        sub: owned(claims.subject()),
        client_id: owned(claims.client_id()),
        scope: owned(claims.scope()),
        jti: owned(claims.id()),
        aud: claims.audiences().map(str::to_owned).collect(),
        exp: clock::unix_seconds(claims.expires_at()),
    }
}

/// Claims that were accepted can be read as any JSON, written, and read again.
fn survives_writing(claims: &Claims) {
    let read: Value = claims.to_typed().unwrap();
    let written = serde_json::to_vec(&read).unwrap();
    let again: Value = serde_json::from_slice(&written).unwrap();
    assert!(is_same(&read, &again), "{read} became {again}");
}

/// Equal but for the last digits of numbers: serde_json reads them quickly rather than exactly.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let [one, other] = [one, other].map(|number| number.as_f64().unwrap());
            (one - other).abs() <= one.abs() * 1e-15
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| other.get(name).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}
