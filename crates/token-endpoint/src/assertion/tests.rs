use super::*;
use clock::{Clock as _, ManualClock};
use jsonwebtoken::{DecodingKey, Validation};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};

const ISSUER: &str = "https://idp.example";

async fn signed(assertion: &Assertion, key: &str) -> Result<String, EndpointError> {
    let about = About {
        client_id: "client",
        now: ManualClock::at_unix(2_000_000_000).now(),
    };
    assertion
        .sign(&SecretSource::Value(key.into()), &about)
        .await
}

fn for_issuer() -> Assertion {
    Assertion {
        audience: Some(ISSUER.to_owned()),
        ..Assertion::default()
    }
}

fn header(assertion: &str) -> Value {
    let (header, _) = assertion.split_once('.').unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

fn verified(algorithm: jsonwebtoken::Algorithm, pair: &KeyPair, assertion: &str) -> Value {
    use jsonwebtoken::Algorithm::{EdDSA, PS256, RS256};
    let pem = pair.public_key_pem();
    let key = match algorithm {
        EdDSA => DecodingKey::from_ed_pem(pem.as_bytes()),
        RS256 | PS256 => DecodingKey::from_rsa_pem(pem.as_bytes()),
        _ => DecodingKey::from_ec_pem(pem.as_bytes()),
    };
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.set_audience(&[ISSUER]);
    jsonwebtoken::decode::<Value>(assertion, &key.unwrap(), &validation)
        .unwrap()
        .claims
}

/// A34
#[tokio::test]
async fn an_assertion_is_for_the_issuer_alone_short_lived_and_never_the_same() {
    use jsonwebtoken::Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
    let ps256 = Some(AssertionAlgorithm::Ps256);
    let kinds: [(_, _, &SignatureAlgorithm); 5] = [
        (None, ES256, &PKCS_ECDSA_P256_SHA256),
        (None, ES384, &PKCS_ECDSA_P384_SHA384),
        (None, EdDSA, &PKCS_ED25519),
        (None, RS256, &PKCS_RSA_SHA256),
        (ps256, PS256, &PKCS_RSA_SHA256),
    ];
    for (asked, algorithm, kind) in kinds {
        let pair = KeyPair::generate_for(kind).unwrap();
        let pem = pair.serialize_pem();
        let assertion = Assertion {
            algorithm: asked,
            key_id: Some("k1".to_owned()),
            ..for_issuer()
        };
        let first = signed(&assertion, &pem).await.unwrap();
        assert_eq!(
            header(&first),
            json!({"alg": format!("{algorithm:?}"), "kid": "k1", "typ": "client-authentication+jwt"})
        );
        let claims = verified(algorithm, &pair, &first);
        assert_eq!(claims["iss"], "client");
        assert_eq!(claims["sub"], "client");
        assert_eq!(claims["aud"], ISSUER);
        assert_eq!(claims["iat"], 2_000_000_000);
        assert_eq!(claims["exp"], 2_000_000_060);
        let second = signed(&assertion, &pem).await.unwrap();
        assert_ne!(claims["jti"], verified(algorithm, &pair, &second)["jti"]);
    }
}

/// M3, M4
#[tokio::test]
async fn the_header_names_the_certificate_and_the_type_that_are_asked_for() {
    let pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&pair).unwrap();
    let with = |certificate: &str| Assertion {
        typ: "JWT".to_owned(),
        certificate: Some((
            SecretSource::Value(certificate.into()),
            vec![
                CertificateHeader::X5t,
                CertificateHeader::X5tS256,
                CertificateHeader::X5c,
            ],
        )),
        ..for_issuer()
    };
    let pem = pair.serialize_pem();
    let header = header(&signed(&with(&certificate.pem()), &pem).await.unwrap());
    let der = certificate.der();
    let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest(algorithm, der));
    assert_eq!(header["x5t"], thumbprint(&SHA1_FOR_LEGACY_USE_ONLY));
    assert_eq!(header["x5t#S256"], thumbprint(&SHA256));
    assert_eq!(header["x5c"], json!([STANDARD.encode(der)]));
    assert_eq!(header["typ"], "JWT");
    assert_eq!(header.get("kid"), None);

    let other = KeyPair::generate().unwrap();
    let other = CertificateParams::default().self_signed(&other).unwrap();
    for certificate in [other.pem(), "canary".to_owned()] {
        let error = signed(&with(&certificate), &pem).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Config);
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

/// M1
#[tokio::test]
async fn a_key_of_another_kind_is_a_configuration_error_that_shows_nothing_of_it() {
    let pem = KeyPair::generate_for(&PKCS_ED25519)
        .unwrap()
        .serialize_pem();
    for (algorithm, pem) in [
        (AssertionAlgorithm::Rs256, pem.as_str()),
        (AssertionAlgorithm::Es256, pem.as_str()),
        (AssertionAlgorithm::Es256, "canary"),
        (AssertionAlgorithm::EdDsa, ""),
    ] {
        let assertion = Assertion {
            algorithm: Some(algorithm),
            ..for_issuer()
        };
        let error = signed(&assertion, pem).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Config);
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
