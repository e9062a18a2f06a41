//! One request through the pair, for the button of the status page.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use service_kit::problem::{self, ProblemDetails};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::timing::{Timing, mark};

/// Larger than what the route answers.
const MAX_BODY: usize = 64 * 1024;

/// The service's own routes, and a place for one request.
struct TestRequest {
    app: Router,
    place: Semaphore,
    number: AtomicU64,
}

/// The outcome of the request. Nothing of any answer but its status is shown.
#[derive(Serialize)]
struct Outcome {
    status: u16,
    total_us: u64,
    hops: Vec<Hop>,
    /// The `x-request-id` that it carried, for the logs.
    request_id: String,
}

#[derive(Serialize)]
struct Hop {
    to: String,
    took_us: u64,
}

/// Returns `POST /trial`, which sends one `GET /api/public/data` through these routes and answers with
/// the time of each of its stations. One at a time; a second one is refused with 429.
pub(crate) fn routes(app: Router) -> Router {
    let test = TestRequest {
        app,
        place: Semaphore::new(1),
        number: AtomicU64::new(1),
    };
    Router::new()
        .route("/trial", post(run))
        .with_state(Arc::new(test))
}

async fn run(State(test): State<Arc<TestRequest>>) -> Response {
    let Ok(_place) = test.place.try_acquire() else {
        let detail = "Another test request is under way.";
        return ProblemDetails::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
    };
    let number = test.number.fetch_add(1, Ordering::Relaxed);
    let request_id = format!("status-page-{number}");
    let request = Request::get("/api/public/data").header("x-request-id", &request_id);
    let Ok(request) = request.body(Body::empty()) else {
        return problem::DEFECT.into_response();
    };
    let timing = Timing::new();
    let app = test.app.clone();
    let Ok(status) = timing
        .time(async move {
            let response = app.oneshot(request).await?;
            let status = response.status().as_u16();
            // Answers of this route are a few bytes; an error in reading it changes nothing.
            let _ = to_bytes(response.into_body(), MAX_BODY).await;
            mark(|| format!("public-data answered {status}"));
            Ok::<u16, std::convert::Infallible>(status)
        })
        .await;
    let microseconds =
        |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let hop = |(to, took)| Hop {
        to,
        took_us: microseconds(took),
    };
    Json(Outcome {
        status,
        total_us: microseconds(timing.total()),
        hops: timing.times().into_iter().map(hop).collect(),
        request_id,
    })
    .into_response()
}
