//! A session: who the person is, their tokens, and what follows from these at a moment.

use std::fmt;
use std::time::Duration;

use idp_http::Answer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::tenancy::{CustomDomain, LoginTenant, TenantName};
use crate::time::Time;

/// A token of the provider's. `Debug` shows nothing of it, and it is wiped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Zeroizing<String>);

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What the body of a row says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionState {
    pub(crate) created: Time,
    /// The host, with its port, that the session was made on. On another one it is nobody's.
    pub(crate) host: String,
    pub(crate) person: Person,
    pub(crate) tokens: Tokens,
    /// For the logout hint.
    pub(crate) id_token: Option<Token>,
    /// What the ID token of a refresh has to repeat.
    pub(crate) nonce: Token,
    /// Before it no refresh begins.
    pub(crate) hold: Option<Hold>,
    /// The application's own.
    pub(crate) data: Map<String, Value>,
}

/// Who the person is, as the provider said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
    pub(crate) tenant_id: String,
    pub(crate) tenant_name: Option<TenantName>,
    pub(crate) custom_domain: Option<CustomDomain>,
    pub(crate) email: Option<String>,
    pub(crate) display_name: Option<String>,
    /// Keys of roles: the last segment of their names.
    pub(crate) roles: Vec<String>,
}

impl Person {
    pub(crate) fn tenant(&self) -> LoginTenant {
        LoginTenant {
            name: self.tenant_name.clone(),
            custom_domain: self.custom_domain.clone(),
        }
    }
}

/// The person's tokens. Times are fixed when they arrive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access: Token,
    pub(crate) refresh: Option<Token>,
    /// Grows by one with every refresh.
    pub(crate) generation: u64,
    pub(crate) received: Time,
    /// How many tokens in a row were refused while young, this one's predecessors. Replicas share it.
    pub(crate) rejections: u32,
    stale: Time,
    critical: Time,
    pub(crate) expires: Time,
}

/// Why no refresh begins before a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    pub(crate) until: Time,
    /// How many attempts in a row failed like this one, less one.
    pub(crate) failures: u32,
    pub(crate) reason: HoldReason,
}

/// What the last attempt to refresh came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HoldReason {
    /// It succeeded: the floor between two refreshes.
    Refreshed,
    /// Nothing was sent.
    NoAnswer,
    /// The provider cannot serve at present, or what answered is not usable.
    Overloaded,
    /// It refuses the client.
    Refused,
    /// The refresh token was sent and no whole answer came: it may have been used.
    InFlight,
}

impl HoldReason {
    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Refreshed | Self::NoAnswer | Self::InFlight => Answer::None,
            Self::Overloaded => Answer::Unusable,
            Self::Refused => Answer::Refused,
        }
    }
}

/// The state of the user token at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Freshness {
    Fresh,
    /// It is used, and refreshed behind.
    Stale,
    /// What needs the token itself waits for a newer one.
    Critical,
    Expired,
}

/// What a token is good for whose reply does not say (RFC 6749 section 5.1 recommends that it does).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const MIN_MARGIN: Duration = Duration::from_secs(10);
const MAX_MARGIN: Duration = Duration::from_secs(300);
const MAX_LEEWAY: Duration = Duration::from_secs(30);
/// A resource server that refuses a token as fresh as this will likely refuse the next one too. Times are those of
/// token-cache.
const YOUNG: Duration = Duration::from_secs(60);
const MIN_COOL_DOWN: Duration = Duration::from_secs(1);
const MAX_COOL_DOWN: Duration = Duration::from_secs(30);

impl Tokens {
    /// `sent` is the moment before the request went out. `random` in `[0, 1)` spreads the refreshes.
    pub(crate) fn new(
        access: Token,
        refresh: Option<Token>,
        generation: u64,
        sent: Time,
        lifetime: Option<Duration>,
        random: f64,
    ) -> Self {
        let lifetime = lifetime.unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME);
        let margin = (lifetime / 4)
            .max(MIN_MARGIN.min(lifetime / 2))
            .min(MAX_MARGIN)
            .mul_f64(1.0 - 0.1 * random);
        let leeway = MAX_LEEWAY.min(lifetime / 5).min(margin);
        Self {
            access,
            refresh,
            generation,
            received: sent,
            rejections: 0,
            stale: sent.plus(lifetime.saturating_sub(margin)),
            critical: sent.plus(lifetime.saturating_sub(leeway)),
            expires: sent.plus(lifetime),
        }
    }

    pub(crate) fn freshness(&self, now: Time) -> Freshness {
        if now < self.stale {
            Freshness::Fresh
        } else if now < self.critical {
            Freshness::Stale
        } else if now < self.expires {
            Freshness::Critical
        } else {
            Freshness::Expired
        }
    }

    /// Returns the wait before this token may be replaced because a resource server refuses it.
    pub(crate) fn cool_down(&self, now: Time) -> Option<Duration> {
        let doublings = self.rejections.checked_sub(1)?.min(16);
        let wait = MIN_COOL_DOWN.saturating_mul(1 << doublings);
        let until = self.received.plus(wait.min(MAX_COOL_DOWN));
        (now < until).then(|| until.since(now))
    }

    /// Returns the rejections of the token that replaces this one because it is refused.
    pub(crate) fn rejections_with_this(&self, now: Time) -> u32 {
        match now.since(self.received) < YOUNG {
            true => self.rejections.saturating_add(1),
            false => 1,
        }
    }
}

impl SessionState {
    /// Returns the wait before the next refresh, and why, if it may not begin now.
    pub(crate) fn held(&self, now: Time) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| now < hold.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(lifetime: Option<u64>, random: f64) -> Tokens {
        let lifetime = lifetime.map(Duration::from_secs);
        Tokens::new(Token::new("t"), None, 1, Time::default(), lifetime, random)
    }

    fn at(seconds: u64) -> Time {
        Time::from_unix_millis(seconds * 1_000)
    }

    #[test]
    fn a_token_grows_stale_in_its_last_quarter_and_critical_in_its_last_half_minute() {
        // Lifetime, and the seconds from which it is stale, critical and expired.
        for (lifetime, [stale, critical, expired]) in [
            (Some(600), [450, 570, 600]),
            (Some(3_600), [3_300, 3_570, 3_600]),
            (Some(60), [45, 48, 60]),
            (Some(20), [10, 16, 20]),
            (Some(0), [0, 0, 0]),
            (None, [225, 270, 300]),
            (Some(1 << 40), [86_100, 86_370, 86_400]),
        ] {
            let tokens = tokens(lifetime, 0.0);
            for (from, before, then) in [
                (stale, Freshness::Fresh, Freshness::Stale),
                (critical, Freshness::Stale, Freshness::Critical),
                (expired, Freshness::Critical, Freshness::Expired),
            ] {
                if lifetime == Some(0) {
                    assert_eq!(tokens.freshness(at(from)), Freshness::Expired);
                    continue;
                }
                let just_before = Time::from_unix_millis(from * 1_000 - 1);
                assert_eq!(tokens.freshness(just_before), before, "{lifetime:?}");
                assert_eq!(tokens.freshness(at(from)), then, "{lifetime:?}");
            }
        }
    }

    /// K93
    #[test]
    fn tokens_refused_one_after_the_other_are_replaced_more_and_more_rarely() {
        let mut waits = Vec::new();
        let mut current = tokens(Some(600), 0.0);
        let mut now = at(0);
        for _ in 0..8 {
            let wait = current.cool_down(now).unwrap_or_default();
            waits.push(wait.as_secs());
            now = now.plus(wait);
            assert_eq!(current.cool_down(now), None);
            let rejections = current.rejections_with_this(now);
            current = Tokens {
                rejections,
                received: now,
                ..current
            };
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(current.rejections_with_this(now.plus(YOUNG)), 1);
    }

    #[test]
    fn chance_makes_the_margin_at_most_a_tenth_shorter() {
        let [early, late] = [0.0, 0.999].map(|random| tokens(Some(600), random));
        assert_eq!(early.freshness(at(450)), Freshness::Stale);
        assert_eq!(late.freshness(at(464)), Freshness::Fresh);
        assert_eq!(late.freshness(at(465)), Freshness::Stale);
    }

    /// K72
    #[test]
    fn debug_shows_no_token() {
        let tokens = Tokens::new(
            Token::new("canary"),
            Some(Token::new("canary")),
            1,
            Time::default(),
            None,
            0.0,
        );
        assert!(!format!("{tokens:?}").contains("canary"));
    }
}
