//! Configuration from strings, with every problem reported at once.
//!
//! A binary reads its settings through a [`Reader`] over some [`Strings`]: the process
//! [`Environment`], or a map in a test. A reader that meets a problem notes it and returns the default
//! (or an empty value), so that the rest is looked at too; [`Reader::finish`] then fails with all of
//! them. A problem names the variable and the form it must have and never its value, which can be a
//! secret in the wrong place.

mod credential;
mod environment;
mod fetch_advice;
mod identity_provider;
mod misspelt;
mod proxy;
mod runtime;
mod secret;
mod url;
mod variables;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;

pub use self::environment::Environment;
pub use self::fetch_advice::{advice_on_fetch, advice_on_issuer};
pub use self::identity_provider::IdentityProvider;
pub use self::misspelt::UnknownVariable;
pub use self::runtime::Runtime;
pub use self::secret::SecretSetting;
pub use self::variables::VARIABLES;

/// Where variables come from.
pub trait Strings {
    /// Returns the value of `name`, or `None` when it is not set.
    fn get(&self, name: &str) -> Option<String>;

    /// Returns the problems of the source itself, such as a file that cannot be parsed.
    fn problems(&self) -> &[Problem] {
        &[]
    }

    /// Returns warnings about the source itself.
    fn warnings(&self) -> &[Problem] {
        &[]
    }

    /// Tells whether `name` is set to something that is not text.
    fn is_malformed(&self, _name: &str) -> bool {
        false
    }
}

impl Strings for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

impl Strings for BTreeMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| (*value).to_owned())
    }
}

impl Strings for HashMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}

/// Reads typed values and collects their problems.
///
/// An empty value counts as unset everywhere.
pub struct Reader<'a> {
    strings: &'a dyn Strings,
    asked: BTreeSet<String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("problems", &self.problems)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// Starts with the problems and warnings that `strings` itself has.
    pub fn new(strings: &'a dyn Strings) -> Self {
        Self {
            strings,
            asked: BTreeSet::new(),
            problems: strings.problems().to_vec(),
            warnings: strings.warnings().to_vec(),
        }
    }

    /// Returns the value, or an empty string and a problem when it is unset.
    pub fn required(&mut self, name: &str) -> String {
        let value = self.optional(name);
        self.require(name, value).unwrap_or_default()
    }

    /// Returns the value, or `None` when it is unset. One that was hardly meant so, such as one in quotes
    /// or with a space at an end, is returned as it is, with a warning.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        let value = self.text(name)?;
        self.warn_of_slip(name, &value);
        Some(value)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.to_owned());
        if self.strings.is_malformed(name) {
            self.problem(name, "must be UTF-8 text");
            return None;
        }
        self.strings.get(name).filter(|value| !value.is_empty())
    }

    /// Reads a value with `read`; `expected` completes the sentence "NAME: must be …".
    pub fn parse<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.optional(name)?;
        let parsed = read(&value);
        if parsed.is_none() {
            self.problem(name, format!("must be {expected}"));
        }
        parsed
    }

    /// Reads a listener's address; names are not resolved.
    pub fn socket_addr(&mut self, name: &str, default: SocketAddr) -> SocketAddr {
        self.optional_socket_addr(name).unwrap_or(default)
    }

    /// Reads a listener's address that has no default.
    pub fn optional_socket_addr(&mut self, name: &str) -> Option<SocketAddr> {
        self.parse(
            name,
            "an address and a port, such as 127.0.0.1:6001",
            |value| value.parse().ok(),
        )
    }

    /// Reads the address of a listener for this machine only: 127.0.0.0/8 or ::1. It has no default.
    pub fn optional_loopback_addr(&mut self, name: &str) -> Option<SocketAddr> {
        self.parse(
            name,
            "a loopback address and a port, such as 127.0.0.1:6003",
            |value| {
                let address: SocketAddr = value.parse().ok()?;
                address.ip().is_loopback().then_some(address)
            },
        )
    }

    /// Reads the address of a listener that can be turned off with `off`.
    pub fn socket_addr_or_off(&mut self, name: &str, default: SocketAddr) -> Option<SocketAddr> {
        self.parse(
            name,
            "an address and a port, such as 127.0.0.1:6011, or off",
            |value| match value {
                "off" => Some(None),
                _ => value.parse().ok().map(Some),
            },
        )
        .unwrap_or(Some(default))
    }

    /// Reads a duration such as `10s` or `1m 30s` that lies in `range`.
    pub fn duration(
        &mut self,
        name: &str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let (low, high) = (*range.start(), *range.end());
        let expected = format!(
            "a duration with its unit, such as 10s, between {} and {}",
            in_words(low),
            in_words(high)
        );
        self.parse(name, &expected, |value| {
            humantime::parse_duration(value)
                .ok()
                .filter(|value| range.contains(value))
        })
        .unwrap_or(default)
    }

    /// Reads `true` or `false`.
    pub fn bool(&mut self, name: &str, default: bool) -> bool {
        self.parse(name, "true or false", |value| value.parse().ok())
            .unwrap_or(default)
    }

    /// Reads a whole number that lies in `range`.
    pub fn usize(&mut self, name: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let expected = format!(
            "a whole number between {} and {}",
            range.start(),
            range.end()
        );
        self.parse(name, &expected, |value| {
            value.parse().ok().filter(|value| range.contains(value))
        })
        .unwrap_or(default)
    }

    /// Reads a number of bytes that lies in `range`: `12KiB`, or `12288`.
    pub fn size(&mut self, name: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let expected = format!(
            "a size such as 12KiB, or a number of bytes, between {}KiB and {}KiB",
            range.start() / 1024,
            range.end() / 1024
        );
        self.parse(name, &expected, |value| {
            let (digits, unit) = match value.strip_suffix("KiB") {
                Some(digits) => (digits, 1024),
                None => (value, 1),
            };
            // `parse` would take a sign.
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let number: usize = digits.parse().ok().filter(|_| is_number)?;
            number
                .checked_mul(unit)
                .filter(|bytes| range.contains(bytes))
        })
        .unwrap_or(default)
    }

    /// Reads words separated by spaces or commas; unset is the empty list.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let words = |value: String| {
            value
                .split([' ', ',', '\t'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let value = self.text(name).unwrap_or_default();
        // Spaces at the ends separate nothing from nothing.
        self.warn_of_slip(name, value.trim());
        words(value)
    }

    /// Reads names of hosts separated by spaces or commas, without ports; a dot at the end is not part of the
    /// name. Unset is the empty list.
    pub fn host_names(&mut self, name: &str) -> Vec<String> {
        let names = self.list(name);
        let names: Vec<&str> = names
            .iter()
            .map(|name| name.strip_suffix('.').unwrap_or(name))
            .collect();
        let is_name = |name: &str| {
            let labels = name.split('.');
            name.len() <= 253
                && labels.into_iter().all(|label| {
                    let letters = label.bytes();
                    !label.is_empty()
                        && letters
                            .into_iter()
                            .all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter))
                })
        };
        if !names.iter().all(|name| is_name(name)) {
            let text =
                "must be names of hosts, such as status.example.com, without ports and wildcards";
            self.problem(name, text);
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// Reads one of the named values.
    pub fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)], default: T) -> T {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.parse(name, &format!("one of {}", names.join(", ")), |value| {
            choices
                .iter()
                .find(|(name, _)| *name == value)
                .map(|(_, choice)| *choice)
        })
        .unwrap_or(default)
    }

    /// Reads a secret, which no message and no `Debug` shows.
    pub fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.optional(name).map(SecretString::from)
    }

    /// Notes a problem that involves more than the form of one value, such as two settings that
    /// exclude each other. `text` must not quote a value.
    pub fn problem(&mut self, name: &str, text: impl Into<String>) {
        note(&mut self.problems, Problem::new(name, text));
    }

    /// Notes something that should be changed and does not stop the process. `text` must not quote a
    /// value.
    pub fn warning(&mut self, name: &str, text: impl Into<String>) {
        note(&mut self.warnings, Problem::new(name, text));
    }

    /// Returns the warnings noted so far; they are worth a log line each once there is a log.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Returns the names of all variables asked for so far, set or not: what an example file must
    /// explain.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.asked.iter().map(String::as_str)
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// Fails with every problem noted, in the order in which they were found; values read before are
    /// then not to be used.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError {
                problems: self.problems,
                warnings: self.warnings.iter().map(Problem::to_string).collect(),
            })
        }
    }

    fn require<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        // A value that is there but unusable has its problem already.
        if value.is_none() && !self.has_problem(name) {
            self.problem(name, "is required");
        }
        value
    }

    /// Tells whether a problem of this variable was noted.
    #[must_use]
    pub fn has_problem(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| problem.name == name)
    }
}

/// Whole days as days: humantime would make `1year 1month 4days …` of 400.
fn in_words(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() {
        seconds if seconds >= DAY && seconds % DAY == 0 => format!("{}days", seconds / DAY),
        _ => humantime::format_duration(duration).to_string(),
    }
}

/// A launcher reads the shared variables once per service; each problem is still one line.
fn note(problems: &mut Vec<Problem>, problem: Problem) {
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}

/// A problem of one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    name: String,
    text: String,
}

impl Problem {
    fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Returns the variable (or file) that the problem is about.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}

/// Everything that is wrong with a configuration; its `Display` is one line per problem.
#[derive(Debug)]
pub struct ConfigError {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl ConfigError {
    /// Returns the problems in the order in which they were found; there is at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns the warnings beside them, which may name their cause.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Adds such warnings, for example of names that no program reads.
    #[must_use]
    pub fn with_warnings(mut self, more: &[impl fmt::Display]) -> Self {
        self.warnings.extend(more.iter().map(ToString::to_string));
        self
    }

    /// Returns a line for each problem, then one for each warning.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let problems = self.problems.iter().map(ToString::to_string);
        problems.chain(self.warnings.iter().cloned())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests;
