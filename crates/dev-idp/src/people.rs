use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::DEFAULT_PASSWORD;
use crate::client::SecretDigest;
use crate::error::UnknownPerson;

/// A person who can sign in. The password is kept as its SHA-256 only.
///
/// ```
/// use dev_idp::DevPerson;
///
/// let person = DevPerson::new("ann@acme.example", "correct horse")
///     .name("Ann Archer")
///     .member("acme", ["owner"])
///     .member("globex", ["viewer"]);
/// ```
#[derive(Clone)]
#[must_use]
pub struct DevPerson {
    email: String,
    name: String,
    password: SecretDigest,
    tenants: BTreeMap<String, Vec<String>>,
    disabled: bool,
}

impl DevPerson {
    /// Returns a person of no tenant, whose name is the e-mail address. Letter case of the address does not
    /// matter.
    pub fn new(email: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        let email = address(email.as_ref());
        Self {
            name: email.clone(),
            email,
            password: SecretDigest::of(password.as_ref()),
            tenants: BTreeMap::new(),
            disabled: false,
        }
    }

    /// Sets the name, the claim `name` of userinfo.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes the person a member of a tenant, which comes into being with its first member.
    ///
    /// A role without a colon is short for `app:APP:ROLE`, where APP is the application id of the client that
    /// asks ([`DevClient::application_id`](crate::DevClient::application_id)); any other is told as it stands.
    pub fn member<R: Into<String>>(
        mut self,
        tenant: impl Into<String>,
        roles: impl IntoIterator<Item = R>,
    ) -> Self {
        let roles = roles.into_iter().map(Into::into).collect();
        self.tenants.insert(tenant.into(), roles);
        self
    }

    /// Sets whether the person is disabled: they cannot sign in, and are noticed at the next refresh, at userinfo and
    /// at the next request for a code. A user token that is out stays valid where its signature alone is checked.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.disabled = disabled;
        self
    }

    pub(crate) fn email(&self) -> &str {
        &self.email
    }

    pub(crate) fn full_name(&self) -> &str {
        &self.name
    }

    /// Returns the subject: the same one whenever the provider starts.
    pub(crate) fn subject(&self) -> String {
        stable_id("person", &self.email)
    }

    /// Returns the roles at a tenant; none if the person is no member.
    pub(crate) fn roles(&self, tenant: &str) -> Option<&[String]> {
        self.tenants.get(tenant).map(Vec::as_slice)
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.keys().map(String::as_str)
    }
}

impl fmt::Debug for DevPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevPerson")
            .field("email", &self.email)
            .field("tenants", &self.tenants)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// The people and tenants that the provider knows.
pub(crate) struct Directory {
    people: BTreeMap<String, DevPerson>,
    /// What each tenant calls itself, by its name.
    tenants: BTreeMap<String, String>,
}

impl Directory {
    pub(crate) fn new(people: Vec<DevPerson>) -> Self {
        let mut directory = Self {
            people: BTreeMap::new(),
            tenants: BTreeMap::new(),
        };
        for person in people {
            directory.put(person);
        }
        directory
    }

    /// Adds a person, or puts them in the place of the one with their address.
    pub(crate) fn put(&mut self, person: DevPerson) {
        for tenant in person.tenants.keys() {
            let company = self.tenants.entry(tenant.clone());
            company.or_insert_with(|| tenant.clone());
        }
        self.people.insert(person.email.clone(), person);
    }

    pub(crate) fn person(&self, email: &str) -> Option<&DevPerson> {
        self.people.get(&address(email))
    }

    /// Returns a person who may be signed in at a tenant.
    pub(crate) fn member(&self, email: &str, tenant: &str) -> Option<&DevPerson> {
        let person = self.person(email);
        person.filter(|person| !person.disabled && person.tenants.contains_key(tenant))
    }

    pub(crate) fn company(&self, tenant: &str) -> Option<&str> {
        self.tenants.get(tenant).map(String::as_str)
    }

    /// Changes a person, whose address stays.
    pub(crate) fn edit(
        &mut self,
        email: &str,
        edit: impl FnOnce(DevPerson) -> DevPerson,
    ) -> Result<(), UnknownPerson> {
        let person = self.person(email).ok_or(UnknownPerson)?;
        self.put(edit(person.clone()));
        Ok(())
    }

    pub(crate) fn tenants(&self) -> usize {
        self.tenants.len()
    }

    /// Adds a tenant, or changes what one calls itself.
    pub(crate) fn add_tenant(&mut self, name: &str, company: &str) {
        self.tenants.insert(name.to_owned(), company.to_owned());
    }

    /// Returns who signs in with this password at `tenant`, or at the first of their tenants.
    ///
    /// Whatever is wrong, the same work is done: an unknown address is compared with `nobodys`, the digest of a
    /// password that nobody has.
    pub(crate) fn sign_in(
        &self,
        tenant: Option<&str>,
        email: &str,
        password: &str,
        nobodys: &SecretDigest,
    ) -> Option<(&DevPerson, String)> {
        let person = self.person(email);
        let expected = person.map_or(nobodys, |person| &person.password);
        let matches = SecretDigest::of(password).matches(expected);
        let person = person.filter(|person| matches && !person.disabled)?;
        let tenant = match tenant {
            Some(tenant) => tenant,
            None => person.tenants().next()?,
        };
        person.roles(tenant)?;
        Some((person, tenant.to_owned()))
    }
}

/// The people that the provider knows when none was configured.
pub(crate) fn defaults() -> Vec<DevPerson> {
    let person = |email, name| DevPerson::new(email, DEFAULT_PASSWORD).name(name);
    vec![
        person("owner@acme.example", "Olive Owner").member("acme", ["owner"]),
        person("viewer@acme.example", "Victor Viewer").member("acme", ["viewer"]),
        person("owner@globex.example", "Gloria Globe").member("globex", ["owner"]),
        person("both@example.com", "Bo Both")
            .member("acme", ["viewer"])
            .member("globex", ["owner"]),
    ]
}

/// Returns a tenant's id: the same one whenever the provider starts.
pub(crate) fn tenant_id(tenant: &str) -> String {
    stable_id("tenant", tenant)
}

pub(crate) fn role_id(name: &str) -> String {
    stable_id("role", name)
}

fn stable_id(kind: &str, name: &str) -> String {
    let hash = digest(&SHA256, format!("{kind} {name}").as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

fn address(email: &str) -> String {
    email.trim().to_ascii_lowercase()
}

/// Tells whether a text can be a tenant's name, and so a label of a host: 1 to 63 of `a-z 0-9 -`, without a
/// hyphen at either end or at places 3 and 4.
pub(crate) fn is_tenant_name(text: &str) -> bool {
    let of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(of_label)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.get(2..4) != Some("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_name_is_a_label_of_a_host() {
        let longest = "a".repeat(63);
        for name in ["a", "acme", "a-b", "9", "ab-c", "a--b", &longest] {
            assert!(is_tenant_name(name), "{name}");
        }
        let too_long = "a".repeat(64);
        for name in ["", "-a", "a-", "xn--a", "A", "a.b", "a_b", "é", &too_long] {
            assert!(!is_tenant_name(name), "{name}");
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let person = DevPerson::new("a@b.example", "hunter2").member("acme", ["owner"]);
        let shown = format!("{person:?}");
        assert!(shown.contains("a@b.example"), "{shown}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("password"),
            "{shown}"
        );
    }
}
