//! What is in `deploy/` against the code and against docs/OPERATIONS.md.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use service_kit::config::{Reader, Runtime, VARIABLES};

use crate::tree;

const SERVICES: [&str; 3] = ["protected-data", "public-data", "invoices"];

const MANIFESTS: [&str; 4] = [
    "deploy/kubernetes/config.yaml",
    "deploy/kubernetes/invoices.yaml",
    "deploy/kubernetes/protected-data.yaml",
    "deploy/kubernetes/public-data.yaml",
];

/// Everything that names a variable of ours.
const SETTINGS: [&str; 9] = [
    "deploy/Dockerfile",
    "deploy/compose.yaml",
    "deploy/systemd/m2m-invoices.service",
    "deploy/systemd/m2m-protected-data.service",
    "deploy/systemd/m2m-public-data.service",
    MANIFESTS[0],
    MANIFESTS[1],
    MANIFESTS[2],
    MANIFESTS[3],
];

/// Everything that names a metric.
const MONITORING: [&str; 4] = [
    "deploy/grafana/m2m-auth.json",
    "deploy/prometheus/alerts.yaml",
    "deploy/prometheus/alerts_test.yaml",
    "docs/OPERATIONS.md",
];

/// The words of a text that are made of these characters, each with what follows it.
fn words(text: &str, is_part: impl Fn(char) -> bool) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&is_part) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        found.push(rest.split_at(end));
        rest = &rest[end..];
    }
    found
}

#[test]
fn every_variable_in_deploy_is_one_that_the_code_reads() {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_variable =
        |word: &str| word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let mut named = BTreeSet::new();
    for path in SETTINGS {
        let text = tree::read(path);
        assert!(!text.is_empty(), "{path}");
        for (word, after) in words(&text, is_part) {
            let is_set = after.starts_with(['=', ':', '\n', '}']);
            if is_variable(word) && is_set {
                assert!(VARIABLES.contains(&word), "{path}: {word}");
                named.insert(word.to_owned());
            }
        }
    }
    for name in [
        "ALLOW_INSECURE_HTTP",
        "CLIENT_SECRET_FILE",
        "PROTECTED_DATA_URL",
    ] {
        assert!(named.contains(name), "{name}");
    }
}

fn read(service: &str, reader: &mut Reader<'_>) {
    match service {
        "invoices" => drop(invoices::Config::read(reader)),
        "public-data" => drop(public_data::Config::read(reader)),
        _ => drop(protected_data::Config::read(reader)),
    }
    Runtime::read(reader);
}

/// Reads what a service would read of these settings, and returns the problems.
fn problems(service: &str, settings: &BTreeMap<String, String>) -> Vec<String> {
    let mut reader = Reader::new(settings);
    read(service, &mut reader);
    match reader.finish() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

/// The variables of a service that the compose file does not pass on.
const OF_NO_USE_IN_A_CONTAINER: [&str; 28] = [
    // The image sets them, and a port that is published goes with them.
    "PUBLIC_DATA_ADDR",
    "PROTECTED_DATA_ADDR",
    "PUBLIC_DATA_ADMIN_ADDR",
    "PROTECTED_DATA_ADMIN_ADDR",
    "INVOICES_ADDR",
    "INVOICES_ADMIN_ADDR",
    // Instead of the file.
    "CLIENT_SECRET",
    "WEB_CLIENT_SECRET",
    "SESSION_SECRETS",
    // The older name of APPLICATION_VANITY_DOMAIN.
    "APPLICATION_DOMAIN",
    // A file where nothing is mounted.
    "SESSION_STORE_PASSWORD_FILE",
    // Go with a key, a certificate or an assertion, and these are files.
    "CLIENT_KEY_ALGORITHM",
    "CLIENT_KEY_ID",
    "CLIENT_ASSERTION_TYPE",
    "CLIENT_ID_IN_FORM",
    "ASSERTION_AUDIENCE",
    "ASSERTION_HEADERS",
    "ASSERTION_TYP",
    // Paths within the container, where nothing is mounted.
    "CLIENT_KEY_FILE",
    "CLIENT_CERTIFICATE_FILE",
    "CLIENT_ASSERTION_FILE",
    "CLIENT_ID_FILE",
    "IDP_CA_FILE",
    "IDP_PROXY_CREDENTIALS_FILE",
    "TOKEN_HEADERS_FILE",
    // Goes with `stop_grace_period`.
    "SHUTDOWN_GRACE",
    // The images are built without the feature otel.
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
];

/// What the compose file says of a service.
fn compose_service(service: &str) -> String {
    let compose = tree::read("deploy/compose.yaml");
    let part = compose.split(&format!("\n  {service}:\n")).nth(1).unwrap();
    part.split("\n\n").next().unwrap().to_owned()
}

#[test]
fn the_compose_file_passes_on_every_variable_that_a_service_reads() {
    for service in SERVICES {
        let none: BTreeMap<String, String> = BTreeMap::new();
        let mut reader = Reader::new(&none);
        read(service, &mut reader);
        let part = compose_service(service);
        let mut passed: BTreeSet<&str> = part
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- "))
            .map(|line| line.split('=').next().unwrap())
            .filter(|name| VARIABLES.contains(name))
            .collect();
        for name in reader.asked() {
            let is_passed = passed.remove(name);
            let is_left_out = OF_NO_USE_IN_A_CONTAINER.contains(&name);
            assert_ne!(is_passed, is_left_out, "{service}: {name}");
        }
        assert_eq!(passed, BTreeSet::new(), "{service} does not read these");
    }
}

/// Compose stops in the reverse order of the start.
#[test]
fn public_data_stops_before_what_it_calls() {
    let dependency = "    depends_on:\n      - protected-data\n";
    assert!(compose_service("public-data").contains(dependency));
    assert!(compose_service("invoices").contains("      - protected-data\n"));
    assert!(!compose_service("protected-data").contains("depends_on"));
}

/// The lines `NAME: value` and `- NAME=value` of a text, as far as they name variables.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut name = None;
    for line in text.lines().map(str::trim) {
        let listed = line.strip_prefix("- ").and_then(|it| it.split_once('='));
        let Some((key, value)) = listed.or_else(|| line.split_once(": ")) else {
            continue;
        };
        let value = value.trim_matches('"');
        match (key, name.take()) {
            ("- name", _) => name = Some(value.to_owned()),
            ("value", Some(name)) => {
                found.insert(name, value.to_owned());
            }
            _ if VARIABLES.contains(&key) => {
                found.insert(key.to_owned(), value.to_owned());
            }
            _ => {}
        }
    }
    found
}

#[test]
fn the_settings_of_manifests_and_compose_file_are_configurations_that_services_take() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    // Long enough for what seals sessions too.
    std::fs::write(secret.path(), "hunter2".repeat(5)).unwrap();
    let secret = secret.path().to_str().unwrap();
    let shared = tree::read(MANIFESTS[0]);
    for service in SERVICES {
        let manifest = tree::read(&format!("deploy/kubernetes/{service}.yaml"));
        for (name, text) in [
            ("Kubernetes", format!("{shared}{manifest}")),
            ("Compose", compose_service(service)),
        ] {
            let mut settings = assignments(&text);
            // What whoever starts it has to give, and what is passed on where it is given.
            for required in ["ISSUER", "API_AUDIENCE", "PUBLIC_URL", "WEB_CLIENT_ID"] {
                if text.contains(&format!("- {required}\n")) {
                    settings.insert(required.to_owned(), "https://given.example".to_owned());
                }
            }
            for (name, value) in &mut settings {
                let is_file = name.ends_with("_FILE");
                match value.strip_prefix("${") {
                    _ if is_file => secret.clone_into(value),
                    Some(_) => "https://given.example".clone_into(value),
                    None => {}
                }
            }
            assert!(settings.len() >= 3, "{name} {service}: {settings:?}");
            assert_eq!(problems(service, &settings), [""; 0], "{name} {service}");
        }
    }
}

#[test]
fn the_dockerfile_builds_what_there_is_with_the_toolchain_of_the_repository() {
    let dockerfile = tree::read("deploy/Dockerfile");
    let toolchain = tree::read("rust-toolchain.toml");
    let version = toolchain.split('"').nth(1).unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-slim")),
        "{version}"
    );
    let ignored = tree::read(".dockerignore");
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "crates",
        "services",
        "tests",
        "deploy/image-root",
    ] {
        assert!(
            ignored.lines().any(|line| line == format!("!{needed}")),
            "{needed}"
        );
    }
    // One of every package: built, put into a root, copied from there, and started.
    for (package, binary) in [
        ("public-data", "public-data"),
        ("protected-data", "protected-data"),
        ("invoices", "invoices"),
        ("m2m-cli", "m2m"),
    ] {
        for part in [
            format!("--package {package}"),
            format!("deploy/image-root target/release/{binary} /image/{binary}"),
            format!(
                "FROM scratch AS {binary}\nCOPY --from=build /image/{binary}/ /\nUSER 65532:65532"
            ),
            format!("ENTRYPOINT [\"/usr/bin/{binary}\"]"),
        ] {
            assert!(dockerfile.contains(&part), "{part}");
        }
    }
}

/// The names in the sources of whatever counts.
fn metrics() -> BTreeSet<String> {
    let mut sources = vec![
        "crates/token-cache/src/metrics.rs".to_owned(),
        "crates/jwks-validator/src/metrics.rs".to_owned(),
    ];
    sources.extend(tree::files(&["crates/service-kit/src", "services"], "rs"));
    let mut found = BTreeSet::new();
    for path in sources {
        let text = tree::read(&path);
        for literal in text.split('"').skip(1).step_by(2) {
            let is_name = literal.contains('_')
                && literal
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
            if is_name {
                found.insert(literal.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_metric_that_is_watched_is_counted_somewhere() {
    let known = metrics();
    let prefixes = [
        "token_cache_",
        "jwks_validator_",
        "public_data_",
        "protected_data_",
        "web_session_",
        "invoices_",
        "http_server_",
        "process_",
        "service_state",
    ];
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    for path in MONITORING {
        let text = tree::read(path);
        let mut watched = 0;
        for (word, _) in words(&text, is_part) {
            if !prefixes.iter().any(|prefix| word.starts_with(prefix)) {
                continue;
            }
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix))
                .unwrap_or(word);
            assert!(known.contains(name), "{path}: {word}");
            watched += 1;
        }
        assert!(watched >= 4, "{path}: {watched}");
    }
}

#[test]
fn the_dashboard_asks_the_chosen_source_for_something_in_every_panel() {
    let dashboard: Value = serde_json::from_str(&tree::read(MONITORING[0])).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(!target["expr"].as_str().unwrap().is_empty(), "{title}");
        }
    }
}

#[test]
fn the_alerts_are_those_of_the_document() {
    let document = tree::read("docs/OPERATIONS.md");
    let rules = tree::read("deploy/prometheus/alerts.yaml");
    let mut rules = rules.split("      - alert: ").skip(1);
    let rows = document.lines().filter(|line| line.starts_with("| `M2m"));
    for row in rows {
        let row = row.replace("\\|", "\u{1}");
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, expression, wait, meaning] = cells[..] else {
            panic!("{row}");
        };
        let rule = rules.next().unwrap();
        assert!(
            rule.starts_with(&format!("{}\n", name.trim_matches('`'))),
            "{row}"
        );
        let expression = expression.trim_matches('`').replace('\u{1}', "|");
        assert!(
            rule.contains(&format!("expr: '{expression}'\n")),
            "{expression}: {rule}"
        );
        assert_eq!(rule.contains("for: "), !wait.is_empty(), "{row}");
        assert!(
            wait.is_empty() || rule.contains(&format!("for: {wait}\n")),
            "{row}"
        );
        // Up to the link that some have.
        let meaning = meaning.split('[').next().unwrap();
        assert!(rule.contains(meaning), "{meaning}: {rule}");
    }
    assert_eq!(rules.next(), None);
}
