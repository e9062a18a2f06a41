//! The decision about one token: no I/O, no state, the order of checks written once.

use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use crate::claims::{Claims, UnverifiedClaims};
use crate::compact::{Parts, SIGNATURE_ROOM, SignatureRoom};
use crate::header::UnverifiedHeader;
use crate::key::{KeyIdentity, VerificationKey};
use crate::key_set::{KeySet, Named, Selected};
use crate::policy::{Policy, TokenKind};
use crate::reason::Reason;

/// Decides whether a token is to be accepted at the time `now`.
///
/// `keys` is asked once for the keys of the issuer that the token names, before anything vouches for
/// that name: it must compare the whole name with the issuers it knows, and answer
/// [`Reason::UnknownIssuer`] to every other one.
///
/// The checks, in this order:
///
/// 1. The clock shows 2020 or later.
/// 2. At most [`max_token_size`](Policy::max_token_size), 12 KiB by default; three parts. Each is canonical base64url; that is found out when its turn comes.
/// 3. Header: one strict JSON object without `crit`, `jwk`, `b64`, `zip` and `enc`; `alg` allowed; `typ`
///    that of an access token; `kid` of at most 256 printable characters. Where `jku`, `x5u` and `x5c`
///    point, or what they hold, is not looked at.
/// 4. Payload: one strict JSON object with a string `iss` that `keys` knows.
/// 5. A key of that issuer with that `kid`, not revoked and published for that `alg`; or the only key,
///    if it has no id. Without `kid`, the keys of that issuer for that `alg`, at most four; where there
///    are some whose `x5t` or `x5t#S256` the header names, those alone.
/// 6. The signature.
/// 7. The claims: `exp`, `nbf`, `iat`, the lifetime, `aud`, `sub`, `client_id`, `jti`, `scope` or
///    what stands for it, no `cnf`, and, if the policy says so, what RFC 9068 requires, that `sub` is the
///    client, and [further claims](Policy::require_claim).
///
/// # Errors
///
/// Fails with the [`Reason`] of the first check that the token does not pass. Where no key is found
/// and the claims would be refused too, it is the reason of the claims.
pub fn validate<K: Deref<Target = KeySet>>(
    token: &str,
    now: SystemTime,
    keys: impl FnOnce(&str) -> Result<K, Reason>,
    policy: &Policy,
) -> Result<Claims, Reason> {
    let now = seconds(now)?;
    let mut decoded = Decoded::room();
    let token = Unverified::parse(token, policy, &mut decoded)?;
    let keys = keys(token.issuer()?)?;
    token
        .judge(&keys, now, policy)
        .map(|accepted| accepted.claims)
        .map_err(|refusal| refusal.reason())
}

/// A token that passed, and the key it passed with.
pub(crate) struct Accepted {
    pub(crate) claims: Claims,
    pub(crate) key: Arc<KeyIdentity>,
    pub(crate) named: Named,
}

/// A token that did not pass.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Other keys would not change it.
    Final(Reason),
    /// Everything is right, as far as can be told without the key that this id names.
    UnknownKey(Option<Box<str>>),
    /// Everything is right but the signature.
    Signature,
}

impl Refusal {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Final(reason) => *reason,
            Self::UnknownKey(_) => Reason::UnknownKey,
            Self::Signature => Reason::Signature,
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Final(reason)
    }
}

/// 2020-01-01T00:00:00Z. A clock that shows less has not been set, and no date can be judged by it.
const EARLIEST_NOW: i64 = 1_577_836_800;

/// Returns the time in seconds since 1970.
///
/// # Errors
///
/// Fails with [`Reason::ClockUnset`] where no date can be judged by it.
#[inline]
pub(crate) fn seconds(now: SystemTime) -> Result<i64, Reason> {
    let now = clock::unix_seconds(now);
    if now < EARLIEST_NOW {
        return Err(Reason::ClockUnset);
    }
    Ok(now)
}

/// What a token's parts decode to; an [`Unverified`] borrows from it.
pub(crate) struct Decoded {
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: SignatureRoom,
}

impl Decoded {
    /// Returns room for one token.
    pub(crate) fn room() -> Self {
        Self {
            header: Vec::new(),
            payload: Vec::new(),
            signature: SIGNATURE_ROOM,
        }
    }
}

/// A token that has been read. Nothing vouches for it.
pub(crate) struct Unverified<'t> {
    signed: &'t [u8],
    header: UnverifiedHeader<'t>,
    claims: UnverifiedClaims<'t>,
    signature: &'t [u8],
}

impl<'t> Unverified<'t> {
    /// Reads a token, up to the first of its parts that is not as it must be.
    // It is large: inlined, it is made where it stays.
    #[inline]
    pub(crate) fn parse(
        token: &'t str,
        policy: &Policy,
        decoded: &'t mut Decoded,
    ) -> Result<Self, Reason> {
        let Decoded {
            header,
            payload,
            signature,
        } = decoded;
        let parts = Parts::split(token, policy.longest_token())?;
        *header = parts.header()?;
        let header = UnverifiedHeader::parse(header, policy)?;
        *payload = parts.payload()?;
        let claims = UnverifiedClaims::parse(payload, policy)?;
        // Before a key is looked for: a malformed signature fits none.
        let signature = parts.signature(signature)?;
        Ok(Self {
            signed: parts.signed,
            header,
            claims,
            signature,
        })
    }

    /// Returns the name of the issuer whose keys decide.
    pub(crate) fn issuer(&self) -> Result<&str, Reason> {
        self.claims.issuer()
    }

    /// Checks everything but the issuer, the key and the signature.
    pub(crate) fn check_claims(&self, now: i64, policy: &Policy) -> Result<(), Reason> {
        self.claims.check(now, policy).map(|_| ())
    }

    /// Decides by the keys of the token's issuer.
    #[inline]
    pub(crate) fn judge(
        &self,
        keys: &KeySet,
        now: i64,
        policy: &Policy,
    ) -> Result<Accepted, Refusal> {
        let verifies = |key: &&VerificationKey| key.verifies(self.signed, self.signature);
        let key = match keys.select(&self.header) {
            Selected::Key(key) => Some(key).filter(verifies),
            // OpenID Connect Core 1.0 section 10.1 wants a `kid` there.
            Selected::AnyOf(_) if matches!(policy.kind, TokenKind::Id | TokenKind::Logout) => {
                return Err(Reason::AmbiguousKey.into());
            }
            Selected::AnyOf(keys) => keys.into_iter().find(verifies),
            Selected::OtherAlgorithm => return Err(Reason::KeyAlgorithm.into()),
            Selected::Ambiguous => return Err(Reason::AmbiguousKey.into()),
            Selected::Revoked => return Err(Reason::KeyRevoked.into()),
            Selected::Absent => {
                // A token that no key could save must not cost the issuer a request.
                self.check_claims(now, policy)?;
                return Err(Refusal::UnknownKey(
                    self.header.kid.as_deref().map(Box::from),
                ));
            }
        };
        let Some(key) = key else {
            return Err(match self.check_claims(now, policy) {
                Ok(()) => Refusal::Signature,
                Err(_) => Refusal::Final(Reason::Signature),
            });
        };
        Ok(Accepted {
            key: Arc::clone(&key.identity),
            named: match self.header.kid {
                Some(_) => Named::Key,
                None => Named::Nothing,
            },
            claims: self
                .claims
                .check(now, policy)?
                .detach(self.header.algorithm),
        })
    }
}

#[cfg(test)]
mod tests;
