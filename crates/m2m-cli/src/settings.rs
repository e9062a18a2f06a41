//! The variables, read as the services read them.

use std::collections::BTreeMap;
use std::fmt;

use service_kit::config::{ConfigError, Problem, Reader, Strings};

/// The client that `cargo up` gives its embedded provider; a test compares them with dev-idp's.
const DEV_CLIENT_ID: &str = "dev-client";
const DEV_CLIENT_SECRET: &str = "dev-secret";
const DEV_AUDIENCE: &str = "https://protected-data.example";
const DEV_IDP_ADDR: &str = "127.0.0.1:6003";

/// Variables, with what stands in for those that are not set.
pub struct Settings<'a> {
    strings: &'a dyn Strings,
    defaults: BTreeMap<&'static str, String>,
    replaced: BTreeMap<&'static str, String>,
    dev: bool,
}

/// Shows which variables have a stand-in, and no value.
impl fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("defaults", &self.defaults.keys())
            .field("dev", &self.dev)
            .finish_non_exhaustive()
    }
}

impl<'a> Settings<'a> {
    /// Returns the variables as they are. With `dev`, those that are not set have the values that
    /// `cargo up` uses when no identity provider is named.
    #[must_use]
    pub fn new(strings: &'a dyn Strings, dev: bool) -> Self {
        let mut settings = Self {
            strings,
            defaults: BTreeMap::new(),
            replaced: BTreeMap::new(),
            dev,
        };
        if dev {
            // Where it is malformed, `read` says so.
            let address = Reader::new(&settings).optional_loopback_addr("DEV_IDP_ADDR");
            let address = address.map_or_else(|| DEV_IDP_ADDR.to_owned(), |it| it.to_string());
            settings.stand_in("ISSUER", format!("http://{address}"));
            if !settings.has("CLIENT_ID_FILE") {
                settings.stand_in("CLIENT_ID", DEV_CLIENT_ID);
            }
            if !settings.has("CLIENT_SECRET_FILE") {
                settings.stand_in("CLIENT_SECRET", DEV_CLIENT_SECRET);
            }
            if !settings.skips_audience() {
                settings.stand_in("API_AUDIENCE", DEV_AUDIENCE);
            }
        }
        settings
    }

    /// Tells whether a variable is set to something.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.strings
            .get(name)
            .is_some_and(|value| !value.is_empty())
    }

    /// Tells whether an identity provider is named.
    #[must_use]
    pub fn names_provider(&self) -> bool {
        self.has("ISSUER") || self.has("APPLICATION_VANITY_DOMAIN")
    }

    /// Tells whether `DANGEROUS_SKIP_AUDIENCE` is on; a value that is neither true nor false is not.
    pub(crate) fn skips_audience(&self) -> bool {
        self.get("DANGEROUS_SKIP_AUDIENCE").as_deref() == Some("true")
    }

    /// Gives a variable a value, whatever it is set to.
    pub fn replace(&mut self, name: &'static str, value: impl Into<String>) {
        self.replaced.insert(name, value.into());
    }

    /// Gives a variable a value for where it is not set.
    pub fn stand_in(&mut self, name: &'static str, value: impl Into<String>) {
        self.defaults.insert(name, value.into());
    }

    /// Reads with `read`, and reports every problem at once. Returns what is worth a warning too.
    ///
    /// # Errors
    ///
    /// Fails with all problems; they name variables and never a value.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&mut Reader<'_>) -> T,
    ) -> Result<(T, Vec<Problem>), ConfigError> {
        let mut reader = Reader::new(self);
        // The public secret must not go to a provider that somebody else runs.
        let names = [
            "ISSUER",
            "APPLICATION_VANITY_DOMAIN",
            "TOKEN_ENDPOINT",
            "JWKS_URI",
        ];
        if self.dev
            && let Some(name) = names.into_iter().find(|name| self.has(name))
        {
            reader.problem(
                name,
                "and --dev, the provider of `cargo up`, exclude each other; leave one out",
            );
        }
        if self.dev {
            reader.optional_loopback_addr("DEV_IDP_ADDR");
        }
        let value = read(&mut reader);
        let warnings = reader.warnings().to_vec();
        reader.finish()?;
        Ok((value, warnings))
    }

    /// Returns the variables that decide where the provider's endpoints are.
    #[must_use]
    pub fn origins(&self) -> Origins {
        let or_domain = |name: &'static str| {
            if self.has(name) {
                Some(name)
            } else if self.has("APPLICATION_VANITY_DOMAIN") {
                Some("APPLICATION_VANITY_DOMAIN")
            } else {
                None
            }
        };
        Origins {
            issuer: match or_domain("ISSUER") {
                Some(name) => name,
                None if self.dev => "DEV_IDP_ADDR",
                None => "ISSUER",
            },
            token_endpoint: or_domain("TOKEN_ENDPOINT"),
            jwks_uri: or_domain("JWKS_URI"),
            secret: if self.has("CLIENT_SECRET_FILE") {
                "CLIENT_SECRET_FILE"
            } else {
                "CLIENT_SECRET"
            },
        }
    }
}

impl Strings for Settings<'_> {
    fn get(&self, name: &str) -> Option<String> {
        if let Some(value) = self.replaced.get(name) {
            return Some(value.clone());
        }
        let value = self.strings.get(name).filter(|value| !value.is_empty());
        value.or_else(|| self.defaults.get(name).cloned())
    }

    fn problems(&self) -> &[Problem] {
        self.strings.problems()
    }

    fn warnings(&self) -> &[Problem] {
        self.strings.warnings()
    }

    fn is_malformed(&self, name: &str) -> bool {
        self.strings.is_malformed(name)
    }
}

/// Which variables the addresses and the secret come from, so that a check can name them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Origins {
    /// Names the issuer.
    pub issuer: &'static str,
    /// Names the token endpoint, unless discovery does.
    pub token_endpoint: Option<&'static str>,
    /// Names the address of the keys, unless discovery does.
    pub jwks_uri: Option<&'static str>,
    /// Names the secret.
    pub secret: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(pairs: &[(&'static str, &'static str)]) -> BTreeMap<&'static str, &'static str> {
        pairs.iter().copied().collect()
    }

    #[test]
    fn dev_stands_for_the_provider_of_up() {
        let none = strings(&[]);
        let settings = Settings::new(&none, true);
        assert_eq!(settings.get("ISSUER").unwrap(), "http://127.0.0.1:6003");
        let idp = |name| settings.get(name).unwrap();
        assert_eq!(idp("CLIENT_ID"), dev_idp::DEFAULT_CLIENT_ID);
        assert_eq!(idp("CLIENT_SECRET"), dev_idp::DEFAULT_CLIENT_SECRET);
        assert_eq!(idp("API_AUDIENCE"), dev_idp::DEFAULT_AUDIENCE);
        let (config, _) = settings.read(public_data::Config::read).unwrap();
        assert_eq!(config.provider.issuer, "http://127.0.0.1:6003");
        assert_eq!(settings.origins().issuer, "DEV_IDP_ADDR");
        assert!(!format!("{settings:?}").contains(DEV_CLIENT_SECRET));
    }

    #[test]
    fn dev_leaves_alone_what_is_set() {
        let some = strings(&[
            ("DEV_IDP_ADDR", "127.0.0.1:7003"),
            ("CLIENT_ID", "mine"),
            ("DANGEROUS_SKIP_AUDIENCE", "true"),
        ]);
        let settings = Settings::new(&some, true);
        assert_eq!(settings.get("ISSUER").unwrap(), "http://127.0.0.1:7003");
        assert_eq!(settings.get("CLIENT_ID").unwrap(), "mine");
        let (config, _) = settings.read(protected_data::Config::read).unwrap();
        assert!(config.audiences.is_empty());
    }

    #[test]
    fn a_switch_that_is_written_out_as_off_leaves_the_stand_in() {
        let off = strings(&[("DANGEROUS_SKIP_AUDIENCE", "false")]);
        let settings = Settings::new(&off, true);
        let (config, _) = settings.read(protected_data::Config::read).unwrap();
        assert_eq!(config.audiences, [DEV_AUDIENCE]);
    }

    #[test]
    fn dev_takes_the_addresses_that_the_provider_takes() {
        for (address, is_good) in [
            ("[::1]:7003", true),
            ("127.8.9.1:7003", true),
            ("canary", false),
            ("localhost:7003", false),
            ("0.0.0.0:7003", false),
            ("127.0.0.1", false),
            ("127.0.0.1:7003/x", false),
        ] {
            let one = strings(&[("DEV_IDP_ADDR", address)]);
            let settings = Settings::new(&one, true);
            let problems = match settings.read(public_data::Config::read) {
                Ok((config, _)) => {
                    assert_eq!(config.provider.issuer, format!("http://{address}"));
                    Vec::new()
                }
                Err(error) => error.problems().iter().map(Problem::to_string).collect(),
            };
            let expected: &[&str] = if is_good {
                &[]
            } else {
                &["DEV_IDP_ADDR: must be a loopback address and a port, such as 127.0.0.1:6003"]
            };
            assert_eq!(problems, expected, "{address}");
        }
    }

    #[test]
    fn dev_and_a_provider_exclude_each_other() {
        for (name, value) in [
            ("ISSUER", "https://idp.example"),
            ("APPLICATION_VANITY_DOMAIN", "idp.example"),
            ("TOKEN_ENDPOINT", "https://idp.example/token"),
            ("JWKS_URI", "https://idp.example/jwks"),
        ] {
            let one = strings(&[(name, value)]);
            let error = Settings::new(&one, true)
                .read(public_data::Config::read)
                .unwrap_err();
            let first = &error.problems()[0];
            assert_eq!(first.name(), name);
            assert!(first.to_string().contains("--dev"), "{first}");
            assert!(!error.to_string().contains("idp.example"), "{error}");
        }
    }

    #[test]
    fn without_dev_nothing_is_filled_in() {
        let none = strings(&[]);
        let error = Settings::new(&none, false)
            .read(public_data::Config::read)
            .unwrap_err();
        let names: Vec<&str> = error.problems().iter().map(Problem::name).collect();
        assert_eq!(names, ["ISSUER", "CLIENT_ID", "CLIENT_SECRET"]);
    }
}
