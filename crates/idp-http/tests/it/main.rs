//! The client against sockets that misbehave below HTTP, and against TLS that must not be trusted.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod tcp;
mod tls;
