//! Which requests may carry the token.

use url::Url;

use crate::error::ConfigError;

/// Scheme, host and port, as URL parsing leaves them: lower case, IDN as punycode, default ports
/// filled in. Two spellings that parse to different hosts (a trailing dot, say) are different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// `allow_http` admits http to hosts that are not loopback. A problem is one of `setting`.
    pub(crate) fn parse(
        setting: &'static str,
        text: &str,
        allow_http: bool,
    ) -> Result<Self, ConfigError> {
        let problem = |text| ConfigError::new(setting, text);
        let url = Url::parse(text).map_err(|_| problem("must be an absolute URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if allow_http || idp_http::is_loopback(&url) => {}
            _ => {
                return Err(problem(
                    "must be https (http is accepted for loopback addresses only)",
                ));
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(problem("must not contain a user name or password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(problem(
                "must be scheme, host and port only: an origin is meant as a whole",
            ));
        }
        Self::of(&url).ok_or_else(|| problem("must have a host"))
    }

    fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    #[cfg(any(test, feature = "reqwest-middleware"))]
    pub(crate) fn covers(&self, url: &Url) -> bool {
        self.scheme == url.scheme()
            && Some(self.host.as_str()) == url.host_str()
            && Some(self.port) == url.port_or_known_default()
    }

    /// The same for a URI, without the allocation that parsing it as a URL takes. Spellings of a host
    /// that only URL parsing makes equal, such as `127.1`, are not covered.
    #[cfg(feature = "tower")]
    pub(crate) fn covers_uri(&self, uri: &http::Uri) -> bool {
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return false;
        };
        // `Uri::port` takes a port that is out of range for none at all.
        let place = authority.as_str();
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let port = match place.strip_prefix(authority.host()) {
            Some("" | ":") => match self.scheme.as_str() {
                "https" => Some(443),
                _ => Some(80),
            },
            Some(port) => port.strip_prefix(':').and_then(|port| port.parse().ok()),
            None => None,
        };
        self.scheme.eq_ignore_ascii_case(scheme)
            && self.host.eq_ignore_ascii_case(authority.host())
            && port == Some(self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C8
    #[test]
    fn an_origin_covers_exactly_its_scheme_host_and_port() {
        for (origin, url, expected) in [
            ("https://api.example", "https://api.example/a?b#c", true),
            ("https://api.example", "https://API.example:443/a", true),
            (
                "https://api.example:8443",
                "https://api.example:8443/",
                true,
            ),
            (
                "https://bücher.example",
                "https://xn--bcher-kva.example/",
                true,
            ),
            ("http://[::1]:6002", "http://[0:0:0:0:0:0:0:1]:6002/", true),
            ("https://api.example", "http://api.example/", false),
            ("https://api.example", "https://api.example:8443/", false),
            ("https://api.example", "https://api.example./", false),
            (
                "https://api.example",
                "https://api.example@evil.example/",
                false,
            ),
            (
                "https://api.example",
                "https://api.example.evil.example/",
                false,
            ),
            (
                "https://api.example",
                "https://evil.example/api.example",
                false,
            ),
            ("https://api.example", "https://xapi.example/", false),
            ("http://127.0.0.1:6002", "http://127.0.0.1:6003/", false),
            (
                "http://127.0.0.1:6002",
                "http://127.0.0.1.evil.example:6002/",
                false,
            ),
            ("http://127.0.0.1:6002", "http://localhost:6002/", false),
        ] {
            let origin_parsed = Origin::parse("allow_origin", origin, false).unwrap();
            assert_eq!(
                origin_parsed.covers(&url.parse().unwrap()),
                expected,
                "{origin} and {url}"
            );
        }
    }

    /// C9
    #[test]
    fn origins_are_https_or_loopback_and_nothing_more() {
        for text in [
            "http://api.example",
            "ftp://api.example",
            "api.example",
            "https://api.example/v1",
            "https://api.example?x",
            "https://user@api.example",
        ] {
            assert!(
                Origin::parse("allow_origin", text, false).is_err(),
                "{text}"
            );
        }
        assert!(Origin::parse("allow_origin", "http://api.example", true).is_ok());
        assert!(Origin::parse("allow_origin", "http://127.0.0.1:6002/", false).is_ok());
    }
}
