//! The binary, driven by environment, `.env`, flags and signals.

#![cfg_attr(
    not(unix),
    expect(
        dead_code,
        unused_imports,
        reason = "what runs until a signal ends it is for Unix"
    )
)]

use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};

use super::{Reply, claims_of, http};

const VARIABLES: [&str; 11] = [
    "DEV_IDP_ADDR",
    "DEV_IDP_CONTROL_ADDR",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "WEB_CLIENT_ID",
    "WEB_CLIENT_SECRET",
    "PUBLIC_URL",
    "TOKEN_SCOPE",
    "API_AUDIENCE",
    "LOG_FORMAT",
    "RUST_LOG",
];

const WITHOUT_FLAG: [&str; 4] = [
    "CLIENT_SECRET",
    "WEB_CLIENT_SECRET",
    "LOG_FORMAT",
    "RUST_LOG",
];

/// The program in an empty directory, without any of its variables.
fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dev-idp"));
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
        .current_dir(directory)
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A program that said it is ready, and all it has said.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    log: String,
}

impl Running {
    async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = String::new();
        while !log.contains("dev-idp is ready") {
            let line = lines.next_line().await.unwrap();
            assert!(line.is_some(), "it ended early: {log}");
            log.extend(line);
            log.push('\n');
        }
        Self { child, lines, log }
    }

    /// Returns the value that the log gives for a name such as `issuer`.
    fn logged(&self, name: &str) -> &str {
        let (_, rest) = self.log.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0
    }

    #[cfg(unix)]
    async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.await.unwrap().success());
    }

    /// Returns the exit code and everything that was logged.
    async fn end(mut self) -> (Option<i32>, String) {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.log.push_str(&line);
            self.log.push('\n');
        }
        (self.child.wait().await.unwrap().code(), self.log)
    }
}

/// H22
#[cfg(unix)]
#[tokio::test]
async fn it_says_what_it_is_issues_tokens_and_ends_with_0_at_a_signal() {
    for signal in ["TERM", "INT"] {
        let directory = TempDir::new().unwrap();
        let mut command = program(directory.path());
        command.env("DEV_IDP_ADDR", "127.0.0.1:0");
        command.env("RUST_LOG", "trace");
        let running = Running::start(command).await;
        assert!(running.log.contains("WARN"), "{}", running.log);
        assert!(running.log.contains("DEVELOPMENT identity provider"));
        assert_eq!(running.logged("client_id"), "dev-client");
        let issuer = running.logged("issuer");
        assert!(!issuer.ends_with(":0"), "{issuer}");
        assert_eq!(
            running.logged("jwks_uri"),
            format!("{issuer}/api/v1/oauth2/jwks")
        );

        let request = http().post(running.logged("token_endpoint"));
        let request = request.header("content-type", super::FORM);
        let request = request.header("authorization", super::basic("dev-client", "dev-secret"));
        let token = Reply::of(request.body("grant_type=client_credentials")).await;
        let token = token.access_token();
        assert_eq!(claims_of(&token)["iss"], issuer);

        running.signal(signal).await;
        let (code, log) = running.end().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("dev-secret"), "{log}");
        assert!(!log.contains(&token), "{log}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn flags_override_the_environment_and_the_environment_overrides_the_file() {
    let directory = TempDir::new().unwrap();
    let file = "CLIENT_ID=file\nCLIENT_SECRET='s3cret'\nTOKEN_SCOPE='a b'\nAPI_AUDIENCE=file\n\
                DEV_IDP_ADDR=127.0.0.1:1\nDEV_IDP_CONTROL_ADDR=127.0.0.1:0\n";
    std::fs::write(directory.path().join(".env"), file).unwrap();
    let mut command = program(directory.path());
    command.env("API_AUDIENCE", "environment");
    command.env("CLIENT_ID", "environment");
    command.env("DEV_IDP_CONTROL_ADDR", "");
    command.args(["--client-id", "flag", "--addr", "127.0.0.1:0"]);
    let running = Running::start(command).await;
    assert!(!running.log.contains("control"), "{}", running.log);

    let form = "grant_type=client_credentials&client_id=flag&client_secret=s3cret";
    let request = http().post(running.logged("token_endpoint"));
    let reply = Reply::of(request.header("content-type", super::FORM).body(form)).await;
    assert_eq!(reply.json()["scope"], "a b");
    assert_eq!(claims_of(&reply.access_token())["aud"], "environment");
    running.signal("TERM").await;
    assert_eq!(running.end().await.0, Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn people_sign_in_and_the_log_holds_nothing_of_theirs() {
    use super::person::{Asked, VERIFIER, form, parameter, sign_in};

    let directory = TempDir::new().unwrap();
    let mut command = program(directory.path());
    command.env("DEV_IDP_ADDR", "127.0.0.1:0");
    command
        .env("WEB_CLIENT_ID", "web")
        .env("WEB_CLIENT_SECRET", "s3cret");
    command.env("PUBLIC_URL", "http://localhost:41234");
    command.env("RUST_LOG", "trace");
    let running = Running::start(command).await;
    let callback = "http://localhost:41234/api/auth/callback";
    let asked = Asked::new()
        .with("client_id", "web")
        .with("redirect_uri", callback);
    let issuer = running.logged("issuer");
    let page = format!("{issuer}/tenants/acme/login?{}", asked.query());
    let answer = sign_in(&page, super::person::OWNER).await;
    let code = parameter(&answer.location(), "code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", callback),
        ("code_verifier", VERIFIER),
        ("client_id", "web"),
        ("client_secret", "s3cret"),
    ];
    let request = http().post(running.logged("token_endpoint"));
    let request = request.header("content-type", super::FORM);
    let tokens = Reply::of(request.body(form(&fields))).await.json();
    running.signal("TERM").await;
    let (_, log) = running.end().await;
    assert!(log.contains("issued a person's tokens"), "{log}");
    let member = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let cookie = answer.cookie();
    for secret in [
        code,
        member("access_token"),
        member("id_token"),
        member("refresh_token"),
        cookie.split_once('=').unwrap().1.to_owned(),
        dev_idp::DEFAULT_PASSWORD.to_owned(),
        VERIFIER.to_owned(),
        "s3cret".to_owned(),
        "owner@".to_owned(),
    ] {
        assert!(!log.contains(&secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn all_configuration_problems_are_told_at_once_without_values() {
    let directory = TempDir::new().unwrap();
    let mut command = program(directory.path());
    command.env("DEV_IDP_ADDR", "0.0.0.0:6003");
    command.env("DEV_IDP_CONTROL_ADDR", "hunter2");
    command.env("RUST_LOG", "hunter2=hunter2");
    let output = command.output().await.unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
    for variable in ["DEV_IDP_ADDR:", "DEV_IDP_CONTROL_ADDR:", "RUST_LOG:"] {
        assert!(told.contains(variable), "{variable}: {told}");
    }
    assert!(
        !told.contains("hunter2") && !told.contains("0.0.0.0"),
        "{told}"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told_without_its_text() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join(".env"), "CLIENT_SECRET hunter2\n").unwrap();
    let output = program(directory.path()).output().await.unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(
        told.contains(".env:") && !told.contains("hunter2"),
        "{told}"
    );
}

/// H3
#[tokio::test]
async fn a_value_of_the_file_is_taken_as_written_or_not_at_all() {
    let directory = TempDir::new().unwrap();
    // The mark that some editors begin with is no part of a name; the problem of its line shows that it is read.
    let file = "\u{feff}LOG_FORMAT=hunter2\nCLIENT_SECRET=hunter2$q\n";
    std::fs::write(directory.path().join(".env"), file).unwrap();
    let output = program(directory.path()).output().await.unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "dev-idp: .env: line 2 has a $ that would stand for a variable; put the value into single quotes",
            "dev-idp: LOG_FORMAT: expected pretty or json",
        ]
    );
}

#[tokio::test]
async fn a_busy_port_is_told_in_one_line_that_names_the_variable() {
    let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    for (variable, other) in [
        ("DEV_IDP_ADDR", "DEV_IDP_CONTROL_ADDR"),
        ("DEV_IDP_CONTROL_ADDR", "DEV_IDP_ADDR"),
    ] {
        let directory = TempDir::new().unwrap();
        let mut command = program(directory.path());
        command.env(variable, &busy).env(other, "127.0.0.1:0");
        let output = command.output().await.unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(
            told.contains(&format!("{variable}: {busy} is in use")),
            "{told}"
        );
    }
}

#[tokio::test]
async fn help_names_the_variable_of_each_flag_and_shows_no_value() {
    let directory = TempDir::new().unwrap();
    let mut command = program(directory.path());
    command
        .env("CLIENT_ID", "hunter2")
        .env("CLIENT_SECRET", "hunter2");
    let output = command.arg("--help").output().await.unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for variable in VARIABLES.iter().filter(|name| !WITHOUT_FLAG.contains(name)) {
        assert!(
            help.contains(&format!("[env: {variable}]")),
            "{variable}: {help}"
        );
    }
    assert!(
        !help.contains("--client-secret"),
        "command lines can be read by others"
    );
    assert!(!help.contains("hunter2"), "{help}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_variable_that_is_no_text_is_told_by_its_name() {
    use std::os::unix::ffi::OsStrExt as _;

    for variable in ["DEV_IDP_ADDR", "CLIENT_SECRET"] {
        let directory = TempDir::new().unwrap();
        let mut command = program(directory.path());
        command.env(variable, std::ffi::OsStr::from_bytes(b"hunter2\xff"));
        let output = command.output().await.unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert_eq!(told, format!("dev-idp: {variable}: expected UTF-8\n"));
        // A value of the file does not take its place, and no flag hides it.
        let file = format!("{variable}='127.0.0.1:0'\nLOG_FORMAT=none\n");
        std::fs::write(directory.path().join(".env"), file).unwrap();
        let output = command.args(["--addr", "127.0.0.1:0"]).output();
        assert_eq!(stderr(&output.await.unwrap()), told, "{variable}");
    }
}

#[tokio::test]
async fn a_file_that_no_environment_can_hold_is_told_without_its_text() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join(".env"), "CLIENT_SECRET='hunter2\0'\n").unwrap();
    let output = program(directory.path()).output().await.unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(
        told.starts_with("dev-idp: .env: expected a readable file") && !told.contains("hunter2"),
        "{told}"
    );
}

#[tokio::test]
async fn help_and_version_end_with_0_and_an_unknown_flag_with_64() {
    let directory = TempDir::new().unwrap();
    for (flag, code) in [("--help", 0), ("--version", 0), ("--nonsense", 64)] {
        let output = program(directory.path()).arg(flag).output().await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{flag}");
        assert_eq!(output.stdout.is_empty(), code != 0, "{flag}");
    }
}
