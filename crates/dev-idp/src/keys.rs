use std::fmt;
use std::sync::Arc;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::error::KeyError;

/// A signature algorithm of RFC 7518 or RFC 8037.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 and a 2048-bit key. The default.
    #[default]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// Returns the value of a JWS header's `alg` member.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// A private key with its public half. Clones share the key.
///
/// The provider makes its own; a test makes one to sign tokens that the provider never published
/// the key of ([`TokenSpec::signed_by`](crate::TokenSpec::signed_by)). The private half cannot be
/// read out of it, and `Debug` shows the key id and algorithm only.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    kid: String,
    algorithm: Algorithm,
    pair: Pair,
    public_jwk: Value,
}

// The parsed pairs sign directly. `jsonwebtoken` takes an RSA key as PKCS #1 only, which aws-lc-rs
// does not export; and a key that is never serialised cannot be served or logged.
enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Makes a key with a random key id. An RSA key takes about a tenth of a second to
    /// compute; in asynchronous code, call this under `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// Fails if the operating system gives no memory or no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::make(algorithm).map_err(|Unspecified| KeyError)
    }

    fn make(algorithm: Algorithm) -> Result<Self, Unspecified> {
        let kid = random_id()?;
        let mut public_jwk = json!({ "kid": kid, "use": "sig", "alg": algorithm.name() });
        let pair = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
                let public = pair.public_key();
                public_jwk["kty"] = json!("RSA");
                public_jwk["n"] = base64url(public.modulus().big_endian_without_leading_zero());
                public_jwk["e"] = base64url(public.exponent().big_endian_without_leading_zero());
                Pair::Rsa(pair)
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
                // SEC 1 section 2.3.3: 0x04, then both coordinates at full length.
                let [0x04, point @ ..] = pair.public_key().as_ref() else {
                    return Err(Unspecified);
                };
                let (x, y) = point.split_at_checked(32).ok_or(Unspecified)?;
                public_jwk["kty"] = json!("EC");
                public_jwk["crv"] = json!("P-256");
                public_jwk["x"] = base64url(x);
                public_jwk["y"] = base64url(y);
                Pair::P256(pair)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate()?;
                public_jwk["kty"] = json!("OKP");
                public_jwk["crv"] = json!("Ed25519");
                public_jwk["x"] = base64url(pair.public_key().as_ref());
                Pair::Ed25519(pair)
            }
        };
        Ok(Self(Arc::new(Inner {
            kid,
            algorithm,
            pair,
            public_jwk,
        })))
    }

    /// Returns the key id, 128 random bits in base64url.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// Returns the algorithm that the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Returns the public half as a JWK (RFC 7517) with `kid`, `use` and `alg`.
    #[must_use]
    pub fn public_jwk(&self) -> &Value {
        &self.0.public_jwk
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        match &self.0.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let rng = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature)?;
                Ok(signature)
            }
            Pair::P256(pair) => Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl SigningKey {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.0.pair {
            Pair::Rsa(pair) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key())
                    .verify(message, signature)
            }
            Pair::P256(pair) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key())
                .verify(message, signature),
            Pair::Ed25519(pair) => {
                UnparsedPublicKey::new(&ED25519, pair.public_key()).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid())
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// Returns 128 random bits of the operating system, in base64url.
pub(crate) fn random_id() -> Result<String, Unspecified> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn base64url(bytes: &[u8]) -> Value {
    Value::String(URL_SAFE_NO_PAD.encode(bytes))
}
