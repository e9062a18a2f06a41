//! One token shown to the validator, and whether the answer may be what it is.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use clock::{Clock as _, unix_seconds};
use jwks_validator::{AuthError, Claims, JwtValidator, Reason};
use tokio::time::Instant;

use super::known::{History, Known, Moment};
use super::source::Source;
use super::world::{KIDS, Token, WORLD, WallClock};
use crate::reference::Broken;

/// What a caller brings along.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) validator: JwtValidator,
    pub(super) clock: WallClock,
    pub(super) start: Instant,
}

/// A call that has been answered.
pub(super) struct Call {
    pub(super) from: Duration,
    pub(super) to: Duration,
    /// How many fetches had begun before.
    arrival: usize,
    is_immediate: bool,
    /// The wall time at its end.
    wall: SystemTime,
    now: i64,
    pub(super) result: Result<Arc<Claims>, AuthError>,
}

/// What is known about a token and its issuer before the call.
pub(super) struct Prospect {
    issuer: usize,
    pub(super) token: Arc<Token>,
    /// What the issuer's keys are.
    known: Known,
    is_usable: bool,
    /// What the reference says now.
    now: i64,
    verdict: Result<(), Broken>,
    /// How long the one fetch takes that has to be made for the token, and that brings its key.
    fetch: Option<Duration>,
}

const EARLIEST_NOW: i64 = 1_577_836_800;
const SECOND: Duration = Duration::from_secs(1);
/// What the reference says of tokens whose key it does not find.
const NO_KEY: Broken = "a published key";

impl Caller {
    pub(super) fn now(&self) -> i64 {
        unix_seconds(self.clock.now())
    }

    pub(super) fn moment(&self) -> Moment {
        (self.start.elapsed(), self.clock.now())
    }

    pub(super) async fn call(&self, source: &Source, token: &Token) -> Call {
        let (from, arrival) = (self.start.elapsed(), source.asked());
        let mut answer = pin!(self.validator.validate(&token.text));
        let first = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        let (is_immediate, result) = match first {
            Poll::Ready(result) => (true, result),
            Poll::Pending => (false, answer.await),
        };
        let wall = self.clock.now();
        Call {
            from,
            to: self.start.elapsed(),
            arrival,
            is_immediate,
            wall,
            now: unix_seconds(wall),
            result,
        }
    }
}

impl Call {
    fn end(&self) -> Moment {
        (self.to, self.wall)
    }
}

impl Prospect {
    /// `forecast` are the keys that a fetch for an unknown key id would bring, and the time that it
    /// would take, if one is certain to be made.
    pub(super) fn new(
        issuer: usize,
        token: Arc<Token>,
        history: &History,
        forecast: Option<(Vec<usize>, Duration)>,
        moment: Moment,
    ) -> Self {
        let now = unix_seconds(moment.1);
        let known = history.settled();
        let judge = |keys: &[usize], now| WORLD.judge(issuer, &token.text, now, keys);
        let is_usable = now >= EARLIEST_NOW && history.is_usable(&known, moment);
        let verdict = judge(&history.keys(&known), now);
        let is_revoked = token.kid.is_some_and(|kid| history.revoked[kid]);
        let fetch = forecast.and_then(|(mut keys, latency)| {
            keys.retain(|key| !history.revoked[key % KIDS]);
            let is_needed = is_usable && !is_revoked && verdict == Err(NO_KEY);
            // It may come into force, or expire, while it waits.
            let helps = || judge(&keys, now).is_ok() && judge(&keys, now + 1).is_ok();
            (is_needed && latency < SECOND && helps()).then_some(latency)
        });
        Self {
            issuer,
            token,
            is_usable,
            now,
            verdict,
            known,
            fetch,
        }
    }

    /// Fails if a promise is broken.
    pub(super) fn check(&self, call: &Call, history: &History, about: &str) {
        let waited = call.to - call.from;
        assert!(waited <= SECOND, "waits too long: {about}");
        if self.is_usable && self.verdict.is_ok() {
            let is_accepted = call.result.is_ok() && call.is_immediate;
            assert!(is_accepted, "a good token: {about}");
        }
        if let Some(latency) = self.fetch {
            let is_accepted = call.result.is_ok() && waited == latency;
            assert!(is_accepted, "a good token and its fetch: {about}");
        }
        match &call.result {
            Ok(claims) => {
                assert_eq!(claims.id(), Some(&*self.token.id), "another token: {about}");
                let possible = history.possible(call.to);
                let mut verdicts = possible
                    .iter()
                    .map(|known| self.verdict(call, history, known));
                let is_good = verdicts.any(|verdict| verdict == Some(Ok(())));
                assert!(is_good, "accepted: {about}");
            }
            Err(error) => self.check_refusal(call, history, error, about),
        }
    }

    fn check_refusal(&self, call: &Call, history: &History, error: &AuthError, about: &str) {
        let reason = error.reason();
        let is_unset = call.now < EARLIEST_NOW;
        assert_eq!(reason == Reason::ClockUnset, is_unset, "{about}");
        let seconds = error.retry_after().map(|wait| wait.as_secs());
        assert_eq!(error.status() == 503, seconds.is_some(), "{about}");
        assert!((1..=30).contains(&seconds.unwrap_or(1)), "{about}");
        if is_unset {
            return;
        }
        if !self.token.has_issuer {
            let is_told = reason == Reason::UnknownIssuer && call.is_immediate;
            assert!(is_told, "another issuer: {about}");
            return;
        }
        if self.is_usable && self.token.kid.is_some_and(|kid| history.revoked[kid]) {
            let is_told = reason == Reason::KeyRevoked && call.is_immediate;
            assert!(is_told, "a revoked key: {about}");
        }
        let possible = history.possible(call.to);
        let verdicts: Vec<_> = possible
            .iter()
            .map(|known| self.verdict(call, history, known))
            .collect();
        let lacks_key = verdicts.contains(&Some(Err(NO_KEY)));
        let since = |(number, at): &&(usize, Duration)| *number > call.arrival && *at < call.to;
        match reason {
            Reason::KeysUnavailable | Reason::KeysStale => {
                assert!(verdicts.contains(&None), "503 with keys: {about}");
                let had_none = |known: &Known| history.age(known, call.end()).is_none();
                let is_right = match reason {
                    Reason::KeysUnavailable => possible.iter().any(had_none),
                    _ => !possible.iter().all(had_none),
                };
                assert!(is_right, "{about}");
            }
            Reason::KeyUndetermined => {
                assert!(lacks_key, "503 for a known key: {about}");
                let fresh = history.successes.iter().find(since);
                assert_eq!(fresh, None, "a set fetched since lacks the key: {about}");
            }
            Reason::UnknownKey => {
                assert!(lacks_key, "401 for a known key: {about}");
                let last = history.successes.iter().rfind(|(_, at)| *at <= call.to);
                let age = last.map(|(_, at)| call.to - *at);
                let is_fresh = age.is_some_and(|age| age < 30 * SECOND);
                assert!(is_fresh, "401 without a fresh set: {about}");
            }
            _ => {
                assert_eq!(error.status(), 401, "{about}");
                let is_bad = |verdict: &Option<Result<(), Broken>>| matches!(verdict, Some(Err(_)));
                assert!(verdicts.iter().any(is_bad), "401: {about}");
            }
        }
    }

    /// What the reference says at the end of the call; `None` where it has no keys to say it with.
    fn verdict(&self, call: &Call, history: &History, known: &Known) -> Option<Result<(), Broken>> {
        if !history.is_usable(known, call.end()) {
            return None;
        }
        if *known == self.known && call.now == self.now {
            return Some(self.verdict);
        }
        let keys = history.keys(known);
        Some(WORLD.judge(self.issuer, &self.token.text, call.now, &keys))
    }
}
