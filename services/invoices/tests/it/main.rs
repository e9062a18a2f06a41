//! The application over sockets, beside a development provider and protected-data.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod api;
mod browser;
mod calls;
mod configuration;
mod cookies;
mod events;
mod pages;
mod people;
mod processes;
mod public;
mod routes;
mod world;
