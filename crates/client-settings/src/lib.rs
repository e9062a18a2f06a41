//! What the variables of an OAuth client say: how it authenticates, what it asks for, and which answers it takes.
//! The services that are one read them in the same way.

mod keys;
mod tokens;

pub use keys::{AUTH_METHODS, ClientKeys};
pub use tokens::{TokenSettings, token_request};

/// Reads these variables, and returns the problems with them beside what came of them.
#[cfg(test)]
fn read_variables<T>(
    variables: &[(&str, &str)],
    read: impl FnOnce(&mut service_kit::config::Reader<'_>) -> T,
) -> (T, Vec<String>) {
    let variables: std::collections::BTreeMap<&str, &str> = variables.iter().copied().collect();
    let mut reader = service_kit::config::Reader::new(&variables);
    let value = read(&mut reader);
    let problems = match reader.finish() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    };
    (value, problems)
}
