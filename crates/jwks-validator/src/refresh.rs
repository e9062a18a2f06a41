//! The task that keeps one issuer's keys current.

use std::sync::Arc;
use std::time::Duration;

use idp_http::Answer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::issuer::{Issuer, Outcome};
use crate::key_set::SkippedKey;
use crate::metrics::FetchOutcome;
use crate::source::{EntityTag, Fetched, SourceError, SourceErrorKind};

/// How often settings under which a fetch failed are looked at again.
const SETTINGS_POLL: Duration = Duration::from_secs(1);

/// Fetches when a fetch is due or asked for, one at a time, until dropped.
pub(crate) async fn run(issuer: Arc<Issuer>, published: Arc<watch::Sender<u64>>) {
    let refresher = Refresher(issuer);
    let mut failed_under = None;
    loop {
        wait_for_work(&refresher.0, failed_under).await;
        failed_under = fetch(&refresher.0, &published).await;
    }
}

struct Refresher(Arc<Issuer>);

impl Drop for Refresher {
    fn drop(&mut self) {
        self.0.drop_fetch();
    }
}

/// `failed_under` is the version of the settings under which the last fetch failed, where others may help.
async fn wait_for_work(issuer: &Issuer, failed_under: Option<u64>) {
    loop {
        let next = issuer.next();
        let until = match failed_under {
            Some(_) => next.min(Instant::now() + SETTINGS_POLL),
            None => next,
        };
        tokio::select! {
            () = sleep_until(until) => {
                if until == next {
                    return;
                }
                let version = issuer.source.settings_version().await;
                if failed_under.is_some_and(|failed_under| failed_under != version) {
                    return;
                }
            }
            () = issuer.wake.notified() => {
                // The wake-up may be that of a request which a due fetch has served already.
                if issuer.is_requested() {
                    return;
                }
            }
        }
    }
}

/// Returns the version of the settings under which it failed, where others may help.
async fn fetch(issuer: &Issuer, published: &watch::Sender<u64>) -> Option<u64> {
    // Before the attempt: what changes during it may not have been used in it.
    let version = issuer.source.settings_version().await;
    let mut failed_under = None;
    let began = Instant::now();
    let entity_tag = issuer.begin();
    let conditional = entity_tag.is_some();
    let result = attempt(issuer, entity_tag).await;
    let skipped = match issuer.end(began, conditional, result) {
        Outcome::Refreshed {
            keys,
            changed,
            skipped,
        } => {
            published.send_modify(|count| *count = count.wrapping_add(1));
            if let Some(end) = issuer.outage.succeeded() {
                // As loud as its beginning, whose reader waits for the end.
                tracing::warn!(jwks.issuer = &*issuer.name, "keys are fetched again, {end}");
            }
            if changed {
                issuer.metrics.fetched(FetchOutcome::Changed);
                tracing::info!(
                    jwks.issuer = &*issuer.name,
                    jwks.keys = keys.len(),
                    jwks.skipped_keys = keys.skipped().len(),
                    "new keys are in use"
                );
            } else {
                issuer.metrics.fetched(FetchOutcome::Unchanged);
                tracing::debug!(jwks.issuer = &*issuer.name, "keys are unchanged");
            }
            skipped
        }
        Outcome::Failed {
            error,
            skipped,
            failures,
            next_in,
        } => {
            issuer.metrics.fetched(FetchOutcome::Failed);
            failed_under = error.is_about_settings().then_some(version);
            if let Some(left_out) = issuer.outage.failed(&error) {
                tracing::warn!(
                    jwks.issuer = &*issuer.name,
                    jwks.failures = failures,
                    jwks.next_attempt_ms = u64::try_from(next_in.as_millis()).unwrap_or(u64::MAX),
                    error = %error,
                    "could not fetch keys{left_out}"
                );
            } else {
                tracing::debug!(
                    jwks.issuer = &*issuer.name,
                    jwks.failures = failures,
                    error = %error,
                    "could not fetch keys"
                );
            }
            skipped
        }
    };
    if let Some(age) = issuer.age() {
        issuer.metrics.age(age);
    }
    for key in &skipped {
        report(issuer, key);
    }
    failed_under
}

/// A private key in a public document, or two keys of one name, are for an operator to act on. A key of
/// another use or kind is there for others.
fn report(issuer: &Issuer, key: &SkippedKey) {
    issuer.metrics.skipped(key.reason);
    let (name, kid) = (&*issuer.name, key.kid.as_deref());
    if key.reason.is_alarming() {
        tracing::warn!(
            jwks.issuer = name,
            jwks.kid = kid,
            jwks.index = key.index,
            reason = %key.reason,
            "a published key is unfit and not used"
        );
    } else {
        tracing::info!(
            jwks.issuer = name,
            jwks.kid = kid,
            jwks.index = key.index,
            reason = %key.reason,
            "a published key is not used"
        );
    }
}

/// Runs the source in a task of its own, so that its panic ends that task and not this one.
async fn attempt(issuer: &Issuer, entity_tag: Option<EntityTag>) -> Result<Fetched, SourceError> {
    let source = Arc::clone(&issuer.source);
    let limit = source.time_limit();
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        source.fetch(entity_tag.as_ref()).await
    }));
    match timeout(limit, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(SourceError::new(SourceErrorKind::Panicked, Answer::None)),
        Err(_) => Err(SourceError::new(SourceErrorKind::TooSlow, Answer::None)),
    }
}
