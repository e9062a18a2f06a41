//! What became of a token, check by check, for an operator.

mod details;
mod wording;

use std::fmt;
use std::ops::Deref;
use std::time::SystemTime;

use crate::compact::{Parts, SIGNATURE_ROOM};
use crate::header::UnverifiedHeader;
use crate::history::KeyHistory;
use crate::key_set::KeySet;
use crate::policy::Policy;
use crate::reason::Reason;
use crate::validate::{Decoded, Refusal, Unverified, seconds};

/// Explains what [`validate`](crate::validate()) makes of a token, given the same arguments.
///
/// The decision itself is that function's. [`JwtValidator::explain`](crate::JwtValidator::explain)
/// does the same with the keys of a validator and says more about near misses.
pub fn explain<K: Deref<Target = KeySet>>(
    token: &str,
    now: SystemTime,
    keys: impl FnOnce(&str) -> Result<K, Reason>,
    policy: &Policy,
) -> Explanation {
    let mut used = None;
    let judge = || {
        let seconds = seconds(now)?;
        let mut decoded = Decoded::room();
        let token = Unverified::parse(token, policy, &mut decoded)?;
        let keys = used.insert(keys(token.issuer()?)?);
        token.judge(keys, seconds, policy)
    };
    let reason = judge().err().map(|refusal| refusal.reason());
    let known = Known {
        keys: used.as_deref(),
        ..Known::default()
    };
    known.report(token, now, policy, reason)
}

/// Explains what can be said about a token while the keys of its issuer are not at hand.
///
/// [`Check::Keys`], [`Check::Key`] and [`Check::Signature`] are left out as not reached; the checks
/// around them are made. A token that passes those has [`Reason::KeysUnavailable`] and nothing vouches
/// for it. `issuer` is the one to expect; `None` takes any.
pub fn explain_without_keys(
    token: &str,
    now: SystemTime,
    issuer: Option<&str>,
    policy: &Policy,
) -> Explanation {
    let no_keys = KeySet::empty();
    let judge = || {
        let seconds = seconds(now)?;
        let mut decoded = Decoded::room();
        let token = Unverified::parse(token, policy, &mut decoded)?;
        let name = token.issuer()?;
        if issuer.is_some_and(|issuer| issuer != name) {
            return Err(Reason::UnknownIssuer.into());
        }
        token.judge(&no_keys, seconds, policy)
    };
    let reason = match judge() {
        // The key is found missing only after the claims were found right.
        Ok(_) | Err(Refusal::UnknownKey(_)) => None,
        Err(refusal) => Some(refusal.reason()),
    };
    let issuers: Vec<&str> = issuer.into_iter().collect();
    let known = Known {
        keys: Some(&no_keys),
        issuers: &issuers,
        history: None,
    };
    let mut explanation = known.report(token, now, policy, reason);
    for report in &mut explanation.checks {
        if matches!(report.check, Check::Keys | Check::Key | Check::Signature) {
            report.outcome = CheckOutcome::NotReached;
            report.detail = None;
        }
    }
    explanation.reason = explanation.reason.or(Some(Reason::KeysUnavailable));
    explanation
}

/// What became of a token, check by check.
///
/// For an operator's eyes: it quotes the header and the claims, made printable and cut short, and
/// belongs in no answer to a caller. It holds no byte of the signature, and so nothing that passes
/// for the token. `Display` is a report of one line per check; [`one_line`](Self::one_line) is for
/// a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    checks: Vec<CheckReport>,
    reason: Option<Reason>,
}

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The check.
    pub check: Check,
    /// Whether the token passed it.
    pub outcome: CheckOutcome,
    /// What was looked at, and how near it was: printable ASCII.
    pub detail: Option<String>,
}

/// Whether a token passed a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckOutcome {
    /// The token passed.
    Passed,
    /// The token did not pass; the reason is this check's.
    Failed,
    /// The decision fell before this check.
    NotReached,
}

macro_rules! checks {
    ($($variant:ident, $name:literal, $text:literal;)*) => {
        /// A check that a token has to pass. In the order in which they are made, which is also
        /// that of [`Check::ALL`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Check {
            $(#[doc = concat!($text, ".")] $variant,)*
        }

        impl Check {
            /// Every check, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns a stable name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

checks! {
    Clock, "clock", "Our clock has been set";
    Size, "size", "The token is not too long";
    Segments, "segments", "The token has three parts";
    HeaderEncoding, "header encoding", "The header is canonical base64url";
    Header, "header", "The header is one strict JSON object";
    Extensions, "extensions", "The header has no critical extensions, no key and no parameters of other formats";
    Algorithm, "algorithm", "The algorithm is allowed";
    Type, "type", "The type is that of an access token";
    KeyId, "key id", "The key id is absent, or short and printable";
    PayloadEncoding, "payload encoding", "The payload is canonical base64url";
    Payload, "payload", "The payload is one strict JSON object";
    SignatureForm, "signature form", "The signature is canonical base64url, and no longer than signatures get";
    Issuer, "issuer", "The issuer is known";
    Keys, "keys", "The issuer's keys are there and young enough";
    Key, "key", "One key is the token's";
    Signature, "signature", "The signature verifies";
    Dates, "dates", "The dates are dates";
    Expiry, "expiry", "The token has not expired";
    NotBefore, "not before", "The token is valid already";
    IssuedAt, "issued at", "The token was not issued in the future";
    Lifetime, "lifetime", "The token does not live too long";
    Audience, "audience", "The token is meant for this API";
    ClaimTypes, "claim types", "Subject, client, token id and scope are strings, or absent; the scope is an array of them, if the policy says so";
    Binding, "binding", "The token is not bound to a key of its sender";
    Rfc9068, "rfc 9068", "The claims that RFC 9068 requires are there, if the policy says so";
    Client, "client", "The subject is the client itself, if the policy says so";
    IssuerClaims, "issuer claims", "The claims that tokens must carry, of this issuer or of any, are there";
    Revocation, "revocation", "The token is not revoked";
}

impl Explanation {
    /// Returns the reason of the check that failed; `None` for a token that passed them all.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Returns every check with what became of it, in order.
    #[must_use]
    pub fn checks(&self) -> &[CheckReport] {
        &self.checks
    }

    /// Returns the form for a log: what failed and how near it was, printable ASCII in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let Some(reason) = self.reason else {
            return "accepted".to_owned();
        };
        let mut line = String::from("refused");
        let failed = self.failed();
        for report in failed.clone() {
            line = format!("{line}, {} failed", report.check.as_str());
        }
        line = format!("{line}: {reason}");
        for detail in failed.filter_map(|report| report.detail.as_ref()) {
            line = format!("{line}; {detail}");
        }
        line
    }

    fn failed(&self) -> impl Iterator<Item = &CheckReport> + Clone {
        self.checks
            .iter()
            .filter(|report| report.outcome == CheckOutcome::Failed)
    }

    pub(crate) fn with_detail(mut self, check: Check, detail: &str) -> Self {
        for report in self
            .checks
            .iter_mut()
            .filter(|report| report.check == check)
        {
            report.detail = Some(detail.to_owned());
        }
        self
    }

    /// Makes of a token that passed every check one that failed this one.
    pub(crate) fn failed_at(mut self, check: Check, reason: Reason) -> Self {
        for report in &mut self.checks {
            if report.check >= check {
                report.detail = None;
                report.outcome = CheckOutcome::NotReached;
            }
            if report.check == check {
                report.outcome = CheckOutcome::Failed;
            }
        }
        self.reason = Some(reason);
        self
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            None => f.write_str("accepted")?,
            Some(reason) => write!(f, "refused: {reason}")?,
        }
        for report in &self.checks {
            let outcome = match report.outcome {
                CheckOutcome::Passed => "passed",
                CheckOutcome::Failed => "FAILED",
                CheckOutcome::NotReached => "not reached",
            };
            let detail = report.detail.as_deref().unwrap_or_default();
            let line = format!("{outcome:<11}  {:<16}  {detail}", report.check.as_str());
            write!(f, "\n  {}", line.trim_end())?;
        }
        Ok(())
    }
}

/// What is known besides the token when its decision is reported.
#[derive(Default)]
pub(crate) struct Known<'k> {
    /// The keys that decided: the details are taken from that very set.
    pub(crate) keys: Option<&'k KeySet>,
    /// The names of the issuers that could have been meant.
    pub(crate) issuers: &'k [&'k str],
    /// How long a validator has known the keys of the one that was meant.
    pub(crate) history: Option<KeyHistory>,
}

impl Known<'_> {
    /// Reports on a token that was refused for this reason, or accepted.
    pub(crate) fn report(
        self,
        token: &str,
        now: SystemTime,
        policy: &Policy,
        reason: Option<Reason>,
    ) -> Explanation {
        let parts = Parts::split(token, policy.longest_token()).ok();
        let parts = parts.as_ref();
        let header = parts.and_then(|parts| parts.header().ok());
        let payload = parts.and_then(|parts| parts.payload().ok());
        let (header, payload) = (header.unwrap_or_default(), payload.unwrap_or_default());
        let facts = details::Facts {
            token,
            now: clock::unix_seconds(now),
            policy,
            header: details::members(&header),
            payload: details::members(&payload),
            selected: UnverifiedHeader::parse(&header, policy)
                .ok()
                .zip(self.keys)
                .map(|(header, keys)| keys.select(&header)),
            keys: self.keys,
            issuers: self.issuers,
            history: self.history,
        };
        let failed = reason.and_then(|reason| check_of(reason, parts));
        let checks = Check::ALL.iter().map(|check| {
            let outcome = facts.outcome(*check, failed);
            CheckReport {
                check: *check,
                outcome,
                detail: match outcome {
                    CheckOutcome::NotReached => None,
                    outcome => facts.detail(*check, outcome == CheckOutcome::Failed),
                },
            }
        });
        Explanation {
            checks: checks.collect(),
            reason,
        }
    }
}

/// Returns the check that gives this reason; none for what is not decided by the token alone.
fn check_of(reason: Reason, parts: Option<&Parts<'_>>) -> Option<Check> {
    let is_malformed = |parts: &Parts<'_>| parts.signature(&mut SIGNATURE_ROOM.clone()).is_err();
    let signature_is_malformed = parts.is_some_and(is_malformed);
    Some(match reason {
        Reason::ClockUnset => Check::Clock,
        Reason::TooLarge => Check::Size,
        Reason::Segments | Reason::Opaque | Reason::Encrypted => Check::Segments,
        Reason::Encoding if parts.is_some_and(|parts| parts.header().is_err()) => {
            Check::HeaderEncoding
        }
        Reason::Encoding if parts.is_some_and(|parts| parts.payload().is_err()) => {
            Check::PayloadEncoding
        }
        Reason::Encoding => Check::SignatureForm,
        Reason::HeaderJson => Check::Header,
        Reason::Critical | Reason::HeaderParameter => Check::Extensions,
        Reason::AlgorithmMissing | Reason::AlgorithmNotAllowed => Check::Algorithm,
        Reason::TokenType => Check::Type,
        Reason::KeyIdSyntax => Check::KeyId,
        Reason::PayloadJson => Check::Payload,
        Reason::IssuerMissing
        | Reason::IssuerType
        | Reason::UnknownIssuer
        | Reason::IssuerLimit => Check::Issuer,
        Reason::KeysUnavailable | Reason::KeysStale => Check::Keys,
        Reason::UnknownKey
        | Reason::KeyUndetermined
        | Reason::AmbiguousKey
        | Reason::KeyRevoked
        | Reason::KeyAlgorithm => Check::Key,
        Reason::Signature if signature_is_malformed => Check::SignatureForm,
        Reason::Signature => Check::Signature,
        Reason::ExpiryMissing
        | Reason::ExpiryType
        | Reason::NotBeforeType
        | Reason::IssuedAtType => Check::Dates,
        Reason::Expired => Check::Expiry,
        Reason::NotYetValid => Check::NotBefore,
        Reason::IssuedInFuture | Reason::TooOld => Check::IssuedAt,
        Reason::LifetimeTooLong => Check::Lifetime,
        Reason::AudienceMissing | Reason::AudienceType | Reason::AudienceMismatch => {
            Check::Audience
        }
        Reason::SubjectType | Reason::ClientIdType | Reason::TokenIdType | Reason::ScopeType => {
            Check::ClaimTypes
        }
        Reason::SenderConstrained => Check::Binding,
        Reason::SubjectMissing
        | Reason::ClientIdMissing
        | Reason::IssuedAtMissing
        | Reason::TokenIdMissing => Check::Rfc9068,
        Reason::SubjectNotClient => Check::Client,
        Reason::ClaimMismatch => Check::IssuerClaims,
        Reason::Revoked | Reason::RevocationUnknown => Check::Revocation,
        Reason::NoCredentials
        | Reason::OtherScheme
        | Reason::RepeatedAuthorization
        | Reason::MalformedAuthorization
        | Reason::RepeatedToken
        | Reason::MalformedToken
        | Reason::TokenInQuery
        | Reason::ClaimsShape
        | Reason::InsufficientScope
        | Reason::LayerMissing => return None,
    })
}
