//! The body of an answer: the guarded service's, or the text of a refusal.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of an answer that came through [`JwtLayer`](crate::JwtLayer) or
    /// [`RequireScopes`](crate::RequireScopes): that of the service behind it, or a fixed text of problem+json.
    #[derive(Debug)]
    pub struct GuardBody<B> {
        #[pin]
        content: Content<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = Projected]
    enum Content<B> {
        Served { #[pin] body: B },
        // Empty as soon as it has been sent.
        Refused { text: &'static str },
    }
}

impl<B> GuardBody<B> {
    pub(super) fn served(body: B) -> Self {
        Self {
            content: Content::Served { body },
        }
    }

    pub(super) fn refused(text: &'static str) -> Self {
        Self {
            content: Content::Refused { text },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for GuardBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().content.project() {
            Projected::Served { body } => body.poll_frame(cx),
            Projected::Refused { text } => {
                let text = std::mem::take(text);
                let frame =
                    (!text.is_empty()).then(|| Frame::data(Bytes::from_static(text.as_bytes())));
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Served { body } => body.is_end_stream(),
            Content::Refused { text } => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Served { body } => body.size_hint(),
            Content::Refused { text } => SizeHint::with_exact(text.len() as u64),
        }
    }
}

/// Takes the body out, where axum by itself would put it into another box.
#[cfg(feature = "axum")]
impl<B: Into<Self>> From<GuardBody<B>> for axum::body::Body {
    fn from(body: GuardBody<B>) -> Self {
        match body.content {
            Content::Served { body } => body.into(),
            Content::Refused { text } => Self::from(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_refusal_is_one_frame_of_a_known_length() {
        let mut body = GuardBody::<String>::refused("no");
        let mut cx = Context::from_waker(Waker::noop());
        let mut next = |body: &mut GuardBody<String>| Pin::new(body).poll_frame(&mut cx);
        assert_eq!(
            (body.size_hint().exact(), body.is_end_stream()),
            (Some(2), false)
        );
        let Poll::Ready(Some(Ok(frame))) = next(&mut body) else {
            panic!("a frame");
        };
        assert_eq!(frame.into_data().unwrap(), "no");
        assert_eq!(
            (body.size_hint().exact(), body.is_end_stream()),
            (Some(0), true)
        );
        assert!(matches!(next(&mut body), Poll::Ready(None)));
    }
}
