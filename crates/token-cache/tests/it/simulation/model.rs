//! What the cache may do and must do, judged from what is seen of it alone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use token_cache::TokenErrorKind;

use super::numbers::{self, CRITICAL_WAIT, Class, RECOVERY, RETRY_WINDOW, SLACK};
use super::trace::{Event, Fetched, Key, Moment};

mod slot;

use self::slot::{Attempt, Entry, Failure, Slot};

const TIMEOUT: TokenErrorKind = TokenErrorKind::Timeout;

type Verdict = Result<(), String>;

#[derive(Debug)]
pub(crate) struct Model {
    retries: u32,
    keys: [Slot; Key::ALL.len()],
    calls: BTreeMap<u64, Call>,
    secret: u64,
    /// When the own token has to be there again.
    recover_by: Option<Duration>,
    shut_down: bool,
    /// The last event's time.
    last: Option<Moment>,
}

#[derive(Debug)]
struct Call {
    key: Key,
    began: Duration,
    patience: Option<Duration>,
    expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// An answer by then.
    By(Duration),
    /// An answer at the end of an attempt, and by then in any case if the old token lasts until then.
    Newer(Duration),
    /// An answer at the end of an attempt.
    AtTheEnd,
    /// Either at once or at the end of an attempt; the model cannot tell.
    Unknown,
}

impl Model {
    pub(crate) fn new(retries: u32, started: bool) -> Self {
        let mut keys: [Slot; Key::ALL.len()] = Default::default();
        keys[Key::Own.index()].asked = started.then_some(Duration::ZERO);
        Self {
            retries,
            keys,
            calls: BTreeMap::new(),
            secret: 1,
            recover_by: None,
            shut_down: false,
            last: None,
        }
    }

    /// # Errors
    ///
    /// Fails with the promise that the event breaks, or that was broken before it.
    pub(crate) fn see(&mut self, now: Moment, event: Event) -> Verdict {
        if let Some(last) = self.last {
            if now.ahead() < last.ahead() {
                // What was stale by the wall clock may be fresh again.
                for slot in &mut self.keys {
                    slot.woken = None;
                }
            }
            self.brief_waits_end(last, now);
        }
        self.last = Some(now);
        self.nothing_is_late(now.monotonic)?;
        match event {
            Event::FetchBegan(key) => self.fetch_began(key, now),
            Event::FetchEnded(key, fetched) => self.fetch_ended(key, fetched, now),
            Event::FetchDropped(_) => ensure(self.shut_down, || "a fetch was dropped".into()),
            Event::Called(id, key, patience) => {
                self.called(id, key, patience, now);
                Ok(())
            }
            Event::Served(id, number, expires_at) => self.served(id, number, expires_at, now),
            Event::Failed(id, kind, wait) => self.failed(id, kind, wait, now),
            Event::GaveUp(id) => {
                let call = self.calls.remove(&id).unwrap();
                let limit = call.began + call.patience.unwrap() + SLACK;
                ensure(now.monotonic <= limit, || "a caller left late".into())
            }
            Event::Rejected(key, number, accepted) => {
                let expected = self.keys[key.index()].reject(number, now);
                ensure(accepted == expected, || {
                    format!("a rejection was taken: {accepted}, expected: {expected}")
                })
            }
            Event::SecretReplaced => {
                self.secret += 1;
                for slot in &mut self.keys {
                    slot.secret_replaced.get_or_insert(now.monotonic);
                }
                Ok(())
            }
            Event::WeatherIsGood => {
                let own = &self.keys[Key::Own.index()];
                let prompt = own.attempt.as_ref().is_none_or(|it| !it.fetching);
                let nobody = |it: Failure| Class::of(it.kind) == Class::NobodyAnswered;
                if prompt && own.failure.is_some_and(nobody) {
                    self.recover_by = Some(now.monotonic + RECOVERY);
                }
                Ok(())
            }
            Event::WeatherIsNot => {
                self.recover_by = None;
                Ok(())
            }
            Event::Health(key, failures, expires_in, next_in) => {
                self.keys[key.index()].health(failures, expires_in, next_in, now)
            }
            Event::Settled => self.settled(now.monotonic),
            Event::ShutDown => {
                self.shut_down = true;
                self.recover_by = None;
                for call in self.calls.values_mut() {
                    call.expected = Expected::By(now.monotonic);
                }
                Ok(())
            }
        }
    }

    /// A caller whose old token ended while it waited briefly is one without a token from then on.
    fn brief_waits_end(&mut self, last: Moment, now: Moment) {
        for call in self.calls.values_mut() {
            let Expected::Newer(limit) = call.expected else {
                continue;
            };
            // The clocks as they went on from the last event; if the wall clock was stepped for this one,
            // nobody can say which of them the caller saw.
            let monotonic = now.monotonic.min(limit + SLACK);
            let wall = last.ahead() + monotonic;
            let seen = [Moment { monotonic, wall }, now];
            let seen = &seen[..1 + usize::from(now.monotonic == monotonic)];
            let current = self.keys[call.key.index()].current;
            let settles = |at| current.is_some_and(|entry| entry.lives(at));
            if now.monotonic >= limit && !seen.iter().all(|at| settles(*at)) {
                call.expected = Expected::AtTheEnd;
            }
        }
    }

    fn nothing_is_late(&self, now: Duration) -> Verdict {
        for (id, call) in &self.calls {
            let limit = match call.expected {
                Expected::By(limit) => limit,
                Expected::Newer(limit) => limit + SLACK,
                Expected::AtTheEnd | Expected::Unknown => continue,
            };
            ensure(now <= limit, || {
                format!("call {id} should have ended at {limit:?}")
            })?;
        }
        if let Some(limit) = self.recover_by {
            ensure(now <= limit + SLACK, || format!("no recovery by {limit:?}"))?;
        }
        for key in Key::ALL {
            let slot = &self.keys[key.index()];
            if let Some((_, latest)) = slot.attempt.as_ref().and_then(|attempt| attempt.next) {
                ensure(now <= latest + SLACK, || {
                    format!("{key:?} should have been retried by {latest:?}")
                })?;
            }
            if !self.shut_down
                && let Some(due) = slot.due(key)
            {
                ensure(now <= due + SLACK, || {
                    format!("{key:?} should have been fetched by {due:?}")
                })?;
            }
        }
        Ok(())
    }

    fn fetch_began(&mut self, key: Key, now: Moment) -> Verdict {
        ensure(!self.shut_down, || "a fetch after shutdown".into())?;
        let secret = self.secret;
        let slot = &mut self.keys[key.index()];
        if let Some(attempt) = &mut slot.attempt {
            ensure(!attempt.fetching, || "two fetches at once".into())?;
            let (earliest, _) = attempt.next.take().unwrap();
            attempt.fetching = true;
            attempt.sent = now;
            return ensure(now.monotonic >= earliest, || "an early retry".into());
        }
        slot.may_begin(now, secret)?;
        let replaced = slot.is_secret_replaced(secret);
        if replaced
            && let Some(failure) = slot.failure
            && let Some((_, least, _)) = &mut slot.run
        {
            // The back-off starts over, unless this attempt would have come anyway.
            *least = 0;
            if now.monotonic < failure.opens_from {
                slot.run = None;
            }
        }
        slot.attempt = Some(Attempt {
            began: now.monotonic,
            sent: now,
            fetching: true,
            retry: 0,
            next: None,
            secret,
            secret_reread: false,
            joinable: replaced,
        });
        slot.asked = None;
        slot.perhaps_asked = false;
        slot.woken = None;
        slot.rejected.clear();
        slot.refused_secret = None;
        slot.secret_replaced = None;
        Ok(())
    }

    fn fetch_ended(&mut self, key: Key, fetched: Fetched, now: Moment) -> Verdict {
        let secret = self.secret;
        let slot = &mut self.keys[key.index()];
        let attempt = slot.attempt.as_mut().unwrap();
        attempt.fetching = false;
        let (kind, asked) = match fetched {
            Fetched::Token(number, told) => {
                let entry = Entry {
                    number,
                    sent: attempt.sent,
                    lifetime: numbers::lifetime(told),
                };
                if entry.lifetime.is_zero() || entry.lives(now) {
                    if slot.succeed(entry, now) {
                        self.attempt_ended(key, now.monotonic);
                    }
                } else {
                    slot.fail(TIMEOUT, None, now.monotonic);
                    self.attempt_ended(key, now.monotonic);
                }
                // Even if the machine slept until the token had expired: the provider was noticed.
                if key == Key::Own {
                    self.recover_by = None;
                }
                return Ok(());
            }
            Fetched::Failed(kind, asked) => (kind, asked.map(numbers::asked)),
            Fetched::Panicked => (TokenErrorKind::Panic, None),
        };
        if numbers::is_about_credentials(kind) {
            if attempt.secret != secret && !attempt.secret_reread {
                attempt.secret = secret;
                attempt.secret_reread = true;
                attempt.next = Some((now.monotonic, now.monotonic));
                return Ok(());
            }
            slot.refused_secret = Some(attempt.secret);
            slot.secret_replaced = (attempt.secret != secret).then_some(now.monotonic);
        } else if numbers::is_retried(kind) && attempt.retry < self.retries {
            let (shortest, longest) = match asked {
                Some(wait) => (wait, wait),
                None => (Duration::ZERO, Duration::from_millis(200 << attempt.retry)),
            };
            let elapsed = now.monotonic - attempt.began;
            if elapsed + longest < RETRY_WINDOW {
                attempt.retry += 1;
                attempt.next = Some((now.monotonic + shortest, now.monotonic + longest));
                return Ok(());
            }
            ensure(elapsed + shortest >= RETRY_WINDOW, || {
                "the script leaves open whether there is a retry".into()
            })?;
        }
        slot.fail(kind, asked, now.monotonic);
        self.attempt_ended(key, now.monotonic);
        Ok(())
    }

    /// Whoever waits for this attempt gets its answer now.
    fn attempt_ended(&mut self, key: Key, now: Duration) {
        for call in self.calls.values_mut().filter(|call| call.key == key) {
            call.expected = Expected::By(now);
        }
    }

    fn called(&mut self, id: u64, key: Key, patience: Option<Duration>, now: Moment) {
        let shut_down = self.shut_down;
        let slot = &mut self.keys[key.index()];
        slot.last_used = Some(now.monotonic);
        let current = slot.current.filter(|entry| entry.lives(now));
        let at_once = Expected::By(now.monotonic);
        let expected = match current {
            _ if shut_down => at_once,
            Some(entry) if entry.age(now) < numbers::critical_from(entry.lifetime) => {
                let (_, latest) = numbers::stale_from(entry.lifetime);
                let ahead = slot.attempt.is_none() && !slot.is_for_callers_only();
                if entry.age(now) >= latest && ahead {
                    slot.woken.get_or_insert(now.monotonic);
                }
                at_once
            }
            _ => match slot.is_window_open(now.monotonic) {
                Some(true) => at_once,
                Some(false) => {
                    if slot.attempt.is_none() {
                        slot.asked.get_or_insert(now.monotonic);
                    }
                    match current {
                        Some(_) => Expected::Newer(now.monotonic + CRITICAL_WAIT),
                        None => Expected::AtTheEnd,
                    }
                }
                None => {
                    slot.perhaps_asked = true;
                    match current {
                        Some(_) => Expected::Newer(now.monotonic + CRITICAL_WAIT),
                        None => Expected::Unknown,
                    }
                }
            },
        };
        let call = Call {
            key,
            began: now.monotonic,
            patience,
            expected,
        };
        self.calls.insert(id, call);
    }

    fn served(&mut self, id: u64, number: u64, expires_at: SystemTime, now: Moment) -> Verdict {
        let call = self.calls.remove(&id).unwrap();
        let slot = &self.keys[call.key.index()];
        let is_it = |entry: &Entry| entry.number == number && entry.expires_at() == expires_at;
        let kept = slot.current.filter(is_it).is_some_and(|it| it.lives(now));
        let awaited = slot.came.is_some_and(|(entry, came)| {
            let usable = entry.lifetime.is_zero() || entry.lives(now);
            is_it(&entry) && usable && call.began <= came && came == now.monotonic
        });
        ensure(kept || awaited, || {
            format!("call {id} was served a token that it must not get")
        })
    }

    fn failed(&mut self, id: u64, kind: TokenErrorKind, wait: Duration, now: Moment) -> Verdict {
        let call = self.calls.remove(&id).unwrap();
        let slot = &self.keys[call.key.index()];
        ensure(!slot.current.is_some_and(|entry| entry.lives(now)), || {
            format!("call {id} failed although there is a token")
        })?;
        let second = Duration::from_secs(1);
        if self.shut_down {
            return ensure((kind, wait) == (TokenErrorKind::Cancelled, second), || {
                format!("call {id} failed after shutdown with {kind:?}")
            });
        }
        if let Some(failure) = slot.failure
            && failure.kind == kind
        {
            let left = |until: Duration| numbers::rounded_up(until.saturating_sub(now.monotonic));
            let (shortest, longest) = (left(failure.opens_from), left(failure.opens_until));
            return ensure((shortest..=longest).contains(&wait), || {
                format!("call {id} was told {wait:?}, not {shortest:?} to {longest:?}")
            });
        }
        Err(format!(
            "call {id} failed with {kind:?}, not as the last attempt"
        ))
    }

    fn settled(&mut self, now: Duration) -> Verdict {
        for (id, call) in &mut self.calls {
            match call.expected {
                Expected::By(_) => {
                    return Err(format!("call {id} should have ended at once"));
                }
                Expected::Unknown => {
                    let slot = &mut self.keys[call.key.index()];
                    if slot.attempt.is_none() {
                        slot.asked.get_or_insert(now);
                    }
                    call.expected = Expected::AtTheEnd;
                }
                Expected::Newer(_) | Expected::AtTheEnd => {}
            }
        }
        Ok(())
    }
}

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(broken()) }
}
