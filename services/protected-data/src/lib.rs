//! The downstream service: `GET /api/protected/data` for callers with a valid bearer token.
//!
//! [`app`] is the router, [`Service`] puts it on a socket with its key cache, [`Config`] reads the
//! variables.

mod advice;
mod api;
mod config;
mod decisions;
mod openapi;
mod record;
mod service;
mod status;

pub use advice::{advice_on_keys, advice_on_refusal};
pub use api::{AppState, DATA_PATH, app};
pub use config::Config;
pub use decisions::Decisions;
pub use openapi::openapi;
pub use service::{Service, StartError};
