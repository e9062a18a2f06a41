//! Which tenant of the provider a person belongs to.

mod name;

use url::Url;

pub use self::name::{CustomDomain, TenantName, TenantNameError};

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
            Some(suffix) => {
                domain.as_str().ends_with(suffix) && domain.as_str().len() > suffix.len()
            }
            None => allowed == domain.as_str(),
        };
        self.custom_domains.iter().any(matches).then_some(domain)
    }
}

#[cfg(test)]
mod tests;
