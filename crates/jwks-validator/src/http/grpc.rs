//! Refusals in the form that gRPC clients read.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};

use crate::reason::ErrorResponse;

/// Tells whether a request is gRPC. A gRPC-Web client reads the status of HTTP and cannot read
/// trailers that stand in a header.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let Some((name, rest)) = value.as_bytes().split_at_checked(b"application/grpc".len()) else {
        return false;
    };
    // `application/grpc`, or that with a format (`+proto`) or a parameter (`; charset=utf-8`).
    name.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// Returns the trailers-only answer: the status stands in the only block of headers and there is no body,
/// whatever a gRPC client would read in one.
pub(super) fn response(answer: ErrorResponse) -> Response<&'static str> {
    let (status, message) = match answer {
        // A malformed credential is no credential: gRPC has no closer word.
        ErrorResponse::NoCredentials | ErrorResponse::InvalidRequest => {
            ("16", "a bearer token is required")
        }
        ErrorResponse::InvalidToken => ("16", "the access token is not valid"),
        ErrorResponse::InsufficientScope => ("7", "the access token lacks a required scope"),
        ErrorResponse::Unavailable => ("14", "tokens cannot be validated at the moment"),
        ErrorResponse::Internal => ("13", "internal error"),
    };
    let mut response = Response::new("");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(status));
    headers.insert("grpc-message", HeaderValue::from_static(message));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_grpc_web_and_from_names_that_begin_alike() {
        for (value, expected) in [
            ("application/grpc", true),
            ("Application/GRPC", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc ;a=b", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpc-web-text", false),
            ("application/grpcs", false),
            ("application/json", false),
            ("application/grp", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(is_grpc(&headers), expected, "{value:?}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
