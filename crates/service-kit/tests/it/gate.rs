//! A route that a test holds open.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::sync::{Notify, Semaphore};

/// `/gate` says when it is entered and then waits to be opened.
#[derive(Clone)]
pub(crate) struct Gate {
    entered: Arc<Semaphore>,
    pub(crate) open: Arc<Notify>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Notify::new()),
        }
    }

    pub(crate) fn route(&self) -> Router {
        let gate = self.clone();
        Router::new().route(
            "/gate",
            get(move || async move {
                gate.entered.add_permits(1);
                gate.open.notified().await;
                "through"
            }),
        )
    }

    pub(crate) async fn entered(&self) {
        self.entered.acquire().await.unwrap().forget();
    }
}
