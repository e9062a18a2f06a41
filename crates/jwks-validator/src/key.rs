//! One public key, taken from a JWK and kept in parsed form.

use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::signature::{
    ED25519, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::algorithm::Algorithm;
use crate::compact::encode;
use crate::header::is_key_id;
use crate::json::{self, Item};
use crate::weak_keys;

/// Why a published key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// The entry is not a strict JSON object, or a member has the wrong type.
    #[error("not a strict JSON object with members of the right types")]
    Malformed,
    /// A symmetric key. One that is published is known to everybody.
    #[error("symmetric key")]
    Symmetric,
    /// The entry holds private members. Everybody who reads the key set can sign with it.
    #[error("private key material is published")]
    Private,
    /// `use` is not `sig`, or `key_ops` lists operations without `verify`.
    #[error("not meant for verifying signatures")]
    Use,
    /// `kty`, `crv` or `alg` names nothing that is supported.
    #[error("unsupported key type, curve or algorithm")]
    Unsupported,
    /// `alg` does not belong to `kty` and `crv`.
    #[error("algorithm does not fit the key type or curve")]
    AlgorithmMismatch,
    /// `kid` is not 1 to 256 printable ASCII characters.
    #[error("key id is not 1 to 256 printable characters")]
    KeyId,
    /// A member that makes up the key is missing or not canonical base64 or base64url.
    #[error("key material is missing or not canonical base64")]
    Material,
    /// The RSA modulus is even or outside 2048 to 8192 bits.
    #[error("RSA modulus is even or outside 2048 to 8192 bits")]
    RsaModulus,
    /// The RSA modulus has the form of a broken generator (CVE-2017-15361, ROCA), whose keys can be
    /// factored.
    #[error("RSA modulus of a broken generator")]
    RsaGenerator,
    /// The RSA exponent is even, below 3 or above 2^33.
    #[error("RSA exponent is even, below 3 or too large")]
    RsaExponent,
    /// The coordinates have the wrong length, or the point is not on the curve or of small order.
    #[error("not a usable point of the curve")]
    Point,
    /// Another entry has the same key id and algorithm and other material, so that they cannot be told
    /// apart.
    #[error("another key has the same id and algorithm")]
    DuplicateKeyId,
}

impl SkipReason {
    /// Returns a stable name for logs and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Symmetric => "symmetric",
            Self::Private => "private",
            Self::Use => "use",
            Self::Unsupported => "unsupported",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::KeyId => "key_id",
            Self::Material => "material",
            Self::RsaModulus => "rsa_modulus",
            Self::RsaGenerator => "rsa_generator",
            Self::RsaExponent => "rsa_exponent",
            Self::Point => "point",
            Self::DuplicateKeyId => "duplicate_key_id",
        }
    }

    /// Tells whether the issuer has made a mistake that an operator must hear of, as opposed to having
    /// published a key for others.
    pub(crate) fn is_alarming(self) -> bool {
        matches!(
            self,
            Self::Symmetric | Self::Private | Self::RsaGenerator | Self::DuplicateKeyId
        )
    }

    /// Tells whether the key is published for another use, or of a kind that other readers use.
    pub(crate) fn is_for_others(self) -> bool {
        matches!(self, Self::Use | Self::Unsupported)
    }
}

/// A key that verifies signatures of exactly one algorithm.
#[derive(Clone, Debug)]
pub(crate) struct VerificationKey {
    pub(crate) identity: Arc<KeyIdentity>,
    parsed: ParsedPublicKey,
    signature_len: usize,
    /// Whether the algorithm is a guess: an RSA key that is published without one.
    pub(crate) is_guessed: bool,
    /// Thumbprints of its certificate, for tokens that name no key id.
    pub(crate) x5t: Option<Box<str>>,
    pub(crate) x5t_s256: Option<Box<str>>,
}

/// What makes a key this key. Two publications of one key have equal identities.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyIdentity {
    pub(crate) kid: Option<Box<str>>,
    pub(crate) algorithm: Algorithm,
    /// Of the material alone (RFC 7638).
    thumbprint: [u8; 32],
}

impl KeyIdentity {
    /// Tells whether it is the same public key, whatever it is called and used for.
    pub(crate) fn has_material_of(&self, other: &Self) -> bool {
        self.thumbprint == other.thumbprint
    }
}

impl VerificationKey {
    /// The same key, for another algorithm of RSA if its own is a guess.
    pub(crate) fn guessed_as(&self, algorithm: Algorithm) -> Result<Self, SkipReason> {
        let mut key = self.clone();
        if let Some(parameters) = algorithm.rsa()
            && self.is_guessed
            && self.identity.algorithm != algorithm
        {
            key.parsed = ParsedPublicKey::new(parameters, self.parsed.as_ref())
                .map_err(|_| SkipReason::RsaModulus)?;
            key.identity = Arc::new(KeyIdentity {
                kid: self.identity.kid.clone(),
                algorithm,
                thumbprint: self.identity.thumbprint,
            });
        }
        Ok(key)
    }

    /// Tells whether `signature` was made over `message` with the private half of this key.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.signature_len && self.parsed.verify_sig(message, signature).is_ok()
    }
}

/// A JWK as it was published. Only what decides about its use is kept.
#[derive(Debug, Default)]
pub(crate) struct UnverifiedJwk<'a> {
    pub(crate) kty: Option<Item<'a>>,
    pub(crate) crv: Option<Item<'a>>,
    pub(crate) alg: Option<Item<'a>>,
    pub(crate) usage: Option<Item<'a>>,
    pub(crate) key_ops: Option<Item<'a>>,
    pub(crate) kid: Option<Item<'a>>,
    pub(crate) x5t: Option<Item<'a>>,
    pub(crate) x5t_s256: Option<Item<'a>>,
    pub(crate) n: Option<Item<'a>>,
    pub(crate) e: Option<Item<'a>>,
    pub(crate) x: Option<Item<'a>>,
    pub(crate) y: Option<Item<'a>>,
    pub(crate) is_private: bool,
}

impl<'a> UnverifiedJwk<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, SkipReason> {
        let mut jwk = Self::default();
        json::members(json, |name, item: Item<'_>| match name {
            // Some serializers write null for a member that is not there.
            _ if item == Item::Null => {}
            "kty" => jwk.kty = Some(item),
            "crv" => jwk.crv = Some(item),
            "alg" => jwk.alg = Some(item),
            "use" => jwk.usage = Some(item),
            "key_ops" => jwk.key_ops = Some(item),
            "kid" => jwk.kid = Some(item),
            "x5t" => jwk.x5t = Some(item),
            "x5t#S256" => jwk.x5t_s256 = Some(item),
            "n" => jwk.n = Some(item),
            "e" => jwk.e = Some(item),
            "x" => jwk.x = Some(item),
            "y" => jwk.y = Some(item),
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" | "priv" => jwk.is_private = true,
            _ => {}
        })
        .map_err(|_| SkipReason::Malformed)?;
        Ok(jwk)
    }

    /// Returns the key id if it is fit for a log.
    pub(crate) fn printable_kid(&self) -> Option<&str> {
        self.kid
            .as_ref()
            .and_then(Item::as_text)
            .filter(|kid| is_key_id(kid))
    }

    pub(crate) fn into_key(self) -> Result<VerificationKey, SkipReason> {
        let kty = text(self.kty.as_ref())?.ok_or(SkipReason::Malformed)?;
        if kty == "oct" {
            return Err(SkipReason::Symmetric);
        }
        if self.is_private {
            return Err(SkipReason::Private);
        }
        self.check_use()?;
        let kid = match &self.kid {
            None => None,
            Some(_) => Some(self.printable_kid().ok_or(SkipReason::KeyId)?),
        };
        let crv = text(self.crv.as_ref())?;
        let implied = match (kty, crv) {
            // RS256 is what issuers that leave `alg` out sign with, Entra among them.
            ("RSA", _) => Algorithm::Rs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("EC", Some("P-384")) => Algorithm::Es384,
            ("EC", Some("P-521")) => Algorithm::Es512,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            _ => return Err(SkipReason::Unsupported),
        };
        let alg = text(self.alg.as_ref())?;
        let algorithm = match alg {
            None => implied,
            Some(name) => Algorithm::from_name(name).ok_or(SkipReason::Unsupported)?,
        };
        // Type and curve decide how the members are read. With `alg` alone an RSA entry that has an
        // EC key's members would pass as that key.
        let fits = algorithm == implied || (kty == "RSA" && algorithm.rsa().is_some());
        if !fits {
            return Err(SkipReason::AlgorithmMismatch);
        }
        let material = match (algorithm.ecdsa(), algorithm.rsa()) {
            (Some((curve, len)), _) => self.ec_material(curve, len, crv.unwrap_or_default())?,
            (None, Some(parameters)) => self.rsa_material(parameters)?,
            (None, None) => self.ed25519_material()?,
        };
        Ok(VerificationKey {
            identity: Arc::new(KeyIdentity {
                kid: kid.map(Into::into),
                algorithm,
                thumbprint: thumbprint(&material.canonical),
            }),
            parsed: material.parsed,
            signature_len: material.signature_len,
            is_guessed: alg.is_none() && kty == "RSA",
            x5t: thumbprint_text(self.x5t.as_ref()),
            x5t_s256: thumbprint_text(self.x5t_s256.as_ref()),
        })
    }

    fn check_use(&self) -> Result<(), SkipReason> {
        let meant_for_signatures = match &self.usage {
            None => true,
            Some(usage) => usage.as_text() == Some("sig"),
        };
        let may_verify = match &self.key_ops {
            None => true,
            // An empty list is what serializers make of nothing.
            Some(Item::Texts(operations)) => {
                operations.is_empty() || operations.iter().any(|name| name == "verify")
            }
            Some(_) => false,
        };
        if meant_for_signatures && may_verify {
            Ok(())
        } else {
            Err(SkipReason::Use)
        }
    }

    fn ec_material(
        &self,
        curve: &'static dyn VerificationAlgorithm,
        len: usize,
        crv: &str,
    ) -> Result<Material, SkipReason> {
        let (x, y) = (bytes(self.x.as_ref())?, bytes(self.y.as_ref())?);
        if x.len() != len || y.len() != len {
            return Err(SkipReason::Point);
        }
        // The uncompressed form of SEC 1.
        let point = [&[4], &x[..], &y[..]].concat();
        Ok(Material {
            parsed: ParsedPublicKey::new(curve, &point).map_err(|_| SkipReason::Point)?,
            signature_len: 2 * len,
            canonical: format!(
                r#"{{"crv":"{crv}","kty":"EC","x":"{}","y":"{}"}}"#,
                encode(&x),
                encode(&y)
            ),
        })
    }

    fn ed25519_material(&self) -> Result<Material, SkipReason> {
        let point = bytes(self.x.as_ref())?;
        if point.len() != 32 || weak_keys::is_small_order(&point) {
            return Err(SkipReason::Point);
        }
        Ok(Material {
            parsed: ParsedPublicKey::new(&ED25519, &point).map_err(|_| SkipReason::Point)?,
            signature_len: 64,
            canonical: format!(
                r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
                encode(&point)
            ),
        })
    }

    fn rsa_material(&self, parameters: &'static RsaParameters) -> Result<Material, SkipReason> {
        let (n, e) = self.rsa_numbers()?;
        Ok(Material {
            parsed: RsaPublicKeyComponents { n: &n, e: &e }
                .to_parsed_public_key(parameters)
                .map_err(|_| SkipReason::RsaModulus)?,
            signature_len: n.len(),
            canonical: format!(
                r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
                encode(&e),
                encode(&n)
            ),
        })
    }

    fn rsa_numbers(&self) -> Result<(Vec<u8>, Vec<u8>), SkipReason> {
        let (n, e) = (bytes(self.n.as_ref())?, bytes(self.e.as_ref())?);
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n
            .first()
            .map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) || n.last().is_none_or(|last| last % 2 == 0) {
            return Err(SkipReason::RsaModulus);
        }
        if weak_keys::has_roca_form(&n) {
            return Err(SkipReason::RsaGenerator);
        }
        // With e = 1 every message is its own signature. The upper bound is the library's: a large
        // exponent makes each verification expensive.
        let exponent = if e.len() > 8 {
            u64::MAX
        } else {
            e.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        if exponent < 3 || exponent % 2 == 0 || exponent >= 1 << 33 {
            return Err(SkipReason::RsaExponent);
        }
        Ok((n, e))
    }
}

/// A parsed key, the length of its signatures, and the members that tell it from others in the form
/// of RFC 7638 section 3.
struct Material {
    parsed: ParsedPublicKey,
    signature_len: usize,
    canonical: String,
}

fn text<'k>(item: Option<&'k Item<'_>>) -> Result<Option<&'k str>, SkipReason> {
    match item {
        None => Ok(None),
        Some(Item::Text(text)) => Ok(Some(text)),
        Some(_) => Err(SkipReason::Malformed),
    }
}

/// RFC 7518 section 6 asks for base64url without padding, and some issuers write the other alphabet or pad.
/// Unlike in a token that is harmless: the number is the same.
fn bytes(item: Option<&Item<'_>>) -> Result<Vec<u8>, SkipReason> {
    const fn engine(alphabet: &Alphabet) -> GeneralPurpose {
        let config = GeneralPurposeConfig::new();
        GeneralPurpose::new(
            alphabet,
            config.with_decode_padding_mode(DecodePaddingMode::Indifferent),
        )
    }
    let text = text(item)?.ok_or(SkipReason::Material)?;
    let alphabet = if text.contains(['+', '/']) {
        &STANDARD
    } else {
        &URL_SAFE
    };
    engine(alphabet)
        .decode(text)
        .map_err(|_| SkipReason::Material)
}

fn thumbprint_text(item: Option<&Item<'_>>) -> Option<Box<str>> {
    item.and_then(Item::as_text).map(Into::into)
}

/// RFC 7518 section 6.3.1.1 forbids the extra zero byte, and implementations send it all the same;
/// the number has one reading either way.
fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

fn thumbprint(canonical: &str) -> [u8; 32] {
    let mut thumbprint = [0; 32];
    thumbprint.copy_from_slice(digest::digest(&SHA256, canonical.as_bytes()).as_ref());
    thumbprint
}

#[cfg(test)]
mod vectors;
