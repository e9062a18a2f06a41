//! `up` as a process.

use dev_idp::DevIdp;
use tokio::net::TcpListener;

use crate::processes::{just, with};
use crate::program::Program;
use crate::world::{PUBLIC_BODY, client, variables, variables_for};

/// `up` on free ports.
pub(crate) const FREE_PORTS: [(&str, &str); 5] = [
    ("PUBLIC_DATA_ADDR", "127.0.0.1:0"),
    ("PROTECTED_DATA_ADDR", "127.0.0.1:0"),
    ("PUBLIC_DATA_ADMIN_ADDR", "127.0.0.1:0"),
    ("PROTECTED_DATA_ADMIN_ADDR", "127.0.0.1:0"),
    ("DEV_IDP_ADDR", "127.0.0.1:0"),
];

/// N63
#[tokio::test]
async fn up_check_makes_one_request_through_the_pair_and_ends_with_0() {
    let ended = Program::start("up", &["--check"], &just(&FREE_PORTS))
        .ended()
        .await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.lines().any(|line| line == PUBLIC_BODY),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("curl http://127.0.0.1:"),
        "{}",
        ended.stdout
    );
    let warnings = ended.stderr.lines().filter(|line| line.contains(" WARN "));
    let warnings: Vec<&str> = warnings.collect();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    assert!(warnings[0].contains("a DEVELOPMENT identity provider is running"));
}

/// H3
#[tokio::test]
async fn a_switch_that_is_written_out_as_off_leaves_its_stand_in() {
    let variables = with(just(&FREE_PORTS), &[("DANGEROUS_SKIP_AUDIENCE", "false")]);
    let ended = Program::start("up", &["--check"], &variables).ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn up_serves_until_it_is_interrupted() {
    let mut up = Program::start("up", &[], &just(&FREE_PORTS));
    let line = up.answer("Repeat it:").await;
    let url = line.split_whitespace().last().unwrap();
    let body = client()
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(body, PUBLIC_BODY);
    up.signal("INT");
    assert_eq!(up.ended().await.status.code(), Some(0));
}

/// N56
#[tokio::test]
async fn up_shows_why_a_request_is_refused() {
    let mut up = Program::start("up", &[], &just(&FREE_PORTS));
    let line = up.answer("protected-data  http").await;
    let address = line.split_whitespace().last().unwrap();
    up.answer("Repeat it:").await;
    let request = client().get(format!("{address}/api/protected/data"));
    let response = request
        .header("x-request-id", "demo-1")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    up.signal("INT");
    let ended = up.ended().await;
    let line = ended.stderr.lines().find(|line| line.contains("demo-1"));
    let line = line.unwrap_or_else(|| panic!("{}", ended.stderr));
    let said = "refused a request: no credentials were sent";
    assert!(line.contains(said), "{line}");
}

#[tokio::test]
async fn up_check_that_is_ended_before_its_request_did_not_succeed() {
    let mut up = Program::start("up", &["--check"], &variables_for("http://127.0.0.1:1"));
    up.answer("protected-data").await;
    up.signal("TERM");
    assert_eq!(up.ended().await.status.code(), Some(1));
}

#[tokio::test]
async fn the_embedded_provider_is_not_mixed_with_endpoints_of_another() {
    for name in ["TOKEN_ENDPOINT", "JWKS_URI"] {
        let variables = with(just(&FREE_PORTS), &[(name, "https://idp.invalid/path")]);
        let ended = Program::start("up", &["--check"], &variables).ended().await;
        assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("{name}: ")),
            "{}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("idp.invalid"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_embedded_provider_knows_a_client_whose_id_is_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "mine\n").unwrap();
    let id_file = ("CLIENT_ID_FILE", file.path().to_str().unwrap());
    let variables = with(just(&FREE_PORTS), &[id_file]);
    let ended = Program::start("up", &["--check"], &variables).ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn the_embedded_provider_knows_a_client_by_its_key() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), key.serialize_pem()).unwrap();
        let path = file.path().to_str().unwrap();
        let variables = [
            ("CLIENT_AUTH_METHOD", "private_key_jwt"),
            ("CLIENT_KEY_FILE", path),
            ("CLIENT_SECRET", ""),
        ];
        let variables = with(just(&FREE_PORTS), &variables);
        let ended = Program::start("up", &["--check"], &variables).ended().await;
        assert_eq!(
            ended.status.code(),
            Some(0),
            "{algorithm:?}: {}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn the_embedded_provider_is_not_asked_by_a_method_that_it_does_not_know() {
    let method = ("CLIENT_AUTH_METHOD", "client_assertion");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "one.two.three").unwrap();
    let path = file.path().to_str().unwrap();
    let variables = [method, ("CLIENT_ASSERTION_FILE", path)];
    let variables = with(just(&FREE_PORTS), &variables);
    let ended = Program::start("up", &["--check"], &variables).ended().await;
    assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
    let expected = "configuration: CLIENT_AUTH_METHOD: the embedded provider knows client secrets and private_key_jwt only";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

/// H3
#[tokio::test]
async fn the_embedded_provider_listens_on_loopback_or_it_is_a_problem_among_the_others() {
    let wrong = [
        ("DEV_IDP_ADDR", "0.0.0.0:46003"),
        ("DEV_IDP_CONTROL_ADDR", "[::]:46004"),
        ("LOG_FORMAT", "canary"),
    ];
    let variables = with(just(&FREE_PORTS), &wrong);
    let ended = Program::start("up", &["--check"], &variables).ended().await;
    assert_eq!(ended.status.code(), Some(64), "{}", ended.stderr);
    for (name, _) in wrong {
        let start = format!("configuration: {name}: must be ");
        let lines = ended.stderr.lines();
        let count = lines.filter(|line| line.starts_with(&start)).count();
        assert_eq!(count, 1, "{name}: {}", ended.stderr);
    }
    for value in ["0.0.0.0", "[::]", "4600", "canary"] {
        assert!(!ended.stderr.contains(value), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_wrong_command_line_ends_as_in_the_other_programs() {
    for program in ["up", "m2m", "dev-idp"] {
        let ended = Program::start(program, &["--chek"], &just(&[]))
            .ended()
            .await;
        assert_eq!(ended.status.code(), Some(64), "{program}: {}", ended.stderr);
        let ended = Program::start(program, &["--help"], &just(&[]))
            .ended()
            .await;
        assert_eq!(ended.status.code(), Some(0), "{program}: {}", ended.stderr);
        assert!(ended.stdout.contains("--"), "{program}: {}", ended.stdout);
    }
}

/// N80
#[tokio::test]
async fn up_says_in_one_line_what_to_change() {
    let idp = DevIdp::builder().start().await.unwrap();
    let stranger = DevIdp::builder().start().await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let gone = "http://127.0.0.1:1";
    let hold = TcpListener::bind(&taken).await;
    for (name, variables, expected) in [
        (
            "a wrong secret",
            with(variables(&idp), &[("CLIENT_SECRET", "canary")]),
            "CLIENT_SECRET",
        ),
        ("a provider that is down", variables_for(gone), "ISSUER"),
        (
            "a busy port",
            with(variables(&idp), &[("PUBLIC_DATA_ADDR", &taken)]),
            "PUBLIC_DATA_ADDR",
        ),
        (
            "a busy port of the provider",
            with(just(&FREE_PORTS), &[("DEV_IDP_ADDR", &taken)]),
            "DEV_IDP_ADDR",
        ),
        (
            "a wrong audience",
            with(
                variables(&idp),
                &[("API_AUDIENCE", "https://other.example")],
            ),
            "API_AUDIENCE",
        ),
        (
            "keys of somebody else",
            with(variables(&idp), &[("JWKS_URI", &stranger.jwks_uri())]),
            "JWKS_URI",
        ),
    ] {
        let ended = Program::start("up", &["--check"], &variables).ended().await;
        assert_eq!(ended.status.code(), Some(1), "{name}: {}", ended.stderr);
        let line = ended.stderr.lines().find(|line| line.contains(expected));
        assert!(line.is_some(), "{name}: {}", ended.stderr);
        assert!(!ended.stderr.contains("canary"), "{name}");
        // What stopped the start has no pair to examine.
        if !name.contains("port") {
            let last = ended.stderr.lines().last().unwrap();
            let finding = last.split_once("m2m doctor: ✗ ");
            let (_, finding) = finding.unwrap_or_else(|| panic!("{name}: {}", ended.stderr));
            let (_, change) = finding.split_once(" → ").unwrap();
            assert!(change.contains(expected), "{name}: {last}");
        }
    }
    drop(hold);
}
