//! Keys made at run time, and tokens signed with them byte for byte as a test wants them.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwks_validator::{Claims, KeySet, Policy, Reason, validate};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const AUDIENCE: &str = "https://api.example";
/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: i64 = 1_800_000_000;

/// RSA keys are slow to make, so all signers share one.
static RSA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    key.as_der().unwrap().as_ref().to_vec()
});

pub(crate) struct Signer {
    pub(crate) alg: &'static str,
    pub(crate) kid: String,
    key: Key,
}

enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: impl AsRef<[u8]>) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

impl Signer {
    pub(crate) fn new(alg: &'static str, kid: &str) -> Self {
        let curve = match alg {
            "ES256" => Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            "ES512" => Some(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            _ => None,
        };
        let key = match curve {
            Some(curve) => Key::Ec(EcdsaKeyPair::generate(curve).unwrap()),
            None if alg == "EdDSA" => Key::Ed(Ed25519KeyPair::generate().unwrap()),
            None => Key::Rsa(RsaKeyPair::from_pkcs8(&RSA).unwrap()),
        };
        Self {
            alg,
            kid: kid.to_owned(),
            key,
        }
    }

    pub(crate) fn es256(kid: &str) -> Self {
        Self::new("ES256", kid)
    }

    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::Rsa(key) => json!({
                "kty": "RSA",
                "n": encode(key.public_key().modulus().big_endian_without_leading_zero()),
                "e": encode(key.public_key().exponent().big_endian_without_leading_zero()),
            }),
            Key::Ec(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = match self.alg {
                    "ES256" => "P-256",
                    "ES384" => "P-384",
                    _ => "P-521",
                };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            Key::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key())}),
        };
        jwk["kid"] = self.kid.as_str().into();
        jwk["alg"] = self.alg.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// The key set with this key alone.
    pub(crate) fn keys(&self) -> KeySet {
        key_set(&[self.jwk()])
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Rsa(key) => {
                let padding: &'static dyn signature::RsaEncoding = match self.alg {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            }
            Key::Ec(key) => key
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
            Key::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// Signs header and payload as they are.
    pub(crate) fn raw(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", encode(signature))
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.alg, "kid": self.kid, "typ": "at+jwt"})
    }

    pub(crate) fn with_header(&self, header: &Value) -> String {
        self.raw(header.to_string(), good_claims().to_string())
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.raw(self.header().to_string(), claims.to_string())
    }

    pub(crate) fn good(&self) -> String {
        self.token(&good_claims())
    }
}

pub(crate) fn good_claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "client-1",
        "aud": AUDIENCE,
        "exp": NOW + 300,
        "iat": NOW,
        "nbf": NOW,
        "jti": "1",
        "client_id": "client-1",
        "scope": "data:read data:list",
    })
}

pub(crate) fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

pub(crate) fn key_set(keys: &[Value]) -> KeySet {
    KeySet::from_jwks_json(&jwks(keys)).unwrap()
}

pub(crate) fn policy() -> Policy {
    Policy::for_audiences([AUDIENCE])
}

pub(crate) fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap())
}

pub(crate) fn check(token: &str, keys: &KeySet) -> Result<Claims, Reason> {
    check_with(token, keys, &policy(), NOW)
}

pub(crate) fn check_with(
    token: &str,
    keys: &KeySet,
    policy: &Policy,
    now: i64,
) -> Result<Claims, Reason> {
    validate(token, at(now), published(keys), policy)
}

/// These keys for the issuer, and none for others.
pub(crate) fn published<'k>(keys: &'k KeySet) -> impl Fn(&str) -> Result<&'k KeySet, Reason> {
    move |issuer: &str| match issuer {
        ISSUER => Ok(keys),
        _ => Err(Reason::UnknownIssuer),
    }
}

/// Whether searches go to their full length: where `M2M_LONG` is set.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests chooses how long they take"
)]
pub(crate) fn is_long() -> bool {
    std::env::var_os("M2M_LONG").is_some()
}

/// How far a search goes.
pub(crate) fn cases(few: u64, many: u64) -> u64 {
    if is_long() { many } else { few }
}

/// The seed to repeat alone, from `M2M_SEED`.
#[expect(clippy::disallowed_methods, reason = "a person chooses what to repeat")]
pub(crate) fn seed() -> Option<u64> {
    std::env::var("M2M_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap())
}
