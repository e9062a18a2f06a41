//! Who may log in, where, and for what.

use std::collections::BTreeMap;

use service_kit::config::{IdentityProvider, Reader};
use web_session::{Tenancy, TenantName};

use super::{LoginEndpoints, words};

/// Where the tenant stands in our own addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainFormat {
    /// One host for all.
    Localhost,
    /// The first label of the host.
    VanityDomain,
}

/// What logins ask for, and what people may do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeopleSettings {
    /// `LOGIN_SCOPES`.
    pub scopes: String,
    /// `LOGIN_AUDIENCE`.
    pub audience: Option<String>,
    /// `LOGIN_RESOURCE`.
    pub resource: Option<String>,
    /// `DOMAIN_FORMAT`.
    pub domain_format: DomainFormat,
    /// `PUBLIC_URL`; without it the listener's address on `localhost`.
    pub public_url: Option<String>,
    /// `TENANTS`, and what goes with it.
    pub tenancy: Tenancy,
    /// Tells whether there are tenants.
    pub has_tenants: bool,
    /// `ROLE_PERMISSIONS`.
    pub role_permissions: BTreeMap<String, Vec<String>>,
}

const DEFAULT_SCOPES: &str = "openid offline_access profile email roles";
const DEFAULT_PERMISSIONS: &str =
    "owner=invoice:read,invoice:write,session:revoke;viewer=invoice:read";
const DOMAIN_FORM: &str = "a DNS name with a dot, without a port";

impl PeopleSettings {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        provider: &IdentityProvider,
        login: &LoginEndpoints,
    ) -> Self {
        let scopes = scopes(reader);
        let choices = [
            ("LOCALHOST", DomainFormat::Localhost),
            ("VANITY_DOMAIN", DomainFormat::VanityDomain),
        ];
        let domain_format = reader.one_of("DOMAIN_FORMAT", &choices, DomainFormat::Localhost);
        let has_tenants = reader.one_of(
            "TENANTS",
            &[("required", true), ("off", false)],
            login.vanity.is_some(),
        );
        if !has_tenants && !reader.has_problem("TENANTS") {
            if domain_format == DomainFormat::VanityDomain {
                reader.problem(
                    "TENANTS",
                    "must be required with DOMAIN_FORMAT=VANITY_DOMAIN",
                );
            } else if login.needs_tenant_name() {
                reader.problem(
                    "TENANTS",
                    "must be required where people log in at an address of their tenant",
                );
            }
        }
        Self {
            scopes,
            audience: reader.optional("LOGIN_AUDIENCE"),
            resource: resource(reader),
            domain_format,
            public_url: public_url(reader, provider, domain_format),
            tenancy: tenancy(reader, login, has_tenants),
            has_tenants,
            role_permissions: role_permissions(reader),
        }
    }

    /// Returns the origin that people see, where the listener has this port.
    #[must_use]
    pub fn public_url(&self, port: u16) -> String {
        match (&self.public_url, self.domain_format) {
            (Some(url), _) => url.clone(),
            (None, DomainFormat::Localhost) => format!("http://localhost:{port}"),
            (None, DomainFormat::VanityDomain) => {
                format!("http://{{tenant_name}}.localhost:{port}")
            }
        }
    }
}

fn scopes(reader: &mut Reader<'_>) -> String {
    const NAME: &str = "LOGIN_SCOPES";
    let scopes = words(reader, NAME).join(" ");
    let scopes = if scopes.is_empty() {
        DEFAULT_SCOPES.to_owned()
    } else {
        scopes
    };
    let holds = |wanted: &str| scopes.split(' ').any(|scope| scope == wanted);
    let is_scope = |byte: u8| byte == b' ' || matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    if !holds("openid") {
        reader.problem(NAME, "must hold openid");
    } else if !scopes.bytes().all(is_scope) {
        reader.problem(NAME, "must be scope names separated by spaces");
    } else if !holds("offline_access") {
        reader.warning(
            NAME,
            "does not hold offline_access: what people can call ends with their first token",
        );
    }
    scopes
}

fn resource(reader: &mut Reader<'_>) -> Option<String> {
    let expected = "an absolute URI without a fragment";
    reader.parse("LOGIN_RESOURCE", expected, |value| {
        let url = url::Url::parse(value).ok()?;
        url.fragment().is_none().then(|| value.to_owned())
    })
}

fn public_url(
    reader: &mut Reader<'_>,
    provider: &IdentityProvider,
    format: DomainFormat,
) -> Option<String> {
    const NAME: &str = "PUBLIC_URL";
    const INSECURE: &str = "DANGEROUS_INSECURE_COOKIES";
    let value = reader.optional(NAME);
    let insecure_cookies = reader.bool(INSECURE, false);
    if insecure_cookies {
        reader.warning(
            INSECURE,
            "is on: sessions go over http, where everybody on the way can read them",
        );
    }
    let value = value?;
    let placed = value.split_once("://").map_or("", |(_, rest)| rest);
    let per_tenant = placed.starts_with("{tenant_name}.") || placed.starts_with("{tenant_domain}.");
    let bare = value
        .replacen("{tenant_name}.", "", 1)
        .replacen("{tenant_domain}.", "", 1);
    match format {
        DomainFormat::VanityDomain if !per_tenant => {
            let text =
                "must begin with {tenant_name}. after the scheme, with DOMAIN_FORMAT=VANITY_DOMAIN";
            reader.problem(NAME, text);
            return Some(value);
        }
        DomainFormat::Localhost if value.contains(['{', '}']) => {
            let text = "must have no placeholder, or DOMAIN_FORMAT must be VANITY_DOMAIN";
            reader.problem(NAME, text);
            return Some(value);
        }
        _ => {}
    }
    let parsed = url::Url::parse(&bare).ok().filter(|url| {
        url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && ["http", "https"].contains(&url.scheme())
    });
    let Some(url) = parsed else {
        let text = "must be an origin such as https://app.example, without a path";
        reader.problem(NAME, text);
        return Some(value);
    };
    let is_https = url.scheme() == "https";
    let is_public_http = !is_https && !super::is_loopback(&url);
    if is_public_http && !provider.allow_insecure_http {
        reader.problem(
            NAME,
            "must be https, or http on localhost (or anywhere with ALLOW_INSECURE_HTTP=true and \
             DANGEROUS_INSECURE_COOKIES=true)",
        );
    } else if is_public_http && !insecure_cookies && !reader.has_problem(INSECURE) {
        let text = "must be true where PUBLIC_URL is http and not on localhost";
        reader.problem(INSECURE, text);
    }
    if is_https && insecure_cookies {
        reader.problem(INSECURE, "must not be on where PUBLIC_URL is https");
    }
    Some(value)
}

fn tenancy(reader: &mut Reader<'_>, login: &LoginEndpoints, has_tenants: bool) -> Tenancy {
    const NAME: &str = "DEFAULT_TENANT_NAME";
    const CUSTOM: &str = "DEFAULT_TENANT_CUSTOM_DOMAIN";
    const DOMAINS: &str = "TENANT_CUSTOM_DOMAINS";
    let mut tenancy = if has_tenants {
        Tenancy::required()
    } else {
        Tenancy::off()
    };
    let expected = "1 to 63 letters, digits and inner hyphens";
    let name = reader.parse(NAME, expected, |value| TenantName::parse(value).ok());
    let custom = reader.parse(CUSTOM, DOMAIN_FORM, |value| {
        let made = Tenancy::required().default_custom_domain(value);
        made.ok().map(|_| value.to_owned())
    });
    let domains = words(reader, DOMAINS);
    let listed = domains.iter().map(String::as_str);
    match tenancy.clone().custom_domains(listed) {
        Ok(with) => tenancy = with,
        Err(_) => reader.problem(
            DOMAINS,
            "must be DNS names with a dot, without ports, each exact or as *.suffix",
        ),
    }
    for (variable, is_set) in [
        (NAME, name.is_some()),
        (CUSTOM, custom.is_some()),
        (DOMAINS, !domains.is_empty()),
    ] {
        if is_set && !has_tenants && !reader.has_problem(variable) {
            reader.problem(variable, "is of no use with TENANTS=off");
        }
    }
    if let Some(name) = name {
        tenancy = tenancy.default_name(name);
    }
    if let Some(domain) = custom {
        tenancy = match tenancy.clone().default_custom_domain(&domain) {
            Ok(with) => with,
            Err(_) => tenancy,
        };
    }
    if let Some(url) = &login.application_login {
        tenancy = tenancy.application_login_url(url.clone());
    }
    let mut claim = |name: &str, default: &str| {
        let expected = "the name of a member of userinfo";
        let read = |value: &str| {
            let is_name = !value.contains(|char: char| char.is_whitespace() || char.is_control());
            is_name.then(|| value.to_owned())
        };
        let found = reader.parse(name, expected, read);
        found.unwrap_or_else(|| default.to_owned())
    };
    let id = claim("TENANT_ID_CLAIM", "tnt_id");
    let name = claim("TENANT_NAME_CLAIM", "tnt_name");
    tenancy.claims(&id, &name)
}

fn role_permissions(reader: &mut Reader<'_>) -> BTreeMap<String, Vec<String>> {
    const NAME: &str = "ROLE_PERMISSIONS";
    let expected = "roles with their permissions, such as owner=invoice:read,invoice:write;viewer=invoice:read, each \
                    role once";
    let read = reader.parse(NAME, expected, parse_permissions);
    let default = || parse_permissions(DEFAULT_PERMISSIONS).unwrap_or_default();
    read.unwrap_or_else(default)
}

fn parse_permissions(text: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let is_word = |word: &str| {
        let is_part = |byte: u8| byte.is_ascii_graphic() && !b"=,;".contains(&byte);
        !word.is_empty() && word.bytes().all(is_part)
    };
    let mut found = BTreeMap::new();
    for part in text.trim_end_matches(';').split(';') {
        let (role, permissions) = part.trim().split_once('=')?;
        let permissions: Vec<&str> = permissions.split(',').map(str::trim).collect();
        let role = role.trim();
        // A colon would never match: a key is one segment of a role's name.
        if !is_word(role) || role.contains(':') || !permissions.iter().all(|it| is_word(it)) {
            return None;
        }
        let permissions = permissions.into_iter().map(str::to_owned).collect();
        if found.insert(role.to_owned(), permissions).is_some() {
            return None;
        }
    }
    Some(found)
}
