//! Key sets and metadata of issuers.

use aws_lc_rs::agreement::{self, PrivateKey};
use fastrand::Rng;

use super::{Seed, add};
use crate::fuzz_targets::world::{ISSUER, ed25519_jwk, encode, p256_jwk, published};

/// Keys of every type, made from constants.
fn jwk(kty: &str, alg: &str) -> String {
    let (algorithm, crv, scalar) = match alg {
        "ES384" => (&agreement::ECDH_P384, "P-384", vec![7; 48]),
        "ES512" => (
            &agreement::ECDH_P521,
            "P-521",
            [&[0; 2][..], &[7; 64]].concat(),
        ),
        _ => {
            // Odd, of 2048 bits; nobody knows its factors.
            let mut rng = Rng::with_seed(7);
            let mut n: Vec<u8> = (0..256).map(|_| rng.u8(..)).collect();
            n[0] |= 0x80;
            n[255] |= 1;
            let n = encode(n);
            return format!(
                r#"{{"kty":"{kty}","alg":"{alg}","kid":"{alg}","n":"{n}","e":"AQAB"}}"#
            );
        }
    };
    let key = PrivateKey::from_private_key(algorithm, &scalar).unwrap();
    let point = key.compute_public_key().unwrap();
    let (x, y) = point.as_ref()[1..].split_at(scalar.len());
    let (x, y) = (encode(x), encode(y));
    format!(r#"{{"kty":"{kty}","crv":"{crv}","alg":"{alg}","kid":"{alg}","x":"{x}","y":"{y}"}}"#)
}

pub(super) fn key_sets(seeds: &mut Vec<Seed>) {
    let set = |keys: &[String]| format!("{{\"keys\":[{}]}}", keys.join(","));
    let with = |member: &str| {
        set(&[
            ed25519_jwk("k").replacen('{', &format!("{{{member},"), 1),
            p256_jwk("e"),
        ])
    };
    let rsa = jwk("RSA", "RS256");
    let off_curve = p256_jwk("e").replacen("\"x\":\"", "\"x\":\"AAAA", 1);
    let zeros = encode([0; 32]);
    add(
        seeds,
        "jwks",
        [
            ("good", published()),
            ("rsa", set(&[rsa.clone(), jwk("RSA", "PS512")])),
            ("rsa-exponent-one", set(&[rsa.replace("AQAB", "AQ")])),
            ("rsa-exponent-large", set(&[rsa.replace("AQAB", "AQAAAAAB")])),
            ("rsa-leading-zero", set(&[rsa.replace("\"AQAB\"", "\"AAEAAQ\"")])),
            ("ec-of-every-curve", set(&[p256_jwk("e"), jwk("EC", "ES384"), jwk("EC", "ES512")])),
            ("ec-off-the-curve", set(&[off_curve, p256_jwk("f")])),
            ("okp-small-order", format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{zeros}"}}]}}"#)),
            ("symmetric", r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"k"}]}"#.to_owned()),
            ("private", with("\"d\":\"AAAA\"")),
            ("for-encryption", with("\"use\":\"enc\"")),
            ("key-ops", with(r#""key_ops":["sign","verify"]"#)),
            ("key-ops-without-verify", with("\"key_ops\":[\"sign\"]")),
            ("twice-in-an-entry", with("\"\\u006bty\":\"OKP\"")),
            ("certificates", with(r#""x5c":["AAAA"],"x5t":"AAAA","exp":1"#)),
            ("kid-number", set(&[ed25519_jwk("k").replace("\"k\"", "7"), p256_jwk("e")])),
            ("kid-long", set(&[ed25519_jwk(&"k".repeat(257)), p256_jwk("e")])),
            ("one-id-for-two", set(&[ed25519_jwk("k"), p256_jwk("k"), p256_jwk("e")])),
            ("one-key-twice", set(&[ed25519_jwk("k"), ed25519_jwk("k")])),
            ("unknown-types", r#"{"keys":[{"kty":"AKP","alg":"ML-DSA-65","pub":"AAAA"},{"kty":"OKP","crv":"X25519","x":"AAAA"}]}"#.to_owned()),
            ("odd-entries", format!("{{\"keys\":[null,1,\"x\",[],{{}},{}]}}", ed25519_jwk("k"))),
            ("most", set(&(0..64).map(|n| format!("{{\"kid\":\"{n}\"}}")).collect::<Vec<_>>())),
            ("too-many", set(&vec!["{}".to_owned(); 65])),
            ("keys-twice", r#"{"keys":[],"\u006beys":[]}"#.to_owned()),
            ("keys-object", "{\"keys\":{}}".to_owned()),
            ("no-keys", "{\"keys\":[]}".to_owned()),
            ("other-members", format!("{{\"x\":[{{}}],\"keys\":[{}],\"y\":null}}", ed25519_jwk("k"))),
            ("html", "<!doctype html><title>Sign in</title>".to_owned()),
        ],
    );
}

pub(super) fn metadata(seeds: &mut Vec<Seed>) {
    let of = |issuer: &str, jwks_uri: &str| {
        format!(
            r#"{{"issuer":"{issuer}","jwks_uri":"{jwks_uri}","token_endpoint":"{issuer}/token"}}"#
        )
    };
    let local = "http://127.0.0.1:6003";
    add(
        seeds,
        "discovery",
        [
            ("good", of(ISSUER, "https://idp.example/jwks")),
            ("local", of(local, "http://127.0.0.1:6003/jwks")),
            ("issuer-alone", format!("{{\"issuer\":\"{ISSUER}\"}}")),
            (
                "issuer-with-slash",
                of("https://idp.example/", "https://idp.example/jwks"),
            ),
            (
                "issuer-escaped",
                of(ISSUER, "https://idp.example/jwks").replace('/', "\\/"),
            ),
            ("issuer-number", r#"{"issuer":1}"#.to_owned()),
            (
                "issuer-twice",
                format!(r#"{{"issuer":"{ISSUER}","issuer":"{ISSUER}"}}"#),
            ),
            ("keys-elsewhere", of(ISSUER, "https://keys.example/jwks")),
            (
                "keys-on-a-foreign-host",
                of(ISSUER, "https://foreign.example/jwks"),
            ),
            (
                "keys-on-another-port",
                of(ISSUER, "https://idp.example:8443/jwks"),
            ),
            ("keys-over-http", of(ISSUER, "http://idp.example/jwks")),
            ("keys-on-loopback", of(ISSUER, "https://127.0.0.1/jwks")),
            (
                "keys-on-loopback-spelled-oddly",
                of(ISSUER, "https://0x7f.1/jwks"),
            ),
            ("keys-on-ipv6-loopback", of(ISSUER, "https://[::1]/jwks")),
            (
                "keys-on-mapped-loopback",
                of(ISSUER, "https://[::ffff:127.0.0.1]/jwks"),
            ),
            (
                "keys-on-link-local",
                of(ISSUER, "https://169.254.169.254/latest"),
            ),
            (
                "keys-with-credentials",
                of(ISSUER, "https://user:pw@idp.example/jwks"),
            ),
            ("keys-in-a-file", of(ISSUER, "file:///etc/passwd")),
            ("keys-relative", of(ISSUER, "/jwks")),
            (
                "keys-number",
                format!(r#"{{"issuer":"{ISSUER}","jwks_uri":7}}"#),
            ),
            (
                "other-members",
                format!(
                    r#"{{"scopes_supported":["a"],"x":{{"y":[1.5,null,true]}},"issuer":"{ISSUER}"}}"#
                ),
            ),
            ("array", "[]".to_owned()),
            ("html", "<!doctype html><title>Sign in</title>".to_owned()),
            ("empty", String::new()),
        ],
    );
}
