//! `.env.example`, the README and the justfile against the code and each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use service_kit::config::{Reader, Runtime, VARIABLES};

use crate::program::Program;
use crate::world::PUBLIC_BODY;

fn document(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// A variable of `.env.example`.
struct Example {
    name: String,
    value: String,
    is_set: bool,
    has_comment: bool,
}

fn examples() -> Vec<Example> {
    let text = document(".env.example");
    let mut found: Vec<Example> = Vec::new();
    let mut previous = "";
    for line in text.lines() {
        let assignment = line.strip_prefix('#').unwrap_or(line);
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        };
        if let Some((name, value)) = assignment.split_once('=').filter(|(name, _)| is_name(name)) {
            // One comment may stand above several lines.
            let has_comment = previous.starts_with("# ")
                || found.last().is_some_and(|last| {
                    last.has_comment && previous.trim_start_matches('#').starts_with(&last.name)
                });
            found.push(Example {
                name: name.to_owned(),
                value: value.trim_matches('\'').to_owned(),
                is_set: !line.starts_with('#'),
                has_comment,
            });
        }
        previous = line;
    }
    found
}

#[test]
fn the_example_file_explains_exactly_the_variables_that_the_code_reads() {
    let examples = examples();
    let names: BTreeSet<&str> = examples
        .iter()
        .map(|example| example.name.as_str())
        .collect();
    assert_eq!(names.len(), examples.len(), "a variable stands there twice");
    assert_eq!(names, VARIABLES.into_iter().collect());
    for example in &examples {
        assert!(
            example.has_comment,
            "{} has no comment above it",
            example.name
        );
    }
}

/// Reads all three configurations and returns what the services would see.
fn configuration(variables: &BTreeMap<String, String>) -> String {
    let mut reader = Reader::new(variables);
    let protected = protected_data::Config::read(&mut reader);
    let public = public_data::Config::read(&mut reader);
    let process = Runtime::read(&mut reader);
    reader.finish().unwrap();
    format!("{protected:#?}{public:#?}{process:#?}")
}

#[test]
fn values_shown_as_defaults_are_the_defaults() {
    let examples = examples();
    let mut base: BTreeMap<String, String> = examples
        .iter()
        .filter(|example| example.is_set)
        .map(|example| (example.name.clone(), example.value.clone()))
        .collect();
    base.insert("ISSUER".to_owned(), "https://idp.example".to_owned());
    let expected = configuration(&base);
    // These have no default: they show an example, or are for `up` and dev-idp alone.
    let without_default = [
        "ADMIN_ALLOWED_HOSTS",
        "ISSUER",
        "APPLICATION_VANITY_DOMAIN",
        "METADATA_URL",
        "TOKEN_ENDPOINT",
        "JWKS_URI",
        "IDP_CA_FILE",
        "IDP_PROXY",
        "IDP_PROXY_CREDENTIALS_FILE",
        "CLIENT_SECRET_FILE",
        "CLIENT_KEY_FILE",
        "CLIENT_KEY_ALGORITHM",
        "CLIENT_KEY_ID",
        "CLIENT_CERTIFICATE_FILE",
        "CLIENT_ASSERTION_FILE",
        "ASSERTION_AUDIENCE",
        "ASSERTION_HEADERS",
        "ASSERTION_TYP",
        "TOKEN_SCOPE",
        "TOKEN_AUDIENCE",
        "TOKEN_RESOURCE",
        "CLIENT_ID_FILE",
        "TOKEN_PARAMETERS",
        "TOKEN_HEADERS_FILE",
        "TOKEN_TYPE_NAMES",
        "REQUIRED_CLAIMS",
        "REQUIRED_SCOPES",
        "DEV_IDP_ADDR",
        "DEV_IDP_CONTROL_ADDR",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    for example in examples.iter().filter(|example| !example.is_set) {
        if without_default.contains(&example.name.as_str()) {
            continue;
        }
        let mut variables = base.clone();
        variables.insert(example.name.clone(), example.value.clone());
        assert_eq!(configuration(&variables), expected, "{}", example.name);
    }
}

#[test]
fn every_example_value_can_be_read() {
    let examples = examples();
    let value = |name: &str| {
        let example = examples
            .iter()
            .find(|example| example.name == name)
            .unwrap();
        (name.to_owned(), example.value.clone())
    };
    let required = ["ISSUER", "CLIENT_ID", "CLIENT_SECRET", "API_AUDIENCE"];
    let base: BTreeMap<String, String> = required.into_iter().map(value).collect();
    for name in [
        "TOKEN_ENDPOINT",
        "JWKS_URI",
        "CLIENT_KEY_ALGORITHM",
        "CLIENT_KEY_ID",
        "ASSERTION_AUDIENCE",
        "ASSERTION_TYP",
        "TOKEN_SCOPE",
        "TOKEN_AUDIENCE",
        "TOKEN_RESOURCE",
        "TOKEN_PARAMETERS",
        "TOKEN_TYPE_NAMES",
        "REQUIRED_CLAIMS",
        "REQUIRED_SCOPES",
    ] {
        let mut variables = base.clone();
        variables.extend([value(name)]);
        configuration(&variables);
    }
    let mut wristband = base;
    wristband.remove("ISSUER");
    wristband.extend([value("APPLICATION_VANITY_DOMAIN")]);
    configuration(&wristband);
}

#[tokio::test]
async fn the_example_file_works_as_it_stands() {
    let ports = [
        "PUBLIC_DATA_ADDR",
        "PROTECTED_DATA_ADDR",
        "PUBLIC_DATA_ADMIN_ADDR",
        "PROTECTED_DATA_ADMIN_ADDR",
        "DEV_IDP_ADDR",
    ];
    let variables = ports
        .into_iter()
        .map(|name| (name.to_owned(), "127.0.0.1:0".to_owned()))
        .collect();
    let file = document(".env.example");
    let up = Program::start_with_file("up", &["--check"], &variables, Some(&file));
    let ended = up.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains(PUBLIC_BODY));
    assert!(
        !ended.stderr.contains("not a known variable"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_readme_names_every_variable() {
    let readme = document("README.md");
    for name in VARIABLES {
        assert!(readme.contains(&format!("`{name}")), "{name}");
    }
}

/// The commands of the README's `sh` blocks.
fn readme_commands() -> Vec<String> {
    let readme = document("README.md");
    let mut commands = Vec::new();
    let mut in_shell = false;
    for line in readme.lines() {
        match line {
            "```sh" => in_shell = true,
            "```" => in_shell = false,
            _ if in_shell => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

#[test]
fn the_two_commands_of_the_readme_are_those_of_the_justfile_and_of_ci() {
    let commands = readme_commands();
    assert_eq!(commands, ["cargo up", "cargo test --workspace"]);
    let just = document("justfile");
    let recipe = |name: &str| -> String {
        let mut lines = just.lines().skip_while(|line| {
            !line.starts_with(&format!("{name}:")) && !line.starts_with(&format!("{name} "))
        });
        lines.next().unwrap();
        lines.next().unwrap().trim().to_owned()
    };
    assert!(recipe("up").starts_with(&commands[0]), "{}", recipe("up"));
    assert_eq!(recipe("test"), commands[1]);
    let ci = document(".ci/run");
    assert!(
        ci.contains(&commands[1]),
        "CI does not run the README's test command"
    );
    for name in [
        "up",
        "idp",
        "public",
        "protected",
        "doctor",
        "token",
        "test",
        "lint",
        "fmt",
        "doc",
        "deny",
        "bench",
        "bench-services",
        "doctor",
        "sim",
        "load",
        "soak",
        "plant",
        "ci",
    ] {
        recipe(name);
    }
}
