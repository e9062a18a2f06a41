use super::*;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256,
};

fn fresh(kind: &'static rcgen::SignatureAlgorithm) -> String {
    KeyPair::generate_for(kind).unwrap().serialize_pem()
}

/// M1
#[test]
fn a_key_signs_with_what_its_kind_suggests_or_what_is_asked_of_it() {
    use AssertionAlgorithm::{EdDsa, Es256, Es384, Ps256, Rs256};
    for (kind, own) in [
        (&PKCS_RSA_SHA256, Rs256),
        (&PKCS_ECDSA_P256_SHA256, Es256),
        (&PKCS_ECDSA_P384_SHA384, Es384),
        (&PKCS_ED25519, EdDsa),
    ] {
        let pem = fresh(kind);
        let key = AssertionKey::from_pem(&pem, None).unwrap();
        assert_eq!(key.algorithm(), own);
        assert!(
            own.signs_with(key.sign(b"message").unwrap().len()),
            "{own:?}"
        );
        for asked in [Rs256, Ps256, Es256, Es384, EdDsa] {
            let found = AssertionKey::from_pem(&pem, Some(asked)).map(|key| key.algorithm());
            let fits = asked == own || (asked, own) == (Ps256, Rs256);
            let expected = match fits {
                true => Ok(asked),
                false => Err(KeyProblem::Algorithm(asked)),
            };
            assert_eq!(found, expected);
        }
    }
}

/// M1
#[test]
fn a_file_without_exactly_one_usable_key_is_told_by_its_form_and_shows_nothing() {
    let pem = fresh(&PKCS_ED25519);
    let named = |name: &str| pem.replace("PRIVATE KEY", name);
    let sec1 =
        named("EC PRIVATE KEY").replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\n\n");
    let rsa = fresh(&PKCS_RSA_SHA256);
    let cut = rsa.replace(rsa.lines().nth(3).unwrap(), "");
    for (name, text, expected) in [
        ("nothing", "canary".to_owned(), KeyProblem::None),
        ("empty", String::new(), KeyProblem::None),
        ("torn", pem[..pem.len() / 2].to_owned(), KeyProblem::None),
        (
            "encrypted",
            named("ENCRYPTED PRIVATE KEY"),
            KeyProblem::Encrypted,
        ),
        ("PKCS#1", named("RSA PRIVATE KEY"), KeyProblem::Form),
        ("SEC 1", named("EC PRIVATE KEY"), KeyProblem::Form),
        ("SEC 1, encrypted", sec1, KeyProblem::Encrypted),
        ("two", format!("{pem}{pem}"), KeyProblem::Several),
        ("damaged", cut, KeyProblem::Kind),
        ("a public key", named("PUBLIC KEY"), KeyProblem::None),
    ] {
        let problem = AssertionKey::from_pem(&text, None).unwrap_err();
        assert_eq!(problem, expected, "{name}");
        let body = pem.lines().nth(1).unwrap();
        assert!(!problem.to_string().contains(body), "{name}");
    }
    let key = AssertionKey::from_pem(&format!("text before\n{pem}"), None).unwrap();
    assert_eq!(format!("{key:?}"), "AssertionKey { algorithm: EdDsa, .. }");
}

/// M4
#[test]
fn a_certificate_is_that_of_the_key_or_refused() {
    let own = KeyPair::generate().unwrap();
    let other = KeyPair::generate().unwrap();
    let certificate = |key: &KeyPair| {
        let params = CertificateParams::default();
        params.self_signed(key).unwrap().pem()
    };
    let key = AssertionKey::from_pem(&own.serialize_pem(), None).unwrap();
    for (name, pem, expected) in [
        ("own", certificate(&own), Ok(())),
        (
            "with a chain",
            certificate(&own) + &certificate(&other),
            Ok(()),
        ),
        ("another", certificate(&other), Err(KeyProblem::OtherKey)),
        ("none", own.serialize_pem(), Err(KeyProblem::Certificate)),
        ("no PEM", "canary".to_owned(), Err(KeyProblem::Certificate)),
    ] {
        assert_eq!(key.check_certificate(&pem), expected, "{name}");
    }
}
