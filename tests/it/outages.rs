//! What an outage leaves in the logs: one warning, and no more than one a minute.

use std::collections::BTreeMap;

use dev_idp::{DevIdp, TokenSpec};
use serde_json::Value;

use crate::processes::with;
use crate::program::Program;
use crate::world::{client, variables, variables_for};

const DEBUG: &str =
    "info,public_data=debug,protected_data=debug,token_cache=debug,jwks_validator=debug";

/// The level of the next line with this message.
async fn level(program: &mut Program, message: &str) -> String {
    program
        .line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let is_it = line["message"].as_str()?.starts_with(message);
            is_it.then(|| line["level"].as_str().map(str::to_owned))?
        })
        .await
}

/// Asserts that of these lines the first is a warning and the others are for whoever looks closely.
async fn assert_one_warning(program: &mut Program, message: &str, lines: usize) {
    assert_eq!(level(program, message).await, "WARN", "{message}");
    for _ in 1..lines {
        assert_eq!(level(program, message).await, "DEBUG", "{message}");
    }
}

fn logging(variables: BTreeMap<String, String>) -> BTreeMap<String, String> {
    with(variables, &[("LOG_FORMAT", "json"), ("RUST_LOG", DEBUG)])
}

/// N89
#[tokio::test]
async fn attempts_that_fail_alike_are_one_warning() {
    for (binary, message) in [
        ("public-data", "no new token"),
        ("protected-data", "could not fetch keys"),
    ] {
        let variables = logging(variables_for("http://127.0.0.1:1"));
        let mut program = Program::start(binary, &[], &variables);
        assert_one_warning(&mut program, message, 4).await;
    }
}

/// N89
#[tokio::test]
async fn requests_that_fail_alike_are_one_warning() {
    let idp = DevIdp::builder().start().await.unwrap();
    let variables = logging(variables(&idp));
    let variables = with(variables, &[("PROTECTED_DATA_URL", "http://127.0.0.1:1")]);
    let token = idp.mint(TokenSpec::new());
    let mut public = Program::start("public-data", &[], &variables);
    let address = public.address().await;
    for _ in 0..4 {
        let url = format!("http://{address}/api/public/data");
        let response = client().get(url).send().await.unwrap();
        assert_eq!(response.status(), 503);
    }
    assert_one_warning(&mut public, "protected-data gave no data", 4).await;

    idp.pause().await;
    let mut protected = Program::start("protected-data", &[], &variables);
    let address = protected.address().await;
    for _ in 0..4 {
        let url = format!("http://{address}/api/protected/data");
        let response = client().get(url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.status(), 503);
    }
    assert_one_warning(&mut protected, "could not decide on a request", 4).await;
}
