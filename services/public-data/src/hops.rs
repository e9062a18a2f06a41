//! The stations of one request, with their times. Only requests of the status page are followed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use tokio::time::Instant;

tokio::task_local! {
    static FOLLOWED: Hops;
}

/// What was reached when. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Hops {
    reached: Arc<Mutex<Vec<(String, Instant)>>>,
    started: Instant,
}

impl Hops {
    pub(crate) fn new() -> Self {
        Self {
            reached: Arc::default(),
            started: Instant::now(),
        }
    }

    /// Runs a request whose stations are noted here.
    pub(crate) async fn follow<F: Future>(&self, request: F) -> F::Output {
        FOLLOWED.scope(self.clone(), request).await
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

/// Notes that the current request has reached a station, if it is one that is followed.
pub(crate) fn reached(station: impl FnOnce() -> String) {
    // Nobody follows it: the common case.
    let _ = FOLLOWED.try_with(|hops| {
        let at = Instant::now();
        let mut reached = hops.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.push((station(), at));
    });
}

/// Stands below the middleware that attaches the token, and so sees when it has.
#[derive(Debug)]
pub(crate) struct Exchange;

#[async_trait]
impl Middleware for Exchange {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        reached(|| "token attached".to_owned());
        let result = next.run(request, extensions).await;
        reached(|| match &result {
            Ok(response) => format!("protected-data answered {}", response.status().as_u16()),
            Err(_) => "protected-data did not answer".to_owned(),
        });
        result
    }
}
