//! How often one public-data may ask for a token.

use std::collections::VecDeque;
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
    /// The last tokens that came, and when they expire by the wall clock.
    lives: VecDeque<(String, Duration)>,
    accepted: Option<Accepted>,
}

/// The token that was accepted last.
#[derive(Debug)]
struct Accepted {
    text: String,
    noted: Moment,
    /// When it expires by the clock that nobody steps.
    until: Duration,
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
    stale_from: Duration,
}

/// No token is fetched again sooner than this after the last one.
const FLOOR: Duration = Duration::from_secs(1);
const RETRIES: u32 = 2;
const RETRY_WINDOW: Duration = Duration::from_secs(3);
/// A token that is rejected younger than this doubles the cool-down.
const YOUNG: Duration = Duration::from_secs(60);
const MAX_COOL_DOWN: Duration = Duration::from_secs(30);
/// For so long an accepted token can stand in for the one after it.
const RECENT: Duration = Duration::from_secs(5);
/// A token that is rejected at this age is replaced in any case.
const BRIDGED: Duration = Duration::from_secs(35);
/// So far apart acceptances are noted.
const NOTED: Duration = Duration::from_secs(1);

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
        self.lives
            .push_front((text.to_owned(), sent.wall + lifetime));
        self.lives.truncate(64);
        self.current = Some(Token {
            text: text.to_owned(),
            sent,
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

    pub(super) fn accepted(&mut self, text: &str, now: Moment) {
        let same = self.accepted.as_ref().filter(|last| last.text == text);
        if same.is_some_and(|last| now.monotonic - last.noted.monotonic < NOTED) {
            return;
        }
        let until = same.map_or_else(
            || now.monotonic + self.expiry(text).saturating_sub(now.wall),
            |last| last.until,
        );
        self.accepted = Some(Accepted {
            text: text.to_owned(),
            noted: now,
            until,
        });
    }

    pub(super) fn forget(&mut self, text: &str) {
        self.accepted = self.accepted.take().filter(|last| last.text != text);
    }

    /// By the wall clock.
    fn expiry(&self, text: &str) -> Duration {
        let known = self.lives.iter().find(|(known, _)| known == text);
        known.map(|(_, expiry)| *expiry).unwrap_or_default()
    }

    /// Tells whether the newest token, once rejected, is replaced although the one before it is accepted.
    pub(super) fn is_no_longer_new(&self, newest: &str, now: Moment) -> bool {
        let current = self.current.as_ref().filter(|it| it.text == newest);
        current.is_some_and(|it| it.sent.age(now) >= BRIDGED)
    }

    /// The token before the newest one, if that is `newest` and the other was accepted just now.
    pub(super) fn before(&self, newest: &str, now: Moment) -> Option<String> {
        let last = self.accepted.as_ref()?;
        let lives = now.wall < self.expiry(&last.text) && now.monotonic < last.until;
        let is_recent = now.monotonic - last.noted.monotonic < RECENT;
        let is_newest = self.current.as_ref()?.text == newest;
        (is_newest && last.text != newest && lives && is_recent).then(|| last.text.clone())
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
