//! The public API, with key sources in memory and over loopback HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that cannot go on is a failed test"
)]

#[cfg(feature = "jwks-client-rs")]
mod adapter;
mod admitting;
mod answers;
mod asking;
mod authenticating;
mod checked;
mod claims;
mod configuration;
mod contention;
mod corpus;
#[cfg(feature = "metrics")]
mod counters;
mod differential;
mod entity_tags;
mod exhaustive;
mod explaining;
mod fake_source;
mod forged;
mod frozen;
#[path = "../../fuzz/src/targets/mod.rs"]
mod fuzz_targets;
mod generator;
mod grpc;
mod held_off;
mod kept_connections;
mod key_sets;
mod malformed;
mod messages;
mod operating;
mod optional;
mod outliving;
mod plain_tower;
mod providers;
mod reference;
mod refreshing;
mod remote;
mod reporting;
mod resource;
mod revocation;
mod runtimes;
mod scopes;
mod signatures;
mod signer;
mod simulation;
mod single_keys;
mod spoken;
mod strangers;
mod symmetric;
mod token_from;
mod unknown_keys;
mod verified_cache;
