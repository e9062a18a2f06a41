//! The parts around the router of every service of this workspace: configuration from strings,
//! logging, a hardened HTTP/1 server, graceful drain, health routes and `application/problem+json`.
//!
//! A service is a library with `fn app(state) -> axum::Router` and a binary of a few lines:
//!
//! ```no_run
//! use std::net::SocketAddr;
//! use std::process::ExitCode;
//!
//! use service_kit::config::Reader;
//! use service_kit::server::Server;
//! use service_kit::{health, problem};
//!
//! struct Config {
//!     address: SocketAddr,
//! }
//!
//! impl Config {
//!     fn read(reader: &mut Reader<'_>) -> Self {
//!         Self { address: reader.socket_addr("HELLO_ADDR", ([127, 0, 0, 1], 6009).into()) }
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     service_kit::run_main(&["HELLO_ADDR"], Config::read, |config, shutdown| async move {
//!         let server = Server::builder()
//!             .bind(config.address)
//!             .await
//!             .map_err(|error| error.for_variable("HELLO_ADDR"))?;
//!         let routes = axum::Router::new()
//!             .route("/hello", axum::routing::get(|| async { "hello" }))
//!             .merge(health::routes(&shutdown, health::Readiness::ready));
//!         server.serve(problem::fallbacks(routes), shutdown).await;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! | module | what the caller gets |
//! |---|---|
//! | [`admin`] | a status address: metrics, state as JSON, and a live page |
//! | [`config`] | typed values, every problem at once, no value in any message |
//! | [`descriptors`] | the limit on open files, raised |
//! | [`telemetry`] | log lines on standard error that never block a request |
//! | [`server`] | header timeout, caps, load shedding, panic isolation, drain |
//! | [`trace`] | traces to an OTLP collector, behind the feature `otel` |
//! | [`shutdown`] | the handle that starts a drain, from signals or by hand |
//! | [`health`] | `/livez` and `/readyz` |
//! | [`metrics`] | the recorder behind `/metrics`, and what the process uses of the machine |
//! | [`openapi`] | `/openapi.json`, with the answers of the server itself |
//! | [`problem`] | RFC 9457 answers |
//! | [`request_id`] | one id per request, in its log lines, its answer and its problem document |

pub mod admin;
pub mod config;
pub mod descriptors;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod request_id;
pub mod retry_budget;
mod run;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod trace;

pub use run::{EXIT_CONFIG, EXIT_START, Failure, RUNTIME_CLOSE, run_main, with_sources};
