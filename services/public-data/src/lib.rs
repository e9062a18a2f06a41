//! The upstream service: answers `GET /api/public/data` with its own words and those of
//! protected-data, which it calls with a client-credentials token.
//!
//! [`app`] is the router, [`Service`] puts it on a socket with its token cache, [`Config`] reads the
//! variables.

mod advice;
mod api;
mod call_stats;
mod config;
mod downstream;
mod forwarded;
mod openapi;
mod record;
mod refusal;
mod service;
mod status;
mod test_request;
mod timing;

pub use advice::advice;
pub use api::{AppState, app};
pub use config::{AUTH_METHODS, Attaching, ClientKeys, Config, TokenSettings};
pub use downstream::{Downstream, DownstreamError, DownstreamSetupError};
pub use openapi::openapi;
pub use refusal::Refusal;
pub use service::{Service, StartError};
