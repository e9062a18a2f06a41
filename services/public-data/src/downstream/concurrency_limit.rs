//! A limit on the calls under way.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next};
use tokio::sync::Semaphore;

use super::{DownstreamError, EXCHANGE_TIMEOUT, TOTAL_TIMEOUT};

/// Calls at once, and so connections. Each connection takes 30 KiB (hyper's buffers and channel); these are
/// enough for 1,280 calls a second when each takes 100 ms.
pub(super) const MAX_CALLS: usize = 128;
/// How long a call waits for a permit: the time for everything without that of the longest exchange.
pub(super) const MAX_WAIT: Duration = TOTAL_TIMEOUT.saturating_sub(EXCHANGE_TIMEOUT);

/// The calls that may be under way. Below the middleware that attaches the token: a caller that waits for a token
/// holds no permit.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit(Arc<Semaphore>);

impl Default for ConcurrencyLimit {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CALLS)))
    }
}

#[async_trait]
impl Middleware for ConcurrencyLimit {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let permit = tokio::time::timeout(MAX_WAIT, Arc::clone(&self.0).acquire_owned()).await;
        // The semaphore is never closed.
        let Ok(Ok(permit)) = permit else {
            return Err(Error::middleware(DownstreamError::Busy));
        };
        let mut response = next.run(request, extensions).await?;
        // Held until the answer is read, or dropped. The bodies of others are not read, and a 401 is kept while another
        // token is waited for.
        if response.status().is_success() {
            response.extensions_mut().insert(Arc::new(permit));
        }
        Ok(response)
    }
}
