//! Proxies that the environment names and these programs do not use.

use ::url::Url;
use idp_http::is_loopback;

use super::Reader;

/// Where other programs look for the way to an https server.
const NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

impl Reader<'_> {
    /// Warns where other programs would reach the provider through a proxy of the environment.
    pub(super) fn warn_of_proxy(&mut self, provider: &Url) {
        if is_loopback(provider) || self.is_exempt(provider) {
            return;
        }
        let is_set = |name: &&str| {
            let value = self.strings.get(name);
            value.is_some_and(|value| !value.is_empty())
        };
        if let Some(name) = NAMES.into_iter().find(is_set) {
            self.warning(
                name,
                "is set and not used for the identity provider; where it is the way there, set IDP_PROXY",
            );
        }
    }

    /// `NO_PROXY` as curl reads it: names with all that is below them, or `*`.
    fn is_exempt(&self, provider: &Url) -> bool {
        let host = provider.host_str().unwrap_or_default();
        ["NO_PROXY", "no_proxy"]
            .into_iter()
            .filter_map(|name| self.strings.get(name))
            .any(|list| {
                list.split([',', ' ']).any(|one| {
                    let one = one.trim_start_matches('.');
                    let above = host.strip_suffix(one);
                    one == "*" || above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::{IdentityProvider, Problem, Reader};

    /// N71
    #[test]
    fn a_proxy_of_the_environment_that_is_not_used_is_a_warning() {
        for (name, provider, variables, expected) in [
            ("none", "https://idp.example", &[][..], None),
            ("empty", "https://idp.example", &[("HTTPS_PROXY", "")], None),
            (
                "set",
                "https://idp.example",
                &[("HTTPS_PROXY", "http://hunter2@proxy:3128")],
                Some("HTTPS_PROXY"),
            ),
            (
                "in small letters",
                "https://idp.example",
                &[("https_proxy", "http://proxy:3128")],
                Some("https_proxy"),
            ),
            (
                "for everything",
                "https://idp.example",
                &[("ALL_PROXY", "socks5://proxy:3128")],
                Some("ALL_PROXY"),
            ),
            (
                "loopback",
                "http://127.0.0.1:6003",
                &[("HTTPS_PROXY", "http://proxy:3128")],
                None,
            ),
            (
                "exempt",
                "https://login.idp.example",
                &[
                    ("HTTPS_PROXY", "http://proxy"),
                    ("NO_PROXY", "a,.idp.example"),
                ],
                None,
            ),
            (
                "another is exempt",
                "https://idp.example",
                &[("HTTPS_PROXY", "http://proxy"), ("no_proxy", "p.example")],
                Some("HTTPS_PROXY"),
            ),
        ] {
            let mut all = BTreeMap::from([("ISSUER", provider)]);
            all.extend(variables.iter().copied());
            let mut reader = Reader::new(&all);
            IdentityProvider::read(&mut reader);
            let warnings = reader.warnings();
            let names: Vec<&str> = warnings.iter().map(Problem::name).collect();
            assert_eq!(names, expected.into_iter().collect::<Vec<_>>(), "{name}");
            let shown = format!("{warnings:?}");
            assert!(!shown.contains("hunter2"), "{name}: {shown}");
        }
    }
}
