//! The client against sockets that misbehave below HTTP and TLS that must not be trusted, and discovery
//! over a socket.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic where they break"
)]

mod discovery;
mod tcp;
mod tls;
