//! The binary as a person runs it.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::world::{LIMIT, Variables, idp, variables, with};

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `m2m` with these variables and no others, in an empty folder.
async fn m2m(arguments: &[&str], variables: &Variables, input: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_m2m"))
        .args(arguments)
        .env_clear()
        .envs(variables)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who does not read it may have ended.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(LIMIT, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn the_doctor_prints_lines_or_one_document() {
    let idp = idp().await;
    let variables = variables(idp.issuer());
    let ended = m2m(&["doctor"], &variables, "").await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 13, "{}", ended.stdout);
    assert!(
        ended.stdout.starts_with("✓ configuration"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "");

    let wrong = with(variables, &[("CLIENT_SECRET", "hunter2")]);
    let ended = m2m(&["doctor", "--json"], &wrong, "").await;
    assert_eq!(ended.code, Some(1));
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["failures"], 1);

    let ended = m2m(&["doctor", "--json"], &Variables::new(), "").await;
    assert_eq!(ended.code, Some(64));
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["exit_code"], 64);
}

#[tokio::test]
async fn dev_is_enough_beside_the_embedded_provider() {
    let idp = idp().await;
    let variables = with(
        Variables::new(),
        &[
            ("DEV_IDP_ADDR", &*idp.addr().to_string()),
            ("PROTECTED_DATA_ADDR", "127.0.0.1:1"),
            ("PUBLIC_DATA_ADDR", "127.0.0.1:1"),
        ],
    );
    let ended = m2m(&["--dev", "doctor"], &variables, "").await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("dev-secret"), "{}", ended.stdout);
    idp.pause().await;
    let ended = m2m(&["--dev", "doctor"], &variables, "").await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains("is `cargo up` running?"),
        "{}",
        ended.stdout
    );
}

#[tokio::test]
async fn a_token_is_all_of_standard_output_and_can_be_piped_on() {
    let idp = idp().await;
    let variables = variables(idp.issuer());
    let ended = m2m(&["token"], &variables, "").await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1);
    assert_eq!(ended.stderr, "");
    for arguments in [
        &["inspect"][..],
        &["inspect", "-"],
        &["inspect", ended.stdout.trim()],
    ] {
        let inspected = m2m(arguments, &variables, &ended.stdout).await;
        assert_eq!(
            inspected.code,
            Some(0),
            "{}{}",
            inspected.stdout,
            inspected.stderr
        );
        assert!(
            inspected.stdout.contains("✓ accepted"),
            "{}",
            inspected.stdout
        );
    }

    idp.pause().await;
    let ended = m2m(&["token", "--header"], &variables, "").await;
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.contains("ISSUER"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_configuration_or_command_line_that_cannot_be_used_is_code_64() {
    let none = Variables::new();
    let half = with(
        Variables::new(),
        &[("ISSUER", "ftp://x"), ("API_AUDIENCE", "x")],
    );
    for (arguments, variables, word) in [
        (
            &["token"][..],
            &none,
            "configuration: CLIENT_SECRET: is required",
        ),
        (&["token"], &none, "m2m --dev"),
        (&["inspect", "-"], &half, "configuration: ISSUER: must be"),
        (
            &["token", "--header", "--json"],
            &none,
            "cannot be used with",
        ),
        (
            &["token", "--client-secret", "x"],
            &none,
            "unexpected argument",
        ),
        (&["--dev", "token"], &half, "ISSUER: and --dev"),
    ] {
        let ended = m2m(arguments, variables, "a.b.c").await;
        assert_eq!(ended.code, Some(64), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(
            ended.stderr.contains(word),
            "{arguments:?}: {}",
            ended.stderr
        );
    }
}

#[tokio::test]
async fn completions_and_the_manual_page_know_every_command() {
    for arguments in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["man"],
        &["--help"],
    ] {
        let ended = m2m(arguments, &Variables::new(), "").await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        for command in ["doctor", "token", "inspect", "watch", "completions", "man"] {
            assert!(
                ended.stdout.contains(command),
                "{arguments:?} lacks {command}"
            );
        }
    }
    let page = m2m(&["man"], &Variables::new(), "").await.stdout;
    assert!(
        page.contains(r".SH ") && page.contains("M2M DOCTOR"),
        "{page}"
    );
    assert!(page.contains("offline"), "{page}");
}
