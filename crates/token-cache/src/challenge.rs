//! Reads `WWW-Authenticate` (RFC 9110 section 11.6.1).

use http::{HeaderMap, header};

/// Tells whether a 401 speaks of the bearer token that was sent: it carries a Bearer challenge with
/// `error="invalid_token"` (RFC 6750 section 3.1), or no challenge at all.
pub(crate) fn rejects_token(headers: &HeaderMap) -> bool {
    let mut challenged = false;
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        challenged = true;
        if value.to_str().is_ok_and(has_invalid_token) {
            return true;
        }
    }
    !challenged
}

fn has_invalid_token(value: &str) -> bool {
    let mut bearer = false;
    for piece in split_outside_quotes(value) {
        let piece = piece.trim();
        // A piece is `scheme`, `scheme param=value` or `param=value`; only a scheme is followed by a
        // space before any `=`.
        let head = piece.split('=').next().unwrap_or_default();
        let parameter = match head.trim_end().split_once(' ') {
            Some((scheme, _)) => {
                bearer = scheme.eq_ignore_ascii_case("Bearer");
                piece.get(scheme.len()..).unwrap_or_default().trim_start()
            }
            None if !piece.contains('=') => {
                bearer = piece.eq_ignore_ascii_case("Bearer");
                continue;
            }
            None => piece,
        };
        if let Some((name, text)) = parameter.split_once('=')
            && bearer
            && name.trim().eq_ignore_ascii_case("error")
            && text.trim().trim_matches('"') == "invalid_token"
        {
            return true;
        }
    }
    false
}

/// Splits at commas that are not inside a quoted string.
fn split_outside_quotes(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |c| {
        if escaped {
            escaped = false;
            return false;
        }
        match c {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// C1, C3
    #[test]
    fn only_bearer_invalid_token_or_silence_speaks_of_our_token() {
        for (values, expected) in [
            (&[][..], true),
            (
                &[r#"Bearer realm="x", error="invalid_token", error_description="expired""#][..],
                true,
            ),
            (&["bearer error=invalid_token"][..], true),
            (&["Bearer error = \"invalid_token\""][..], true),
            (
                &[r#"Basic realm="x", Bearer realm="y", error="invalid_token""#][..],
                true,
            ),
            (
                &[r#"Basic realm="x""#, r#"Bearer error="invalid_token""#][..],
                true,
            ),
            (&[r#"Bearer realm="x""#][..], false),
            (&["Bearer"][..], false),
            (&[r#"Basic realm="x""#][..], false),
            (&["Negotiate"][..], false),
            (&[r#"DPoP error="invalid_token""#][..], false),
            (
                &[r#"Bearer realm="x", Basic error="invalid_token""#][..],
                false,
            ),
            (&[r#"Bearer error="insufficient_scope""#][..], false),
            (&[r#"Bearer realm="a, error=\"invalid_token\"""#][..], false),
            (&[r#"Bearer realm="error="invalid_token"#][..], false),
            (&[""][..], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_str(value).unwrap(),
                );
            }
            assert_eq!(rejects_token(&headers), expected, "{values:?}");
        }
    }
}
