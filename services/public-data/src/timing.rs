//! The times of one request: when it reached which station. Only requests of the status page are timed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use tokio::time::Instant;

tokio::task_local! {
    static TIMED: Timing;
}

/// The stations and when each was reached. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    reached: Arc<Mutex<Vec<(String, Instant)>>>,
    started: Instant,
}

impl Timing {
    pub(crate) fn new() -> Self {
        Self {
            reached: Arc::default(),
            started: Instant::now(),
        }
    }

    /// Runs a request whose stations are noted here.
    pub(crate) async fn time<F: Future>(&self, request: F) -> F::Output {
        TIMED.scope(self.clone(), request).await
    }

    /// Returns each station with the time that it took to get there from the one before.
    pub(crate) fn times(&self) -> Vec<(String, Duration)> {
        let reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = self.started;
        let mut times = Vec::with_capacity(reached.len());
        for (station, at) in reached.iter() {
            times.push((station.clone(), at.duration_since(before)));
            before = *at;
        }
        times
    }

    pub(crate) fn total(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Notes that the current request has reached a station, if it is timed.
pub(crate) fn mark(station: impl FnOnce() -> String) {
    // It is not timed: the common case.
    let _ = TIMED.try_with(|timing| {
        let at = Instant::now();
        let mut reached = timing
            .reached
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        reached.push((station(), at));
    });
}

/// Stands below the middleware that attaches the token, and so sees when it has.
#[derive(Debug)]
pub(crate) struct MarkExchange;

#[async_trait]
impl Middleware for MarkExchange {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        mark(|| "token attached".to_owned());
        let result = next.run(request, extensions).await;
        mark(|| match &result {
            Ok(response) => format!("protected-data answered {}", response.status().as_u16()),
            Err(_) => "protected-data did not answer".to_owned(),
        });
        result
    }
}
