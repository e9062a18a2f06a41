//! The public API, against the development provider over loopback sockets.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod app;
mod backchannel;
mod callbacks;
mod changing;
mod guarding;
mod hosts;
mod id_tokens;
mod logins;
mod logouts;
mod refreshing;
mod sessions;
mod stores;
mod unavailable;
