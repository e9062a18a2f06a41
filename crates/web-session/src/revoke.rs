//! Refresh tokens that are of no use any more, taken back at the provider behind the answer (RFC 7009).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::sessions::Inner;
use crate::state::Token;

/// At most so many at once; a further one is left to expire by itself.
const MAX_AT_ONCE: usize = 1_000;
/// Before each try; all of them end within a minute.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(12),
    Duration::from_secs(25),
];

#[derive(Debug)]
pub(crate) struct Revocations {
    permits: Arc<Semaphore>,
}

impl Default for Revocations {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        }
    }
}

impl Revocations {
    pub(crate) fn waiting(&self) -> usize {
        MAX_AT_ONCE - self.permits.available_permits()
    }

    /// Begins to revoke a token. What is returned resolves when the first try has ended.
    pub(crate) fn begin(&self, inner: &Arc<Inner>, token: Token) -> oneshot::Receiver<()> {
        let (tried, first) = oneshot::channel();
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            tracing::warn!("a refresh token is not revoked: {MAX_AT_ONCE} others wait for that");
            return first;
        };
        let (inner, tasks) = (Arc::downgrade(inner), inner.tasks.clone());
        tasks.spawn(async move {
            let mut tried = Some(tried);
            for pause in PAUSES {
                tokio::time::sleep(pause).await;
                let Some(inner) = inner.upgrade() else {
                    return;
                };
                let result = inner.renewals.revoke(&token).await;
                drop(tried.take());
                match result {
                    Ok(()) => break,
                    Err(error) if error.class.is_transient() => {
                        tracing::debug!("a refresh token is not revoked yet: {error}");
                    }
                    Err(error) => {
                        tracing::warn!("a refresh token is not revoked: {error}");
                        break;
                    }
                }
            }
            drop(permit);
        });
        first
    }
}
