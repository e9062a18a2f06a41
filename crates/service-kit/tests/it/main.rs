//! The public API of `service-kit`.
#![expect(clippy::unwrap_used, reason = "a test panics where it breaks")]

mod drain;
mod gate;
mod health;
mod hostile;
mod limits;
mod load;
mod peer;
mod request_id;
