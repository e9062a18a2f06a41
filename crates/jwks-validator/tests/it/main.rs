//! The public API, with key sources in memory and over loopback HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that cannot go on is a failed test"
)]

#[cfg(feature = "jwks-client-rs")]
mod adapter;
mod answers;
mod claims;
mod configuration;
mod exhaustive;
mod fake_source;
mod forged;
mod key_sets;
mod refreshing;
mod remembered;
mod remote;
mod signer;
