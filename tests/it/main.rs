//! The whole path over real sockets: identity provider, protected-data and public-data.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod accepting;
mod client_certificate;
mod coverage;
mod deploy;
mod documents;
mod downstream;
mod examples;
mod interop;
mod launcher;
mod openapi;
mod outages;
mod path;
mod plant;
mod problems;
mod processes;
mod program;
mod request_ids;
mod restarts;
mod runbook;
mod secrets;
mod starting;
mod states;
mod status;
mod strain;
mod supply_chain;
mod survival;
mod time;
mod tree;
mod world;
