//! Claims, before and after the decision.

mod kept;

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use self::kept::{Keeper, KeptText, Span};
use crate::algorithm::Algorithm;
use crate::json::{self, Item};
use crate::policy::{MAX_AGE, Policy, TokenKind};
use crate::reason::Reason;
use crate::required::{self, RequiredClaim};

/// The claims of a token that passed every check.
///
/// `Debug` shows the issuer and the dates, nothing else of the token.
#[derive(Clone)]
pub struct Claims {
    text: KeptText,
    issuer: Span,
    subject: Option<Span>,
    audiences: Box<[Span]>,
    times: Times,
    algorithm: Algorithm,
    id: Option<Span>,
    client_id: Option<Span>,
    scope: Option<Span>,
}

impl Claims {
    /// Returns what the token was signed with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns `iss`, which is one of the configured issuers.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text.at(self.issuer)
    }

    /// Returns `sub`, which is not empty if it is there.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.at(self.subject)
    }

    /// Returns every audience of the token, ours among them unless the check was skipped. Then there
    /// may be none. Where the audience is in [another claim](Policy::audience_claim), it is what that holds.
    pub fn audiences(&self) -> impl ExactSizeIterator<Item = &str> {
        self.audiences.iter().map(|span| self.text.at(*span))
    }

    /// Returns `exp`, in whole seconds.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        system_time(self.times.exp)
    }

    /// Returns `nbf`, in whole seconds.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.times.nbf.map(system_time)
    }

    /// Returns `iat`, in whole seconds.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.times.iat.map(system_time)
    }

    /// Returns `jti`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.at(self.id)
    }

    /// Returns `client_id` (RFC 8693 section 4.3), which is not empty if it is there.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.at(self.client_id)
    }

    /// Returns `scope`, or what [`Policy::scope_claim`] names, as it was sent; the scopes of an
    /// [array](Policy::allow_scope_array) with a space between any two, in its order.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.at(self.scope)
    }

    /// Tells whether [`scope`](Self::scope) holds exactly this scope, between single spaces and in this
    /// letter case (RFC 6749 section 3.3).
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        !scope.is_empty()
            && self
                .scope()
                .is_some_and(|granted| granted.split(' ').any(|one| one == scope))
    }

    /// Returns the payload as it was signed: a JSON object without duplicate members.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.text.payload()
    }

    /// Reads the whole payload into a type of the caller's.
    ///
    /// # Errors
    ///
    /// Fails with [`Reason::ClaimsShape`] when the payload does not fit the type.
    pub fn to_typed<C: DeserializeOwned>(&self) -> Result<C, Reason> {
        serde_json::from_slice(self.payload()).map_err(|_| Reason::ClaimsShape)
    }

    /// Tells whether the payload has every one of these claims.
    pub(crate) fn has_all(&self, required: &[RequiredClaim]) -> bool {
        required::has_all(self.text.payload_text(), required)
    }

    fn at(&self, span: Option<Span>) -> Option<&str> {
        span.map(|span| self.text.at(span))
    }

    /// Checks the dates again, for a token of the cache.
    pub(crate) fn check_times(&self, now: i64, policy: &Policy) -> Result<(), Reason> {
        self.times.check(now, policy)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("issuer", &self.issuer())
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// Claims that nothing vouches for yet. A claim of the wrong type stays distinguishable from one
/// that is absent.
#[derive(Default)]
pub(crate) struct UnverifiedClaims<'a> {
    payload: &'a str,
    iss: Option<Item<'a>>,
    sub: Option<Item<'a>>,
    aud: Option<Item<'a>>,
    /// What the policy reads the audience from, where that is a claim without a field here.
    other_aud: Option<Item<'a>>,
    exp: Option<Item<'a>>,
    nbf: Option<Item<'a>>,
    iat: Option<Item<'a>>,
    jti: Option<Item<'a>>,
    client_id: Option<Item<'a>>,
    scope: Option<Item<'a>>,
    has_cnf: bool,
}

impl<'a> UnverifiedClaims<'a> {
    pub(crate) fn parse(payload: &'a [u8], policy: &Policy) -> Result<Self, Reason> {
        let payload = std::str::from_utf8(payload).map_err(|_| Reason::PayloadJson)?;
        let mut claims = Self {
            payload,
            ..Self::default()
        };
        json::members_of_text(payload, |name, item| match name {
            "iss" => claims.iss = Some(item),
            "sub" => claims.sub = Some(item),
            "aud" => claims.aud = Some(item),
            "exp" => claims.exp = Some(item),
            "nbf" => claims.nbf = Some(item),
            "iat" => claims.iat = Some(item),
            "jti" => claims.jti = Some(item),
            "client_id" => claims.client_id = Some(item),
            "cnf" => claims.has_cnf = true,
            // Behind the others, so that it hides none of them.
            name if *name == *policy.scope_claim => claims.scope = Some(item),
            name if policy.audience_claim.as_deref() == Some(name) => {
                claims.other_aud = Some(item);
            }
            _ => {}
        })
        .map_err(|_| Reason::PayloadJson)?;
        Ok(claims)
    }

    pub(crate) fn issuer(&self) -> Result<&str, Reason> {
        match &self.iss {
            None => Err(Reason::IssuerMissing),
            Some(Item::Text(issuer)) => Ok(issuer),
            Some(_) => Err(Reason::IssuerType),
        }
    }

    fn audience(&self, policy: &Policy) -> Option<&Item<'a>> {
        match policy.audience_claim.as_deref() {
            None => self.aud.as_ref(),
            Some("client_id") => self.client_id.as_ref(),
            Some("sub") => self.sub.as_ref(),
            Some(_) => self.other_aud.as_ref(),
        }
    }

    /// Decides on everything but the issuer and the key. Says nothing about who made the claims.
    pub(crate) fn check(&self, now: i64, policy: &Policy) -> Result<CheckedClaims<'_>, Reason> {
        let times = Times {
            exp: date(self.exp.as_ref(), Reason::ExpiryType)?.ok_or(Reason::ExpiryMissing)?,
            nbf: date(self.nbf.as_ref(), Reason::NotBeforeType)?,
            iat: date(self.iat.as_ref(), Reason::IssuedAtType)?,
        };
        times.check(now, policy)?;
        let audiences = audiences(self.audience(policy), policy)?;
        let sub = text(self.sub.as_ref(), Reason::SubjectType)?;
        let client_id = text(self.client_id.as_ref(), Reason::ClientIdType)?;
        if sub == Some("") {
            return Err(Reason::SubjectType);
        }
        if client_id == Some("") {
            return Err(Reason::ClientIdType);
        }
        let jti = text(self.jti.as_ref(), Reason::TokenIdType)?;
        let scope = scope(self.scope.as_ref(), policy)?;
        if self.has_cnf {
            return Err(Reason::SenderConstrained);
        }
        if policy.kind != TokenKind::Access {
            self.check_kind(policy.kind)?;
        }
        if matches!(policy.kind, TokenKind::Id | TokenKind::Logout)
            && times.iat.is_some_and(|iat| now - iat >= MAX_AGE)
        {
            return Err(Reason::TooOld);
        }
        if policy.clients_only && (sub.is_none() || sub != client_id) {
            return Err(Reason::SubjectNotClient);
        }
        if !required::has_all(self.payload, &policy.required_claims) {
            return Err(Reason::ClaimMismatch);
        }
        Ok(CheckedClaims {
            payload: self.payload,
            issuer: self.issuer()?,
            sub,
            audiences,
            times,
            jti,
            client_id,
            scope,
        })
    }
}

impl UnverifiedClaims<'_> {
    /// Checks that the claims are there that this kind of token must have.
    #[cold]
    fn check_kind(&self, kind: TokenKind) -> Result<(), Reason> {
        let is_access = kind == TokenKind::Rfc9068;
        if kind != TokenKind::Logout {
            let sub =
                text(self.sub.as_ref(), Reason::SubjectType)?.ok_or(Reason::SubjectMissing)?;
            // OpenID Connect Core 1.0 section 2.
            if !is_access && sub.len() > 255 {
                return Err(Reason::SubjectType);
            }
        }
        if is_access && self.client_id.is_none() {
            return Err(Reason::ClientIdMissing);
        }
        if self.iat.is_none() {
            return Err(Reason::IssuedAtMissing);
        }
        if kind != TokenKind::Id && self.jti.is_none() {
            return Err(Reason::TokenIdMissing);
        }
        Ok(())
    }
}

/// Claims that would be accepted from a token whose signature verifies.
pub(crate) struct CheckedClaims<'a> {
    payload: &'a str,
    issuer: &'a str,
    sub: Option<&'a str>,
    audiences: &'a [Cow<'a, str>],
    times: Times,
    jti: Option<&'a str>,
    client_id: Option<&'a str>,
    scope: Option<Cow<'a, str>>,
}

impl CheckedClaims<'_> {
    /// Copies the claims out of the payload they borrow from.
    pub(crate) fn detach(&self, algorithm: Algorithm) -> Claims {
        let mut keeper = Keeper::new(self.payload);
        let mut put = |claim: Option<&str>| claim.map(|claim| keeper.put(claim));
        let (subject, id) = (put(self.sub), put(self.jti));
        let (client_id, scope) = (put(self.client_id), put(self.scope.as_deref()));
        Claims {
            issuer: keeper.put(self.issuer),
            subject,
            audiences: self.audiences.iter().map(|aud| keeper.put(aud)).collect(),
            times: self.times,
            algorithm,
            id,
            client_id,
            scope,
            text: keeper.finish(),
        }
    }
}

/// The dates of a token, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Times {
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
}

impl Times {
    fn check(self, now: i64, policy: &Policy) -> Result<(), Reason> {
        // A token that expires now is expired (RFC 7519 section 4.1.4).
        if now >= self.exp + policy.leeway_s() {
            return Err(Reason::Expired);
        }
        if self
            .nbf
            .is_some_and(|nbf| nbf > now.saturating_add(policy.leeway_s()))
        {
            return Err(Reason::NotYetValid);
        }
        if self
            .iat
            .is_some_and(|iat| iat > now.saturating_add(policy.leeway_s()))
        {
            return Err(Reason::IssuedInFuture);
        }
        // Without a date of issue the rest of the lifetime is the part of it that is known.
        let from = self.iat.unwrap_or(now.saturating_add(policy.leeway_s()));
        if self.exp - from > policy.max_lifetime {
            return Err(Reason::LifetimeTooLong);
        }
        Ok(())
    }
}

/// 9999-12-31T23:59:59Z. Later dates overflow other people's calendars, and no token means them.
const MAX_DATE: i64 = 253_402_300_799;

/// Reads a NumericDate (RFC 7519 section 2), rounded down to whole seconds.
fn date(item: Option<&Item<'_>>, wrong: Reason) -> Result<Option<i64>, Reason> {
    let seconds = match item {
        None => return Ok(None),
        Some(Item::Integer(seconds)) => *seconds,
        // The cast saturates, and both ends are outside the range checked below.
        Some(Item::Float(seconds)) => seconds.floor() as i64,
        Some(_) => return Err(wrong),
    };
    if (0..=MAX_DATE).contains(&seconds) {
        Ok(Some(seconds))
    } else {
        Err(wrong)
    }
}

fn text<'c>(item: Option<&'c Item<'_>>, wrong: Reason) -> Result<Option<&'c str>, Reason> {
    match item {
        None => Ok(None),
        Some(Item::Text(text)) => Ok(Some(text)),
        Some(_) => Err(wrong),
    }
}

fn scope<'c>(item: Option<&'c Item<'_>>, policy: &Policy) -> Result<Option<Cow<'c, str>>, Reason> {
    match item {
        None => Ok(None),
        Some(Item::Text(scope)) => Ok(Some(Cow::Borrowed(scope))),
        Some(Item::Texts(scopes))
            if policy.scope_array && scopes.iter().all(|scope| is_scope_token(scope)) =>
        {
            Ok(Some(match &scopes[..] {
                [scope] => Cow::Borrowed(scope),
                scopes => Cow::Owned(scopes.join(" ")),
            }))
        }
        Some(_) => Err(Reason::ScopeType),
    }
}

/// RFC 6749 section 3.3: printable ASCII without space, `"` and `\`.
pub(crate) fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn audiences<'c, 'a>(
    aud: Option<&'c Item<'a>>,
    policy: &Policy,
) -> Result<&'c [Cow<'a, str>], Reason> {
    let audiences = match aud {
        None if policy.any_audience => return Ok(&[]),
        None => return Err(Reason::AudienceMissing),
        Some(Item::Text(audience)) => std::slice::from_ref(audience),
        // Ory Hydra writes an empty array where no audience was asked for.
        Some(Item::Texts(audiences))
            if policy.audience_claim.is_none()
                && (policy.any_audience || !audiences.is_empty()) =>
        {
            audiences
        }
        Some(_) => return Err(Reason::AudienceType),
    };
    let mut ours = policy.audiences.iter();
    if policy.any_audience || ours.any(|our| audiences.iter().any(|audience| **our == **audience)) {
        Ok(audiences)
    } else {
        Err(Reason::AudienceMismatch)
    }
}

/// `seconds` lies in the years 1970 to 9999.
fn system_time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}
