use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::Frame;
use tokio::sync::watch;

use crate::requests::Endpoint;

/// Something that goes wrong with a request: which, how often, and how.
///
/// Faults are used in the order they were added with [`DevIdp::fault`](crate::DevIdp::fault): a
/// request meets the first one for its endpoint that is not used up. A new fault lasts until it is
/// cleared and lets the request through; the methods change that.
///
/// ```
/// use dev_idp::{Endpoint, Fault};
///
/// let overloaded_twice = Fault::on(Endpoint::Token).times(2).status(503).header("retry-after", "1");
/// let one_connection_reset = Fault::on(Endpoint::Jwks).times(1).close();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    endpoint: Endpoint,
    times: Option<u64>,
    delay: Duration,
    effect: Effect,
}

/// The effect of a [`Fault`] on a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// The request is answered as usual, after the fault's delay.
    PassThrough,
    /// This is answered and nothing else happens.
    Answer {
        /// Status of the answer.
        status: StatusCode,
        /// Headers of the answer.
        headers: HeaderMap,
        /// Body of the answer, sent as it stands.
        body: Bytes,
    },
    /// The request is held until [`DevIdp::clear_faults`](crate::DevIdp::clear_faults) and then
    /// answered as usual.
    Hold,
    /// The request is never answered; its connection stays open.
    Hang,
    /// The connection is closed without an answer.
    Close,
    /// The request takes effect, and the connection is closed without an answer: the caller cannot know.
    LoseAnswer,
    /// The usual answer stops in the middle of its body and the connection is closed.
    TornBody,
}

impl Fault {
    /// Returns a fault that lets every request to `endpoint` through until it is cleared.
    pub fn on(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            times: None,
            delay: Duration::ZERO,
            effect: Effect::PassThrough,
        }
    }

    /// Ends the fault after it met `times` requests.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Waits before the effect.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Answers with this status and an empty body.
    ///
    /// # Panics
    ///
    /// Panics if `status` is not between 200 and 999: an informational status answers nothing.
    #[track_caller]
    pub fn status(self, status: u16) -> Self {
        let status = StatusCode::from_u16(status).ok();
        let status = status.filter(|status| !status.is_informational());
        let status = status.expect("a status from 200 to 999");
        self.edit_answer(|answered, _, _| *answered = status)
    }

    /// Adds a header to the answer, which is a 200 unless [`Fault::status`] is given too.
    /// `content-length` comes from the body and must not be given.
    ///
    /// # Panics
    ///
    /// Panics if the name or value cannot stand in a header.
    #[track_caller]
    pub fn header(self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        let value = HeaderValue::from_str(value).expect("a header value");
        self.edit_answer(|_, headers, _| {
            headers.append(name, value);
        })
    }

    /// Sets the body of the answer, which is a 200 unless [`Fault::status`] is given too. It is sent
    /// as `application/json` unless another type is given with [`Fault::header`].
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.edit_answer(|_, _, answered| *answered = body.into())
    }

    /// Holds the request until the faults are cleared ([`Effect::Hold`]).
    pub fn hold(self) -> Self {
        self.effect(Effect::Hold)
    }

    /// Never answers ([`Effect::Hang`]).
    pub fn hang(self) -> Self {
        self.effect(Effect::Hang)
    }

    /// Closes the connection without an answer ([`Effect::Close`]).
    pub fn close(self) -> Self {
        self.effect(Effect::Close)
    }

    /// Lets the request take effect and closes the connection without an answer ([`Effect::LoseAnswer`]).
    pub fn lose_answer(self) -> Self {
        self.effect(Effect::LoseAnswer)
    }

    /// Breaks off in the middle of the body ([`Effect::TornBody`]).
    pub fn torn_body(self) -> Self {
        self.effect(Effect::TornBody)
    }

    /// Sets the effect.
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    fn edit_answer(
        mut self,
        edit: impl FnOnce(&mut StatusCode, &mut HeaderMap, &mut Bytes),
    ) -> Self {
        let (mut status, mut headers, mut body) = match self.effect {
            Effect::Answer {
                status,
                headers,
                body,
            } => (status, headers, body),
            _ => (StatusCode::OK, HeaderMap::new(), Bytes::new()),
        };
        edit(&mut status, &mut headers, &mut body);
        self.effect = Effect::Answer {
            status,
            headers,
            body,
        };
        self
    }

    fn meets(&self, endpoint: Endpoint) -> bool {
        self.endpoint == Endpoint::Any || self.endpoint == endpoint
    }
}

/// The faults that are not used up.
pub(crate) struct Faults {
    script: Mutex<VecDeque<Fault>>,
    cleared: watch::Sender<()>,
}

/// The fault that one request met.
pub(crate) struct Met {
    pub(crate) delay: Duration,
    pub(crate) effect: Effect,
    cleared: watch::Receiver<()>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self {
            script: Mutex::default(),
            cleared: watch::Sender::new(()),
        }
    }

    pub(crate) fn add(&self, fault: Fault) {
        if fault.times != Some(0) {
            self.script().push_back(fault);
        }
    }

    pub(crate) fn clear(&self) {
        let mut script = self.script();
        script.clear();
        self.cleared.send_replace(());
    }

    pub(crate) fn take(&self, endpoint: Endpoint) -> Option<Met> {
        let mut script = self.script();
        let at = script.iter().position(|fault| fault.meets(endpoint))?;
        let fault = script.get_mut(at)?;
        let met = Met {
            delay: fault.delay,
            effect: fault.effect.clone(),
            // Subscribed under the lock, so that a request which met the fault sees the clearing.
            cleared: self.cleared.subscribe(),
        };
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                script.remove(at);
            }
        }
        Some(met)
    }

    fn script(&self) -> std::sync::MutexGuard<'_, VecDeque<Fault>> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Met {
    /// Waits until the faults are cleared, or for ever if the provider ends first.
    pub(crate) async fn cleared(mut self) {
        if self.cleared.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Returns a faulty answer as it goes out.
pub(crate) fn answer(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Response {
    if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Announces the whole body of `response` and then sends half of it.
pub(crate) async fn tear(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.remove(TRANSFER_ENCODING);
    // One byte is announced even if there is no body, or there would be nothing to tear.
    let announced = whole.len().max(1);
    head.headers.insert(CONTENT_LENGTH, announced.into());
    let torn = TornBody {
        half: Some(whole.slice(..announced / 2)),
        flushed: false,
    };
    Response::from_parts(head, Body::new(torn))
}

struct TornBody {
    half: Option<Bytes>,
    flushed: bool,
}

#[derive(Debug)]
struct Torn;

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was torn on purpose")
    }
}

impl std::error::Error for Torn {}

impl hyper::body::Body for TornBody {
    type Data = Bytes;
    type Error = Torn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Torn>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        // hyper flushes only once the body is pending; an error at once would discard the half.
        if !self.flushed {
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Torn)))
    }
}
