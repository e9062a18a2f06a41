//! The document again and again, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::AdminState;
use crate::problem::ProblemDetails;

/// Each costs a task and a document per second.
pub(super) const MAX_LISTENERS: usize = 16;

/// The ages in the document change all the time, so it is sent this often; a person cannot read faster.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a browser waits before it comes again after the connection was closed.
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn events(State(admin): State<Arc<AdminState>>) -> Response {
    let Ok(place) = Arc::clone(&admin.listeners).try_acquire_owned() else {
        let detail = "There are too many listeners.";
        return ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .retry_after(Duration::from_secs(5))
            .into_response();
    };
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listener = EventStream {
        admin,
        ticks,
        is_over: false,
        _place: place,
    };
    Sse::new(futures_util::stream::unfold(listener, EventStream::next)).into_response()
}

struct EventStream {
    admin: Arc<AdminState>,
    ticks: Interval,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl EventStream {
    /// The next event. Ends with the drain, after one more that says so: an open stream would hold it
    /// up to its deadline.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if self.is_over {
            return None;
        }
        tokio::select! {
            biased;
            () = self.admin.shutdown.draining() => self.is_over = true,
            _ = self.ticks.tick() => {}
        }
        let event = Event::default().event("status").retry(RETRY);
        // Numbers, strings and maps with string keys always serialize.
        let event = event.json_data(self.admin.document()).ok()?;
        Some((Ok(event), self))
    }
}
