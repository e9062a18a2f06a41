//! Client assertions signed with the client's own key (RFC 7523 section 2.2; `private_key_jwt` of
//! OpenID Connect Core 1.0 section 9).

use std::time::SystemTime;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use crate::error::EndpointError;
use crate::key::{AssertionAlgorithm, AssertionKey, KeyProblem, chain_from_pem};
use crate::kind::TokenErrorKind;
use crate::secret::SecretSource;
use crate::signer;

/// An assertion is used within the exchange that it was made for.
const LIFETIME_S: i64 = 60;

/// The type of an assertion that is good for nothing but to authenticate a client (draft-ietf-oauth-rfc7523bis).
pub(crate) const TYPE: &str = "client-authentication+jwt";

/// A member of an assertion's header that names the client's certificate (RFC 7515 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CertificateHeader {
    /// `x5t`: its SHA-1 thumbprint.
    X5t,
    /// `x5t#S256`: its SHA-256 thumbprint.
    X5tS256,
    /// `x5c`: the certificate with its chain.
    X5c,
}

/// What an assertion of our own says beside the client's id.
#[derive(Clone, Debug)]
pub(crate) struct Assertion {
    pub(crate) audience: Option<String>,
    pub(crate) algorithm: Option<AssertionAlgorithm>,
    pub(crate) key_id: Option<String>,
    pub(crate) typ: String,
    pub(crate) certificate: Option<(SecretSource, Vec<CertificateHeader>)>,
}

/// Who an assertion is about, and when it is made.
pub(crate) struct About<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) now: SystemTime,
}

impl Default for Assertion {
    fn default() -> Self {
        Self {
            audience: None,
            algorithm: None,
            key_id: None,
            typ: TYPE.to_owned(),
            certificate: None,
        }
    }
}

impl Assertion {
    /// Signs a fresh assertion with the key that a source holds. It lives for a minute and has an id of its
    /// own.
    pub(crate) async fn sign(
        &self,
        key: &SecretSource,
        about: &About<'_>,
    ) -> Result<String, EndpointError> {
        if let SecretSource::Signer(signer) = key {
            let key_id = self.key_id.clone().or_else(|| signer.key_id());
            let header = self.certificate_members(None).await?;
            let message = self.message(signer.algorithm(), key_id, header, about)?;
            let signature = signer::sign(signer, message.clone().into_bytes()).await?;
            return Ok(signed(&message, &signature));
        }
        let pem = key.read().await?;
        let key = AssertionKey::from_pem(pem.expose_secret(), self.algorithm)
            .map_err(|problem| unusable("private key", problem))?;
        let header = self.certificate_members(Some(&key)).await?;
        let message = self.message(key.algorithm(), self.key_id.clone(), header, about)?;
        let signature = key
            .sign(message.as_bytes())
            .ok_or_else(|| config("the private key cannot sign with this algorithm"))?;
        Ok(signed(&message, &signature))
    }

    /// The members that name the certificate, which is compared with the key where that is here.
    async fn certificate_members(
        &self,
        key: Option<&AssertionKey>,
    ) -> Result<Map<String, Value>, EndpointError> {
        let Some((certificate, members)) = &self.certificate else {
            return Ok(Map::new());
        };
        let unusable = |problem| unusable("certificate", problem);
        let pem = certificate.read().await?;
        let pem = pem.expose_secret();
        if let Some(key) = key {
            key.check_certificate(pem).map_err(unusable)?;
        }
        let chain = chain_from_pem(pem).map_err(unusable)?;
        Ok(members.iter().map(|member| member.of(&chain)).collect())
    }

    /// The two parts that are signed.
    fn message(
        &self,
        algorithm: AssertionAlgorithm,
        key_id: Option<String>,
        mut header: Map<String, Value>,
        about: &About<'_>,
    ) -> Result<String, EndpointError> {
        header.insert("alg".to_owned(), algorithm.name().into());
        header.insert("typ".to_owned(), self.typ.clone().into());
        if let Some(key_id) = key_id {
            header.insert("kid".to_owned(), key_id.into());
        }
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| config("no random bytes from the system"))?;
        let iat = clock::unix_seconds(about.now);
        let claims = json!({
            "iss": about.client_id,
            "sub": about.client_id,
            // One string, and the issuer's: an assertion for a list, or for a token endpoint's address, can be
            // used at any other server that is in that list or claims that address.
            "aud": self.audience,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": iat,
            "exp": iat.saturating_add(LIFETIME_S),
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        Ok(format!("{}.{}", part(Value::Object(header)), part(claims)))
    }
}

impl CertificateHeader {
    /// The member's name and value.
    fn of(self, chain: &[CertificateDer<'_>]) -> (String, Value) {
        let thumbprint = |algorithm: &'static Algorithm| {
            let own = chain.first().map(AsRef::as_ref).unwrap_or_default();
            URL_SAFE_NO_PAD.encode(digest(algorithm, own)).into()
        };
        let (name, value) = match self {
            Self::X5t => ("x5t", thumbprint(&SHA1_FOR_LEGACY_USE_ONLY)),
            Self::X5tS256 => ("x5t#S256", thumbprint(&SHA256)),
            // Not base64url (RFC 7515 section 4.1.6).
            Self::X5c => ("x5c", chain.iter().map(|it| STANDARD.encode(it)).collect()),
        };
        (name.to_owned(), value)
    }
}

fn signed(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn unusable(what: &str, problem: KeyProblem) -> EndpointError {
    config(&format!("the source of the {what} {problem}"))
}

fn config(what: &str) -> EndpointError {
    EndpointError::new(TokenErrorKind::Config).with_detail(what)
}

#[cfg(test)]
mod tests;
