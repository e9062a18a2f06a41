//! New tokens for a session: one exchange, however many requests and replicas want it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use idp_http::Backoff;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::counts::{EndReason, RefreshOutcome};
use crate::provider::{ErrorClass, NotRenewed, ProviderError, Renewed};
use crate::sessions::Inner;
use crate::state::{Hold, HoldReason, Person, SessionState, Token, Tokens};
use crate::store::{Claim, Key, Row, Swap};
use crate::time::Time;

/// The lease outlasts the exchange, so that nobody begins another one beside it.
const LEASE: Duration = Duration::from_secs(10);
const EXCHANGE_LIMIT: Duration = Duration::from_secs(8);
/// How long anybody waits for a refresh, here or on another replica.
pub(crate) const WAIT: Duration = Duration::from_secs(5);
/// Between two looks at a row that another replica refreshes: half of it to one and a half.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Between two refreshes of a session.
const FLOOR: Duration = Duration::from_secs(1);
/// Before a refresh token whose answer was lost is presented once more.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(2);
const PUBLISH_TRIES: usize = 5;

/// Why a token is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Of its age.
    Age,
    /// A resource server refuses it.
    Rejected,
}

/// What a refresh came to, for all who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Refreshed {
    /// The session as it is now, with newer tokens.
    Tokens(Row, Arc<SessionState>),
    /// The session has ended.
    Ended,
    /// The session is kept, and no refresh begins for so long.
    Held(Duration),
}

/// The refreshes of this process that are under way.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_key: Mutex<HashMap<Key, watch::Receiver<Option<Refreshed>>>>,
}

impl Flights {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, watch::Receiver<Option<Refreshed>>>> {
        // Nothing can panic while the lock is held but the allocator.
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Begins a refresh of the tokens of this generation, or joins the one under way. A task of its own owns it: nobody who goes away ends it.
    pub(crate) fn begin(
        &self,
        inner: &Arc<Inner>,
        key: Key,
        generation: u64,
        cause: Cause,
    ) -> watch::Receiver<Option<Refreshed>> {
        let mut by_key = self.lock();
        let entry = match by_key.entry(key) {
            Entry::Occupied(flight) => return flight.get().clone(),
            Entry::Vacant(entry) => entry,
        };
        let (sender, receiver) = watch::channel(None);
        entry.insert(receiver.clone());
        drop(by_key);
        let owner = Arc::clone(inner);
        inner.tasks.spawn(async move {
            // Removed before anybody is told, and when the task panics or is dropped: who is told and finds the
            // tokens too old begins another one.
            let landed = Landed(&owner.flights, key);
            let refreshed = owner.refresh(&key, generation, cause).await;
            drop(landed);
            sender.send_replace(Some(refreshed));
        });
        receiver
    }
}

struct Landed<'f>(&'f Flights, Key);

impl Drop for Landed<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// What a refresh changes of a session.
struct Renewal {
    tokens: Tokens,
    id_token: Option<Token>,
    person: Option<Person>,
}

impl Inner {
    /// Begins a refresh or joins the one under way, and waits for it; for [`WAIT`] at most.
    pub(crate) async fn refreshed(
        self: &Arc<Self>,
        key: Key,
        generation: u64,
        cause: Cause,
    ) -> Refreshed {
        let _waiting = self.counts.waiting();
        let mut flight = self.flights.begin(self, key, generation, cause);
        let landed = timeout(WAIT, flight.wait_for(Option::is_some)).await;
        match landed {
            Ok(Ok(refreshed)) => (*refreshed).clone().unwrap_or(Refreshed::Held(FLOOR)),
            _ => Refreshed::Held(FLOOR),
        }
    }

    async fn refresh(self: &Arc<Self>, key: &Key, generation: u64, cause: Cause) -> Refreshed {
        let deadline = Instant::now() + WAIT;
        loop {
            match self.attempt(key, generation, cause).await {
                Some((refreshed, outcome)) => {
                    self.counts.refresh(outcome);
                    return refreshed;
                }
                None if Instant::now() >= deadline => {
                    self.counts.refresh(RefreshOutcome::Failed);
                    return Refreshed::Held(FLOOR);
                }
                None => sleep(LOOK_AGAIN.mul_f64(0.5 + fastrand::f64())).await,
            }
        }
    }

    /// Looks at the row and refreshes it, unless another replica does: then there is nothing yet.
    async fn attempt(
        self: &Arc<Self>,
        key: &Key,
        generation: u64,
        cause: Cause,
    ) -> Option<(Refreshed, RefreshOutcome)> {
        let away = || Some((Refreshed::Held(FLOOR), RefreshOutcome::StoreAway));
        let row = match self.load_row(key).await {
            Ok(Some(row)) => row,
            Ok(None) => return Some((Refreshed::Ended, RefreshOutcome::Ended)),
            Err(_) => return away(),
        };
        let Some(state) = self.state_of(key, &row) else {
            return Some((Refreshed::Ended, RefreshOutcome::Ended));
        };
        if state.tokens.generation > generation {
            return Some((Refreshed::Tokens(row, state), RefreshOutcome::ByAnother));
        }
        let now = self.clock.now();
        if let Some(hold) = state.held(now) {
            return Some((
                Refreshed::Held(hold.until.since(now)),
                RefreshOutcome::Failed,
            ));
        }
        let claimed = match self.claim(key, row.version, LEASE).await {
            Ok(Claim::Claimed(row)) => *row,
            Ok(Claim::Changed(_)) => return None,
            Ok(Claim::Gone) => return Some((Refreshed::Ended, RefreshOutcome::Ended)),
            Err(_) => return away(),
        };
        // Of the row as claimed: one that was read before may have been used since.
        let state = self.state_of(key, &claimed)?;
        Some(self.exchange_for(key, claimed, state, cause).await)
    }

    async fn exchange_for(
        self: &Arc<Self>,
        key: &Key,
        row: Row,
        state: Arc<SessionState>,
        cause: Cause,
    ) -> (Refreshed, RefreshOutcome) {
        let Some(refresh) = &state.tokens.refresh else {
            return (Refreshed::Held(FLOOR), RefreshOutcome::Failed);
        };
        let sent = self.clock.now();
        // All of it ends before the lease does.
        let deadline = Instant::now() + EXCHANGE_LIMIT;
        match self.renewals.renew(&state, refresh, deadline).await {
            Ok(renewed) => {
                let mut renewal = self.renewal(&state, renewed, sent);
                if cause == Cause::Rejected {
                    renewal.tokens.rejections = state.tokens.rejections_with_this(sent);
                }
                self.publish(key, row, state, renewal).await
            }
            Err(NotRenewed::OtherPerson(refresh)) => {
                tracing::error!(
                    "the reply to a refresh has an ID token of somebody else; the session ends"
                );
                if let Some(token) = refresh {
                    drop(self.revocations.begin(self, token));
                }
                self.ended(key, EndReason::OtherPerson).await
            }
            Err(NotRenewed::Error(error)) if error.class == ErrorClass::InvalidGrant => {
                self.refused(key, &state, &error).await
            }
            Err(NotRenewed::Error(error)) => self.hold(key, row, state, &error).await,
        }
    }

    fn renewal(&self, state: &SessionState, renewed: Renewed, sent: Time) -> Renewal {
        Renewal {
            tokens: Tokens::new(
                renewed.access,
                renewed.refresh.or_else(|| state.tokens.refresh.clone()),
                state.tokens.generation + 1,
                sent,
                renewed.lifetime,
                fastrand::f64(),
            ),
            id_token: renewed
                .id_token
                .filter(|it| it.expose().len() <= MAX_ID_TOKEN_HINT),
            person: renewed.person,
        }
    }

    /// Writes the new tokens, unless somebody wrote newer ones or the session has ended: then ours are of no use.
    async fn publish(
        self: &Arc<Self>,
        key: &Key,
        mut row: Row,
        mut state: Arc<SessionState>,
        renewal: Renewal,
    ) -> (Refreshed, RefreshOutcome) {
        let refresh = renewal.tokens.refresh.clone();
        let lost = |inner: &Arc<Self>| {
            if let Some(token) = &refresh {
                drop(inner.revocations.begin(inner, token.clone()));
            }
        };
        for _ in 0..PUBLISH_TRIES {
            if state.tokens.generation >= renewal.tokens.generation {
                lost(self);
                return (Refreshed::Tokens(row, state), RefreshOutcome::ByAnother);
            }
            let renewed = SessionState {
                tokens: renewal.tokens.clone(),
                id_token: renewal.id_token.clone().or_else(|| state.id_token.clone()),
                person: renewal
                    .person
                    .clone()
                    .unwrap_or_else(|| state.person.clone()),
                hold: Some(Hold {
                    until: renewal.tokens.received.plus(FLOOR),
                    failures: 0,
                    reason: HoldReason::Refreshed,
                }),
                ..(*state).clone()
            };
            let mut new = row.to_new();
            new.body = self.body(*key, renewed);
            new.keeps_lease = false;
            match self.replace_row(key, row.version, new.clone()).await {
                Ok(Swap::Swapped) => {
                    row.version += 1;
                    row.body = new.body;
                    row.lease = None;
                    let Some(state) = self.state_of(key, &row) else {
                        break;
                    };
                    return (Refreshed::Tokens(row, state), RefreshOutcome::Refreshed);
                }
                Ok(Swap::Changed(other)) => {
                    let Some(other_state) = self.state_of(key, &other) else {
                        break;
                    };
                    (row, state) = (*other, other_state);
                }
                Ok(Swap::Gone) => {
                    lost(self);
                    return (Refreshed::Ended, RefreshOutcome::Ended);
                }
                // A provider that rotates has used the old token up: these are worth another try.
                Err(error) => {
                    tracing::warn!("new tokens were not written yet: {error}");
                    sleep(LOOK_AGAIN).await;
                }
            }
        }
        tracing::error!("new tokens could not be written, and are lost");
        (Refreshed::Held(FLOOR), RefreshOutcome::StoreAway)
    }

    /// The refresh token is not taken: another replica was faster, or the session ends.
    async fn refused(
        self: &Arc<Self>,
        key: &Key,
        state: &SessionState,
        error: &ProviderError,
    ) -> (Refreshed, RefreshOutcome) {
        match self.load_row(key).await {
            Ok(Some(row)) => {
                let newer = self.state_of(key, &row);
                if let Some(newer) =
                    newer.filter(|it| it.tokens.generation > state.tokens.generation)
                {
                    return (Refreshed::Tokens(row, newer), RefreshOutcome::ByAnother);
                }
            }
            Ok(None) => return (Refreshed::Ended, RefreshOutcome::Ended),
            Err(_) => return (Refreshed::Held(FLOOR), RefreshOutcome::StoreAway),
        }
        let was_in_flight = state
            .hold
            .as_ref()
            .is_some_and(|hold| hold.reason == HoldReason::InFlight);
        let reason = match was_in_flight {
            true => EndReason::LostInFlight,
            false => EndReason::RefreshRefused,
        };
        tracing::info!(
            reason = reason.as_str(),
            "a refresh token is not taken: {error}"
        );
        self.ended(key, reason).await
    }

    async fn ended(self: &Arc<Self>, key: &Key, reason: EndReason) -> (Refreshed, RefreshOutcome) {
        match self.end(key, reason).await {
            Ok(_) => (Refreshed::Ended, RefreshOutcome::Ended),
            Err(_) => (Refreshed::Held(FLOOR), RefreshOutcome::StoreAway),
        }
    }

    /// Keeps the session, and writes when the next attempt may come, so that all replicas wait.
    async fn hold(
        self: &Arc<Self>,
        key: &Key,
        mut row: Row,
        mut state: Arc<SessionState>,
        error: &ProviderError,
    ) -> (Refreshed, RefreshOutcome) {
        let reason = match error.class {
            ErrorClass::Unsent => HoldReason::NoAnswer,
            ErrorClass::InFlight => HoldReason::InFlight,
            ErrorClass::Overloaded | ErrorClass::Nonsense => HoldReason::Overloaded,
            ErrorClass::Refused | ErrorClass::InvalidGrant => HoldReason::Refused,
        };
        let failures = match &state.hold {
            Some(hold) if hold.reason == reason => hold.failures.saturating_add(1),
            _ => 0,
        };
        let mut wait = Backoff::wait(reason.answer(), failures, error.retry_after);
        if reason == HoldReason::InFlight {
            wait = wait.max(IN_FLIGHT_WAIT);
        }
        match reason {
            HoldReason::Refused => tracing::error!("refreshes are refused: {error}"),
            _ => tracing::warn!("a refresh failed, the session is kept: {error}"),
        }
        let hold = Hold {
            until: self.clock.now().plus(wait),
            failures,
            reason,
        };
        let generation = state.tokens.generation;
        for _ in 0..PUBLISH_TRIES {
            let mut new = row.to_new();
            let held = SessionState {
                hold: Some(hold.clone()),
                ..(*state).clone()
            };
            new.body = self.body(*key, held);
            new.keeps_lease = false;
            match self.replace_row(key, row.version, new).await {
                Ok(Swap::Gone) => return (Refreshed::Ended, RefreshOutcome::Ended),
                Ok(Swap::Changed(other)) => match self.state_of(key, &other) {
                    Some(newer) if newer.tokens.generation > generation => {
                        return (Refreshed::Tokens(*other, newer), RefreshOutcome::ByAnother);
                    }
                    Some(newer) => (row, state) = (*other, newer),
                    None => break,
                },
                // Where it cannot be written the lease runs out by itself, and an attempt comes a little sooner.
                Ok(Swap::Swapped) | Err(_) => break,
            }
        }
        (Refreshed::Held(wait), RefreshOutcome::Failed)
    }
}

/// The longest ID token that is kept for the logout hint, in bytes.
pub(crate) const MAX_ID_TOKEN_HINT: usize = 8 * 1024;
