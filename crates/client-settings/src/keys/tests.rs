use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};

use super::*;
use crate::read_variables;

fn read(auth: ClientAuth, variables: &[(&str, &str)]) -> (ClientKeys, Vec<String>) {
    read_variables(variables, |reader| ClientKeys::read(reader, auth))
}

struct File(tempfile::NamedTempFile);

impl File {
    fn with(text: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

fn certificate(key: &KeyPair) -> String {
    CertificateParams::default().self_signed(key).unwrap().pem()
}

/// M1, M4
#[test]
fn keys_and_certificates_that_cannot_do_are_named_by_variable_and_form_and_not_shown() {
    let own = KeyPair::generate().unwrap();
    let pem = own.serialize_pem();
    let key = File::with(&pem);
    let edwards = File::with(
        &KeyPair::generate_for(&PKCS_ED25519)
            .unwrap()
            .serialize_pem(),
    );
    let two = File::with(&format!("{pem}{pem}"));
    let encrypted = File::with(&pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"));
    let text = File::with("canary");
    let other = File::with(&certificate(&KeyPair::generate().unwrap()));
    let mixed = File::with(&(certificate(&KeyPair::generate().unwrap()) + &pem));
    let (jwt, tls) = (ClientAuth::PrivateKeyJwt, ClientAuth::TlsClientCertificate);
    let x5t = ("ASSERTION_HEADERS", "x5t#S256");
    let rs256 = ("CLIENT_KEY_ALGORITHM", "RS256");
    for (auth, variables, name, expected) in [
        (
            jwt,
            vec![],
            KEY_FILE,
            "is required with CLIENT_AUTH_METHOD=private_key_jwt",
        ),
        (
            tls,
            vec![],
            CERTIFICATE_FILE,
            "is required with CLIENT_AUTH_METHOD=tls_client_auth",
        ),
        (
            ClientAuth::ClientAssertion,
            vec![],
            ASSERTION_FILE,
            "is required with CLIENT_AUTH_METHOD=client_assertion",
        ),
        (
            jwt,
            vec![(KEY_FILE, edwards.path()), rs256],
            KEY_FILE,
            "cannot sign with RS256",
        ),
        (
            jwt,
            vec![(KEY_FILE, two.path())],
            KEY_FILE,
            "more than one private key",
        ),
        (
            jwt,
            vec![(KEY_FILE, encrypted.path())],
            KEY_FILE,
            "an encrypted private key",
        ),
        (
            jwt,
            vec![(KEY_FILE, text.path())],
            KEY_FILE,
            "holds no private key",
        ),
        (jwt, vec![(KEY_FILE, "/canary")], KEY_FILE, "does not exist"),
        (
            jwt,
            vec![(KEY_FILE, key.path()), x5t],
            "ASSERTION_HEADERS",
            "needs CLIENT_CERTIFICATE_FILE",
        ),
        (
            jwt,
            vec![
                (KEY_FILE, key.path()),
                x5t,
                (CERTIFICATE_FILE, other.path()),
            ],
            CERTIFICATE_FILE,
            "a certificate of another private key",
        ),
        (
            jwt,
            vec![(KEY_FILE, key.path()), x5t, (CERTIFICATE_FILE, text.path())],
            CERTIFICATE_FILE,
            "holds no certificate",
        ),
        (
            jwt,
            vec![(KEY_FILE, key.path()), ("ASSERTION_HEADERS", "x5u")],
            "ASSERTION_HEADERS",
            "must be x5t, x5t#S256 or x5c",
        ),
        (
            tls,
            vec![(CERTIFICATE_FILE, other.path())],
            CERTIFICATE_FILE,
            "with its private key",
        ),
        (
            tls,
            vec![(CERTIFICATE_FILE, mixed.path())],
            CERTIFICATE_FILE,
            "a certificate of another private key",
        ),
    ] {
        let (_, problems) = read(auth, &variables);
        assert_eq!(problems.len(), 1, "{expected}: {problems:?}");
        assert!(
            problems[0].starts_with(&format!("{name}: ")),
            "{problems:?}"
        );
        assert!(problems[0].contains(expected), "{expected}: {problems:?}");
        let body = pem.lines().nth(1).unwrap();
        let shows = problems[0].contains(body) || problems[0].contains("canary");
        assert!(!shows, "{problems:?}");
    }
}

/// M8
#[test]
fn an_assertion_file_is_as_a_secret_file() {
    for (content, expected) in [
        ("", "is empty"),
        ("\n", "is empty"),
        ("\u{feff}a.b.c", "a byte order mark"),
        (&"x".repeat(65 * 1024), "larger than 65536 bytes"),
    ] {
        let file = File::with(content);
        let (_, problems) = read(
            ClientAuth::ClientAssertion,
            &[(ASSERTION_FILE, file.path())],
        );
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(ASSERTION_FILE), "{problems:?}");
        assert!(problems[0].contains(expected), "{problems:?}");
    }
}

#[test]
fn every_setting_of_a_key_reaches_the_client() {
    let pair = KeyPair::generate().unwrap();
    let key = File::with(&pair.serialize_pem());
    let certificate = File::with(&certificate(&pair));
    let (keys, problems) = read(
        ClientAuth::PrivateKeyJwt,
        &[
            (KEY_FILE, key.path()),
            ("CLIENT_KEY_ALGORITHM", "ES256"),
            ("CLIENT_KEY_ID", "k1"),
            (CERTIFICATE_FILE, certificate.path()),
            ("ASSERTION_AUDIENCE", "https://idp.example/audience"),
            ("ASSERTION_HEADERS", "x5t x5t#S256 x5c"),
            ("ASSERTION_TYP", "JWT"),
            ("CLIENT_ASSERTION_TYPE", "jwt-spiffe"),
            ("CLIENT_ID_IN_FORM", "false"),
        ],
    );
    assert_eq!(problems, [""; 0]);
    assert_eq!(keys.algorithm, Some(AssertionAlgorithm::Es256));
    assert_eq!(keys.headers.len(), 3);
    assert_eq!(keys.assertion_type, AssertionType::JwtSpiffe);
    assert!(!keys.client_id_in_form);
    let source = keys.credential(ClientAuth::PrivateKeyJwt, None).unwrap();
    let builder = token_cache::ClientCredentials::builder("id", source)
        .token_endpoint("https://idp.example/token")
        .assertion_audience(keys.audience.as_deref().unwrap())
        .auth(ClientAuth::PrivateKeyJwt);
    let told = format!("{:?}", builder.client(|client| keys.apply(client)));
    for part in [
        "Es256",
        "k1",
        "\"https://idp.example/audience\"",
        "X5t,",
        "X5tS256",
        "X5c",
        "\"JWT\"",
        "JwtSpiffe",
        "has_client_id: false",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
