//! Reads `WWW-Authenticate` (RFC 9110 section 11.6.1), as strictly as its writers deserve.

use http::{HeaderMap, header};

/// The errors of a Bearer challenge that say that another token would fare no better: RFC 6750 section 3.1 and
/// RFC 9470 section 3.
const NOT_THE_TOKEN: [&[u8]; 3] = [
    b"insufficient_scope",
    b"invalid_request",
    b"insufficient_user_authentication",
];

/// Tells whether a Bearer challenge says `error="invalid_token"` (RFC 6750 section 3.1).
#[must_use]
pub fn says_invalid_token(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::WWW_AUTHENTICATE).iter();
    values.any(|value| {
        parameters(value.as_bytes()).any(|parameter| {
            parameter.scheme.eq_ignore_ascii_case(b"Bearer")
                && parameter.name.eq_ignore_ascii_case(b"error")
                && parameter.value.eq_ignore_ascii_case(b"invalid_token")
        })
    })
}

/// Tells whether a refusal may be the token's fault: unless a Bearer challenge names an error that another token
/// would not mend. Resource servers that refuse a dead token write anything here, or nothing: a bare `Bearer`, the
/// challenge of another scheme, an error code of their own.
#[must_use]
pub fn rejects_token(headers: &HeaderMap) -> bool {
    let mut is_other_error = false;
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        for parameter in parameters(value.as_bytes()) {
            if !parameter.name.eq_ignore_ascii_case(b"error") {
                continue;
            }
            if parameter.value.eq_ignore_ascii_case(b"invalid_token") {
                return true;
            }
            let is_bearer = parameter.scheme.eq_ignore_ascii_case(b"Bearer");
            let is_other = |code: &[u8]| parameter.value.eq_ignore_ascii_case(code);
            is_other_error |= is_bearer && NOT_THE_TOKEN.iter().any(|code| is_other(code));
        }
    }
    !is_other_error
}

/// `name=value` in a challenge of `scheme`. Quotes are taken off, and what is escaped inside stays as it is.
struct Parameter<'a> {
    scheme: &'a [u8],
    name: &'a [u8],
    value: &'a [u8],
}

/// The parameters of all challenges in one field value. What separates them, commas or spaces, says nothing; a
/// word without `=` behind it is a scheme.
fn parameters(value: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    let mut scheme: &[u8] = b"";
    let mut rest = value;
    std::iter::from_fn(move || {
        loop {
            rest = without_separators(rest);
            if rest.is_empty() {
                return None;
            }
            let name;
            (name, rest) = word(rest);
            let Some(after) = rest.trim_ascii_start().strip_prefix(b"=") else {
                scheme = name;
                continue;
            };
            let text;
            (text, rest) = quoted_or_word(after.trim_ascii_start());
            return Some(Parameter {
                scheme,
                name,
                value: text,
            });
        }
    })
}

fn without_separators(text: &[u8]) -> &[u8] {
    let is_separator = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    let begin = text.iter().position(|byte| !is_separator(byte));
    &text[begin.unwrap_or(text.len())..]
}

/// Splits after a word. At least one byte is taken, so that a loop over the words comes to an end.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'=' | b'"');
    let end = text.iter().skip(1).position(is_end);
    text.split_at(end.map_or(text.len(), |end| end + 1))
}

/// Splits after a value. What is quoted ends at the next quote that is not escaped, or with the text.
fn quoted_or_word(text: &[u8]) -> (&[u8], &[u8]) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return match text.first() {
            Some(byte) if !byte.is_ascii_whitespace() && *byte != b',' => word(text),
            _ => (&[], text),
        };
    };
    let mut escaped = false;
    let end = quoted.iter().position(|byte| {
        let is_end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        is_end
    });
    match end {
        Some(end) => (&quoted[..end], &quoted[end + 1..]),
        None => (quoted, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn challenges(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.append(header::WWW_AUTHENTICATE, value);
        }
        headers
    }

    fn rejects(values: &[&[u8]]) -> bool {
        rejects_token(&challenges(values))
    }

    #[test]
    fn only_a_bearer_challenge_says_that_the_token_is_invalid() {
        for (value, expected) in [
            (r#"Bearer realm="x", error="invalid_token""#, true),
            ("bearer error=Invalid_Token", true),
            (r#"Basic realm="x", Bearer error="invalid_token""#, true),
            (r#"Bearer realm="x", Basic error="invalid_token""#, false),
            (r#"DPoP error="invalid_token""#, false),
            (r#"Bearer error="insufficient_scope""#, false),
            (r#"Bearer realm="error=invalid_token""#, false),
            (r#"Bearer error_description="invalid_token""#, false),
            ("Bearer", false),
            ("", false),
        ] {
            let headers = challenges(&[value.as_bytes()]);
            assert_eq!(says_invalid_token(&headers), expected, "{value}");
        }
        assert!(!says_invalid_token(&HeaderMap::new()), "no challenge");
        let two = challenges(&[b"Basic realm=\"x\"", b"Bearer error=\"invalid_token\""]);
        assert!(says_invalid_token(&two), "two fields");
    }

    /// C1, C3
    #[test]
    fn every_refusal_speaks_of_the_token_but_a_bearer_challenge_with_another_error() {
        for (name, value, expected) in [
            ("empty", "", true),
            ("a scheme alone", "Bearer", true),
            ("a realm alone", r#"Bearer realm="x""#, true),
            ("another scheme", r#"Basic realm="x""#, true),
            (
                "another scheme with a token68",
                "Negotiate oRQwEqADCgEB==",
                true,
            ),
            (
                "as in the RFC",
                r#"Bearer realm="x", error="invalid_token", error_description="expired""#,
                true,
            ),
            (
                "spaces for commas",
                r#"Bearer realm="x" error="invalid_token" scope="a b""#,
                true,
            ),
            ("unquoted", "bearer error=invalid_token", true),
            ("spaces around =", r#"Bearer error = "invalid_token""#, true),
            (
                "another scheme's error",
                r#"DPoP error="invalid_token""#,
                true,
            ),
            ("a code of its own", r#"Bearer error="token_expired""#, true),
            ("no code", r#"Bearer error="""#, true),
            ("a code without an end", r#"Bearer error=""#, true),
            (
                "one of two says so",
                r#"Bearer error="insufficient_scope", DPoP error="invalid_token""#,
                true,
            ),
            (
                "not Bearer's error",
                r#"Bearer realm="x", Basic error="insufficient_scope""#,
                true,
            ),
            (
                "scope",
                r#"Bearer error="insufficient_scope", scope="a""#,
                false,
            ),
            (
                "scope, spaces for commas",
                r#"Bearer realm="x" error="insufficient_scope" scope="a""#,
                false,
            ),
            (
                "scope, unquoted and in capitals",
                "BEARER ERROR=Insufficient_Scope",
                false,
            ),
            (
                "scope, no space after a comma",
                r#"Bearer realm="x",error="insufficient_scope""#,
                false,
            ),
            (
                "scope, after another scheme",
                r#"Basic realm="x", Bearer error="insufficient_scope""#,
                false,
            ),
            (
                "request",
                r#"Bearer realm="api", error="invalid_request", error_description="x""#,
                false,
            ),
            (
                "a step up",
                r#"Bearer error="insufficient_user_authentication", max_age="5""#,
                false,
            ),
            ("quoted", r#"Bearer realm="error=insufficient_scope""#, true),
            (
                "quoted and escaped",
                r#"Bearer realm="a, error=\"insufficient_scope\"""#,
                true,
            ),
            (
                "quoted, then meant",
                r#"Bearer realm="a \" error=x", error="insufficient_scope""#,
                false,
            ),
            (
                "quotes that do not fit",
                r#"Bearer realm="error="insufficient_scope"#,
                true,
            ),
            (
                "a description that quotes",
                r#"Bearer error_description="error=invalid_token", error="invalid_request""#,
                false,
            ),
            (
                "a name that ends so",
                r#"Bearer my_error="insufficient_scope""#,
                true,
            ),
        ] {
            assert_eq!(rejects(&[value.as_bytes()]), expected, "{name}: {value}");
        }
        assert!(rejects(&[]), "no challenge");
        let scope: &[u8] = br#"Bearer error="insufficient_scope""#;
        assert!(!rejects(&[br#"Basic realm="x""#, scope]), "two fields");
        let realm = b"Bearer realm=\"Z\xfcrich\", error=\"insufficient_scope\"";
        assert!(!rejects(&[realm]), "not ASCII");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_challenge_says_is_read_to_its_end(text in "[ -~]{0,60}") {
            let read = parameters(text.as_bytes()).count();
            assert!(read <= text.len());
        }
    }
}
