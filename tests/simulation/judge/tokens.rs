//! How often one public-data may ask for a token.

use std::time::Duration;

use jwks_validator::Answer;

use super::FetchEnd;
use super::keys::waits;

/// One moment on both clocks of a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) monotonic: Duration,
    /// Since 1970.
    pub(super) wall: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct TokenWatch {
    current: Option<Token>,
    /// The one before it.
    former: Option<Token>,
    sent: Option<Moment>,
    attempt_began: Duration,
    retries: u32,
    pub(super) failures: u32,
    /// The last failure, what the issuer asked for, and the shortest and longest wait after it.
    pub(super) failed: Option<Failed>,
    /// A rejected token was dropped and has not been replaced.
    forced: Option<Duration>,
    cool_down: Duration,
    cool_until: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) at: Duration,
    /// Whether the same attempt may go on.
    is_retried: bool,
    asked: Option<Duration>,
    shortest: Duration,
    pub(super) longest: Duration,
}

#[derive(Debug)]
struct Token {
    text: String,
    sent: Moment,
    lifetime: Duration,
    stale_from: Duration,
}

/// No token is fetched again sooner than this after the last one.
const FLOOR: Duration = Duration::from_secs(1);
const RETRIES: u32 = 2;
const RETRY_WINDOW: Duration = Duration::from_secs(3);
/// A token that is rejected younger than this doubles the cool-down.
const YOUNG: Duration = Duration::from_secs(60);
const MAX_COOL_DOWN: Duration = Duration::from_secs(30);
/// A token that is rejected before it is this old stays, while the one before it lives.
const NEW: Duration = Duration::from_secs(35);

impl TokenWatch {
    /// When a rejected token was dropped that has not been replaced.
    pub(super) fn forced(&self) -> Option<Duration> {
        self.forced
    }

    pub(super) fn began(&mut self, now: Moment) -> Result<(), String> {
        if self.sent.replace(now).is_some() {
            return Err("token requests: two at once".into());
        }
        let at = now.monotonic;
        if let Some(failed) = self.failed {
            let fits = at < self.attempt_began + RETRY_WINDOW;
            let asked = failed.asked.is_none_or(|asked| at >= failed.at + asked);
            if failed.is_retried && self.retries < RETRIES && fits && asked {
                self.retries += 1;
                return Ok(());
            }
            self.begin_attempt(at);
            return match at >= failed.at + failed.shortest {
                true => Ok(()),
                false => Err("token requests: too soon after a failure".into()),
            };
        }
        self.begin_attempt(at);
        let Some(token) = &self.current else {
            return Ok(());
        };
        let is_due = token.sent.age(now) >= token.stale_from || self.forced.is_some();
        match is_due && at >= token.sent.monotonic + FLOOR {
            true => Ok(()),
            false => Err("token requests: more than one in a window".into()),
        }
    }

    fn begin_attempt(&mut self, at: Duration) {
        self.attempt_began = at;
        self.retries = 0;
    }

    pub(super) fn came(&mut self, text: &str, lifetime: Duration, now: Moment) {
        let sent = self.sent.take().unwrap();
        if sent.age(now) >= lifetime {
            // A wall clock was stepped meanwhile: as if nobody had answered.
            self.failed(&FetchEnd::failed(Answer::None, None), now.monotonic);
            return;
        }
        self.failed = None;
        self.failures = 0;
        self.forced = None;
        self.former = self.current.replace(Token {
            text: text.to_owned(),
            sent,
            lifetime,
            stale_from: stale_from(lifetime),
        });
    }

    pub(super) fn failed(&mut self, end: &FetchEnd, now: Duration) {
        self.sent = None;
        self.failures += 1;
        if let FetchEnd::Failed { answer, asked } = end {
            let (shortest, longest) = waits(*answer, *asked, self.failures);
            self.failed = Some(Failed {
                at: now,
                is_retried: *answer != Answer::Refused,
                asked: *asked,
                shortest,
                longest,
            });
        }
    }

    /// The token before this one, which a rejection of it makes the next to send: if this is new, and the other
    /// has not expired.
    pub(super) fn before(&self, text: &str, now: Moment) -> Option<String> {
        let current = self.current.as_ref().filter(|_| self.forced.is_none())?;
        let is_new = current.text == text && current.sent.age(now) < NEW;
        let former = self.former.as_ref()?;
        let lives = former.sent.age(now) < former.lifetime;
        (is_new && lives).then(|| former.text.clone())
    }

    /// A resource server rejected a token. Returns whether the cache has to get another one.
    pub(super) fn rejected(&mut self, text: &str, now: Moment) -> bool {
        let Some(token) = self.current.as_ref().filter(|token| token.text == text) else {
            // It has another one already, or is getting it.
            return true;
        };
        if self.forced.is_some() {
            return true;
        }
        if now.monotonic < self.cool_until {
            return false;
        }
        self.cool_down = match token.sent.age(now) < YOUNG {
            true => (self.cool_down * 2).clamp(FLOOR, MAX_COOL_DOWN),
            false => FLOOR,
        };
        self.cool_until = now.monotonic + self.cool_down;
        self.forced = Some(now.monotonic);
        true
    }
}

impl Moment {
    /// By the clock that says more.
    fn age(self, now: Self) -> Duration {
        let monotonic = now.monotonic - self.monotonic;
        monotonic.max(now.wall.saturating_sub(self.wall))
    }
}

/// The earliest age at which a token of this lifetime may be replaced.
fn stale_from(lifetime: Duration) -> Duration {
    let margin = (lifetime / 4)
        .max(Duration::from_secs(10).min(lifetime / 2))
        .min(Duration::from_secs(300));
    (lifetime - margin).saturating_sub(Duration::from_micros(1))
}
