//! Where keys come from: one fetch, and what it brought.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use idp_http::{Answer, FetchError, FetchErrorKind, MAX_RETRY_AFTER, MIN_RETRY_AFTER};

use crate::key_set::{KeySet, KeySetError, KeySetErrorKind, SkippedKey};
use crate::required::{ClaimValue, RequiredClaim};

/// Longer than metadata in three places and keys take with the HTTP client's 3 s for each.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(15);

/// Fetches an issuer's keys, once per call.
///
/// The validator calls it from one task per issuer, never twice at the same time, and keeps what it
/// brought. A call that takes longer than [`time_limit`](Self::time_limit) is dropped; a panic counts as a
/// failure.
#[async_trait]
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// Fetches the keys, unless they are still those that `entity_tag` came with: that of the last
    /// [`Fetched::Modified`], whose keys are in use.
    ///
    /// # Errors
    ///
    /// Fails when no usable keys could be had. The keys in use are not affected by that.
    async fn fetch(&self, entity_tag: Option<&EntityTag>) -> Result<Fetched, SourceError>;

    /// Returns how long a call of [`fetch`](Self::fetch) may take. Default: 15 s.
    fn time_limit(&self) -> Duration {
        TIME_LIMIT
    }

    /// Returns a number that changes with the settings of the source, such as a renewed file of root
    /// certificates.
    ///
    /// While TLS fails or a proxy refuses, the validator looks here once a second and fetches at once when
    /// the number is another one. The default says that they never change.
    async fn settings_version(&self) -> u64 {
        0
    }
}

/// An issuer's keys, and what its tokens must say besides.
///
/// Every [`KeySource`] is one that asks for nothing more.
#[derive(Clone, Debug)]
pub struct IssuerKeys {
    pub(crate) source: Arc<dyn KeySource>,
    pub(crate) required_claims: Vec<RequiredClaim>,
}

impl IssuerKeys {
    /// Returns the keys of this source.
    #[must_use]
    pub fn new(source: impl KeySource) -> Self {
        Self {
            source: Arc::new(source),
            required_claims: Vec::new(),
        }
    }

    /// Refuses tokens of this issuer that lack the claim, or have another value in it: for a claim that
    /// names the tenant which the issuer's name stands for.
    /// [`JwtValidatorBuilder::require_claim`](crate::JwtValidatorBuilder::require_claim) says it of every
    /// issuer's.
    #[must_use]
    pub fn require_claim(self, name: &str, value: impl Into<ClaimValue>) -> Self {
        self.require_claim_in(name, [value])
    }

    /// Refuses tokens of this issuer that lack the claim, or have none of these values in it.
    #[must_use]
    pub fn require_claim_in<V: Into<ClaimValue>>(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.required_claims.push(RequiredClaim::new(name, values));
        self
    }
}

impl<S: KeySource> From<S> for IssuerKeys {
    fn from(source: S) -> Self {
        Self::new(source)
    }
}

/// What a fetch brought.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fetched {
    /// The issuer's keys as they are now; keys that are not among them are no longer accepted.
    #[non_exhaustive]
    Modified {
        /// The keys.
        keys: KeySet,
        /// How long the issuer calls them fresh, if it says so.
        max_age: Option<Duration>,
        /// What to ask with next time.
        entity_tag: Option<EntityTag>,
    },
    /// The keys are still those that the entity tag came with.
    #[non_exhaustive]
    NotModified {
        /// How long the issuer calls them fresh, if it says so.
        max_age: Option<Duration>,
    },
}

impl Fetched {
    /// Returns keys that come without freshness and entity tag.
    #[must_use]
    pub fn keys(keys: KeySet) -> Self {
        Self::Modified {
            keys,
            max_age: None,
            entity_tag: None,
        }
    }

    /// Returns that the keys are still those that the entity tag came with.
    #[must_use]
    pub fn not_modified() -> Self {
        Self::NotModified { max_age: None }
    }

    /// Sets how long the issuer calls the keys fresh.
    #[must_use]
    pub fn with_max_age(mut self, fresh: Option<Duration>) -> Self {
        match &mut self {
            Self::Modified { max_age, .. } | Self::NotModified { max_age } => *max_age = fresh,
        }
        self
    }

    /// Sets what to ask with next time. Keys that are not modified keep the tag that they have.
    #[must_use]
    pub fn with_entity_tag(mut self, tag: Option<EntityTag>) -> Self {
        if let Self::Modified { entity_tag, .. } = &mut self {
            *entity_tag = tag;
        }
        self
    }
}

/// The entity tag of a published key set (RFC 9110 section 8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(http::HeaderValue);

impl EntityTag {
    /// Returns the tag that stands in this value of `ETag`.
    #[must_use]
    pub fn new(value: http::HeaderValue) -> Self {
        Self(value)
    }

    /// Returns the value for `If-None-Match`.
    #[must_use]
    pub fn if_none_match(&self) -> &http::HeaderValue {
        &self.0
    }
}

/// A fetch that brought no usable keys. Holds no address and no byte of a set of keys.
#[derive(Clone, Debug)]
pub struct SourceError {
    kind: SourceErrorKind,
    answer: Answer,
    retry_after: Option<Duration>,
    skipped: Vec<SkippedKey>,
    told: Box<Told>,
    advice: Option<Cow<'static, str>>,
}

/// What was said of the failure; apart, because errors are returned often and this is looked at rarely.
#[derive(Clone, Debug, Default)]
struct Told {
    fetch: Option<FetchError>,
    published_issuer: Option<String>,
}

/// Why a fetch brought no usable keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// There was no complete answer.
    #[error("no complete answer ({})", .0.as_str())]
    Fetch(FetchErrorKind),
    /// The answer has another status than 200, or than 304 to a conditional request. 401 and 403, to the request
    /// for metadata too: the address asks for credentials, and none are sent.
    #[error("unexpected status {0}{asking}", asking = asking(*.0))]
    Status(u16),
    /// The answer is an HTML page.
    #[error("the answer is an HTML page")]
    Html,
    /// The answer is not a key set with a usable key.
    #[error("unusable key set: {0}")]
    Keys(KeySetErrorKind),
    /// The issuer's metadata could not be had.
    #[error("no issuer metadata")]
    Discovery,
    /// The issuer's metadata is that of another issuer.
    #[error("the metadata names another issuer")]
    IssuerMismatch,
    /// The issuer's metadata has no `jwks_uri`.
    #[error("the metadata names no key set")]
    NoJwksUri,
    /// "Not modified", while there is nothing that could be unmodified.
    #[error("not modified, but there are no keys to keep")]
    NothingToKeep,
    /// The source took longer than it may.
    #[error("the source took too long")]
    TooSlow,
    /// The source panicked.
    #[error("the source panicked")]
    Panicked,
    /// Any other failure of a source.
    #[error("{0}")]
    Other(&'static str),
}

fn asking(status: u16) -> &'static str {
    match status {
        401 | 403 => ", the address asks for credentials",
        _ => "",
    }
}

impl SourceError {
    /// Returns an error; `answer` decides how soon the next attempt comes.
    #[must_use]
    pub fn new(kind: SourceErrorKind, answer: Answer) -> Self {
        Self {
            kind,
            answer,
            retry_after: None,
            skipped: Vec::new(),
            told: Box::default(),
            advice: None,
        }
    }

    /// Adds what an operator can change, in the words of the program: the settings have other names
    /// there than here. It ends the text of the error, and with it the validator's log line.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds what broke the exchange.
    pub(crate) fn with_fetch_error(mut self, error: &FetchError) -> Self {
        self.told.fetch = Some(error.clone());
        self
    }

    pub(crate) fn with_published_issuer(mut self, issuer: Option<&str>) -> Self {
        self.told.published_issuer = issuer.map(str::to_owned);
        self
    }

    /// Returns the issuer that the metadata name, where it is another one than ours: at most 200 printable
    /// characters of it.
    #[must_use]
    pub fn published_issuer(&self) -> Option<&str> {
        self.told.published_issuer.as_deref()
    }

    /// Sets how long the issuer asked to be left alone, at least 1 s and at most 5 min of it. Until then no
    /// fetch is made, not even one that an operator asks for.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after.map(|wait| wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER));
        self
    }

    /// Returns why there are no keys.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// Returns what the issuer made of the attempt.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.answer
    }

    /// Tells whether a change of the source's settings may end the failure.
    pub(crate) fn is_about_settings(&self) -> bool {
        matches!(
            self.kind,
            SourceErrorKind::Fetch(kind) if kind.is_tls() || matches!(kind, FetchErrorKind::Proxy(_))
        )
    }

    /// Returns the keys that were there and are not usable, with the reason for each.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Returns how long the issuer asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<KeySetError> for SourceError {
    fn from(error: KeySetError) -> Self {
        Self {
            skipped: error.skipped().to_vec(),
            // Something answered, but hardly the issuer: as after a torn answer, soon is right.
            ..Self::new(SourceErrorKind::Keys(error.kind()), Answer::None)
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if let Some(fetch) = &self.told.fetch {
            write!(f, ": {fetch}")?;
        }
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

/// The source is the [`FetchError`], where no complete answer came. Its text is part of this error's.
impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.told.fetch.as_ref().map(|error| error as _)
    }
}
