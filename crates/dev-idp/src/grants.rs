//! What came of each sign-in at a client: one code, the refresh tokens and user tokens that it led to.
//!
//! All of it is one *family*: whoever presents a used code or a used refresh token ends it. A code and a refresh
//! token are the family's id, a dot and a secret.

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::bounded::Bounded;
use crate::keys::random_id;

/// How long a code can be exchanged (RFC 6749 section 4.1.2 recommends ten minutes at most), in seconds.
const CODE_LIFETIME: i64 = 60;

/// How many families are remembered. Each is about a kilobyte, and some 60 bytes for every refresh.
const FAMILIES: usize = 50_000;

/// What a person let a client have.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) email: String,
    pub(crate) tenant: String,
    pub(crate) sid: String,
    pub(crate) auth_time: i64,
    pub(crate) nonce: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) audience: Value,
}

impl Grant {
    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// What a code is bound to.
pub(crate) struct CodeBinding {
    pub(crate) redirect_uri: String,
    /// BASE64URL(SHA-256(verifier)), RFC 7636 section 4.2.
    pub(crate) challenge: String,
}

struct Code {
    secret: String,
    binding: CodeBinding,
    issued: i64,
    is_used: bool,
}

struct Family {
    grant: Grant,
    code: Code,
    /// When each refresh token was used, in Unix seconds; `None` for one that was not.
    refresh_tokens: HashMap<String, Option<i64>>,
    /// SHA-256 of user tokens, and when they expire.
    user_tokens: Vec<([u8; 32], i64)>,
}

/// What happens to the refresh token that is presented.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum RefreshTokens {
    /// It is used up, and the reply has another. A second use ends all that came of the sign-in (RFC 9700
    /// section 4.14.2). The default.
    #[default]
    Rotate,
    /// As [`RefreshTokens::Rotate`], but a used one is taken again for this many seconds.
    RotateWithGrace(u32),
    /// It stays good, and the reply has it again.
    Keep,
    /// It stays good, and the reply has none.
    Omit,
}

/// What a refresh token was exchanged for: its grant, the family, and the refresh token of the reply.
pub(crate) struct Refreshed {
    pub(crate) grant: Grant,
    pub(crate) family: String,
    pub(crate) token: Option<String>,
}

pub(crate) struct Grants(Bounded<Family>);

impl Grants {
    pub(crate) fn new() -> Self {
        Self(Bounded::new(FAMILIES))
    }

    /// Begins a family and returns its code.
    pub(crate) fn issue_code(
        &mut self,
        grant: Grant,
        binding: CodeBinding,
        now: i64,
    ) -> Result<String, Unspecified> {
        let (id, secret) = (random_id()?, random_id()?);
        let text = format!("{id}.{secret}");
        let code = Code {
            secret,
            binding,
            issued: now,
            is_used: false,
        };
        let family = Family {
            grant,
            code,
            refresh_tokens: HashMap::new(),
            user_tokens: Vec::new(),
        };
        self.0.insert(id, family);
        Ok(text)
    }

    /// Exchanges a code, and returns its grant and the family. One that was used before ends its family.
    pub(crate) fn redeem_code(
        &mut self,
        client_id: &str,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        now: i64,
    ) -> Option<(Grant, String)> {
        let (id, secret) = code.split_once('.')?;
        let family = self.0.get_mut(id)?;
        let code = &mut family.code;
        if code.secret != secret || family.grant.client_id != client_id {
            return None;
        }
        if code.is_used {
            self.0.remove(id);
            return None;
        }
        let is_good = now.saturating_sub(code.issued) <= CODE_LIFETIME
            && code.binding.redirect_uri == redirect_uri
            && is_verified_by(&code.binding.challenge, verifier);
        if !is_good {
            return None;
        }
        code.is_used = true;
        Some((family.grant.clone(), id.to_owned()))
    }

    /// Adds a refresh token to a family and returns it; `None` if the family has ended.
    pub(crate) fn issue_refresh_token(
        &mut self,
        family: &str,
    ) -> Result<Option<String>, Unspecified> {
        let secret = random_id()?;
        let Some(found) = self.0.get_mut(family) else {
            return Ok(None);
        };
        let text = format!("{family}.{secret}");
        found.refresh_tokens.insert(secret, None);
        Ok(Some(text))
    }

    /// Exchanges a refresh token.
    pub(crate) fn refresh(
        &mut self,
        client_id: &str,
        token: &str,
        tokens: RefreshTokens,
        now: i64,
    ) -> Result<Option<Refreshed>, Unspecified> {
        let Some((id, secret)) = token.split_once('.') else {
            return Ok(None);
        };
        let Some(family) = self.0.get_mut(id) else {
            return Ok(None);
        };
        if family.grant.client_id != client_id {
            return Ok(None);
        }
        let Some(used) = family.refresh_tokens.get_mut(secret) else {
            return Ok(None);
        };
        let grace = match tokens {
            RefreshTokens::RotateWithGrace(seconds) => i64::from(seconds),
            _ => -1,
        };
        if used.is_some_and(|used| now.saturating_sub(used) > grace) {
            self.0.remove(id);
            return Ok(None);
        }
        let grant = family.grant.clone();
        let token = match tokens {
            RefreshTokens::Rotate | RefreshTokens::RotateWithGrace(_) => {
                *used = used.or(Some(now));
                self.issue_refresh_token(id)?
            }
            RefreshTokens::Keep => Some(token.to_owned()),
            RefreshTokens::Omit => None,
        };
        let family = id.to_owned();
        Ok(Some(Refreshed {
            grant,
            family,
            token,
        }))
    }

    /// Remembers a user token, so that userinfo takes it until it expires.
    pub(crate) fn remember(&mut self, family: &str, token: &str, expires: i64, now: i64) {
        if let Some(family) = self.0.get_mut(family) {
            family.user_tokens.retain(|(_, expires)| *expires > now);
            family.user_tokens.push((hash(token), expires));
        }
    }

    /// Returns what a user token stands for, if it came of a sign-in, has not expired and was not revoked.
    pub(crate) fn of_user_token(&self, token: &str, now: i64) -> Option<Grant> {
        let hash = hash(token);
        let family = self.0.get(family_of_user_token(token)?.as_str())?;
        let is_known = |(known, expires): &([u8; 32], i64)| *known == hash && *expires > now;
        let found = family.user_tokens.iter().any(is_known);
        found.then(|| family.grant.clone())
    }

    /// Revokes a client's token (RFC 7009 section 2.1): with a refresh token its family, else the user token alone.
    pub(crate) fn revoke(&mut self, client_id: &str, token: &str) {
        if let Some((id, secret)) = token.split_once('.')
            && let Some(family) = self.0.get(id)
        {
            let is_known = family.refresh_tokens.contains_key(secret);
            if is_known && family.grant.client_id == client_id {
                self.0.remove(id);
            }
            return;
        }
        let family = family_of_user_token(token).and_then(|id| self.0.get_mut(&id));
        if let Some(family) = family.filter(|family| family.grant.client_id == client_id) {
            let hash = hash(token);
            family.user_tokens.retain(|(known, _)| *known != hash);
        }
    }
}

/// Returns a `jti` that leads from a user token to its family.
pub(crate) fn jti(family: &str) -> Result<String, Unspecified> {
    Ok(format!("{family}.{}", random_id()?))
}

/// Nothing is believed that the token says: its hash has to be the family's.
fn family_of_user_token(token: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let (family, _) = claims["jti"].as_str()?.split_once('.')?;
    Some(family.to_owned())
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// RFC 7636 section 4.6, method S256.
fn is_verified_by(challenge: &str, verifier: &str) -> bool {
    let of_verifier = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_verifier = (43..=128).contains(&verifier.len()) && verifier.bytes().all(of_verifier);
    let computed = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    is_verifier && verify_slices_are_equal(computed.as_bytes(), challenge.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b_is_verified() {
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(is_verified_by(challenge, verifier));
        assert!(!is_verified_by(challenge, &verifier[1..]));
        assert!(!is_verified_by(challenge, challenge));
        assert!(!is_verified_by("", ""));
    }
}
