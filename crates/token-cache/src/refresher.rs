//! The task that owns fetching for one token request.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clock::Clock;
use idp_http::{Backoff, Outage};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, debug, info, info_span, warn};

use crate::error::{TokenError, TokenErrorKind};
use crate::freshness::{Lifetime, Moment};
use crate::metrics::{CacheMetrics, OpenWindow};
use crate::need::Trigger;
use crate::policy::RefreshPolicy;
use crate::slot::{Due, Entry, Slot};
use crate::source::{TIME_LIMIT, TokenSource};
use crate::token::IssuedToken;

/// How often a secret that was rejected, or could not be read, is looked at again.
const CREDENTIALS_POLL: Duration = Duration::from_secs(1);
/// The nominal wait before the first retry inside an attempt; the real one is random below it.
const RETRY_BASE: Duration = Duration::from_millis(200);
/// How many seconds two clocks may be apart before the log says so: half of what services commonly
/// allow when they check a token's times.
const CLOCK_TOLERANCE_S: u64 = 30;

/// What the refreshers of one cache share.
#[derive(Debug)]
pub(crate) struct RefreshContext {
    pub(crate) source: Arc<dyn TokenSource>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: RefreshPolicy,
    pub(crate) name: String,
    pub(crate) metrics: CacheMetrics,
}

impl RefreshContext {
    pub(crate) fn now(&self) -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: self.clock.now(),
        }
    }
}

/// Fetches for one slot, as long as its task lives.
pub(crate) struct Refresher {
    shared: Arc<RefreshContext>,
    slot: Arc<Slot>,
    /// The cache's own key is refreshed whether or not anybody reads it.
    always: bool,
    backoff: Backoff,
    /// The credentials that the provider rejected, or that could not be read.
    rejected_credentials: Option<u64>,
    last_used: Instant,
    /// Held from a failure to the next success.
    failing: Option<OpenWindow>,
    outage: Outage,
}

impl Refresher {
    /// A slot has one at a time.
    pub(crate) fn new(shared: Arc<RefreshContext>, slot: Arc<Slot>, always: bool) -> Self {
        Self {
            shared,
            slot,
            always,
            backoff: Backoff::new(),
            rejected_credentials: None,
            last_used: Instant::now(),
            failing: None,
            outage: Outage::new(),
        }
    }

    /// Runs until dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let keep = self.is_used();
            match self.slot.due(|| self.shared.now(), keep) {
                Due::Now => self.attempt().await,
                Due::At(at) => self.sleep_until(at).await,
                Due::WhenAsked => {
                    // Nobody has used the token for so long that it is not asked for again: a failure that
                    // nobody tries to end is none to count.
                    self.failing = None;
                    self.slot.woken().await;
                }
            }
        }
    }

    fn is_used(&mut self) -> bool {
        let now = Instant::now();
        if self.slot.take_used() {
            self.last_used = now;
        }
        self.always || now.duration_since(self.last_used) < self.shared.policy.idle_after
    }

    /// Sleeps until `at` or until woken; while the credentials stand rejected, looks whether they
    /// were replaced.
    async fn sleep_until(&mut self, at: Instant) {
        let until = match self.rejected_credentials {
            Some(_) => at.min(Instant::now() + CREDENTIALS_POLL),
            None => at,
        };
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = self.slot.woken() => {}
        }
        if let Some(rejected) = self.rejected_credentials
            && self
                .credentials_version()
                .await
                .is_some_and(|latest| latest != rejected)
        {
            debug!("the credentials changed, asking again");
            self.rejected_credentials = None;
            self.backoff.reset();
            self.failing = None;
            self.slot.reopen();
        }
    }

    async fn attempt(&mut self) {
        let (trigger, asked_in) = self.slot.begin();
        self.shared.metrics.refresh(trigger);
        let span = info_span!(
            // Without one who asked it is nobody's part: the refresher's own context says nothing.
            parent: asked_in.and_then(|span| span.id()),
            "token_exchange",
            token.cache = self.shared.name,
            token.trigger = trigger.as_str(),
            oauth.scope = %Scopes(&self.slot),
        );
        let (sent, result) = self.exchange(trigger).instrument(span.clone()).await;
        let entry = result.and_then(|issued| self.entry(sent, issued));
        let now = self.shared.now();
        let _entered = span.entered();
        let left = self.slot.health(now).expires_in.unwrap_or_default();
        // The other attempts replace nothing.
        if matches!(trigger, Trigger::Ahead | Trigger::Retry) {
            self.shared.metrics.remaining(left);
        }
        match entry {
            Ok(entry) => {
                self.backoff.reset();
                self.rejected_credentials = None;
                self.failing = None;
                let lifetime_s = entry.lifetime.total().as_secs();
                let refresh_in_s = entry.lifetime.until_stale(now).as_secs();
                self.compare_clocks(entry.clock_ahead_s);
                if let Some(end) = self.outage.succeeded() {
                    // As loud as its beginning: the reader of that line waits for this one.
                    warn!("tokens are issued again, {end}");
                }
                if self.slot.succeed(entry, sent.monotonic) {
                    info!(
                        token.lifetime_s = lifetime_s,
                        token.refresh_in_s = refresh_in_s,
                        "got a token that lives {lifetime_s} s"
                    );
                } else {
                    debug!("got the token that was rejected meanwhile, asking again");
                }
            }
            Err(error) => {
                let kind = error.kind();
                let wait = self.backoff.after(kind.answer(), error.asked_wait());
                let kind = kind.as_str();
                let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                let left = left.as_secs();
                let consequence = if left > 0 {
                    "the current token is still served"
                } else {
                    "there is no token to serve"
                };
                // That the token has run out is news too.
                let text = format_args!("{error}; {consequence}");
                if let Some(left_out) = self.outage.failed(text) {
                    warn!(
                        error.kind = kind,
                        token.retry_in_ms = retry_in_ms,
                        token.expires_in_s = left,
                        "no new token: {text}{left_out}"
                    );
                } else {
                    debug!(
                        error.kind = kind,
                        token.retry_in_ms = retry_in_ms,
                        token.expires_in_s = left,
                        "no new token: {text}"
                    );
                }
                let metrics = &self.shared.metrics;
                self.failing.get_or_insert_with(|| metrics.open_window());
                self.slot.fail(error, now.monotonic + wait);
            }
        }
    }

    fn compare_clocks(&self, ahead_s: Option<i64>) {
        let Some(ahead_s) = ahead_s else { return };
        self.shared.metrics.clock_ahead(ahead_s);
        let apart_s = ahead_s.unsigned_abs();
        if apart_s >= CLOCK_TOLERANCE_S {
            let direction = if ahead_s > 0 { "ahead of" } else { "behind" };
            warn!(
                provider.clock_ahead_s = ahead_s,
                "the provider's clock is {apart_s} s {direction} this machine's; set the clock of this \
                 machine or of the provider, or its tokens will be refused"
            );
        }
    }

    /// One attempt: the first request and at most `retries` more.
    async fn exchange(&mut self, trigger: Trigger) -> (Moment, Result<IssuedToken, TokenError>) {
        let policy = self.shared.policy;
        let began = Instant::now();
        let mut credentials = self.credentials_version().await;
        // Whatever was rejected before, these are tried now.
        self.rejected_credentials = None;
        let mut reread = false;
        let mut retry = 0;
        loop {
            let sent = self.shared.now();
            let error = match self.fetch(trigger).await {
                Ok(issued) => return (sent, Ok(issued)),
                Err(error) => error,
            };
            if error.kind().is_about_credentials() {
                // The secret may have been replaced between its last reading and now.
                let latest = self.credentials_version().await;
                if latest != credentials && !reread {
                    reread = true;
                    credentials = latest;
                    continue;
                }
                self.rejected_credentials = credentials;
                return (sent, Err(error));
            }
            let wait = error
                .asked_wait()
                .unwrap_or_else(|| full_jitter(retry, fastrand::f64()));
            let over = began.elapsed().saturating_add(wait) >= policy.retry_window;
            if !error.kind().is_worth_a_retry() || retry >= policy.retries || over {
                return (sent, Err(error));
            }
            debug!(error.kind = error.kind().as_str(), "retrying: {error}");
            retry += 1;
            tokio::time::sleep(wait).await;
        }
    }

    async fn fetch(&self, trigger: Trigger) -> Result<IssuedToken, TokenError> {
        let source = Arc::clone(&self.shared.source);
        let slot = Arc::clone(&self.slot);
        let limit = source.time_limit();
        let need = slot.need(trigger, self.shared.now());
        let fetch = async move { source.fetch_for(slot.request(), &need).await };
        let result = match call(limit, fetch).await {
            Ok(result) => result,
            Err(failure) => Err(TokenError::new(failure)),
        };
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.kind().as_str(), |_| "ok");
        self.shared.metrics.request(outcome);
        result
    }

    /// `None` if the source did not say: then nothing is known to have changed.
    async fn credentials_version(&self) -> Option<u64> {
        let source = Arc::clone(&self.shared.source);
        call(
            TIME_LIMIT,
            async move { source.credentials_version().await },
        )
        .await
        .ok()
    }

    fn entry(&self, sent: Moment, issued: IssuedToken) -> Result<Entry, TokenError> {
        let policy = &self.shared.policy;
        let lifetime = issued.lifetime().unwrap_or(policy.default_lifetime);
        let issued_at = before(sent, issued.age());
        let lifetime = Lifetime::new(issued_at, lifetime, policy, fastrand::f64());
        let now = self.shared.now();
        let clock_ahead_s = issued.date().map(|date| ahead_s(date, sent.wall, now.wall));
        let token = issued.into_token(lifetime.expires_at())?;
        let mut entry = Entry::new(&token, lifetime);
        entry.clock_ahead_s = clock_ahead_s;
        if !entry.serves_waiters(now) {
            let error = TokenError::new(TokenErrorKind::Timeout);
            return Err(error.with_detail("the token expired before it arrived"));
        }
        Ok(entry)
    }
}

/// Calls the source in a task of its own, so that neither its panic nor its silence ends anything else.
async fn call<T: Send + 'static>(
    limit: Duration,
    asked: impl Future<Output = T> + Send + 'static,
) -> Result<T, TokenErrorKind> {
    let task = AbortOnDropHandle::new(tokio::spawn(asked.in_current_span()));
    match timeout(limit, task).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(TokenErrorKind::Panic),
        Err(_) => Err(TokenErrorKind::Timeout),
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.slot.drop_attempt();
    }
}

/// The moment `age` earlier, or the earliest that a clock can show.
fn before(moment: Moment, age: Duration) -> Moment {
    let Moment { monotonic, wall } = moment;
    Moment {
        monotonic: monotonic.checked_sub(age).unwrap_or(monotonic),
        wall: wall.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

fn full_jitter(retry: u32, random: f64) -> Duration {
    RETRY_BASE.saturating_mul(1 << retry.min(8)).mul_f64(random)
}

/// The smallest number of whole seconds that a clock can be ahead if it showed `date`, whose fraction
/// is cut off, some time between `sent` and `received` of another clock.
fn ahead_s(date: SystemTime, sent: SystemTime, received: SystemTime) -> i64 {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    if let Ok(ahead) = date.duration_since(received) {
        return seconds(ahead);
    }
    let latest = date.checked_add(Duration::from_secs(1)).unwrap_or(date);
    sent.duration_since(latest)
        .map_or(0, |behind| -seconds(behind))
}

/// The scopes of a slot's request, for the span.
struct Scopes<'a>(&'a Slot);

impl std::fmt::Display for Scopes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, scope) in self.0.request().scopes().enumerate() {
            let space = if i > 0 { " " } else { "" };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A10
    #[test]
    fn the_wait_before_a_retry_is_random_below_a_bound_that_doubles() {
        for (retry, random, expected_ms) in [
            (0, 0.0, 0),
            (0, 0.5, 100),
            (1, 0.5, 200),
            (2, 0.25, 200),
            (9, 0.5, 25_600),
        ] {
            let wait = full_jitter(retry, random);
            assert_eq!(wait.as_millis(), expected_ms, "{retry} {random}");
        }
    }

    /// B15
    #[test]
    fn clocks_are_apart_by_what_resolution_and_latency_cannot_explain() {
        let at = |ms: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        for (date, sent, received, expected) in [
            (100_000, 100_000, 100_050, 0),
            (100_000, 100_999, 101_050, 0),
            (100_000, 101_000, 101_050, 0),
            (100_000, 103_000, 103_050, -2),
            (100_000, 97_000, 103_000, 0),
            (103_000, 100_000, 100_500, 2),
            (400_000, 100_000, 100_000, 300),
        ] {
            assert_eq!(
                ahead_s(at(date), at(sent), at(received)),
                expected,
                "{date} {sent}"
            );
        }
    }
}
