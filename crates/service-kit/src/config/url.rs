//! URLs of servers that tokens or secrets are sent to.

use ::url::Url;
use idp_http::is_loopback;

use super::Reader;

/// Completes "NAME: must be …" for [`with_query`].
const WITH_QUERY_FORM: &str = "an absolute https URL without user and fragment (http is taken for loopback \
                               addresses, or with ALLOW_INSECURE_HTTP=true)";

/// Completes "NAME: must be …" for [`endpoint`].
pub(super) const ENDPOINT_FORM: &str = "an absolute https URL without user, query and fragment (http is \
                                        taken for loopback addresses, or with ALLOW_INSECURE_HTTP=true)";

impl Reader<'_> {
    /// Reads the URL of a server that is called: absolute, without user, query and fragment, and
    /// `https`; `http` is taken when the host is loopback (127.0.0.0/8, ::1, `localhost`) or when
    /// `allow_insecure_http` is set.
    pub fn endpoint(&mut self, name: &str, allow_insecure_http: bool) -> Option<Url> {
        self.parse(name, ENDPOINT_FORM, |value| {
            endpoint(value, allow_insecure_http)
        })
    }

    /// The same, but a query may be part of the address (RFC 6749 section 3.2).
    pub fn endpoint_with_query(&mut self, name: &str, allow_insecure_http: bool) -> Option<Url> {
        self.parse(name, WITH_QUERY_FORM, |value| {
            with_query(value, allow_insecure_http)
        })
    }
}

pub(super) fn endpoint(value: &str, allow_insecure_http: bool) -> Option<Url> {
    with_query(value, allow_insecure_http).filter(|url| url.query().is_none())
}

fn with_query(value: &str, allow_insecure_http: bool) -> Option<Url> {
    // The parser silently drops or rewrites these; the address would differ from the one written.
    if value
        .bytes()
        .any(|byte| byte.is_ascii_control() || byte == b' ' || byte == b'\\')
    {
        return None;
    }
    let url = Url::parse(value).ok()?;
    let scheme_is_good = match url.scheme() {
        "https" => true,
        "http" => allow_insecure_http || is_loopback(&url),
        _ => false,
    };
    // `has_host` alone: "https:///x" and "https:x" are repaired by the parser.
    let is_absolute = value
        .get(url.scheme().len()..)
        .is_some_and(|rest| rest.starts_with("://") && !rest.starts_with(":///"));
    // An empty user is lost in the parsed URL, so the text is asked: `https://@host`.
    let has_user = value
        .split('/')
        .nth(2)
        .is_some_and(|authority| authority.contains('@'));
    let is_plain = !has_user && url.fragment().is_none();
    (scheme_is_good && is_absolute && is_plain && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H3
    #[test]
    fn an_endpoint_is_https_or_loopback() {
        for (value, secure, insecure) in [
            ("https://idp.example/x", true, true),
            ("https://idp.example:8443", true, true),
            ("http://127.0.0.1:6003", true, true),
            ("http://127.8.9.1", true, true),
            ("http://[::1]:1", true, true),
            ("http://localhost:6003/", true, true),
            ("http://idp.example", false, true),
            ("http://localhost.example", false, true),
            ("http://10.0.0.1", false, true),
            ("ftp://127.0.0.1", false, false),
            ("idp.example", false, false),
            ("https:idp.example", false, false),
            ("https:///idp.example", false, false),
            ("https://", false, false),
            ("https://user@idp.example", false, false),
            ("https://@idp.example", false, false),
            ("https://user:pass@idp.example", false, false),
            ("https://idp.example?x=1", false, false),
            ("https://idp.example?", false, false),
            ("https://idp.example#", false, false),
            (" https://idp.example", false, false),
            ("https://idp.example\t", false, false),
            ("https:\\\\idp.example", false, false),
        ] {
            assert_eq!(endpoint(value, false).is_some(), secure, "{value:?}");
            assert_eq!(
                endpoint(value, true).is_some(),
                insecure,
                "{value:?} insecure"
            );
            let has_query = value.contains('?');
            assert_eq!(
                with_query(value, true).is_some(),
                insecure || has_query,
                "{value:?} with a query"
            );
        }
    }
}
