//! What to ask for.

use std::collections::BTreeSet;

use url::Url;

use crate::error::ConfigError;

/// What a token is asked for: scopes, an audience and resources.
///
/// This is the cache key, compared as a whole: the order of scopes and resources does not matter, and
/// two different requests never share a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenRequest {
    scopes: BTreeSet<String>,
    audience: Option<String>,
    resources: BTreeSet<String>,
}

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
    /// Fails on a scope with a character that no scope may have (RFC 6749 section 3.3), and on a
    /// resource that is not an absolute URI without a fragment (RFC 8707 section 2).
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
        for resource in &self.resources {
            form.append_pair("resource", resource);
        }
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
