//! What is wrong with a setting.

use std::fmt;

/// A setting that is missing or makes no sense. Holds no value of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(pub(crate) BuildErrorKind);

/// Which setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// There is no issuer, or one with an empty name.
    Issuer,
    /// Two issuers have the same name.
    RepeatedIssuer,
    /// No issuer may be admitted, or more than 10,000.
    AdmittedIssuers,
    /// There is no audience, an empty one, one with a space, or one although the check is to be skipped.
    Audience,
    /// The claim of the audience has no name, or that of one which is read as something else
    /// ([`Policy::FIXED_CLAIMS`](crate::Policy::FIXED_CLAIMS), and the claim of scopes).
    AudienceClaim,
    /// A required claim has no name, or no value that it may have.
    RequiredClaim,
    /// Tokens of no size, or of more than 32 KiB, are to be looked at.
    MaxTokenSize,
    /// There is no algorithm.
    Algorithms,
    /// The leeway is above 300 s.
    Leeway,
    /// The longest lifetime is below 1 s.
    MaxLifetime,
    /// The claim of scopes has no name, or that of one which is read as something else
    /// ([`Policy::OTHER_CLAIMS`](crate::Policy::OTHER_CLAIMS)).
    ScopeClaim,
    /// The outage limit is below 1 s.
    MaxStale,
    /// The cache of verified tokens would have more than 4,194,304 entries.
    VerifiedCache,
    /// The realm is empty or holds something else than printable ASCII without quotes.
    Realm,
    /// There is no scope, or one that is no scope token (RFC 6749 section 3.3).
    Scope,
    /// The name under which a token is looked for is not that of a header or a cookie, or it is that of a header
    /// that holds more than a token.
    TokenFrom,
    /// The resource is not an https URL (or http on loopback) without credentials, query and
    /// fragment.
    Resource,
    /// The system gave no random bytes.
    Random,
}

impl BuildError {
    /// Returns which setting it is.
    #[must_use]
    pub fn kind(&self) -> BuildErrorKind {
        self.0
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            BuildErrorKind::Issuer => "no issuer, or one with an empty name",
            BuildErrorKind::AdmittedIssuers => "number of admitted issuers is not 1 to 10000",
            BuildErrorKind::RepeatedIssuer => "two issuers have the same name",
            BuildErrorKind::Audience => {
                "no audience, an empty one, one with a space, or one although the check is to be skipped"
            }
            BuildErrorKind::AudienceClaim => {
                "audience claim has no name, or that of a claim which is read as something else"
            }
            BuildErrorKind::RequiredClaim => "a required claim has no name or no value",
            BuildErrorKind::MaxTokenSize => "token size is not 1 to 32768 bytes",
            BuildErrorKind::Algorithms => "no algorithm is allowed",
            BuildErrorKind::Leeway => "leeway is above 300 s",
            BuildErrorKind::MaxLifetime => "longest lifetime is below 1 s",
            BuildErrorKind::ScopeClaim => {
                "scope claim has no name, or that of a claim which is read as something else"
            }
            BuildErrorKind::MaxStale => "outage limit is below 1 s",
            BuildErrorKind::VerifiedCache => {
                "verified-token cache has more than 4194304 entries"
            }
            BuildErrorKind::Realm => "realm is not printable ASCII without quotes",
            BuildErrorKind::Scope => "no scope, or one that is no scope token",
            BuildErrorKind::TokenFrom => "the token's place has no name of a header or cookie",
            BuildErrorKind::Resource => {
                "resource is not an https URL without credentials, query and fragment"
            }
            BuildErrorKind::Random => "no random bytes from the system",
        })
    }
}

impl std::error::Error for BuildError {}
