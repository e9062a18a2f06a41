//! Which URLs may be asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    /// A proxy's URL that is neither https nor http.
    #[error("must be an http or https URL")]
    ProxyScheme,
    /// A path where none may be.
    #[error("must not contain a path")]
    Path,
    /// A private address, and the client was told to ask none.
    #[error("must not be a private address")]
    PrivateAddress,
    /// An https URL, but no root certificate was found on this system and none was given.
    #[error("needs trusted root certificates, and this system has none")]
    NoTrustRoots,
}

/// Tells whether the URL's host is `localhost` or a [loopback address](is_loopback_address).
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => is_loopback_address(address.into()),
        Some(Host::Ipv6(address)) => is_loopback_address(address.into()),
        None => false,
    }
}

/// Tells whether an address is in 127.0.0.0/8, also where that is written as an IPv6 address, or `::1`.
#[must_use]
pub fn is_loopback_address(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
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
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        _ => return is_loopback(url),
    };
    is_private_address(address)
}

/// Tells whether an address is not one of the public internet: private, loopback, link-local (cloud
/// metadata services among them), shared, multicast, reserved, or an IPv6 form of such an IPv4 one.
pub(crate) fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || embedded_v4(v6).is_some_and(is_private_v4)
        }
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_broadcast()
        || v4.is_documentation()
        || v4.is_multicast()
        // "This network" (RFC 791), shared with carriers (RFC 6598), protocol assignments
        // (RFC 6890), benchmarking (RFC 2544), reserved (RFC 1112).
        || a == 0
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18)
        || a >= 240
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, 6to4 (RFC 3056) or NAT64
/// (RFC 6052).
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(from(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
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
            ("https://100.64.0.1/", true),
            ("https://198.19.0.1/", true),
            ("https://255.255.255.255/", true),
            ("https://[::127.0.0.1]/", true),
            ("https://[64:ff9b::a9fe:a9fe]/", true),
            ("https://[2002:7f00:1::]/", true),
            ("https://[ff02::1]/", true),
            ("https://[2606:4700::1]/", false),
            ("https://[::ffff:93.184.216.34]/", false),
            ("https://100.128.0.1/", false),
            ("https://localhost/", true),
            ("https://idp.example/", false),
            ("https://93.184.216.34/", false),
        ] {
            assert_eq!(is_private(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
