//! Which URLs may be asked.

use std::net::IpAddr;

use url::{Host, Url};

/// Why a URL may not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// The text is not an absolute URL.
    #[error("not an absolute URL")]
    Syntax,
    /// Neither https, nor http to a loopback address.
    #[error("must be https (http is accepted for loopback addresses only)")]
    Scheme,
    /// A user name or password stands in the URL.
    #[error("must not contain a user name or password")]
    Credentials,
    /// The URL has a fragment.
    #[error("must not contain a fragment")]
    Fragment,
    /// The URL has a query where none may be, as in an issuer (RFC 8414 section 2).
    #[error("must not contain a query")]
    Query,
    /// An https URL, but no root certificate was found on this system and none was given.
    #[error("needs trusted root certificates, and this system has none")]
    NoTrustRoots,
}

/// Tells whether the URL's host is `localhost`, an address in 127.0.0.0/8, or `::1`.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(crate) fn check(url: &Url, allow_http: bool) -> Result<(), UrlProblem> {
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(url) => {}
        _ => return Err(UrlProblem::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlProblem::Credentials);
    }
    if url.fragment().is_some() {
        return Err(UrlProblem::Fragment);
    }
    Ok(())
}

/// Tells whether the URL names an address that is reachable from inside a network only.
pub(crate) fn is_private(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => address
            .to_ipv4_mapped()
            .map_or(IpAddr::V6(address), IpAddr::V4),
        _ => return is_loopback(url),
    };
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A30, D25
    #[test]
    fn only_https_and_loopback_http_pass() {
        for (url, expected) in [
            ("https://idp.example/token", Ok(())),
            ("http://127.0.0.1:6003/token", Ok(())),
            ("http://127.8.9.1/token", Ok(())),
            ("http://[::1]:6003/token", Ok(())),
            ("http://localhost:6003/token", Ok(())),
            ("http://idp.example/token", Err(UrlProblem::Scheme)),
            ("http://localhost.evil.example/", Err(UrlProblem::Scheme)),
            ("http://127.0.0.1.evil.example/", Err(UrlProblem::Scheme)),
            ("http://169.254.169.254/latest", Err(UrlProblem::Scheme)),
            ("file:///etc/passwd", Err(UrlProblem::Scheme)),
            ("ftp://idp.example/", Err(UrlProblem::Scheme)),
            ("https://user@idp.example/", Err(UrlProblem::Credentials)),
            ("https://:pw@idp.example/", Err(UrlProblem::Credentials)),
            ("https://idp.example/#f", Err(UrlProblem::Fragment)),
        ] {
            assert_eq!(check(&url.parse().unwrap(), false), expected, "{url}");
        }
        assert_eq!(check(&"http://idp.example/".parse().unwrap(), true), Ok(()));
    }

    /// D25
    #[test]
    fn private_addresses_are_known_in_every_spelling() {
        for (url, expected) in [
            ("https://10.0.0.1/", true),
            ("https://192.168.1.1/", true),
            ("https://169.254.169.254/", true),
            ("https://[::ffff:169.254.169.254]/", true),
            ("https://0x7f.1/", true),
            ("https://[fd00::1]/", true),
            ("https://[fe80::1]/", true),
            ("https://0.0.0.0/", true),
            ("https://localhost/", true),
            ("https://idp.example/", false),
            ("https://93.184.216.34/", false),
        ] {
            assert_eq!(is_private(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
