//! The status address: what a service is doing, for the person who runs it and for Prometheus.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | one page that shows the state live, without anything from elsewhere |
//! | `GET /status` | [`Report`] as JSON, see below |
//! | `GET /events` | the same document as server-sent events named `status`: at once, then once per second, until the drain begins; 503 beyond 16 listeners |
//! | `GET /metrics` | Prometheus text; 404 unless the binary has [installed](crate::metrics::install) a recorder |
//!
//! Nothing secret is shown, no token, and no text that another server sent except key ids. Which service calls
//! which and what fails is for its operators alone, so the address is on loopback unless configured otherwise. A web
//! page elsewhere gets nothing from it: requests with a foreign `Origin` are refused, and so are those that a page
//! elsewhere embeds (`Sec-Fetch-Site`) and those with a foreign `Host`, which is how a name that was made to resolve
//! to loopback shows itself. On a loopback listener, loopback addresses and
//! `localhost` are not foreign; on another one, neither are other addresses and names without a dot, which
//! cannot be registered. Other names that a scraper uses have to be [allowed](Admin::allow_hosts).
//!
//! # The document
//!
//! Every time in it is a number of milliseconds before or after `now_ms`, so that it can be read by a
//! machine whose clock is off. Members may be added.
//!
//! | member | what it is |
//! |---|---|
//! | `service` | the service's name |
//! | `now_ms` | when the document was made, in milliseconds since 1970 |
//! | `uptime_ms` | time since the status address began to serve |
//! | `state` | `green`, `amber` (something fails, and requests are answered all the same or will be shortly) or `red` (requests are refused) |
//! | `reason` | a sentence that says why |
//! | `advice` | what to change, or null |
//! | `http` | `answers` by class of status (`2xx`, …), and what the server itself had to do: `shed`, `timeouts`, `panics`, `evicted` |
//!
//! and whatever the service adds to it; `docs/STATUS.md` explains that too.

mod assets;
mod events;
mod failures;
mod guard;
mod history;
mod report;

use std::net::SocketAddr;
use std::sync::Arc;

use ::metrics::{counter, gauge};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::{self, installed};
use crate::problem::{self, ProblemDetails};
use crate::server::{BindError, Counters, Server};
use crate::shutdown::Shutdown;

pub use failures::{Failing, Failures};
pub use history::{History, milliseconds};
pub use report::{Report, ServiceState};

use report::Document;

/// The status address.
#[derive(Debug)]
pub struct Admin {
    /// `None` where there is to be no such address, or its default port is taken.
    server: Option<Server>,
    allowed_hosts: Vec<String>,
}

/// A service's account of itself.
pub trait Status: Send + Sync + 'static {
    /// Returns the state now. Called for every reader, each second; it must not block.
    fn report(&self) -> Report;

    /// Brings counters that are kept elsewhere into the `metrics` recorder, before they are read.
    fn record(&self) {}
}

/// A browser keeps one connection per open page, Prometheus one or two.
const MAX_CONNECTIONS: usize = 64;

impl Admin {
    /// Opens the listener, if there is to be one.
    ///
    /// # Errors
    ///
    /// Fails as [`Builder::bind`](crate::server::Builder::bind), naming the variable that the address
    /// came from. If it is the `default` that is taken, there is none, and a warning says so: a second
    /// instance on one host then needs no setting for an address that was never asked for.
    pub async fn bind(
        address: Option<SocketAddr>,
        default: SocketAddr,
        variable: &'static str,
    ) -> Result<Self, BindError> {
        let mut server = None;
        if let Some(address) = address {
            let builder = Server::builder().max_connections(MAX_CONNECTIONS);
            match builder.bind(address).await {
                Ok(open) => server = Some(open),
                Err(error) if error.is_in_use() && address == default => tracing::warn!(
                    config.variable = variable,
                    "no status address: {address} is in use; set {variable} to another one, or to off"
                ),
                Err(error) => return Err(error.for_variable(variable)),
            }
        }
        Ok(Self {
            server,
            allowed_hosts: Vec::new(),
        })
    }

    /// Answers requests for these names too, as [`Reader::host_names`](crate::config::Reader::host_names) reads
    /// them; with any port, or none. For scrapers that know the machine by its full name.
    #[must_use]
    pub fn allow_hosts(mut self, names: &[String]) -> Self {
        self.allowed_hosts = names.to_vec();
        self
    }

    /// Returns the address of the listener, if there is one, with its real port.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::local_addr)
    }

    /// Serves until `shutdown` has begun and the drain is over; without a listener there is no drain. `service` is
    /// the service's name and
    /// `counters` are those of its own server; `more` are routes of its own, behind the same guard.
    pub async fn serve(
        self,
        service: &'static str,
        counters: Arc<Counters>,
        status: impl Status,
        more: Router,
        shutdown: Shutdown,
    ) {
        let Some(server) = self.server else {
            // The recorder may be there, for an address whose port was taken.
            tokio::select! {
                () = shutdown.draining() => {}
                () = metrics::tidy() => {}
            }
            return;
        };
        let address = server.local_addr();
        tracing::info!(admin.address = %address, "the status address is http://{address}/");
        let admin = Arc::new(AdminState {
            service,
            counters,
            status: Box::new(status),
            started: Instant::now(),
            listeners: Arc::new(Semaphore::new(events::MAX_LISTENERS)),
            shutdown: shutdown.clone(),
        });
        let names = guard::OwnNames {
            is_loopback: idp_http::is_loopback_address(address.ip()),
            allowed: self.allowed_hosts,
        };
        let router = routes(admin, more, Arc::new(names));
        let serving = server.serve_unannounced(router, shutdown);
        tokio::select! {
            _ = serving => {}
            () = metrics::tidy() => {}
        }
    }
}

/// The state of the status address, which its routes share.
struct AdminState {
    service: &'static str,
    counters: Arc<Counters>,
    status: Box<dyn Status>,
    started: Instant,
    listeners: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl AdminState {
    fn document(&self) -> Document {
        let mut report = self.status.report();
        if self.shutdown.is_draining() {
            report.state = report.state.max(ServiceState::Amber);
            report.reason = format!("draining: {}", report.reason);
        }
        Document::new(self.service, self.started.elapsed(), &self.counters, report)
    }

    /// Brings the server's counters, and the state as a number for alerts, into the recorder.
    fn record(&self) {
        let service = self.service;
        for (class, answers) in report::answers(&self.counters) {
            counter!("http_server_answers_total", "service" => service, "class" => class)
                .absolute(answers);
        }
        for (event, count) in report::interventions(&self.counters) {
            counter!("http_server_interventions_total", "service" => service, "kind" => event)
                .absolute(count);
        }
        let state = self.document().report.state;
        gauge!("service_state", "service" => service).set(state.level());
        self.status.record();
    }
}

fn routes(admin: Arc<AdminState>, more: Router, names: Arc<guard::OwnNames>) -> Router {
    let assets = Arc::new(assets::Assets::new());
    let page = Arc::clone(&assets);
    let routes = Router::new()
        .route("/", get(move || async move { page.page() }))
        .route("/status", get(status))
        .route("/events", get(events::events))
        .route("/metrics", get(metrics))
        .with_state(admin)
        .merge(more);
    problem::fallbacks(routes)
        .layer(middleware::from_fn(move |request, next| {
            guard::refuse_strangers(Arc::clone(&names), request, next)
        }))
        .layer(middleware::map_response(move |response| {
            let assets = Arc::clone(&assets);
            async move { assets.with_headers(response) }
        }))
}

async fn status(State(admin): State<Arc<AdminState>>) -> Json<Document> {
    Json(admin.document())
}

async fn metrics(State(admin): State<Arc<AdminState>>) -> Response {
    let Some(metrics) = installed() else {
        let detail = "This process keeps no metrics.";
        return ProblemDetails::new(StatusCode::NOT_FOUND, detail).into_response();
    };
    admin.record();
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, text)], metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_default_port_that_is_taken_is_done_without_and_another_one_is_an_error() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
        let bind = |default| Admin::bind(Some(taken.1), default, "ADMIN");
        assert_eq!(bind(taken.1).await.unwrap().local_addr(), None);
        let error = bind(([127, 0, 0, 1], 1).into()).await.unwrap_err();
        assert!(error.to_string().contains("ADMIN"), "{error}");
    }
}
