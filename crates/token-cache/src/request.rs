//! What to ask for.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use crate::error::ConfigError;

/// What a token is asked for: scopes, an audience, resources, and what else a provider wants to know.
///
/// This is the cache key, compared as a whole: the order of its parts does not matter, and two different
/// requests never share a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenRequest {
    scopes: BTreeSet<String>,
    audience: Option<String>,
    resources: BTreeSet<String>,
    relative_resources: BTreeSet<String>,
    parameters: BTreeMap<String, String>,
}

/// More are a mistake.
const MOST_PARAMETERS: usize = 32;
const LONGEST_PARAMETER: usize = 8 * 1024;

/// Parameters that the protocol says itself, or that are part of another grant or of the client's authentication.
const OWNED: [&str; 10] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "audience",
    "resource",
    "assertion",
    "requested_token_type",
    "refresh_token",
    "redirect_uri",
];
const OWNED_PREFIXES: [&str; 4] = ["client_assertion", "subject_token", "actor_token", "code"];

impl TokenRequest {
    /// Returns a request for whatever the provider grants by default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds scopes, separated by spaces (RFC 6749 section 3.3).
    #[must_use]
    pub fn scope(mut self, scopes: &str) -> Self {
        self.scopes.extend(
            scopes
                .split(' ')
                .filter(|s| !s.is_empty())
                .map(str::to_owned),
        );
        self
    }

    /// Sets the `audience` parameter that Auth0 and others take (not an OAuth standard).
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.to_owned());
        self
    }

    /// Adds a `resource` (RFC 8707 section 2), an absolute URI without a fragment.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.resources.insert(resource.to_owned());
        self
    }

    /// Adds a `resource` as it is, which need not be a URI: Entra v1 and AD FS take bare names. Against RFC 8707
    /// section 2: another provider may take the name for something else, or a typing error for a name.
    #[must_use]
    pub fn dangerous_relative_resource(mut self, resource: &str) -> Self {
        self.relative_resources.insert(resource.to_owned());
        self
    }

    /// Sets a further parameter of the request, such as the organization that some providers ask for. A later
    /// value replaces an earlier one. It is no place for a secret.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Asks for no scope: for whatever the provider grants by default.
    #[must_use]
    pub fn without_scopes(mut self) -> Self {
        self.scopes.clear();
        self
    }

    /// Returns the scopes that are asked for, sorted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }

    /// Checks the values, as building a cache does.
    ///
    /// # Errors
    ///
    /// Fails on a scope with a character that no scope may have (RFC 6749 section 3.3), on a resource that
    /// is not an absolute URI without a fragment (RFC 8707 section 2), on a relative one that is empty or has
    /// a control character, on a parameter without a name or that the protocol owns (`grant_type`,
    /// `client_id`, `scope` and so on), on a value over 8 KiB, and on more than 32 parameters.
    pub fn check(&self) -> Result<(), ConfigError> {
        for scope in &self.scopes {
            if !scope
                .bytes()
                .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
            {
                return Err(ConfigError::new(
                    "scope",
                    "has a character that no scope may have",
                ));
            }
        }
        for resource in &self.resources {
            match Url::parse(resource) {
                Ok(url) if url.fragment().is_none() => {}
                _ => {
                    return Err(ConfigError::new(
                        "resource",
                        "must be an absolute URI without a fragment",
                    ));
                }
            }
        }
        let mut relative = self.relative_resources.iter();
        if relative.any(|it| it.is_empty() || it.contains(char::is_control)) {
            return Err(ConfigError::new(
                "resource",
                "must not be empty or have a control character",
            ));
        }
        if self.parameters.len() > MOST_PARAMETERS {
            return Err(ConfigError::new("parameter", "there may be 32"));
        }
        for (name, value) in &self.parameters {
            let is_owned = OWNED.contains(&name.as_str())
                || OWNED_PREFIXES.iter().any(|it| name.starts_with(it));
            let problem = if name.is_empty() {
                "must have a name"
            } else if is_owned {
                "must not have a name that the protocol owns"
            } else if value.len() > LONGEST_PARAMETER {
                "must not have more than 8 KiB"
            } else {
                continue;
            };
            return Err(ConfigError::new("parameter", problem));
        }
        Ok(())
    }

    /// Appends the parameters to a form.
    pub(crate) fn append_to(&self, form: &mut url::form_urlencoded::Serializer<'_, String>) {
        if !self.scopes.is_empty() {
            let scopes: Vec<&str> = self.scopes().collect();
            form.append_pair("scope", &scopes.join(" "));
        }
        if let Some(audience) = &self.audience {
            form.append_pair("audience", audience);
        }
        for resource in self.resources.iter().chain(&self.relative_resources) {
            form.append_pair("resource", resource);
        }
        form.extend_pairs(&self.parameters);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B11
    #[test]
    fn requests_are_equal_when_they_ask_for_the_same_things() {
        let one = TokenRequest::new()
            .scope("a b")
            .resource("https://x.example/");
        let same = TokenRequest::new()
            .resource("https://x.example/")
            .scope("b")
            .scope("a a");
        assert_eq!(one, same);
        for other in [
            TokenRequest::new()
                .scope("ab")
                .resource("https://x.example/"),
            TokenRequest::new()
                .scope("a b")
                .audience("https://x.example/"),
            TokenRequest::new().scope("a b"),
            TokenRequest::new()
                .scope("a b")
                .resource("https://x.example"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_request_without_scopes_keeps_the_rest() {
        let asked = TokenRequest::new().scope("a b").audience("api");
        assert_eq!(asked.without_scopes(), TokenRequest::new().audience("api"));
    }

    /// M7, N35
    #[test]
    fn parameters_and_bare_resources_are_part_of_the_request() {
        let request = TokenRequest::new()
            .dangerous_relative_resource("spn:0000 0002")
            .parameter("organization", "org=1&x")
            .parameter("a", "old")
            .parameter("a", "ä");
        request.check().unwrap();
        assert_ne!(request, request.clone().parameter("a", "b"));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        request.append_to(&mut form);
        assert_eq!(
            form.finish(),
            "resource=spn%3A0000+0002&a=%C3%A4&organization=org%3D1%26x"
        );
        let long = "x".repeat(LONGEST_PARAMETER + 1);
        for (name, value) in [
            ("", "x"),
            ("grant_type", "x"),
            ("client_id", "x"),
            ("client_secret", "x"),
            ("client_assertion_type", "x"),
            ("scope", "x"),
            ("resource", "x"),
            ("subject_token", "x"),
            ("code_verifier", "x"),
            ("organization", &long),
        ] {
            let problem = TokenRequest::new().parameter(name, value).check();
            assert_eq!(problem.unwrap_err().setting(), "parameter", "{name}");
        }
        let many = (0..33).fold(TokenRequest::new(), |it, n| {
            it.parameter(&n.to_string(), "")
        });
        assert_eq!(many.check().unwrap_err().setting(), "parameter");
        for bad in ["", "a\u{0}"] {
            let request = TokenRequest::new().dangerous_relative_resource(bad);
            assert_eq!(request.check().unwrap_err().setting(), "resource");
        }
    }

    #[test]
    fn values_that_no_provider_can_take_are_refused() {
        assert!(
            TokenRequest::new()
                .scope("read:data https://x/.default")
                .check()
                .is_ok()
        );
        for bad in ["qu\"ote", "back\\slash", "täg", "tab\tbed"] {
            assert_eq!(
                TokenRequest::new()
                    .scope(bad)
                    .check()
                    .unwrap_err()
                    .setting(),
                "scope"
            );
        }
        for bad in ["relative", "https://x.example/#f", ""] {
            assert_eq!(
                TokenRequest::new()
                    .resource(bad)
                    .check()
                    .unwrap_err()
                    .setting(),
                "resource"
            );
        }
    }
}
