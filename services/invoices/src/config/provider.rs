//! Where the provider is, and where people are sent.

use std::collections::BTreeMap;

use service_kit::config::{IdentityProvider, Reader};
use url::Url;
use web_session::VanityDomain;

/// The endpoints of logins that are set, and those that follow from a vanity domain.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoginEndpoints {
    /// `APPLICATION_VANITY_DOMAIN` and `APPLICATION_CUSTOM_DOMAIN`.
    pub vanity: Option<VanityDomain>,
    /// `AUTHORIZATION_ENDPOINT`, with `{tenant_name}` or without.
    pub authorization: Option<String>,
    /// `END_SESSION_ENDPOINT`, the same.
    pub end_session: Option<String>,
    /// `USERINFO_ENDPOINT`.
    pub userinfo: Option<Url>,
    /// `REVOCATION_ENDPOINT`.
    pub revocation: Option<Url>,
    /// `APPLICATION_LOGIN_URL`: where a person names the tenant.
    pub application_login: Option<Url>,
    /// `SIGNUP_URL`: where a person becomes one.
    pub signup: Option<Url>,
}

const DOMAIN: &str = "APPLICATION_VANITY_DOMAIN";
const OLDER_DOMAIN: &str = "APPLICATION_DOMAIN";

pub(super) fn read(reader: &mut Reader<'_>) -> (IdentityProvider, LoginEndpoints) {
    let (domain, older) = (reader.optional(DOMAIN), reader.optional(OLDER_DOMAIN));
    if let (Some(domain), Some(older)) = (&domain, &older)
        && domain != older
    {
        let text = format!("and {DOMAIN} differ; set one");
        reader.problem(OLDER_DOMAIN, text);
    }
    let provider = match (&domain, &older) {
        (None, Some(older)) => by_older_name(reader, older),
        _ => IdentityProvider::read(reader),
    };
    let name = if domain.is_some() {
        DOMAIN
    } else {
        OLDER_DOMAIN
    };
    let is_custom = reader.bool("APPLICATION_CUSTOM_DOMAIN", false);
    let domain = domain.or(older);
    if domain.as_ref().is_some_and(|it| it.contains(':')) && !reader.has_problem(name) {
        // Tenants have hosts below it, and a certificate is for hosts.
        reader.problem(name, "must be a host without a port");
    }
    if is_custom && domain.is_none() {
        let text = format!("is of no use without {DOMAIN}");
        reader.problem("APPLICATION_CUSTOM_DOMAIN", text);
    }
    let insecure = provider.allow_insecure_http;
    let below = |path: &str| {
        let domain = domain.as_ref()?;
        Url::parse(&format!("https://{domain}{path}")).ok()
    };
    let login = LoginEndpoints {
        authorization: template(reader, "AUTHORIZATION_ENDPOINT", insecure),
        end_session: template(reader, "END_SESSION_ENDPOINT", insecure),
        userinfo: reader.endpoint_with_query("USERINFO_ENDPOINT", insecure),
        revocation: reader.endpoint_with_query("REVOCATION_ENDPOINT", insecure),
        application_login: reader
            .endpoint_with_query("APPLICATION_LOGIN_URL", insecure)
            .or_else(|| below("/login")),
        signup: reader
            .endpoint_with_query("SIGNUP_URL", insecure)
            .or_else(|| below("/signup")),
        vanity: domain.map(|domain| VanityDomain { domain, is_custom }),
    };
    (provider, login)
}

/// Reads the provider with the domain under its older name.
fn by_older_name(reader: &mut Reader<'_>, older: &str) -> IdentityProvider {
    let mut variables = BTreeMap::new();
    for name in IdentityProvider::VARIABLES {
        if let Some(value) = reader.optional(name) {
            variables.insert(name.to_owned(), value);
        }
    }
    variables.insert(DOMAIN.to_owned(), older.to_owned());
    let mut inner = Reader::new(&variables);
    let provider = IdentityProvider::read(&mut inner);
    let told = |text: String| {
        let text = text.replace(DOMAIN, OLDER_DOMAIN);
        let (name, text) = text.split_once(": ")?;
        Some((name.to_owned(), text.to_owned()))
    };
    let warnings: Vec<String> = inner.warnings().iter().map(ToString::to_string).collect();
    let problems: Vec<String> = match inner.finish() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    };
    for (name, text) in warnings.into_iter().filter_map(told) {
        reader.warning(&name, text);
    }
    for (name, text) in problems.into_iter().filter_map(told) {
        reader.problem(&name, text);
    }
    provider
}

/// An address that may have the tenant's name in it.
fn template(reader: &mut Reader<'_>, name: &str, insecure: bool) -> Option<String> {
    let expected = "an absolute https URL (http is taken for loopback addresses, or with ALLOW_INSECURE_HTTP=true), in \
                    which {tenant_name} may stand in the first label of the host or as a segment of the path";
    let value = reader.optional(name)?;
    let example = value.replace("{tenant_name}", "tenant");
    let example = example.replace("{tenant_domain}", "tenant");
    let strings = BTreeMap::from([(name.to_owned(), example)]);
    let mut inner = Reader::new(&strings);
    if inner.endpoint_with_query(name, insecure).is_some() {
        return Some(value);
    }
    reader.problem(name, format!("must be {expected}"));
    None
}

impl LoginEndpoints {
    /// Tells whether people are sent to an address that has the tenant's name in it.
    pub(super) fn needs_tenant_name(&self) -> bool {
        let named = self.authorization.as_ref();
        let is_placed = named.is_some_and(|url| url.contains("{tenant_"));
        is_placed || self.authorization.is_none() && self.vanity.is_some()
    }
}
