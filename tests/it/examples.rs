//! The README's examples, run as a person would type them.

use std::process::{Command, Stdio};

use dev_idp::DevIdp;

use crate::program::binary;
use crate::tree;
use crate::world::{Pair, variables};

/// An example and what it prints.
struct Example {
    script: String,
    output: String,
}

/// The blocks marked `sh run`, each with the `text` block after it.
fn examples(document: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if line != "```sh run" && line != "```text" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if line == "```sh run" {
            found.push(Example {
                script: block.join("\n"),
                output: String::new(),
            });
        } else if let Some(last) = found.last_mut().filter(|last| last.output.is_empty()) {
            last.output = block.join("\n");
        }
    }
    found
}

fn has_curl() -> bool {
    let version = Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "a person is told that it does not run")]
async fn the_examples_of_the_readme_print_what_it_says() {
    let examples = examples(&tree::read("README.md"));
    assert!(examples.len() >= 4, "{} examples", examples.len());
    if !has_curl() {
        println!("did not run: there is no curl");
        return;
    }
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    let m2m = binary("m2m").to_str().unwrap().to_owned();
    for Example { script, output } in examples {
        let here = script
            .replace("127.0.0.1:6001", &pair.public.to_string())
            .replace("127.0.0.1:6002", &pair.protected.to_string())
            .replace("127.0.0.1:6003", &idp.addr().to_string())
            .replace("cargo m2m", &format!("'{m2m}'"));
        let folder = tempfile::tempdir().unwrap();
        let mut shell = tokio::process::Command::new("sh");
        let ended = shell
            .args(["-euc", &here])
            .env("DEV_IDP_ADDR", idp.addr().to_string())
            .env("no_proxy", "127.0.0.1")
            .env("CURL_HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let error = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{script}: {error}");
        let printed = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(printed.trim_end(), output, "{script}: {error}");
    }
}
