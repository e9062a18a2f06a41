//! The stores, over the engines themselves.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

mod house;
mod postgres;
mod redis;
mod replicas;
mod sqlite;
mod unavailable;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use web_session::SessionStore;
use web_session::store::Key;

/// Waits until a store answers: its first connection and its tables may take longer than a call on a loaded machine.
async fn answering(store: Arc<dyn SessionStore>) -> Arc<dyn SessionStore> {
    let answer = async { while store.load(&Key::new([0; 32])).await.is_err() {} };
    timeout(Duration::from_secs(20), answer).await.unwrap();
    store
}

/// Returns the URL of a server that tests need, or says that there is none.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the environment names the servers, and what did not run is said"
)]
fn server(variable: &str) -> Option<String> {
    let server = std::env::var(variable).ok();
    let server = server.filter(|value| !value.is_empty());
    if server.is_none() {
        eprintln!("{variable} is not set: did not run there");
    }
    server
}
