//! `m2m` against the embedded provider and the running pair.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod healthy;
mod inspecting;
mod logs;
mod misconfigured;
mod people;
mod program;
mod providers;
mod refusals;
mod scenario;
mod tls;
mod tokens;
mod unusable;
mod watching;
mod world;
