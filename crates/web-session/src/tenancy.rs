//! Which tenant of the provider a person belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// A tenant's name: 1 to 63 of `a`–`z`, `0`–`9` and hyphen, with no hyphen at either end nor at both the third and
/// the fourth place. It is a label of a host, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

/// A host of the provider's that belongs to one tenant: a DNS name with a dot, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomDomain(String);

/// A text is no tenant's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tenant's name has 1 to 63 letters, digits and inner hyphens")]
pub struct TenantNameError;

impl TenantName {
    /// Reads a name; upper case is folded.
    ///
    /// # Errors
    ///
    /// Fails where it is none.
    pub fn parse(text: &str) -> Result<Self, TenantNameError> {
        let bytes = text.as_bytes();
        let is_label = (1..=63).contains(&bytes.len())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
            && bytes.get(2..4) != Some(b"--");
        match is_label {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(TenantNameError),
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TenantName {
    type Error = TenantNameError;

    fn try_from(text: String) -> Result<Self, TenantNameError> {
        Self::parse(&text)
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CustomDomain {
    /// Returns the domain.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let labels: Vec<&str> = text.split('.').collect();
        let is_label = |label: &&str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // Where the last label is a number, some readers take the whole for an address.
        let is_name = labels.len() >= 2
            && text.len() <= 253
            && labels.iter().all(is_label)
            && labels
                .last()?
                .bytes()
                .any(|byte| byte.is_ascii_alphabetic());
        is_name.then(|| Self(text.to_ascii_lowercase()))
    }
}

/// Whether the provider has tenants, and which ones people may log in to.
///
/// Default of [`Tenancy::required`]: none by default, no custom domains, and no page to ask at.
#[derive(Clone, Debug)]
pub struct Tenancy {
    is_required: bool,
    default_name: Option<TenantName>,
    default_custom_domain: Option<CustomDomain>,
    custom_domains: Vec<String>,
    application_login_url: Option<Url>,
    id_claim: String,
    name_claim: String,
}

/// A setting of [`Tenancy`] is no domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a DNS name with a dot, or `*.` before one")]
pub struct CustomDomainError;

/// The tenant that a login is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoginTenant {
    pub(crate) name: Option<TenantName>,
    pub(crate) custom_domain: Option<CustomDomain>,
}

/// Where a login goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    At(LoginTenant),
    /// The person names the tenant there and comes back.
    AskAt(Url),
    /// There is nowhere to ask.
    Unknown,
}

/// What a request says about its tenant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) tenant_name: Option<&'a str>,
    pub(crate) tenant_domain: Option<&'a str>,
    pub(crate) custom_domain: Option<&'a str>,
    /// Of the host, where tenants have their own.
    pub(crate) label: Option<&'a TenantName>,
    /// Of the cookie.
    pub(crate) hint: Option<&'a str>,
}

/// A parameter that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadTenant;

impl Tenancy {
    /// A provider with tenants: each person logs in at one.
    #[must_use]
    pub fn required() -> Self {
        Self {
            is_required: true,
            ..Self::off()
        }
    }

    /// A provider without tenants. Every session is of one tenant, whose id and name are `default`.
    #[must_use]
    pub fn off() -> Self {
        Self {
            is_required: false,
            default_name: None,
            default_custom_domain: None,
            custom_domains: Vec::new(),
            application_login_url: None,
            id_claim: "tnt_id".to_owned(),
            name_claim: "tnt_name".to_owned(),
        }
    }

    /// Sets the tenant of a login that names none.
    #[must_use]
    pub fn default_name(mut self, name: TenantName) -> Self {
        self.default_name = Some(name);
        self
    }

    /// Sets the tenant's own domain of a login that names none. It goes before the default name.
    ///
    /// # Errors
    ///
    /// Fails where it is no DNS name with a dot.
    pub fn default_custom_domain(mut self, domain: &str) -> Result<Self, CustomDomainError> {
        self.default_custom_domain = Some(CustomDomain::parse(domain).ok_or(CustomDomainError)?);
        Ok(self)
    }

    /// Sets the custom domains that a login may name, each exact or as `*.suffix`. Default: none.
    ///
    /// # Errors
    ///
    /// Fails where one is no DNS name with a dot.
    pub fn custom_domains<'d>(
        mut self,
        domains: impl IntoIterator<Item = &'d str>,
    ) -> Result<Self, CustomDomainError> {
        for domain in domains {
            let name = domain.strip_prefix("*.").unwrap_or(domain);
            CustomDomain::parse(name).ok_or(CustomDomainError)?;
            self.custom_domains.push(domain.to_ascii_lowercase());
        }
        Ok(self)
    }

    /// Sets where a person names the tenant when a login does not. `client_id` is added to its query.
    #[must_use]
    pub fn application_login_url(mut self, url: Url) -> Self {
        self.application_login_url = Some(url);
        self
    }

    /// Sets the members of userinfo with the tenant's id and name. Default: `tnt_id` and `tnt_name`.
    #[must_use]
    pub fn claims(mut self, id: &str, name: &str) -> Self {
        (self.id_claim, self.name_claim) = (id.to_owned(), name.to_owned());
        self
    }

    pub(crate) fn is_required(&self) -> bool {
        self.is_required
    }

    pub(crate) fn id_claim(&self) -> &str {
        &self.id_claim
    }

    pub(crate) fn name_claim(&self) -> &str {
        &self.name_claim
    }

    /// Returns the tenant that a request asks for, if it does, once all that it says fits together.
    fn asked(&self, asked: &Asked<'_>) -> Result<LoginTenant, BadTenant> {
        let parse = |text: Option<&str>| {
            let parsed = text.map(TenantName::parse).transpose();
            parsed.map_err(|_| BadTenant)
        };
        let custom_domain = match asked.custom_domain {
            None => None,
            Some(text) => Some(self.allowed_domain(text).ok_or(BadTenant)?),
        };
        let names = [parse(asked.tenant_name)?, parse(asked.tenant_domain)?];
        let mut found = asked.label.cloned();
        for name in names.into_iter().flatten() {
            if found.as_ref().is_some_and(|other| *other != name) {
                return Err(BadTenant);
            }
            found = Some(name);
        }
        let name = found;
        Ok(LoginTenant {
            name,
            custom_domain,
        })
    }

    /// Returns the tenant of a login, from what is surest to what is only a habit.
    pub(crate) fn choose(&self, asked: &Asked<'_>) -> Result<Choice, BadTenant> {
        let tenant = self.asked(asked)?;
        if !self.is_required {
            return Ok(Choice::At(LoginTenant::default()));
        }
        if tenant != LoginTenant::default() {
            return Ok(Choice::At(tenant));
        }
        let hint = asked.hint.and_then(|text| TenantName::parse(text).ok());
        let (name, custom_domain) = match (hint, &self.default_custom_domain) {
            (Some(name), _) => (Some(name), None),
            (None, Some(domain)) => (None, Some(domain.clone())),
            (None, None) => (self.default_name.clone(), None),
        };
        let tenant = LoginTenant {
            name,
            custom_domain,
        };
        Ok(match (&self.application_login_url, tenant) {
            (_, tenant) if tenant != LoginTenant::default() => Choice::At(tenant),
            (Some(url), _) => Choice::AskAt(url.clone()),
            (None, _) => Choice::Unknown,
        })
    }

    /// Tells whether what a callback says about the tenant is as the login began.
    pub(crate) fn is_as_begun(&self, began: &LoginTenant, came: &Asked<'_>) -> bool {
        let Ok(came) = self.asked(came) else {
            return false;
        };
        if !self.is_required {
            return true;
        }
        let fits = |came: bool, equal: bool| !came || equal;
        // A login that named a custom domain alone does not know the name yet.
        let name_fits = began.name.is_none() || came.name == began.name;
        fits(came.name.is_some(), name_fits)
            && fits(
                came.custom_domain.is_some(),
                came.custom_domain == began.custom_domain,
            )
    }

    fn allowed_domain(&self, text: &str) -> Option<CustomDomain> {
        let domain = CustomDomain::parse(text)?;
        let matches = |allowed: &String| match allowed.strip_prefix('*') {
            Some(suffix) => domain.0.ends_with(suffix) && domain.0.len() > suffix.len(),
            None => *allowed == domain.0,
        };
        self.custom_domains.iter().any(matches).then_some(domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Choice {
        let name = Some(TenantName::parse(name).unwrap());
        Choice::At(LoginTenant {
            name,
            custom_domain: None,
        })
    }

    /// K3
    #[test]
    fn a_tenants_name_is_one_label_and_nothing_else() {
        assert_eq!(TenantName::parse("ACME").unwrap().as_str(), "acme");
        for good in ["a", "a-b", "a--b", "0", &"a".repeat(63)] {
            assert!(TenantName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "evil.com/",
            "a.b",
            "acme@evil",
            "-a",
            "a-",
            "xn--a",
            "ab--c",
            "é",
            "a\0",
            "acme%2f",
            "a b",
            "a/",
            "a\\",
            "a:1",
            &"a".repeat(64),
        ] {
            assert!(TenantName::parse(bad).is_err(), "{bad}");
        }
    }

    /// K4
    #[test]
    fn what_a_login_says_about_its_tenant_has_to_agree() {
        let tenancy = Tenancy::required();
        let (acme, evil) = (Some("acme"), Some("globex"));
        let label = TenantName::parse("acme").unwrap();
        let asked = |tenant_name, tenant_domain, label| Asked {
            tenant_name,
            tenant_domain,
            label,
            ..Asked::default()
        };
        for good in [
            asked(acme, None, None),
            asked(None, acme, None),
            asked(acme, Some("ACME"), None),
            asked(acme, None, Some(&label)),
            asked(None, None, Some(&label)),
        ] {
            assert_eq!(tenancy.choose(&good), Ok(named("acme")), "{good:?}");
        }
        for bad in [
            asked(acme, evil, None),
            asked(evil, None, Some(&label)),
            asked(None, evil, Some(&label)),
            asked(Some("a.b"), None, None),
        ] {
            assert_eq!(tenancy.choose(&bad), Err(BadTenant), "{bad:?}");
        }
    }

    /// K5
    #[test]
    fn only_listed_custom_domains_are_taken() {
        let tenancy = Tenancy::required()
            .custom_domains(["login.acme.example", "*.idp.example"])
            .unwrap();
        let choose = |domain| {
            tenancy.choose(&Asked {
                custom_domain: Some(domain),
                ..Asked::default()
            })
        };
        for good in [
            "login.acme.example",
            "LOGIN.acme.example",
            "a.idp.example",
            "a.b.idp.example",
        ] {
            assert!(matches!(choose(good), Ok(Choice::At(_))), "{good}");
        }
        for bad in [
            "",
            "acme.example",
            "idp.example",
            "evil-idp.example",
            "a.idp.example.",
            "a.idp.example:1",
            "user@a.idp.example",
            "a.idp.example/x",
            "127.0.0.1",
            "a.idp.example.evil",
            "[::1]",
            "1.2",
            ".idp.example",
            "a..idp.example",
            "x\\a.idp.example",
        ] {
            assert_eq!(choose(bad), Err(BadTenant), "{bad}");
        }
        assert!(
            Tenancy::required()
                .choose(&Asked {
                    custom_domain: Some("a.b"),
                    ..Asked::default()
                })
                .is_err()
        );
        assert!(Tenancy::required().custom_domains(["*.com"]).is_err());
    }

    /// K6
    #[test]
    fn without_a_tenant_the_person_is_asked() {
        let url: Url = "https://idp.example/login".parse().unwrap();
        let asked = Asked::default();
        let tenancy = Tenancy::required();
        assert_eq!(tenancy.choose(&asked), Ok(Choice::Unknown));
        let tenancy = tenancy.application_login_url(url.clone());
        assert_eq!(tenancy.choose(&asked), Ok(Choice::AskAt(url)));
        let tenancy = tenancy.default_name(TenantName::parse("acme").unwrap());
        assert_eq!(tenancy.choose(&asked), Ok(named("acme")));
        let hint = Asked {
            hint: Some("globex"),
            ..Asked::default()
        };
        assert_eq!(tenancy.choose(&hint), Ok(named("globex")));
        let hint = Asked {
            hint: Some("no name"),
            ..Asked::default()
        };
        assert_eq!(tenancy.choose(&hint), Ok(named("acme")));
        let tenancy = tenancy.default_custom_domain("login.acme.example").unwrap();
        let custom_domain = CustomDomain::parse("login.acme.example");
        let expected = LoginTenant {
            name: None,
            custom_domain,
        };
        assert_eq!(tenancy.choose(&asked), Ok(Choice::At(expected)));
        assert_eq!(
            Tenancy::off().choose(&hint),
            Ok(Choice::At(LoginTenant::default()))
        );
    }

    /// K31
    #[test]
    fn the_tenant_that_comes_back_is_the_one_that_was_begun() {
        let tenancy = Tenancy::required();
        let name = TenantName::parse("acme").ok();
        let began = LoginTenant {
            name,
            custom_domain: None,
        };
        let came = |tenant_name, tenant_domain| Asked {
            tenant_name,
            tenant_domain,
            ..Asked::default()
        };
        assert!(tenancy.is_as_begun(&began, &came(None, None)));
        assert!(tenancy.is_as_begun(&began, &came(Some("acme"), None)));
        assert!(tenancy.is_as_begun(&began, &came(None, Some("acme"))));
        assert!(!tenancy.is_as_begun(&began, &came(Some("globex"), None)));
        assert!(!tenancy.is_as_begun(&began, &came(None, Some("globex"))));
        assert!(!tenancy.is_as_begun(&began, &came(Some("acme"), Some("globex"))));
        let other = Asked {
            custom_domain: Some("login.acme.example"),
            ..Asked::default()
        };
        assert!(!tenancy.is_as_begun(&began, &other));
    }
}
