//! One request: admission, the router behind its guards, and what the server adds to the answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};
use tower::Service;

use super::body::{Answered, Capped, Progress, Tracker};
use super::connection::ConnectionState;
use super::{MAX_BODY_BYTES, ServerState};
use crate::health::{LIVE_PATH, READY_PATH};
use crate::problem::{DEFECT, ProblemDetails};
use crate::request_id::{REQUEST_ID, RequestId};
use crate::trace::RequestSpan;

/// Target of the line per request, at level `debug`.
const ACCESS: &str = "service_kit::access";

/// Answers `request`; every failure is an answer too.
pub(super) async fn answer(
    shared: &ServerState,
    connection: &Arc<ConnectionState>,
    mut request: Request<Incoming>,
) -> Result<Response<Answered>, Infallible> {
    let started = Instant::now();
    let busy = connection.begin(started);
    let id = RequestId::of(request.headers());
    // `insert` leaves one, however many came.
    request.headers_mut().insert(REQUEST_ID, id.header());
    let span = RequestSpan::of(&request, &id);
    let answer = span.run(answer_with_id(shared, connection, request, started));
    let response = id.mark(id.scope(answer).await).await;
    Ok(response.map(|body| Answered::new(body, busy)))
}

async fn answer_with_id(
    shared: &ServerState,
    connection: &ConnectionState,
    request: Request<Incoming>,
    started: Instant,
) -> Response {
    // Without the query, which can hold credentials (RFC 6750 section 2.3).
    let line = tracing::enabled!(target: ACCESS, tracing::Level::DEBUG)
        .then(|| (request.method().clone(), request.uri().path().to_owned()));

    let (mut response, unread) = match refusal(&request) {
        Some(problem) => (problem.into_response(), !request.body().is_end_stream()),
        None => match InFlight::take(shared, &request) {
            Some(_slot) => guarded(shared, request, started + shared.limits.request_timeout).await,
            None => {
                shared.counters.shed.fetch_add(1, Ordering::Relaxed);
                let detail = "Too many requests are in progress.";
                let problem = ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, detail)
                    .retry_after(Duration::from_secs(1));
                (problem.into_response(), !request.body().is_end_stream())
            }
        },
    };

    shared.counters.answered(response.status());
    if unread {
        connection.leave_unread();
    }
    if unread || shared.shutdown.is_draining() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some((method, path)) = line {
        let elapsed = started.elapsed().as_micros();
        tracing::debug!(
            target: ACCESS,
            {
                http.method = %method,
                http.path = path,
                http.status = response.status().as_u16(),
                http.duration_us = u64::try_from(elapsed).unwrap_or(u64::MAX),
            },
            "answered"
        );
    }
    response
}

/// Returns the refusal of a request that no route may see.
fn refusal(request: &Request<Incoming>) -> Option<ProblemDetails> {
    if request.version() == Version::HTTP_11 {
        let mut hosts = request.headers().get_all(HOST).iter();
        if hosts.next().is_none() || hosts.next().is_some() {
            let detail = "Exactly one Host header is required.";
            return Some(ProblemDetails::new(StatusCode::BAD_REQUEST, detail));
        }
    }
    let announced = request.body().size_hint().lower();
    (announced > MAX_BODY_BYTES as u64).then_some(BODY_TOO_LARGE)
}

const BODY_TOO_LARGE: ProblemDetails = ProblemDetails::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    "The body is larger than this service takes.",
);
const BODY_AWAITED: ProblemDetails = ProblemDetails::new(
    StatusCode::REQUEST_TIMEOUT,
    "The body that was announced did not come.",
);
const TOO_SLOW: ProblemDetails =
    ProblemDetails::new(StatusCode::GATEWAY_TIMEOUT, "The answer took too long.");

/// Calls the router with a deadline, a body cap and panics caught; `true` when the body was not read
/// to its end.
async fn guarded(
    shared: &ServerState,
    request: Request<Incoming>,
    deadline: Instant,
) -> (Response, bool) {
    let (request, tracker) = capped(request, MAX_BODY_BYTES);
    let progress = || tracker.as_ref().map_or(Progress::Done, Tracker::progress);
    let outcome = {
        let mut router = shared.router.clone();
        let mut call = pin!(async move { router.call(request).await });
        // The router is only shared state behind locks or atomics, and this call is not polled again.
        let caught =
            poll_fn(
                |cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(Ok(response))) => Poll::Ready(Some(response)),
                    Err(_) => Poll::Ready(None),
                },
            );
        timeout_at(deadline, caught).await
    };
    let response = match outcome {
        _ if progress() == Progress::TooLarge => BODY_TOO_LARGE.into_response(),
        Ok(Some(response)) => response,
        Ok(None) => {
            shared.counters.panics.fetch_add(1, Ordering::Relaxed);
            // Where and on which thread is in the panic hook's line; the message is in none.
            tracing::error!("a request handler panicked");
            DEFECT.into_response()
        }
        Err(_) => {
            shared.counters.timeouts.fetch_add(1, Ordering::Relaxed);
            match progress() {
                Progress::Awaited => BODY_AWAITED.into_response(),
                _ => TOO_SLOW.into_response(),
            }
        }
    };
    (response, progress() != Progress::Done)
}

/// Puts the cap around a body; a request without one costs no allocation.
fn capped(request: Request<Incoming>, cap: usize) -> (Request<Body>, Option<Tracker>) {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return (Request::from_parts(parts, Body::empty()), None);
    }
    let (body, tracker) = Capped::new(body, cap);
    (Request::from_parts(parts, Body::new(body)), Some(tracker))
}

/// One of the requests that may be in flight.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn take(shared: &'a ServerState, request: &Request<Incoming>) -> Option<Self> {
        let before = shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let slot = Self(&shared.in_flight);
        let is_health = || matches!(request.uri().path(), LIVE_PATH | READY_PATH);
        // Dropping the slot gives the place back.
        (before < shared.limits.in_flight || is_health()).then_some(slot)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
