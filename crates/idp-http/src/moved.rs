//! Whether an endpoint is where the metadata said.

use http::StatusCode;
use serde_json::Value;

use crate::error::{FetchError, FetchErrorKind};
use crate::json;
use crate::reply::Reply;

/// Tells whether an endpoint may be elsewhere by now, from an exchange with it that was of no use: nobody is
/// where it was, or something else is. Then its metadata should be read again
/// ([`Discovery::forget`](crate::Discovery::forget)).
///
/// An endpoint that answers as such, is too slow to, or wants to be left alone (408, 425, 429, 5xx) has not
/// moved, and its metadata may be the next thing to fail. 401 and 403 are its own too. `own` are the members of
/// which every other answer of the endpoint has one.
#[must_use]
pub fn may_have_moved(exchange: Result<&Reply, &FetchError>, own: &[&str]) -> bool {
    match exchange {
        Ok(reply) if reply.is_overloaded() || is_about_access(reply.status) => false,
        // Web servers and frameworks have JSON for paths and methods that they do not know.
        Ok(reply) => is_of_no_endpoint(reply.status) || !has_one_of(reply, own),
        Err(error) => !matches!(
            error.kind(),
            FetchErrorKind::Timeout | FetchErrorKind::Truncated
        ),
    }
}

fn is_about_access(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

fn is_of_no_endpoint(status: StatusCode) -> bool {
    status.is_redirection()
        || matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE
        )
}

fn has_one_of(reply: &Reply, own: &[&str]) -> bool {
    match json::from_slice(&reply.body) {
        Ok(Value::Object(members)) => own.iter().any(|name| members.contains_key(*name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;

    /// N33
    #[test]
    fn an_endpoint_has_moved_where_nobody_or_something_else_answers() {
        for (status, body, expected) in [
            (200, r#"{"keys":[]}"#, false),
            (200, r#"{"message":"gone"}"#, true),
            (200, "<html>", true),
            (200, "", true),
            (204, "", true),
            (400, r#"{"error":"invalid_scope"}"#, false),
            (400, "<html>", true),
            (401, "", false),
            (403, "<html>", false),
            (302, "", true),
            (404, "", true),
            (404, r#"{"error":"Not Found"}"#, true),
            (405, r#"{"error":"Method Not Allowed"}"#, true),
            (408, "", false),
            (429, "", false),
            (429, "<html>", false),
            (500, "", false),
            (503, "<html>", false),
        ] {
            let reply = Reply {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
            };
            let moved = may_have_moved(Ok(&reply), &["keys", "error"]);
            assert_eq!(moved, expected, "{status} {body}");
        }
        for (kind, expected) in [
            (FetchErrorKind::Connect, true),
            (FetchErrorKind::Dns, true),
            (FetchErrorKind::Tls, true),
            (FetchErrorKind::PrivateAddress, true),
            (FetchErrorKind::TooLarge, true),
            (FetchErrorKind::Timeout, false),
            (FetchErrorKind::Truncated, false),
        ] {
            let error = FetchError::new(kind);
            assert_eq!(may_have_moved(Err(&error), &[]), expected, "{kind:?}");
        }
    }
}
