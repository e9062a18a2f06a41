//! Names that no program reads, and the known one that was perhaps meant.

use std::fmt;

use super::VARIABLES;

/// A variable in `.env` that no program of this workspace reads, or one of the process environment that was
/// perhaps meant to be one that they read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    name: String,
    nearest: Option<String>,
}

impl UnknownVariable {
    /// Returns the name as written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the known name that it resembles; `None` for a variable of `.env`.
    pub fn nearest(&self) -> Option<&str> {
        self.nearest.as_deref()
    }
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.nearest {
            Some(nearest) => write!(
                f,
                "{name} in the environment is not a known variable; {nearest} is"
            ),
            None => write!(f, "{name} in .env is not a known variable"),
        }
    }
}

/// Returns the names of `.env` and of the process environment that are not among `known` and are worth a warning;
/// [`Environment::unknown`](super::Environment::unknown) says which those are.
pub(super) fn unknown<'a>(
    in_file: impl Iterator<Item = &'a String>,
    in_process: impl Iterator<Item = String>,
    known: &[&str],
) -> Vec<UnknownVariable> {
    let has_small = |name: &str| name.bytes().any(|byte| byte.is_ascii_lowercase());
    let in_file = in_file
        .filter(|name| !known.contains(&name.as_str()) && !has_small(name))
        .filter(|name| nearest(name, &VARIABLES, RESEMBLES).is_none())
        .map(|name| UnknownVariable {
            name: name.clone(),
            nearest: None,
        });
    in_file.chain(misspelt(in_process, known)).collect()
}

/// Returns the known variable that a name of `.env` was perhaps meant to be, if it is none itself.
pub(super) fn resembled(name: &str) -> Option<&'static str> {
    if VARIABLES.contains(&name) {
        return None;
    }
    nearest(name, &VARIABLES, RESEMBLES)
}

/// Two letters: one swapped pair or two slips. More finds names that merely look alike.
const RESEMBLES: usize = 2;

/// Names of the process environment that are one letter from a known one. Shorter ones, such as ISSUER, may
/// well be somebody else's.
fn misspelt(
    names: impl Iterator<Item = String>,
    known: &[&str],
) -> impl Iterator<Item = UnknownVariable> {
    let long: Vec<&str> = known
        .iter()
        .copied()
        .filter(|name| name.len() >= 8)
        .collect();
    names
        .filter(|name| !known.contains(&name.as_str()))
        .filter_map(move |name| {
            let nearest = Some(nearest(&name, &long, 1)?.to_owned());
            Some(UnknownVariable { name, nearest })
        })
}

/// Returns the name among `known` that is at most so many letters away.
fn nearest<'a>(name: &str, known: &[&'a str], letters: usize) -> Option<&'a str> {
    let name = name.to_ascii_uppercase();
    known
        .iter()
        .map(|candidate| (strsim::levenshtein(&name, candidate), *candidate))
        // Of USER, two letters are half, and it has nothing to do with ISSUER.
        .filter(|(distance, _)| *distance <= letters && distance * 3 <= name.len())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_of_the_process_is_found_when_it_can_hardly_be_anothers() {
        let names = [
            "REQUIRED_SCOPE",
            "REQUIRED_SCOPES",
            "required_scopes",
            "CLIENT_SECRETS_FILE",
            "ISSUERS",
            "CLIENT_SECRET_FIELDS",
            "HOME",
        ];
        let found: Vec<String> = misspelt(names.into_iter().map(str::to_owned), &VARIABLES)
            .map(|unknown| unknown.to_string())
            .collect();
        assert_eq!(
            found,
            [
                "REQUIRED_SCOPE in the environment is not a known variable; REQUIRED_SCOPES is",
                "required_scopes in the environment is not a known variable; REQUIRED_SCOPES is",
                "CLIENT_SECRETS_FILE in the environment is not a known variable; CLIENT_SECRET_FILE is",
            ]
        );
    }
}
