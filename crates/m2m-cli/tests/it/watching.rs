//! `m2m watch` beside a running pair, over a pipe.

use std::process::{Command as Blocking, Stdio};
use std::time::Duration;

use dev_idp::{DevIdp, Rotation};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::world::{LIMIT, Pair, Variables, variables, with};

/// A running `m2m watch`.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Watch {
    fn start(arguments: &[&str], variables: &Variables) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_m2m"))
            .arg("watch")
            .args(arguments)
            .env_clear()
            .envs(variables)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            seen: Vec::new(),
            _folder: folder,
        }
    }

    /// Reads up to the first line that has all of these words.
    async fn line(&mut self, words: &[&str]) -> String {
        loop {
            let line = timeout(LIMIT, self.lines.next_line()).await;
            let Ok(Ok(Some(line))) = line else {
                panic!("no line with {words:?}: {:#?}", self.seen);
            };
            self.seen.push(line.clone());
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// Ends it as Ctrl-C does and returns its exit code.
    async fn interrupt(self) -> Option<i32> {
        self.signal("INT").await
    }

    async fn signal(mut self, name: &str) -> Option<i32> {
        let id = self.child.id().unwrap();
        let kill = Blocking::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status();
        assert!(kill.unwrap().success());
        self.code().await
    }

    async fn code(&mut self) -> Option<i32> {
        timeout(LIMIT, self.child.wait())
            .await
            .unwrap()
            .unwrap()
            .code()
    }
}

fn open(issuer: &str) -> Variables {
    let any = "127.0.0.1:0";
    with(
        variables(issuer),
        &[
            ("PUBLIC_DATA_ADMIN_ADDR", any),
            ("PROTECTED_DATA_ADMIN_ADDR", any),
        ],
    )
}

#[tokio::test]
async fn each_change_of_both_services_is_a_line() {
    let idp = DevIdp::builder()
        .token_lifetime(Duration::from_secs(8))
        .start()
        .await
        .unwrap();
    let pair = Pair::start(&open(idp.issuer())).await;
    pair.wait_ready().await;
    // Only what concerns the addresses: watching needs no client and no secret.
    let names = ["PUBLIC_DATA_ADMIN_ADDR", "PROTECTED_DATA_ADMIN_ADDR"];
    let own = names.map(|name| (name.to_owned(), pair.variables[name].clone()));
    let mut watch = Watch::start(&[], &own.into_iter().collect());
    // Which of the two comes first is not said.
    let first = watch.line(&["-data green: "]).await;
    let other = if first.contains(" public-data ") {
        " protected-data green: "
    } else {
        " public-data green: "
    };
    watch.line(&[other]).await;
    watch.line(&["public-data token: ok after"]).await;

    idp.rotate(Rotation::Hard).await.unwrap();
    pair.validator.refresh().await;
    let rotated = watch.line(&["protected-data keys: changed"]).await;
    assert!(
        rotated.contains(&format!("+{}", idp.current_kid())),
        "{rotated}"
    );

    idp.pause().await;
    watch.line(&["public-data token: connect"]).await;
    watch.line(&["public-data amber: ", "→", "ISSUER"]).await;
    watch.line(&["public-data red: "]).await;
    idp.resume().await.unwrap();
    watch.line(&["public-data green: "]).await;

    pair.stop().await;
    watch.line(&["-data is gone: "]).await;
    watch.line(&["-data is gone: "]).await;
    assert!(!watch.seen.iter().any(|line| line.contains('\x1b')));
    assert!(!watch.seen.iter().any(|line| line.contains("eyJ")));
    assert_eq!(watch.interrupt().await, Some(0));
}

#[tokio::test]
async fn one_address_is_enough_and_a_reader_that_leaves_ends_it() {
    let idp = DevIdp::builder()
        .token_lifetime(Duration::from_secs(2))
        .start()
        .await
        .unwrap();
    let pair = Pair::start(&open(idp.issuer())).await;
    pair.wait_ready().await;
    let address = pair.variables["PUBLIC_DATA_ADMIN_ADDR"].clone();
    let mut watch = Watch::start(&[&address], &Variables::new());
    watch.line(&["public-data green: "]).await;
    drop(watch.lines);
    // The next token is a line that nobody reads.
    let code = timeout(LIMIT, watch.child.wait()).await.unwrap().unwrap();
    assert_eq!(code.code(), Some(0));
    pair.stop().await;
}

/// It ends by itself then, which is when the screen is left.
#[cfg(unix)]
#[tokio::test]
async fn it_ends_by_itself_when_it_is_told_to_or_its_terminal_goes() {
    let idp = crate::world::idp().await;
    let pair = Pair::start(&open(idp.issuer())).await;
    pair.wait_ready().await;
    let address = pair.variables["PUBLIC_DATA_ADMIN_ADDR"].clone();
    for name in ["TERM", "HUP"] {
        let mut watch = Watch::start(&[&address], &Variables::new());
        watch.line(&["public-data green: "]).await;
        assert_eq!(watch.signal(name).await, Some(0), "{name}");
    }
    pair.stop().await;
}

#[tokio::test]
async fn where_nothing_answers_it_ends_with_1_and_names_the_variables() {
    let nowhere = [
        ("PUBLIC_DATA_ADMIN_ADDR", "127.0.0.1:1"),
        ("PROTECTED_DATA_ADMIN_ADDR", "127.0.0.1:1"),
    ];
    let off = nowhere.map(|(name, _)| (name, "off"));
    let bad = nowhere.map(|(name, _)| (name, "hunter2"));
    for (arguments, variables, code, says) in [
        (&[][..], &nowhere, 1, "check PUBLIC_DATA_ADMIN_ADDR"),
        (&["http://127.0.0.1:1"], &off, 1, "could not connect"),
        (&[], &off, 64, "are off; name an address"),
        (
            &[],
            &bad,
            64,
            "configuration: PUBLIC_DATA_ADMIN_ADDR: must be",
        ),
        (&["ftp://x"], &nowhere, 64, "must be an http or https URL"),
    ] {
        let variables = with(Variables::new(), variables);
        let mut watch = Watch::start(arguments, &variables);
        assert_eq!(watch.code().await, Some(code), "{arguments:?}");
        let mut stderr = BufReader::new(watch.child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while let Some(line) = stderr.next_line().await.unwrap() {
            said.push_str(&line);
        }
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}
