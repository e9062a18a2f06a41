//! What it costs to check a token with a signature, in this and in other libraries, in one run.
//!
//! `cargo bench --manifest-path tests/rivals/Cargo.toml` prints one table and writes it to `target/bench`. Every
//! ratio comes from rounds in which the library and a bare verification by aws-lc-rs took turns.

#[path = "../../../crates/jwks-validator/benches/bare/mod.rs"]
mod bare;
#[path = "../../../crates/jwks-validator/tests/it/signer.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod signer;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use clock::{Clock as _, SystemClock};
use jsonwebtoken::{DecodingKey, Validation};
use jwks_validator::{Policy, validate};
use jwt_simple::algorithms::{
    ECDSAP256PublicKeyLike as _, ES256PublicKey, Ed25519PublicKey, EdDSAPublicKeyLike as _,
    RS256PublicKey, RSAPublicKeyLike as _,
};
use jwt_simple::claims::NoCustomClaims;
use jwt_simple::common::VerificationOptions;
use measure::{Row, Table, ratio, repeats, turn};
use serde_json::{Value, json};

use signer::{AUDIENCE, ISSUER, Signer, decode, good_claims};

const ROUNDS: usize = 400;

fn main() {
    let mut table = Table::default();
    for alg in ["RS256", "ES256", "EdDSA"] {
        measure_algorithm(&mut table, alg);
    }
    println!("\n{table}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    table.write(&folder, "rivals").unwrap();
}

fn measure_algorithm(table: &mut Table, alg: &'static str) {
    let signer = Signer::new(alg, "k");
    // The other libraries read the system's clock.
    let at = SystemClock.now();
    let seconds = clock::unix_seconds(at);
    let mut claims = good_claims();
    for (name, value) in [("exp", seconds + 3_600), ("iat", seconds), ("nbf", seconds)] {
        claims[name] = json!(value);
    }
    let token = signer.token(&claims);
    let (key, message, signature) = bare::parts(&signer, &token);
    let mut verify = || key.verify_sig(message, &signature).unwrap();
    let mut row = |name: &str, run: &mut dyn FnMut()| {
        let mut run = || run();
        table.rows.push(Row {
            what: format!("{name}/{alg}"),
            ns: Some(ns(&mut run)),
            ratio: ratio(ROUNDS, &mut run, &mut verify).map(|it| (it, "verify".to_owned())),
            ..Row::default()
        });
    };

    row("bare verification", &mut || {
        key.verify_sig(message, &signature).unwrap()
    });

    let (keys, policy) = (signer.keys(), Policy::for_audiences([AUDIENCE]));
    row("jwks-validator", &mut || {
        validate(&token, at, |_| Ok(&keys), &policy).unwrap();
    });

    let decoding = DecodingKey::from_jwk(&serde_json::from_value(signer.jwk()).unwrap()).unwrap();
    let mut validation = Validation::new(alg.parse().unwrap());
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.validate_nbf = true;
    row("jsonwebtoken", &mut || {
        jsonwebtoken::decode::<Value>(&token, &decoding, &validation).unwrap();
    });

    let options = || {
        Some(VerificationOptions {
            allowed_issuers: Some(HashSet::from([ISSUER.to_owned()])),
            allowed_audiences: Some(HashSet::from([AUDIENCE.to_owned()])),
            time_tolerance: Some(Duration::from_secs(60).into()),
            ..VerificationOptions::default()
        })
    };
    let jwk = signer.jwk();
    let member = |name: &str| decode(jwk[name].as_str().unwrap());
    match alg {
        "RS256" => {
            let key = RS256PublicKey::from_components(&member("n"), &member("e")).unwrap();
            row("jwt-simple", &mut || {
                key.verify_token::<NoCustomClaims>(&token, options())
                    .unwrap();
            });
        }
        "ES256" => {
            let point = [vec![4], member("x"), member("y")].concat();
            let key = ES256PublicKey::from_bytes(&point).unwrap();
            row("jwt-simple", &mut || {
                key.verify_token::<NoCustomClaims>(&token, options())
                    .unwrap();
            });
        }
        _ => {
            let key = Ed25519PublicKey::from_bytes(&member("x")).unwrap();
            row("jwt-simple", &mut || {
                key.verify_token::<NoCustomClaims>(&token, options())
                    .unwrap();
            });
        }
    }
}

/// Nanoseconds of one call: the smallest of several turns.
fn ns(run: &mut impl FnMut()) -> f64 {
    let count = repeats(Duration::from_millis(2), run);
    let turns = (0..21).map(|_| turn(count, run) / f64::from(count));
    turns.fold(f64::MAX, f64::min) * 1e9
}
