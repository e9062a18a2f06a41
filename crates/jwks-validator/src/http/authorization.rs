//! The `Authorization` header of a request, and the characters of a token.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Uri};

use crate::reason::Reason;

/// Returns the header that carries the request's only bearer token.
pub(super) fn header<'r>(headers: &'r HeaderMap, uri: &Uri) -> Result<&'r HeaderValue, Reason> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        // A token in the query alone is as good as none: it has been in logs and histories.
        (None, _) => return Err(Reason::NoCredentials),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(Reason::RepeatedAuthorization),
    };
    if uri.query().is_some_and(carries_token) {
        return Err(Reason::TokenInQuery);
    }
    Ok(value)
}

/// Returns what follows `Bearer` and a space; whether it is a [`token`] remains to be seen.
pub(super) fn credentials(value: &HeaderValue) -> Result<&[u8], Reason> {
    // Scheme names compare without letter case (RFC 9110 section 11.1).
    let is_bearer = |scheme: &[u8]| scheme.eq_ignore_ascii_case(b"Bearer");
    let bytes = value.as_bytes();
    if let Some((scheme, [b' ', credentials @ ..])) = bytes.split_at_checked(b"Bearer".len())
        && is_bearer(scheme)
    {
        return Ok(credentials);
    }
    let mut parts = bytes.split(|byte| !is_name_byte(*byte));
    match parts.next() {
        Some(scheme) if !scheme.is_empty() && !is_bearer(scheme) => Err(Reason::OtherScheme),
        _ => Err(Reason::MalformedAuthorization),
    }
}

/// Returns credentials that are one b64token (RFC 6750 section 2.1).
pub(super) fn token(credentials: &[u8]) -> Option<&str> {
    std::str::from_utf8(credentials)
        .ok()
        .filter(|_| is_b64token(credentials))
}

fn carries_token(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token")
}

/// Tells whether schemes, and cookies, have this in their names (RFC 9110 section 5.6.2).
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_b64token(bytes: &[u8]) -> bool {
    let body = bytes
        .iter()
        .rposition(|byte| *byte != b'=')
        .map_or(0, |last| last + 1);
    // Every byte is looked at, without a branch: the compiler then takes many at once, and a token's
    // bytes are as good as random to a branch predictor.
    let all = |all: bool, byte: &u8| all & is_token_byte(*byte);
    body > 0 && bytes[..body].iter().fold(true, all)
}

/// A letter, a digit or one of `-._~+/` (RFC 6750 section 2.1).
const fn is_token_byte(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits follow each other.
    let is_digit_or_near = byte.wrapping_sub(b'-') < 13;
    is_letter | is_digit_or_near | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_byte_is_what_the_grammar_lists() {
        for byte in u8::MIN..=u8::MAX {
            let listed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_token_byte(byte), listed, "{byte:#04x}");
        }
    }
}
