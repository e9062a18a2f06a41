//! How long the provider wants to be left alone.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use idp_http::Reply;

/// What large providers send with a 429 instead of `Retry-After`: when the count starts over.
const RESETS: [&str; 3] = ["x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset"];

/// More seconds than anybody asks to wait, and a Unix time of 2001.
const UNIX_TIMES: u64 = 1_000_000_000;

/// Returns what `Retry-After` asks for, or after a 429 without one what a reset header does.
pub(crate) fn asked_wait(reply: &Reply, now: SystemTime) -> Option<Duration> {
    let is_throttled = reply.status == StatusCode::TOO_MANY_REQUESTS;
    reply
        .retry_after(now)
        .or_else(|| is_throttled.then(|| reset(&reply.headers, now))?)
}

fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = RESETS.into_iter().find_map(|name| headers.get(name))?;
    let seconds: u64 = value.to_str().ok()?.trim().parse().ok()?;
    if seconds < UNIX_TIMES {
        return Some(Duration::from_secs(seconds));
    }
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(seconds).saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked(status: u16, headers: &[(&'static str, &'static str)]) -> Option<u64> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: bytes::Bytes::new(),
        };
        asked_wait(&reply, now).map(|wait| wait.as_secs())
    }

    /// A11, N32
    #[test]
    fn a_429_says_when_to_come_back_in_several_headers() {
        for (name, headers, expected) in [
            ("nothing", &[][..], None),
            ("seconds", &[("ratelimit-reset", "30")], Some(30)),
            (
                "Unix time",
                &[("x-rate-limit-reset", "2000000042")],
                Some(42),
            ),
            ("another name", &[("x-ratelimit-reset", " 7 ")], Some(7)),
            (
                "in the past",
                &[("x-ratelimit-reset", "1999999999")],
                Some(0),
            ),
            ("no number", &[("x-ratelimit-reset", "soon")], None),
            ("negative", &[("x-ratelimit-reset", "-1")], None),
            (
                "beside Retry-After",
                &[("retry-after", "3"), ("x-ratelimit-reset", "30")],
                Some(3),
            ),
        ] {
            assert_eq!(asked(429, headers), expected, "{name}");
        }
        // Many providers send them with every answer.
        assert_eq!(asked(503, &[("x-ratelimit-reset", "30")]), None);
        assert_eq!(asked(400, &[("x-ratelimit-reset", "30")]), None);
    }
}
