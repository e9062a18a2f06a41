//! Addresses of the provider's that may name the tenant.

use url::Url;

use crate::tenancy::LoginTenant;

/// An address with `{tenant_name}` as or in the first label of its host, or as a segment of its path; or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    text: String,
    has_placeholder: bool,
}

pub(super) const AUTHORIZE_PATH: &str = "/api/v1/oauth2/authorize";
pub(super) const LOGOUT_PATH: &str = "/api/v1/logout";
const PLACEHOLDERS: [&str; 2] = ["{tenant_name}", "{tenant_domain}"];

impl Template {
    pub(crate) fn fixed(url: Url) -> Self {
        Self {
            text: url.into(),
            has_placeholder: false,
        }
    }

    /// Reads an address. Fails with what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.replace(PLACEHOLDERS[1], PLACEHOLDERS[0]);
        let parts: Vec<&str> = text.split(PLACEHOLDERS[0]).collect();
        let [before, after] = parts[..] else {
            return match parts[..] {
                [whole] => Url::parse(whole)
                    .map(Self::fixed)
                    .map_err(|_| "expected a URL"),
                _ => Err("expected {tenant_name} once at most"),
            };
        };
        let [one, two] = ["a", "b"].map(|name| Url::parse(&format!("{before}{name}{after}")));
        let (Ok(one), Ok(two)) = (one, two) else {
            return Err("expected a URL");
        };
        let label = |url: &Url| {
            let host = url.host_str().unwrap_or_default().to_owned();
            let (first, rest) = host.split_once('.').unwrap_or((&host, ""));
            (first.to_owned(), rest.to_owned())
        };
        let ((first_one, rest_one), (first_two, rest_two)) = (label(&one), label(&two));
        let is_in_label =
            rest_one == rest_two && first_one != first_two && one.path() == two.path();
        let is_segment = one.host_str() == two.host_str()
            && before.ends_with('/')
            && (after.is_empty() || after.starts_with('/'))
            && one.path() != two.path();
        match is_in_label && !rest_one.is_empty() || is_segment {
            true => Ok(Self {
                text,
                has_placeholder: true,
            }),
            false => Err(
                "expected {tenant_name} in the first label of the host or as a segment of the path",
            ),
        }
    }

    /// Returns the address for a tenant, if what it needs is known. A custom domain replaces the host, and has its
    /// own path.
    pub(super) fn url(&self, tenant: &LoginTenant, path: &str) -> Option<Url> {
        if let Some(domain) = &tenant.custom_domain {
            return Url::parse(&format!("https://{}{path}", domain.as_str())).ok();
        }
        if !self.has_placeholder {
            return Url::parse(&self.text).ok();
        }
        let name = tenant.name.as_ref()?;
        Url::parse(&self.text.replace(PLACEHOLDERS[0], name.as_str())).ok()
    }

    /// Returns the address for a check of what may be asked.
    pub(super) fn example(&self) -> Option<Url> {
        Url::parse(&self.text.replace(PLACEHOLDERS[0], "tenant")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::TenantName;

    fn tenant(name: &str) -> LoginTenant {
        LoginTenant {
            name: TenantName::parse(name).ok(),
            custom_domain: None,
        }
    }

    #[test]
    fn a_tenant_stands_in_the_host_or_in_the_path() {
        for (text, expected) in [
            (
                "https://{tenant_name}-app.idp.example/x",
                Some("https://acme-app.idp.example/x"),
            ),
            (
                "https://{tenant_domain}.idp.example/x",
                Some("https://acme.idp.example/x"),
            ),
            (
                "http://127.0.0.1:1/tenants/{tenant_name}/authorize",
                Some("http://127.0.0.1:1/tenants/acme/authorize"),
            ),
            (
                "https://idp.example/authorize",
                Some("https://idp.example/authorize"),
            ),
            ("https://idp.{tenant_name}.example/", None),
            ("https://{tenant_name}/", None),
            ("https://{tenant_name}.{tenant_name}.example/", None),
            ("https://idp.example/?tenant={tenant_name}", None),
            ("https://idp.example/a{tenant_name}", None),
            ("{tenant_name}://idp.example/", None),
            ("no URL", None),
        ] {
            let url = Template::parse(text)
                .ok()
                .and_then(|it| it.url(&tenant("acme"), AUTHORIZE_PATH));
            assert_eq!(url.as_ref().map(Url::as_str), expected, "{text}");
        }
    }

    #[test]
    fn without_a_name_there_is_no_tenants_address() {
        let template = Template::parse("https://{tenant_name}.idp.example/x").unwrap();
        assert_eq!(template.url(&LoginTenant::default(), AUTHORIZE_PATH), None);
    }
}
