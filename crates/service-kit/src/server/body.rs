//! Request bodies with a cap, and answers' bodies that keep their connection busy.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::connection::BusyGuard;

/// How far a request body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Progress {
    /// The handler has not asked for it, or not for its rest.
    Unread = 0,
    /// The handler waits for its next part.
    Awaited = 1,
    /// Read to its end.
    Done = 2,
    /// Larger than the cap.
    TooLarge = 3,
}

/// The view of a body that stays with the server when the body has gone to the handler.
#[derive(Clone, Debug)]
pub(super) struct Tracker(Arc<AtomicU8>);

impl Tracker {
    pub(super) fn progress(&self) -> Progress {
        match self.0.load(Ordering::Relaxed) {
            0 => Progress::Unread,
            1 => Progress::Awaited,
            2 => Progress::Done,
            _ => Progress::TooLarge,
        }
    }

    fn set(&self, progress: Progress) {
        self.0.store(progress as u8, Ordering::Relaxed);
    }
}

/// A request body that fails once it is larger than its cap.
pub(super) struct Capped {
    inner: Incoming,
    left: usize,
    tracker: Tracker,
}

impl Capped {
    pub(super) fn new(inner: Incoming, cap: usize) -> (Self, Tracker) {
        let tracker = Tracker(Arc::new(AtomicU8::new(Progress::Unread as u8)));
        (
            Self {
                inner,
                left: cap,
                tracker: tracker.clone(),
            },
            tracker,
        )
    }
}

impl Body for Capped {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                self.tracker.set(Progress::Awaited);
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        let size = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        let Some(left) = self.left.checked_sub(size) else {
            self.tracker.set(Progress::TooLarge);
            return Poll::Ready(Some(Err(BodyError::TooLarge)));
        };
        self.left = left;
        let done = frame.is_none() || self.inner.is_end_stream();
        self.tracker.set(if done {
            Progress::Done
        } else {
            Progress::Unread
        });
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Connection)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer; the connection counts as busy until hyper has taken all of it.
pub(super) struct Answered {
    inner: axum::body::Body,
    _busy: BusyGuard,
}

impl Answered {
    pub(super) const fn new(inner: axum::body::Body, busy: BusyGuard) -> Self {
        Self { inner, _busy: busy }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why a request body could not be read; handlers see it only as a failed extractor.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request body is too large")]
    TooLarge,
    #[error("the connection broke off inside the request body")]
    Connection(#[source] hyper::Error),
}
