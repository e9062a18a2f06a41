//! What happens to a tenant's invoices, as server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use service_kit::problem::ProblemDetails;
use service_kit::shutdown::Shutdown;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use web_session::Session;

use crate::api::AppState;
use crate::book;
use crate::documents::InvoiceDocument;

/// Each keeps a connection, of which the server has 1,024.
pub(crate) const MAX_LISTENERS: usize = 512;
const HEARTBEAT: Duration = Duration::from_secs(5);

pub(crate) async fn stream(State(state): State<AppState>, session: Session) -> Response {
    let Ok(place) = Arc::clone(&state.listeners).try_acquire_owned() else {
        let detail = "There are too many listeners.";
        return ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .retry_after(Duration::from_secs(5))
            .into_response();
    };
    let listener = Listener {
        events: state.book.events(session.tenant_id()),
        ended: Box::pin(async move { session.ended().await }),
        shutdown: state.shutdown.clone(),
        _place: place,
    };
    let events = futures_util::stream::unfold(listener, Listener::next);
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    Sse::new(events).keep_alive(heartbeat).into_response()
}

struct Listener {
    events: broadcast::Receiver<book::Event>,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    shutdown: Shutdown,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next event. Ends with the session and with the drain, and where the listener has fallen behind: it comes
    /// again and reads everything anew.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let event = tokio::select! {
            biased;
            () = self.shutdown.draining() => return None,
            () = &mut self.ended => return None,
            event = self.events.recv() => event.ok()?,
        };
        let name = if event.is_new {
            "invoice.created"
        } else {
            "invoice.changed"
        };
        // Texts and numbers always serialize.
        let document = InvoiceDocument::from(event.invoice);
        let event = Event::default().event(name).json_data(document).ok()?;
        Some((Ok(event), self))
    }
}
