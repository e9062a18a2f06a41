//! The addresses that people see, and what the `Host` of a request must be.

use std::fmt;

use http::{HeaderMap, Method, Uri, header};
use url::{Host, Url};

use crate::fetch_metadata::{Purpose, purpose};
use crate::tenancy::TenantName;

/// The origin that people see: one for all, or one per tenant.
#[derive(Clone, Debug)]
pub(crate) struct PublicUrl {
    scheme: &'static str,
    /// Without the tenant's label; in lower case, with the port where it is not the scheme's own.
    host: String,
    per_tenant: bool,
    is_loopback: bool,
    port: u16,
}

/// Why a text is no public address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicUrlError {
    /// It is no URL with a host.
    #[error("expected an origin such as https://app.example")]
    Syntax,
    /// It has a path, a query, credentials or a fragment.
    #[error("expected an origin, without a path")]
    NotAnOrigin,
    /// It is http, and not of this machine.
    #[error("expected https, or http on localhost")]
    Insecure,
    /// The placeholder is not the first label of the host.
    #[error("expected {{tenant_name}}. at the beginning of the host, or nowhere")]
    Placeholder,
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Our own origin, and the tenant whose it is.
    Own(Origin, Option<TenantName>),
    /// The host without the tenant's label: the home page and logins alone.
    Apex(Origin),
    /// Another name of this machine: the request is made again there.
    Elsewhere(String),
    /// Two `Host` fields.
    Repeated,
    /// Not ours.
    Foreign,
}

/// Reads an origin: scheme, host and, unless it is the default, port, spelled as browsers do.
pub(crate) fn url_of_origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (url.origin().ascii_serialization() == text).then_some(url)
}

/// Our own origin, as the browser has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}

impl Origin {
    /// Returns an address of ours; `path` begins with a slash.
    pub(crate) fn with(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

const PLACEHOLDERS: [&str; 2] = ["{tenant_name}.", "{tenant_domain}."];

impl PublicUrl {
    pub(crate) fn parse(text: &str, allow_http: bool) -> Result<Self, PublicUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(PublicUrlError::Syntax)?;
        let bare = PLACEHOLDERS.iter().find_map(|it| rest.strip_prefix(it));
        let per_tenant = bare.is_some();
        let rest = bare.unwrap_or(rest);
        if rest.contains(['{', '}']) {
            return Err(PublicUrlError::Placeholder);
        }
        let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| PublicUrlError::Syntax)?;
        let host = url.host_str().ok_or(PublicUrlError::Syntax)?;
        if url.path() != "/"
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(PublicUrlError::NotAnOrigin);
        }
        if per_tenant && !matches!(url.host(), Some(Host::Domain(_))) {
            return Err(PublicUrlError::Placeholder);
        }
        let is_loopback = is_loopback(&url);
        let scheme = match url.scheme() {
            "https" => "https",
            "http" if is_loopback || allow_http => "http",
            "http" => return Err(PublicUrlError::Insecure),
            _ => return Err(PublicUrlError::Syntax),
        };
        Ok(Self {
            scheme,
            host: match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            },
            per_tenant,
            is_loopback,
            port: url.port_or_known_default().ok_or(PublicUrlError::Syntax)?,
        })
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    pub(crate) fn is_https(&self) -> bool {
        self.scheme == "https"
    }

    pub(crate) fn per_tenant(&self) -> bool {
        self.per_tenant
    }

    /// Returns the origin of a tenant, or the one for all.
    pub(crate) fn origin(&self, tenant: Option<&TenantName>) -> Origin {
        let host = match tenant.filter(|_| self.per_tenant) {
            Some(name) => format!("{name}.{}", self.host),
            None => self.host.clone(),
        };
        Origin {
            scheme: self.scheme,
            host,
        }
    }

    /// Compares the request's host with ours. Nothing that a proxy adds is read.
    pub(crate) fn arrival(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Arrival {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(_), Some(_)) => return Arrival::Repeated,
            (Some(host), None) => host.to_str().ok(),
            // HTTP/2 has it in the request itself.
            (None, _) => uri.authority().map(http::uri::Authority::as_str),
        };
        let Some(host) = host.map(str::to_ascii_lowercase) else {
            return Arrival::Foreign;
        };
        if host == self.host {
            let origin = self.origin(None);
            return match self.per_tenant {
                true => Arrival::Apex(origin),
                false => Arrival::Own(origin, None),
            };
        }
        if let Some(label) = host
            .strip_suffix(&self.host)
            .and_then(|it| it.strip_suffix('.'))
            && self.per_tenant
            && let Ok(name) = TenantName::parse(label)
        {
            return Arrival::Own(self.origin(Some(&name)), Some(name));
        }
        let is_page = method == Method::GET && purpose(headers) == Purpose::Navigation;
        if self.is_loopback && !self.per_tenant && is_page && self.is_other_name(&host) {
            let path = uri
                .path_and_query()
                .map_or("/", http::uri::PathAndQuery::as_str);
            return Arrival::Elsewhere(self.origin(None).with(path));
        }
        Arrival::Foreign
    }

    /// Tells whether a host is another name of this machine, with our port.
    fn is_other_name(&self, host: &str) -> bool {
        // A text that the URL parser would read otherwise is no name.
        let url = Url::parse(&format!("{}://{host}/", self.scheme));
        url.is_ok_and(|url| {
            let spelled = match (url.host_str(), url.port()) {
                (Some(name), Some(port)) => format!("{name}:{port}"),
                (Some(name), None) => name.to_owned(),
                (None, _) => return false,
            };
            spelled == host && url.port_or_known_default() == Some(self.port) && is_loopback(&url)
        })
    }
}

/// Tells whether a URL is of this machine: `localhost` and what is below it, 127/8 and `::1`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(public: &str, host: &str) -> Arrival {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let public = PublicUrl::parse(public, false).unwrap();
        public.arrival(&Method::GET, &Uri::from_static("/a?b=c"), &headers)
    }

    /// K1
    #[test]
    fn the_host_has_to_be_ours() {
        let app = "https://app.example";
        for host in ["app.example", "APP.example"] {
            assert!(
                matches!(arrival(app, host), Arrival::Own(_, None)),
                "{host}"
            );
        }
        for host in [
            "",
            "evil.example",
            "app.example.",
            "app.example:443",
            "app.example:8443",
            "user@app.example",
            "a.app.example",
            "[::1]",
            "127.0.0.1",
            "app.example.evil",
        ] {
            assert_eq!(arrival(app, host), Arrival::Foreign, "{host}");
        }
    }

    /// K1
    #[test]
    fn another_name_of_this_machine_is_sent_to_ours() {
        let local = "http://localhost:6004";
        assert!(matches!(arrival(local, "localhost:6004"), Arrival::Own(..)));
        for host in [
            "127.0.0.1:6004",
            "[::1]:6004",
            "acme.localhost:6004",
            "127.1.2.3:6004",
        ] {
            let to = Arrival::Elsewhere("http://localhost:6004/a?b=c".to_owned());
            assert_eq!(arrival(local, host), to, "{host}");
        }
        for host in [
            "127.0.0.1:6005",
            "localhost",
            "127.0.0.1",
            "user@127.0.0.1:6004",
            "evil:6004",
            "127.1:6004",
        ] {
            assert_eq!(arrival(local, host), Arrival::Foreign, "{host}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:6004".parse().unwrap());
        let public = PublicUrl::parse(local, false).unwrap();
        let posted = public.arrival(&Method::POST, &Uri::from_static("/"), &headers);
        assert_eq!(posted, Arrival::Foreign);
    }

    #[test]
    fn a_tenants_host_is_its_name_before_ours() {
        let per_tenant = "http://{tenant_name}.localhost:6004";
        let acme = TenantName::parse("acme").unwrap();
        let Arrival::Own(origin, Some(name)) = arrival(per_tenant, "acme.localhost:6004") else {
            panic!("not ours");
        };
        assert_eq!(
            (origin.to_string().as_str(), name),
            ("http://acme.localhost:6004", acme)
        );
        assert!(matches!(
            arrival(per_tenant, "localhost:6004"),
            Arrival::Apex(_)
        ));
        for host in [
            "a.b.localhost:6004",
            "-a.localhost:6004",
            "acme.localhost",
            "127.0.0.1:6004",
        ] {
            assert_eq!(arrival(per_tenant, host), Arrival::Foreign, "{host}");
        }
    }

    /// K20
    #[test]
    fn a_public_address_is_an_origin() {
        use PublicUrlError::{Insecure, NotAnOrigin, Placeholder, Syntax};
        for (text, expected) in [
            ("https://app.example", None),
            ("https://app.example/", None),
            ("http://localhost:1", None),
            ("http://127.0.0.1:1", None),
            ("https://{tenant_domain}.app.example", None),
            ("app.example", Some(Syntax)),
            ("ftp://app.example", Some(Syntax)),
            ("http://app.example", Some(Insecure)),
            ("https://app.example/x", Some(NotAnOrigin)),
            ("https://app.example/?x", Some(NotAnOrigin)),
            ("https://me:pw@app.example", Some(NotAnOrigin)),
            ("https://app.{tenant_name}.example", Some(Placeholder)),
            ("https://{tenant_name}", Some(Placeholder)),
            ("https://{tenant_name}.127.0.0.1", Some(Placeholder)),
        ] {
            assert_eq!(PublicUrl::parse(text, false).err(), expected, "{text}");
        }
        assert!(PublicUrl::parse("http://app.example", true).is_ok());
    }
}
