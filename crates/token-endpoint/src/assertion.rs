//! Client assertions signed with the client's own key (RFC 7523 section 2.2; `private_key_jwt` of
//! OpenID Connect Core 1.0 section 9).

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::error::EndpointError;
use crate::kind::TokenErrorKind;

/// An assertion is used within the exchange that it was made for.
const LIFETIME_S: i64 = 60;

/// What a client assertion is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AssertionAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256; an RSA key.
    Rs256,
    /// RSASSA-PSS with SHA-256; an RSA key.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl AssertionAlgorithm {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Ps256 => Algorithm::PS256,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }

    fn key(self, pem: &[u8]) -> jsonwebtoken::errors::Result<EncodingKey> {
        match self {
            Self::Rs256 | Self::Ps256 => EncodingKey::from_rsa_pem(pem),
            Self::Es256 | Self::Es384 => EncodingKey::from_ec_pem(pem),
            Self::EdDsa => EncodingKey::from_ed_pem(pem),
        }
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    // One string, and the issuer's: an assertion for a list, or for a token endpoint's address, can be
    // used at whoever else is in that list or claims that address.
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

/// Signs a fresh assertion. It lives for a minute and has an id of its own.
pub(crate) fn sign(
    algorithm: AssertionAlgorithm,
    key_id: Option<&str>,
    pem: &str,
    client_id: &str,
    audience: &str,
    now: SystemTime,
) -> Result<String, EndpointError> {
    let unusable = |what| EndpointError::new(TokenErrorKind::Config).with_detail(what);
    let key = algorithm
        .key(pem.as_bytes())
        .map_err(|_| unusable("the private key is not PEM of the kind that the algorithm needs"))?;
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| unusable("no random bytes from the system"))?;
    let iat = clock::unix_seconds(now);
    let claims = Claims {
        iss: client_id,
        sub: client_id,
        aud: audience,
        jti: URL_SAFE_NO_PAD.encode(id),
        iat,
        exp: iat.saturating_add(LIFETIME_S),
    };
    let mut header = Header::new(algorithm.algorithm());
    header.kid = key_id.map(str::to_owned);
    jsonwebtoken::encode(&header, &claims, &key)
        .map_err(|_| unusable("the private key cannot sign with this algorithm"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::{Clock as _, ManualClock};
    use jsonwebtoken::{DecodingKey, Validation};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
    use serde_json::Value;

    fn verified(algorithm: AssertionAlgorithm, pair: &KeyPair, assertion: &str) -> Value {
        let key = match algorithm {
            AssertionAlgorithm::EdDsa => DecodingKey::from_ed_pem(pair.public_key_pem().as_bytes()),
            _ => DecodingKey::from_ec_pem(pair.public_key_pem().as_bytes()),
        };
        let mut validation = Validation::new(algorithm.algorithm());
        validation.validate_exp = false;
        validation.set_audience(&["https://idp.example"]);
        jsonwebtoken::decode::<Value>(assertion, &key.unwrap(), &validation)
            .unwrap()
            .claims
    }

    /// A34
    #[test]
    fn an_assertion_is_for_the_issuer_alone_short_lived_and_never_the_same() {
        let now = ManualClock::at_unix(2_000_000_000).now();
        for (algorithm, kind) in [
            (AssertionAlgorithm::Es256, &PKCS_ECDSA_P256_SHA256),
            (AssertionAlgorithm::Es384, &PKCS_ECDSA_P384_SHA384),
            (AssertionAlgorithm::EdDsa, &PKCS_ED25519),
        ] {
            let pair = KeyPair::generate_for(kind).unwrap();
            let pem = pair.serialize_pem();
            let signed = || {
                sign(
                    algorithm,
                    Some("k1"),
                    &pem,
                    "client",
                    "https://idp.example",
                    now,
                )
                .unwrap()
            };
            let first = signed();
            let header = jsonwebtoken::decode_header(&first).unwrap();
            assert_eq!(header.kid.as_deref(), Some("k1"));
            let claims = verified(algorithm, &pair, &first);
            assert_eq!(claims["iss"], "client");
            assert_eq!(claims["sub"], "client");
            assert_eq!(claims["aud"], "https://idp.example");
            assert_eq!(claims["iat"], 2_000_000_000);
            assert_eq!(claims["exp"], 2_000_000_060);
            let second = verified(algorithm, &pair, &signed());
            assert_ne!(claims["jti"], second["jti"]);
        }
    }

    #[test]
    fn a_key_of_another_kind_is_a_configuration_error_that_shows_nothing_of_it() {
        let now = ManualClock::at_unix(2_000_000_000).now();
        let pem = KeyPair::generate_for(&PKCS_ED25519)
            .unwrap()
            .serialize_pem();
        for (algorithm, pem) in [
            (AssertionAlgorithm::Rs256, pem.as_str()),
            (AssertionAlgorithm::Es256, pem.as_str()),
            (AssertionAlgorithm::Es256, "canary"),
            (AssertionAlgorithm::EdDsa, ""),
        ] {
            let error =
                sign(algorithm, None, pem, "client", "https://idp.example", now).unwrap_err();
            assert_eq!(error.kind(), TokenErrorKind::Config);
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
}
