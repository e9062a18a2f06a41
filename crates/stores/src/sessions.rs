//! Sessions of web-session.

#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod store_url;

use std::time::Duration;

use tokio::time::timeout;
use web_session::store::{StoreError, StoreErrorKind};

pub use self::store_url::{OpenError, StoreEngine, StoreUrl, StoreUrlError};

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(1);

async fn bounded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let answer = timeout(LIMIT, call).await;
    answer.unwrap_or_else(|_| Err(away("no answer within 1 s")))
}

fn away(detail: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable).with_detail(detail)
}

/// A text as it stands in a URL. Letters, digits, `-`, `_`, `.` and what is `kept` stay.
fn percent_encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let letter = char::from(byte);
        if letter.is_ascii_alphanumeric() || "-_.".contains(letter) || kept.contains(letter) {
            encoded.push(letter);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
