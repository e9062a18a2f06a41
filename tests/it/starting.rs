//! What the binaries say at the start.

use std::collections::BTreeMap;

use dev_idp::DevIdp;
use tokio::net::TcpListener;

use crate::processes::{just, with};
use crate::program::Program;
use crate::world::{variables, variables_for};

/// H3, J1
#[tokio::test]
async fn configuration_problems_come_all_at_once_without_values_and_with_64() {
    let idp_free = [
        ("ISSUER", "http://canary.example"),
        ("CLIENT_SECRET", "canary"),
        ("CLIENT_SECRET_FILE", "/canary"),
        ("CLIENT_AUTH_METHOD", "canary"),
        ("TOKEN_SCOPE", "canary\\"),
        ("TOKEN_RESOURCE", "canary"),
        ("PUBLIC_DATA_ADDR", "canary"),
        ("PROTECTED_DATA_ADDR", "canary"),
        ("PUBLIC_DATA_ADMIN_ADDR", "canary"),
        ("PROTECTED_DATA_ADMIN_ADDR", "canary"),
        ("PROTECTED_DATA_URL", "ftp://canary"),
        ("ALLOWED_ALGORITHMS", "HS256 canary"),
        ("SCOPE_CLAIM", "aud"),
        ("ALLOW_SCOPE_ARRAY", "canary"),
        ("MAX_TOKEN_LIFETIME", "canary"),
        ("VERIFIED_CACHE_ENTRIES", "canary"),
        ("SHUTDOWN_GRACE", "canary"),
        ("LOG_FORMAT", "canary"),
        ("IDP_CA_FILE", "/canary"),
    ];
    let public = [
        "CLIENT_ID",
        "CLIENT_SECRET",
        "CLIENT_AUTH_METHOD",
        "TOKEN_SCOPE",
        "TOKEN_RESOURCE",
        "PUBLIC_DATA_ADDR",
        "PUBLIC_DATA_ADMIN_ADDR",
        "PROTECTED_DATA_URL",
    ];
    let protected = [
        "API_AUDIENCE",
        "PROTECTED_DATA_ADDR",
        "PROTECTED_DATA_ADMIN_ADDR",
        "ALLOWED_ALGORITHMS",
        "SCOPE_CLAIM",
        "ALLOW_SCOPE_ARRAY",
        "MAX_TOKEN_LIFETIME",
        "VERIFIED_CACHE_ENTRIES",
    ];
    let both = ["ISSUER", "IDP_CA_FILE", "SHUTDOWN_GRACE", "LOG_FORMAT"];
    for (binary, own) in [
        ("public-data", &public[..]),
        ("protected-data", &protected[..]),
    ] {
        let ended = Program::start(binary, &[], &just(&idp_free)).ended().await;
        assert_eq!(ended.status.code(), Some(64), "{binary}: {}", ended.stderr);
        for name in own.iter().chain(&both) {
            let start = format!("configuration: {name}: ");
            let count = ended
                .stderr
                .lines()
                .filter(|line| line.starts_with(&start))
                .count();
            assert_eq!(count, 1, "{binary}, {name}: {}", ended.stderr);
        }
        assert!(
            !ended.stderr.contains("canary"),
            "{binary}: {}",
            ended.stderr
        );
    }
    let ended = Program::start("up", &["--check"], &just(&idp_free))
        .ended()
        .await;
    assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
    let mut lines: Vec<&str> = ended.stderr.lines().collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(
        lines.len(),
        all,
        "a problem is named once: {}",
        ended.stderr
    );
}

/// H3
#[tokio::test]
async fn certificates_that_cannot_be_used_are_a_problem_among_the_others() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let markers = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
    std::fs::write(file.path(), markers).unwrap();
    let path = file.path().to_str().unwrap();
    let wrong = [("IDP_CA_FILE", path), ("LOG_FORMAT", "canary")];
    for binary in ["public-data", "protected-data", "up"] {
        let variables = with(variables_for("https://idp.example"), &wrong);
        let ended = Program::start(binary, &[], &variables).ended().await;
        assert_eq!(ended.status.code(), Some(64), "{binary}: {}", ended.stderr);
        let mut lines: Vec<&str> = ended.stderr.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "configuration: IDP_CA_FILE: names a file without a usable PEM certificate",
                "configuration: LOG_FORMAT: must be one of pretty, json",
            ],
            "{binary}"
        );
    }
}

/// H3
#[tokio::test]
async fn a_misspelt_variable_stops_the_start_in_the_file_and_is_a_warning_in_the_environment() {
    let file = Some("REQUIRED_SCOPE=canary\nLOG_FORMAT=canary\n");
    for binary in ["public-data", "protected-data", "up"] {
        let variables = variables_for("https://idp.example");
        let mut variables = with(variables, &[]);
        variables.remove("LOG_FORMAT");
        let ended = Program::start_with_file(binary, &[], &variables, file)
            .ended()
            .await;
        assert_eq!(ended.status.code(), Some(64), "{binary}: {}", ended.stderr);
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert_eq!(
            lines,
            [
                "configuration: .env: REQUIRED_SCOPE is not a known variable; REQUIRED_SCOPES is",
                "configuration: LOG_FORMAT: must be one of pretty, json",
            ],
            "{binary}"
        );
        let misspelt = [("REQUIRED_SCOPE", "canary")];
        let variables = with(variables_for("http://127.0.0.1:1"), &misspelt);
        let mut started = Program::start(binary, &[], &variables);
        let warning =
            "REQUIRED_SCOPE in the environment is not a known variable; REQUIRED_SCOPES is";
        started
            .line(|line| line.contains(warning).then_some(()))
            .await;
    }
}

/// H3, N70
#[tokio::test]
async fn a_misspelt_variable_is_named_beside_what_is_missing() {
    for binary in ["public-data", "protected-data", "up", "m2m"] {
        let misspelt = [
            ("API_AUDIENC", "canary"),
            ("CLIENT_SECRETS", "canary"),
            ("LOG_FORMAT", "'json'"),
        ];
        let mut variables = with(variables_for("http://127.0.0.1:1"), &misspelt);
        variables.remove("API_AUDIENCE");
        variables.remove("CLIENT_SECRET");
        let arguments: &[&str] = if binary == "m2m" { &["doctor"] } else { &[] };
        let ended = Program::start(binary, arguments, &variables).ended().await;
        assert_eq!(ended.status.code(), Some(64), "{binary}: {}", ended.stderr);
        let text = format!("{}{}", ended.stdout, ended.stderr);
        for line in [
            "API_AUDIENC in the environment is not a known variable; API_AUDIENCE is",
            "CLIENT_SECRETS in the environment is not a known variable; CLIENT_SECRET is",
            "LOG_FORMAT: has quotes around it",
        ] {
            let found = text.lines().filter(|one| one.contains(line)).count();
            assert_eq!(found, 1, "{binary}, {line}: {text}");
        }
        assert!(!text.contains("canary"), "{binary}: {text}");
    }
}

/// H3
#[tokio::test]
async fn an_empty_configuration_names_what_is_required() {
    for (binary, names) in [
        ("public-data", &["ISSUER", "CLIENT_ID", "CLIENT_SECRET"][..]),
        ("protected-data", &["ISSUER", "API_AUDIENCE"][..]),
    ] {
        let ended = Program::start(binary, &[], &BTreeMap::new()).ended().await;
        assert_eq!(ended.status.code(), Some(64));
        for name in names {
            assert!(
                ended.stderr.contains(&format!("configuration: {name}: ")),
                "{}",
                ended.stderr
            );
        }
    }
}

/// H13
#[tokio::test]
async fn a_port_in_use_is_one_line_and_exit_code_1() {
    let idp = DevIdp::builder().start().await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (binary, name) in [
        ("public-data", "PUBLIC_DATA_ADDR"),
        ("protected-data", "PROTECTED_DATA_ADDR"),
        ("public-data", "PUBLIC_DATA_ADMIN_ADDR"),
        ("protected-data", "PROTECTED_DATA_ADMIN_ADDR"),
    ] {
        let variables = with(variables(&idp), &[(name, &address)]);
        let ended = Program::start(binary, &[], &variables).ended().await;
        assert_eq!(ended.status.code(), Some(1));
        let expected = format!("error: {name}: {address} is in use");
        assert!(
            ended.stderr.lines().any(|line| line == expected),
            "{}",
            ended.stderr
        );
    }
}

/// H21
#[tokio::test]
async fn a_system_without_root_certificates_is_named_at_the_start() {
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    for (binary, variable) in [("public-data", "ISSUER"), ("protected-data", "ISSUER")] {
        let roots = [
            ("SSL_CERT_DIR", empty),
            ("SSL_CERT_FILE", "/nonexistent.pem"),
        ];
        let variables = with(variables_for("https://idp.example"), &roots);
        let ended = Program::start(binary, &[], &variables).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{binary}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("root certificates"),
            "{binary}: {}",
            ended.stderr
        );
        assert!(
            ended.stderr.to_uppercase().contains(variable),
            "{binary}: {}",
            ended.stderr
        );
    }
    // On loopback they are not needed.
    let idp = DevIdp::builder().start().await.unwrap();
    let roots = [
        ("SSL_CERT_DIR", empty),
        ("SSL_CERT_FILE", "/nonexistent.pem"),
    ];
    let ended = Program::start("up", &["--check"], &with(variables(&idp), &roots))
        .ended()
        .await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// This build has no exporter: the workspace's tests run without the feature `otel`.
#[tokio::test]
async fn a_collector_that_a_program_cannot_send_to_is_a_warning() {
    let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    let variables = with(variables_for("http://127.0.0.1:1"), &[collector]);
    let mut service = Program::start("protected-data", &[], &variables);
    let warning = service
        .line(|line| line.contains(collector.0).then(|| line.to_owned()))
        .await;
    assert!(
        warning.contains("built without the feature otel"),
        "{warning}"
    );
}
