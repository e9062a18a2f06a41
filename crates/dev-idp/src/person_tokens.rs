//! The tokens of a person: the ID token (OpenID Connect Core 1.0 section 2) and the user token, which is shaped as
//! the machines' are.

use std::time::Duration;

use aws_lc_rs::digest::{Algorithm as Hash, SHA256, SHA512, digest};
use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::unix_seconds;
use serde_json::{Value, json};

use crate::grants::{self, Grant};
use crate::keys::Algorithm;
use crate::people::{self, DevPerson};
use crate::provider::Provider;
use crate::tamper::Target;

/// What the provider calls itself in `idp_name`.
pub(crate) const IDP_NAME: &str = "dev-idp";

/// An ID token is judged when it comes; the client keeps it for logout only.
const ID_TOKEN_LIFETIME: i64 = 300;

/// When an ID token is issued: only that of a sign-in has its nonce (OpenID Connect Core 1.0 section 12.2).
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Occasion {
    SignIn,
    Refresh,
}

/// Signs a user token, and has userinfo take it.
pub(crate) fn user_token(
    provider: &Provider,
    family: &str,
    grant: &Grant,
    person: &DevPerson,
    lifetime: Duration,
) -> Result<String, Unspecified> {
    let now = unix_seconds(provider.clock.now());
    let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    let expires = now.saturating_add(lifetime);
    let claims = json!({
        "iss": provider.issuer,
        "sub": person.subject(),
        "aud": grant.audience,
        "exp": expires,
        "iat": now,
        "jti": grants::jti(family)?,
        "client_id": grant.client_id,
        "scope": grant.scopes.join(" "),
    });
    let spec = provider.next_spec(Target::UserToken);
    let token = spec.sign_claims(provider, "at+jwt", claims)?;
    provider
        .grants
        .lock()
        .remember(family, &token, expires, now);
    Ok(token)
}

/// Signs an ID token for the client that gets `user_token` with it.
pub(crate) fn id_token(
    provider: &Provider,
    grant: &Grant,
    person: &DevPerson,
    user_token: &str,
    occasion: Occasion,
) -> Result<String, Unspecified> {
    let spec = provider.next_spec(Target::IdToken);
    let now = unix_seconds(provider.clock.now());
    let mut claims = json!({
        "iss": provider.issuer,
        "sub": person.subject(),
        "aud": grant.client_id,
        "exp": now.saturating_add(ID_TOKEN_LIFETIME),
        "iat": now,
        "auth_time": grant.auth_time,
        "sid": grant.sid,
        "at_hash": at_hash(user_token, spec.signing_key(provider).algorithm()),
        "amr": ["pwd"],
        "tnt_id": people::tenant_id(&grant.tenant),
        "tnt_name": grant.tenant,
        "idp_name": IDP_NAME,
    });
    if occasion == Occasion::SignIn
        && let Some(nonce) = &grant.nonce
    {
        claims["nonce"] = json!(nonce);
    }
    spec.sign_claims(provider, "JWT", claims)
}

/// The left half of the hash that belongs to the signature algorithm (OpenID Connect Core 1.0 section 3.1.3.6);
/// Ed25519 hashes with SHA-512.
fn at_hash(token: &str, algorithm: Algorithm) -> Value {
    let hash: &'static Hash = match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 => &SHA256,
        Algorithm::EdDsa => &SHA512,
    };
    let hash = digest(hash, token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    json!(URL_SAFE_NO_PAD.encode(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair of OpenID Connect Core 1.0 appendix A.3.
    #[test]
    fn the_at_hash_is_that_of_the_specification() {
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(at_hash(token, Algorithm::Rs256), "77QmUPtjPfzWtF2AnpK9RQ");
        let ed25519 = at_hash(token, Algorithm::EdDsa);
        assert_eq!(ed25519.as_str().map(str::len), Some(43));
    }
}
