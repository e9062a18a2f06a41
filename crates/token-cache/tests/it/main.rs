//! The public API: the cache against a scripted source on paused time, the endpoint and the
//! middleware over real sockets.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod cache;
mod client_keys;
#[cfg(feature = "metrics")]
mod counters;
mod discovered;
mod endpoint;
mod examples;
mod extremes;
mod lifecycle;
mod logs;
mod middleware;
mod needs;
mod outage;
mod rejected;
mod rules;
mod runtimes;
mod script;
mod settings;
mod simulation;
mod stack;
mod telemetry;
#[cfg(feature = "tower")]
mod tower;
mod unending;
