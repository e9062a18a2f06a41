//! The upstream service: answers `GET /api/public/data` with its own words and those of
//! protected-data, which it calls with a client-credentials token.
//!
//! [`app`] is the router, [`Service`] puts it on a socket with its token cache, [`Config`] reads the
//! variables.

mod api;
mod budget;
mod config;
mod downstream;
mod forwarded;
mod service;

pub use api::{AppState, app};
pub use config::Config;
pub use downstream::{Downstream, DownstreamError, DownstreamSetupError};
pub use service::{Service, StartError};
