//! What is asked of the token endpoint besides who asks, and which of its answers are taken.

use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use service_kit::config::Reader;
use token_cache::{
    ClientCredentials, ClientCredentialsBuilder, DEFAULT_TOKEN_SIZE, MAX_TOKEN_SIZE, TokenRequest,
};
use url::form_urlencoded;

/// Settings of the token request and of its answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenSettings {
    /// `TOKEN_HEADERS_FILE`: a file with further headers.
    pub headers_file: Option<PathBuf>,
    /// `TOKEN_TYPE_NAMES`: what the provider calls bearer tokens.
    pub type_names: Vec<String>,
    /// `ACCEPT_NARROWER_SCOPE`: less scope than was asked for is taken.
    pub accept_narrower_scope: bool,
    /// `MAX_TOKEN_SIZE` in bytes.
    pub max_token_size: usize,
}

impl TokenSettings {
    /// Reads the variables.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        const TYPES: &str = "TOKEN_TYPE_NAMES";
        let type_names = reader.list(TYPES);
        let is_more = |name: &String| ["dpop", "mac"].contains(&name.to_ascii_lowercase().as_str());
        if type_names.iter().any(is_more) {
            reader.problem(
                TYPES,
                "must not name DPoP or MAC, which are no bearer tokens",
            );
        }
        Self {
            headers_file: headers_file(reader),
            type_names,
            accept_narrower_scope: reader.bool("ACCEPT_NARROWER_SCOPE", false),
            max_token_size: reader.size(
                "MAX_TOKEN_SIZE",
                DEFAULT_TOKEN_SIZE,
                1024..=MAX_TOKEN_SIZE,
            ),
        }
    }

    /// Sets what the variables say.
    #[must_use]
    pub fn apply(&self, source: ClientCredentialsBuilder) -> ClientCredentialsBuilder {
        let mut source = source.max_token_size(self.max_token_size);
        if let Some(path) = &self.headers_file {
            source = source.headers_file(path);
        }
        if self.accept_narrower_scope {
            source = source.accept_narrower_scope();
        }
        self.type_names
            .iter()
            .fold(source, |source, name| source.token_type_name(name))
    }
}

fn headers_file(reader: &mut Reader<'_>) -> Option<PathBuf> {
    const NAME: &str = "TOKEN_HEADERS_FILE";
    let (path, lines) = reader.text_file(NAME)?;
    if let Err(error) = ClientCredentials::check_headers(lines.expose_secret()) {
        let problem = error.problem();
        reader.problem(
            NAME,
            format!("names a file whose {problem}; every line is Name: value"),
        );
    }
    Some(path)
}

/// Reads `TOKEN_SCOPE`, `TOKEN_AUDIENCE`, `TOKEN_RESOURCE`, `TOKEN_RESOURCE_RAW` and `TOKEN_PARAMETERS`.
#[must_use]
pub fn token_request(reader: &mut Reader<'_>) -> TokenRequest {
    let raw = reader.bool("TOKEN_RESOURCE_RAW", false);
    let scopes = reader.list("TOKEN_SCOPE");
    let resources = reader.list("TOKEN_RESOURCE");
    let parameters = parameters(reader);
    let with_scopes = |request| {
        scopes
            .iter()
            .fold(request, |it: TokenRequest, one| it.scope(one))
    };
    let with_resources = |request| {
        resources
            .iter()
            .fold(request, |it: TokenRequest, one| match raw {
                true => it.dangerous_relative_resource(one),
                false => it.resource(one),
            })
    };
    let with_parameters = |request| {
        let parameters = parameters.iter();
        parameters.fold(request, |it: TokenRequest, (name, value)| {
            it.parameter(name, value)
        })
    };
    // Apart, because a check ends at the first problem.
    for (name, part) in [
        ("TOKEN_SCOPE", with_scopes(TokenRequest::new())),
        ("TOKEN_RESOURCE", with_resources(TokenRequest::new())),
        ("TOKEN_PARAMETERS", with_parameters(TokenRequest::new())),
    ] {
        if let Err(error) = part.check() {
            let bare = match error.setting() {
                "resource" if !raw => "; bare names need TOKEN_RESOURCE_RAW=true",
                _ => "",
            };
            reader.problem(name, format!("{}{bare}", error.problem()));
        }
    }
    let request = with_parameters(with_resources(with_scopes(TokenRequest::new())));
    match reader.optional("TOKEN_AUDIENCE") {
        Some(audience) => request.audience(&audience),
        None => request,
    }
}

/// Pairs `name=value`, separated by spaces and percent-encoded.
fn parameters(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let expected = "pairs name=value, separated by spaces and percent-encoded";
    let read = |value: &str| value.split_whitespace().map(parameter).collect();
    reader
        .parse("TOKEN_PARAMETERS", expected, read)
        .unwrap_or_default()
}

fn parameter(pair: &str) -> Option<(String, String)> {
    pair.contains('=').then_some(())?;
    // A plus and an ampersand mean something else in a form than in a percent-encoded text.
    let pair = pair.replace('+', "%2B").replace('&', "%26");
    let (name, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
    Some((name.into_owned(), value.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_variables as read;

    /// M6, N35
    #[test]
    fn parameters_and_bare_resources_are_read_as_they_are_meant() {
        let (asked, problems) = read(
            &[
                ("TOKEN_PARAMETERS", "organization=org_1  a%20b=x+y%26z&w=1"),
                ("TOKEN_RESOURCE", "00000002-0000 spn:api"),
                ("TOKEN_RESOURCE_RAW", "true"),
            ],
            token_request,
        );
        assert_eq!(problems, [""; 0]);
        let expected = TokenRequest::new()
            .parameter("organization", "org_1")
            .parameter("a b", "x+y&z&w=1")
            .dangerous_relative_resource("00000002-0000")
            .dangerous_relative_resource("spn:api");
        assert_eq!(asked, expected);
        for (name, value, expected) in [
            ("TOKEN_PARAMETERS", "canary", "must be pairs name=value"),
            ("TOKEN_PARAMETERS", "=canary", "must have a name"),
            (
                "TOKEN_PARAMETERS",
                "scope=canary",
                "must not have a name that",
            ),
            (
                "TOKEN_RESOURCE",
                "canary",
                "bare names need TOKEN_RESOURCE_RAW=true",
            ),
        ] {
            let (_, problems) = read(&[(name, value)], token_request);
            assert_eq!(problems.len(), 1, "{value}: {problems:?}");
            assert!(problems[0].starts_with(name), "{value}: {problems:?}");
            assert!(problems[0].contains(expected), "{value}: {problems:?}");
            assert!(!problems[0].contains("canary"), "{value}: {problems:?}");
        }
    }

    /// A19, A20, N34
    #[test]
    fn settings_of_the_answer_and_of_headers_are_checked_at_the_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        std::fs::write(path, "X-Api-Key: canary\n").unwrap();
        let (settings, problems) = read(
            &[
                ("TOKEN_HEADERS_FILE", path),
                ("TOKEN_TYPE_NAMES", "access_token JWT"),
                ("MAX_TOKEN_SIZE", "32KiB"),
                ("ACCEPT_NARROWER_SCOPE", "true"),
            ],
            TokenSettings::read,
        );
        assert_eq!(problems, [""; 0]);
        assert_eq!(settings.max_token_size, 32_768);
        assert_eq!(settings.type_names, ["access_token", "JWT"]);
        assert!(settings.accept_narrower_scope);
        let source = ClientCredentials::builder("id", token_cache::SecretString::from("x"))
            .token_endpoint("https://idp.example/token");
        assert!(settings.apply(source).build().is_ok());

        std::fs::write(path, "X-Ok: 1\nAuthorization: canary\n").unwrap();
        for (name, value, expected) in [
            ("TOKEN_HEADERS_FILE", path, "line 2 has a name that"),
            ("TOKEN_TYPE_NAMES", "JWT dpop", "must not name DPoP or MAC"),
            ("MAX_TOKEN_SIZE", "33KiB", "1KiB and 32KiB"),
            ("MAX_TOKEN_SIZE", "12", "1KiB and 32KiB"),
            ("MAX_TOKEN_SIZE", "12KB", "1KiB and 32KiB"),
        ] {
            let (_, problems) = read(&[(name, value)], TokenSettings::read);
            assert_eq!(problems.len(), 1, "{value}: {problems:?}");
            assert!(problems[0].contains(expected), "{value}: {problems:?}");
            assert!(!problems[0].contains("canary"), "{value}: {problems:?}");
        }
    }
}
