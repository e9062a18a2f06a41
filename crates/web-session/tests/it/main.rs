//! The public API, against the development provider over loopback sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

mod app;
mod backchannel;
mod callbacks;
mod calls;
mod changing;
mod conformance;
mod guarding;
mod hosts;
mod id_tokens;
mod logins;
mod logouts;
mod readiness;
mod refreshing;
mod sessions;
mod stores;
mod unavailable;
