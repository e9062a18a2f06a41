//! The headers of an inbound request that go on to protected-data: two identifiers, if they are well-formed.
//!
//! An allow-list, because everything else (credentials, hop-by-hop fields, forwarding claims) is the
//! business of the two ends of one connection. Behind [`Server`](service_kit::server::Server) there always is
//! a request id.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use service_kit::request_id::{REQUEST_ID, is_request_id};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Returns copies of the headers to send on. A header that stands there twice is not sent on. Behind
/// [`Server`](service_kit::server::Server) there always is a request id.
pub(crate) fn forwarded(inbound: &HeaderMap) -> HeaderMap {
    let mut outbound = HeaderMap::new();
    for (name, is_valid) in [
        (TRACEPARENT, is_traceparent as fn(&[u8]) -> bool),
        (REQUEST_ID, is_request_id),
    ] {
        let mut values = inbound.get_all(&name).iter();
        if let (Some(value), None) = (values.next(), values.next())
            && is_valid(HeaderValue::as_bytes(value))
            // A clone would keep the buffer that the whole request was read into.
            && let Ok(copy) = HeaderValue::from_bytes(value.as_bytes())
        {
            outbound.insert(name, copy);
        }
    }
    outbound
}

/// Version 00 of W3C Trace Context section 3.2: `00-TRACE-PARENT-FLAGS`, lower-case hex, ids not zero.
fn is_traceparent(value: &[u8]) -> bool {
    let mut parts = value.split(|byte| *byte == b'-');
    let mut hex = |length: usize| {
        let part = parts.next().unwrap_or_default();
        let is_hex = part
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (part.len() == length && is_hex).then_some(part)
    };
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    hex(2).is_some_and(|version| version == b"00")
        && hex(32).is_some_and(|trace| !is_zero(trace))
        && hex(16).is_some_and(|parent| !is_zero(parent))
        && hex(2).is_some()
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// C10, C11
    #[test]
    fn only_well_formed_identifiers_go_on() {
        let zero_trace = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        let long_id = "x".repeat(129);
        for (name, value, expected) in [
            ("traceparent", TRACE, true),
            ("x-request-id", "7f1c-42:a/b_c.d+e=", true),
            ("traceparent", &TRACE.to_uppercase(), false),
            ("traceparent", &TRACE.replacen("00", "01", 1), false),
            ("traceparent", &zero_trace, false),
            ("traceparent", &format!("{TRACE}-x"), false),
            ("traceparent", "", false),
            ("x-request-id", "", false),
            ("x-request-id", "a b", false),
            ("x-request-id", "a,b", false),
            ("x-request-id", &long_id, false),
            ("authorization", "Bearer x", false),
            ("cookie", "a=b", false),
            ("connection", "close", false),
            ("transfer-encoding", "chunked", false),
            ("te", "trailers", false),
            ("upgrade", "h2c", false),
            ("x-forwarded-for", "1.2.3.4", false),
            ("host", "evil.example", false),
        ] {
            let mut inbound = HeaderMap::new();
            inbound.insert(HeaderName::from_static(name), value.parse().unwrap());
            assert_eq!(
                forwarded(&inbound).len(),
                usize::from(expected),
                "{name}: {value}"
            );
        }
        let mut twice = HeaderMap::new();
        twice.append(TRACEPARENT, TRACE.parse().unwrap());
        twice.append(TRACEPARENT, TRACE.parse().unwrap());
        assert!(forwarded(&twice).is_empty());
    }
}
