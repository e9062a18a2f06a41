//! Client authentication at the token endpoint: RFC 6749 section 2.3.1, RFC 7523 section 2.2.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clock::unix_seconds;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

use crate::client::{AuthMethod, DevClient, SecretDigest};
use crate::form::{self, Form};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;

/// Who the caller says it is, and its proof.
struct Presented {
    method: AuthMethod,
    id: String,
    secret: SecretDigest,
}

/// Returns the client that sent the request.
pub(crate) fn authenticate(
    provider: &Provider,
    headers: &HeaderMap,
    form: &Form,
) -> Result<DevClient, OAuthError> {
    if let Some(assertion) = form.value("client_assertion") {
        return by_assertion(provider, headers, form, assertion);
    }
    let presented = presented(headers, form)?;
    let clients = provider.clients.lock();
    let known = clients.get(&presented.id);
    // An unknown id is compared as well, with a secret that nobody has: both cases do the same
    // work and get the same answer.
    let expected = known.map_or(&provider.nobodys_secret, DevClient::secret);
    let matches = presented.secret.matches(expected);
    match known {
        Some(client) if matches && client.allows(presented.method) => Ok(client.clone()),
        _ if presented.method == AuthMethod::ClientSecretBasic => {
            Err(OAuthError::invalid_client().with_challenge())
        }
        _ => Err(OAuthError::invalid_client()),
    }
}

/// Verifies an assertion with the key that the client was registered with.
fn by_assertion(
    provider: &Provider,
    headers: &HeaderMap,
    form: &Form,
    assertion: &str,
) -> Result<DevClient, OAuthError> {
    if headers.contains_key(AUTHORIZATION) || form.value("client_secret").is_some() {
        return Err(OAuthError::invalid_request(
            "more than one client authentication method",
        ));
    }
    if form.value("client_assertion_type") != Some(JWT_BEARER) {
        return Err(OAuthError::invalid_request(
            "client_assertion_type is not jwt-bearer",
        ));
    }
    let refused = OAuthError::invalid_client;
    let assertion = Assertion::read(assertion).ok_or_else(refused)?;
    let id = assertion.claims["sub"].as_str().ok_or_else(refused)?;
    let now = unix_seconds(provider.clock.now());
    let is_for_us = assertion.claims["iss"] == id
        && assertion.claims["aud"] == *provider.issuer
        && assertion.claims["jti"].is_string()
        && assertion.claims["exp"]
            .as_i64()
            .is_some_and(|exp| exp > now)
        && form.value("client_id").is_none_or(|named| named == id);
    let clients = provider.clients.lock();
    match clients.get(id) {
        Some(client)
            if is_for_us
                && client.allows(AuthMethod::PrivateKeyJwt)
                && client
                    .assertion_key()
                    .is_some_and(|key| assertion.is_of(key)) =>
        {
            Ok(client.clone())
        }
        _ => Err(refused()),
    }
}

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What an assertion may be signed with.
pub(crate) const ASSERTION_ALGORITHMS: [&str; 5] = ["RS256", "PS256", "ES256", "ES384", "EdDSA"];

struct Assertion<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: &'static dyn VerificationAlgorithm,
    claims: Value,
}

impl<'a> Assertion<'a> {
    fn read(compact: &'a str) -> Option<Self> {
        let (signed, signature) = compact.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let json = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let header: Value = json(header)?;
        let algorithm: &'static dyn VerificationAlgorithm = match header["alg"].as_str()? {
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            "PS256" => &RSA_PSS_2048_8192_SHA256,
            "ES256" => &ECDSA_P256_SHA256_FIXED,
            "ES384" => &ECDSA_P384_SHA384_FIXED,
            "EdDSA" => &ED25519,
            _ => return None,
        };
        Some(Self {
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            algorithm,
            claims: json(claims)?,
        })
    }

    fn is_of(&self, key: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, key)
            .verify(self.signed.as_bytes(), &self.signature)
            .is_ok()
    }
}

fn presented(headers: &HeaderMap, form: &Form) -> Result<Presented, OAuthError> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let authorization = authorizations.next();
    if authorizations.next().is_some() {
        return Err(OAuthError::invalid_request(
            "more than one Authorization header",
        ));
    }
    match (authorization, form.value("client_secret")) {
        (Some(_), Some(_)) => Err(OAuthError::invalid_request(
            "more than one client authentication method",
        )),
        (Some(header), None) => {
            let basic = header
                .to_str()
                .ok()
                .and_then(basic)
                .ok_or_else(|| OAuthError::invalid_client().with_challenge())?;
            match form.value("client_id") {
                Some(id) if id != basic.id => Err(OAuthError::invalid_request(
                    "client_id differs from the Authorization header",
                )),
                _ => Ok(basic),
            }
        }
        (None, Some(secret)) => Ok(Presented {
            method: AuthMethod::ClientSecretPost,
            id: form.value("client_id").unwrap_or_default().to_owned(),
            secret: SecretDigest::of(secret),
        }),
        (None, None) => Err(OAuthError::invalid_client()),
    }
}

/// Reads `Basic base64(id:secret)`, in which id and secret are form-urlencoded.
fn basic(header: &str) -> Option<Presented> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some(Presented {
        method: AuthMethod::ClientSecretBasic,
        id: form::decode(id).ok()?,
        secret: SecretDigest::of(&form::decode(secret).ok()?),
    })
}
