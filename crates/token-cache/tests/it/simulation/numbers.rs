//! The numbers that the cache promises, written down a second time.

use std::time::Duration;

use token_cache::TokenErrorKind;

/// Timers have a resolution of a millisecond, and a chain of two must not be called late.
pub(crate) const SLACK: Duration = Duration::from_millis(2);
/// No token is fetched again sooner than this after a success.
pub(crate) const FLOOR: Duration = Duration::from_secs(1);
/// How long a caller waits for a newer token while it could have the old one.
pub(crate) const CRITICAL_WAIT: Duration = Duration::from_secs(1);
/// How often a secret that was rejected, or could not be read, is looked at again.
pub(crate) const SECRET_POLL: Duration = Duration::from_secs(1);
/// A provider that is back is noticed within this.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2);
/// An attempt may begin a retry for this long.
pub(crate) const RETRY_WINDOW: Duration = Duration::from_secs(3);
/// Short of the ten minutes after which a request that nobody makes any more is left alone.
pub(crate) const SURELY_USED: Duration = Duration::from_secs(590);

const MICROSECOND: Duration = Duration::from_micros(1);

/// What a failure says about the provider; it decides the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    NobodyAnswered,
    Unusable,
    Refused,
}

impl Class {
    pub(crate) fn of(kind: TokenErrorKind) -> Self {
        match kind {
            TokenErrorKind::Status5xx
            | TokenErrorKind::Tls
            | TokenErrorKind::Redirect
            | TokenErrorKind::Status4xx
            | TokenErrorKind::Discovery => Self::Unusable,
            TokenErrorKind::Throttled => Self::Refused,
            TokenErrorKind::Connect | TokenErrorKind::Timeout | TokenErrorKind::Panic => {
                Self::NobodyAnswered
            }
            _ => Self::Refused,
        }
    }

    /// The longest wait after this many failures of the class before this one; the shortest is half.
    pub(crate) fn wait(self, before: u32) -> Duration {
        let (first_ms, longest_ms): (u64, u64) = match self {
            Self::NobodyAnswered => (500, 1_750),
            Self::Unusable => (1_000, 30_000),
            Self::Refused => (5_000, 120_000),
        };
        Duration::from_millis((first_ms << before.min(20)).min(longest_ms))
    }
}

pub(crate) fn asked(wait: Duration) -> Duration {
    wait.clamp(Duration::from_secs(1), Duration::from_secs(300))
}

/// Whether other credentials or root certificates may end it: they were rejected, did not do, or could not be
/// read.
pub(crate) fn is_about_credentials(kind: TokenErrorKind) -> bool {
    matches!(
        kind,
        TokenErrorKind::InvalidClient
            | TokenErrorKind::Tls
            | TokenErrorKind::Proxy
            | TokenErrorKind::Config
    )
}

/// Whether the same attempt may ask once more.
pub(crate) fn is_retried(kind: TokenErrorKind) -> bool {
    matches!(
        kind,
        TokenErrorKind::Connect
            | TokenErrorKind::Timeout
            | TokenErrorKind::Panic
            | TokenErrorKind::Status5xx
    )
}

pub(crate) fn lifetime(told: Option<Duration>) -> Duration {
    told.unwrap_or(Duration::from_secs(300))
        .min(Duration::from_secs(24 * 3_600))
}

/// The ages between which a token of this lifetime becomes stale; jitter decides.
pub(crate) fn stale_from(lifetime: Duration) -> (Duration, Duration) {
    let margin = (lifetime / 4)
        .max(Duration::from_secs(10).min(lifetime / 2))
        .min(Duration::from_secs(300));
    let latest = lifetime - margin * 9 / 10;
    (
        (lifetime - margin).saturating_sub(MICROSECOND),
        latest + MICROSECOND,
    )
}

pub(crate) fn critical_from(lifetime: Duration) -> Duration {
    lifetime - Duration::from_secs(30).min(lifetime / 5)
}

/// In whole seconds, as a `Retry-After`.
pub(crate) fn rounded_up(wait: Duration) -> Duration {
    let more = u64::from(wait.subsec_nanos() > 0);
    Duration::from_secs((wait.as_secs() + more).max(1))
}
