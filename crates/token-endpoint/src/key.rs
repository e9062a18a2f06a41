//! Private keys that sign client assertions.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

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
    /// Returns the name in the `alg` of a header (RFC 7518 section 3.1, RFC 8037 section 3.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Tells whether a signature can have this length in bytes. RSA keys have 2048 to 8192 bits.
    pub(crate) fn signs_with(self, length: usize) -> bool {
        match self {
            Self::Rs256 | Self::Ps256 => (256..=1024).contains(&length),
            Self::Es256 | Self::EdDsa => length == 64,
            Self::Es384 => length == 96,
        }
    }
}

/// Why a private key, or a certificate beside it, cannot be used. The text completes "a file that …" and has
/// nothing of what the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// There is no private key.
    #[error("holds no private key; it must be PEM with one PKCS#8 key (BEGIN PRIVATE KEY)")]
    None,
    /// The key is encrypted.
    #[error(
        "holds an encrypted private key; it must be PEM with one PKCS#8 key without a password"
    )]
    Encrypted,
    /// The key is of PKCS#1 or SEC 1.
    #[error(
        "holds a private key of another form than PKCS#8; `openssl pkcs8 -topk8 -nodes` converts it"
    )]
    Form,
    /// There are several private keys.
    #[error("holds more than one private key")]
    Several,
    /// The key is none of RSA, P-256, P-384 and Ed25519.
    #[error("holds a private key that is damaged, or none of RSA, P-256, P-384 and Ed25519")]
    Kind,
    /// The key is of another kind than the algorithm needs.
    #[error("holds a private key that cannot sign with {}", .0.name())]
    Algorithm(AssertionAlgorithm),
    /// There is no certificate.
    #[error("holds no certificate; it must be PEM, with the client's own first")]
    Certificate,
    /// The certificate is for another key.
    #[error("holds a certificate of another private key")]
    OtherKey,
}

/// A private key that signs client assertions.
///
/// `Debug` shows the algorithm alone.
pub struct AssertionKey {
    algorithm: AssertionAlgorithm,
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    Rsa(rsa::KeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl AssertionKey {
    /// Reads a key from PEM with one PKCS#8 key. Without an algorithm it signs with what its kind
    /// suggests: RS256, ES256, ES384 or EdDSA.
    ///
    /// # Errors
    ///
    /// Fails where there is not exactly one such key, and where it cannot sign with the algorithm.
    pub fn from_pem(pem: &str, algorithm: Option<AssertionAlgorithm>) -> Result<Self, KeyProblem> {
        let pkcs8 = only_key(pem)?;
        let (pair, kind) = pair(&pkcs8).ok_or(KeyProblem::Kind)?;
        let algorithm = match (algorithm, kind) {
            (None, kind) => kind,
            (Some(AssertionAlgorithm::Ps256), AssertionAlgorithm::Rs256) => {
                AssertionAlgorithm::Ps256
            }
            (Some(algorithm), kind) if algorithm == kind => kind,
            (Some(algorithm), _) => return Err(KeyProblem::Algorithm(algorithm)),
        };
        Ok(Self {
            algorithm,
            pair,
            pkcs8,
        })
    }

    /// Returns what the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> AssertionAlgorithm {
        self.algorithm
    }

    /// Returns the public half, as a provider registers it: DER of a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    ///
    /// Fails with [`KeyProblem::Kind`] where the key has none that can be written so.
    pub fn public_key(&self) -> Result<Vec<u8>, KeyProblem> {
        let der: Result<PublicKeyX509Der<'_>, Unspecified> = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ec(pair) => pair.public_key().as_der(),
            Pair::Ed(pair) => pair.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec())
            .map_err(|_| KeyProblem::Kind)
    }

    /// Checks that PEM holds certificates, the first being one of this key.
    ///
    /// # Errors
    ///
    /// Fails where there is none, and where the first is for another key.
    pub fn check_certificate(&self, pem: &str) -> Result<(), KeyProblem> {
        let chain = chain_from_pem(pem)?;
        let key = PrivateKeyDer::Pkcs8(self.pkcs8.to_vec().into());
        match CertifiedKey::from_der(chain, key, &default_provider()) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InconsistentKeys(_)) => Err(KeyProblem::OtherKey),
            Err(_) => Err(KeyProblem::Certificate),
        }
    }

    /// Returns the signature as JWS has it (RFC 7518 section 3).
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match self.algorithm {
                    AssertionAlgorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Pair::Ec(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Pair::Ed(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Returns the certificates of a text, in its order.
pub(crate) fn chain_from_pem(pem: &str) -> Result<Vec<CertificateDer<'static>>, KeyProblem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.map_err(|_| KeyProblem::Certificate)?;
    match chain.is_empty() {
        true => Err(KeyProblem::Certificate),
        false => Ok(chain),
    }
}

/// Returns the one PKCS#8 key of a text; certificates beside it are passed over.
fn only_key(pem: &str) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
    // The reader of PEM passes the first over, and takes the second, of PKCS#1 and SEC 1, for damaged.
    if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || pem.contains("Proc-Type: 4,ENCRYPTED")
    {
        return Err(KeyProblem::Encrypted);
    }
    let mut found = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
        let (kind, der) = section.map_err(|_| KeyProblem::None)?;
        let der = Zeroizing::new(der);
        match kind {
            SectionKind::PrivateKey if found.is_some() => return Err(KeyProblem::Several),
            SectionKind::PrivateKey => found = Some(der),
            SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => return Err(KeyProblem::Form),
            _ => {}
        }
    }
    found.ok_or(KeyProblem::None)
}

fn pair(pkcs8: &[u8]) -> Option<(Pair, AssertionAlgorithm)> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
        return Some((Pair::Ed(pair), AssertionAlgorithm::EdDsa));
    }
    for (signing, algorithm) in [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, AssertionAlgorithm::Es256),
        (&ECDSA_P384_SHA384_FIXED_SIGNING, AssertionAlgorithm::Es384),
    ] {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(signing, pkcs8) {
            return Some((Pair::Ec(pair), algorithm));
        }
    }
    let pair = rsa::KeyPair::from_pkcs8(pkcs8).ok()?;
    Some((Pair::Rsa(pair), AssertionAlgorithm::Rs256))
}

#[cfg(test)]
mod tests;
