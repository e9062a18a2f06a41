//! A complete answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use crate::backoff::Answer;

/// The shortest wait that a `Retry-After` can ask for.
pub const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest wait that a `Retry-After` can ask for; a typing error at the provider must not turn
/// its clients off for a week.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// A complete answer of any status. `Debug` leaves the body out: it may hold a token.
#[derive(Clone)]
pub struct Reply {
    /// The status code; 3xx is not followed.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body, at most as long as the caller allowed.
    pub body: Bytes,
}

/// Returns the wait that `Retry-After` asks for, clamped to 1 s – 5 min.
///
/// Takes seconds or an HTTP date (RFC 9110 section 10.2.3); a date in the past gives 1 s, and
/// anything else `None`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        httpdate::parse_http_date(value)
            .ok()?
            .duration_since(now)
            .unwrap_or(MIN_RETRY_AFTER)
    };
    Some(asked.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER))
}

/// Returns a wait as a `Retry-After` of one's own says it: in whole seconds, rounded up, at least 1 (RFC 9110
/// section 10.2.3). Rounded down, who obeys it would come too early and be refused once more.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(begun).max(1)
}

impl Reply {
    /// Returns the wait that `Retry-After` asks for, as [`retry_after`] does.
    #[must_use]
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        retry_after(&self.headers, now)
    }

    /// Returns when the answer was made by the provider's clock, to the second (RFC 9110
    /// section 6.6.1), or `None` without a readable `Date`.
    #[must_use]
    pub fn date(&self) -> Option<SystemTime> {
        let value = self.headers.get(header::DATE)?.to_str().ok()?;
        httpdate::parse_http_date(value).ok()
    }

    /// Tells whether the content type is HTML, as a captive portal or a login page sends it.
    #[must_use]
    pub fn is_html(&self) -> bool {
        let Some(value) = self.headers.get(header::CONTENT_TYPE) else {
            return false;
        };
        let essence = value
            .to_str()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        matches!(
            essence.trim().to_ascii_lowercase().as_str(),
            "text/html" | "application/xhtml+xml"
        )
    }

    /// Returns what this answer means for the next attempt, when it was not the one asked for.
    ///
    /// A 1xx, 2xx or 304 that could not be used is [`Answer::None`], because what answered is likely
    /// not the provider; everything else is [`Answer::Unusable`]. Whether it is
    /// [`Answer::Refused`] only the body can say.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self.status.as_u16() {
            100..=299 | 304 => Answer::None,
            _ => Answer::Unusable,
        }
    }

    /// Tells whether the provider says that it cannot serve now: 408, 425, 429 or 5xx.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 425 | 429 | 500..=599)
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::time::UNIX_EPOCH;

    fn reply(name: header::HeaderName, value: &[u8]) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        Reply {
            status: StatusCode::SERVICE_UNAVAILABLE,
            headers,
            body: Bytes::new(),
        }
    }

    /// A11
    #[test]
    fn retry_after_is_read_in_both_forms_and_clamped() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("0", Some(1)),
            ("1000000000000", Some(300)),
            ("99999999999999999999999999", Some(300)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(1)),
            ("Sat, 06 Nov 2094 08:49:00 GMT", Some(300)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let got = reply(header::RETRY_AFTER, value.as_bytes()).retry_after(now);
            assert_eq!(got, expected.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(reply(header::RETRY_AFTER, b"\xff").retry_after(now), None);
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_never_too_short_and_never_zero() {
        for (wait, expected) in [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(1), 1),
            (Duration::from_nanos(1_000_000_001), 2),
            (Duration::from_millis(2_999), 3),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(whole_seconds(wait), expected, "{wait:?}");
        }
    }

    #[test]
    fn html_is_recognised_by_its_essence() {
        for (value, expected) in [
            ("text/html", true),
            ("Text/HTML; charset=utf-8", true),
            ("application/json", false),
            ("application/jwk-set+json", false),
        ] {
            assert_eq!(
                reply(header::CONTENT_TYPE, value.as_bytes()).is_html(),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn debug_leaves_the_body_out() {
        let mut reply = reply(header::CONTENT_TYPE, b"application/json");
        reply.body = Bytes::from_static(b"canary");
        assert!(!format!("{reply:?}").contains("canary"));
    }
}
