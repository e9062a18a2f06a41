//! What a doctor says when all is well, or nearly.

use clock::{Clock as _, SystemClock};
use dev_idp::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevClient, DevIdp, Endpoint, ExpiresIn, Fault,
    TokenSpec,
};
use m2m_cli::report::Status;
use serde_json::json;

use crate::world::{Pair, examine, idp, lines, of, status, variables, with};

const CHECKS: [&str; 13] = [
    "configuration",
    "names",
    "connection",
    "discovery",
    "token endpoint",
    "scope",
    "lifetime",
    "keys",
    "signing key",
    "clock",
    "validation",
    "protected-data",
    "public-data",
];

#[tokio::test]
async fn a_running_pair_passes_every_check_with_one_token_request() {
    let idp = idp().await;
    let scopes = [
        ("TOKEN_SCOPE", "data:read"),
        ("REQUIRED_SCOPES", "data:read"),
    ];
    let pair = Pair::start(&with(variables(idp.issuer()), &scopes)).await;
    pair.wait_ready().await;
    let before = idp.requests().token;
    let report = examine(&pair.variables).await;
    let checks: Vec<&str> = report
        .findings()
        .iter()
        .map(|finding| finding.check)
        .collect();
    assert_eq!(checks, CHECKS);
    for finding in report.findings() {
        assert_eq!(finding.status, Status::Passed, "{:#?}", lines(&report));
        assert_eq!(finding.change, None);
    }
    assert_eq!(report.exit_code(), 0);
    assert_eq!(idp.requests().token, before + 1);
    pair.stop().await;
}

#[tokio::test]
async fn a_pair_that_does_not_run_is_no_failure() {
    let idp = idp().await;
    let report = examine(&variables(idp.issuer())).await;
    for check in ["protected-data", "public-data"] {
        assert_eq!(status(&report, check), Status::NotChecked);
    }
    assert_eq!(report.exit_code(), 0, "{:#?}", lines(&report));
}

#[tokio::test]
async fn the_json_document_holds_every_check() {
    let idp = idp().await;
    let variables = with(variables(idp.issuer()), &[("CLIENT_SECRET", "hunter2")]);
    let document = examine(&variables).await.json();
    assert_eq!(document["passed"], false);
    assert_eq!(document["failures"], 1);
    assert_eq!(document["exit_code"], 1);
    let checks = document["checks"].as_array().unwrap();
    assert_eq!(checks.len(), CHECKS.len());
    let token = &checks[4];
    assert_eq!(token["check"], "token endpoint");
    assert_eq!(token["status"], "failed");
    assert!(token["change"].as_str().unwrap().contains("CLIENT_SECRET"));
    assert_eq!(checks[0]["change"], json!(null));
    assert_eq!(checks[5]["status"], "not_checked");
}

#[tokio::test]
async fn every_problem_of_the_configuration_is_there_at_once() {
    let report = examine(&with(
        crate::world::Variables::new(),
        &[
            ("API_AUDIENCE", ""),
            ("LOG_FORMAT", "hunter2"),
            ("PUBLIC_DATA_ADDR", "x"),
        ],
    ))
    .await;
    let text = lines(&report).join("\n");
    for name in [
        "ISSUER",
        "API_AUDIENCE",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "LOG_FORMAT",
        "PUBLIC_DATA_ADDR",
    ] {
        assert!(text.contains(&format!("{name}: ")), "{name}: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("m2m --dev doctor"), "{text}");
    assert_eq!(report.failures(), 6, "{text}");
    assert_eq!(report.exit_code(), 64);
}

#[tokio::test]
async fn a_wrong_secret_is_tried_once_with_each_listed_method() {
    let idp = idp().await;
    // Characters that the two forms of basic write differently.
    for (secret, requests) in [("hunter2", 2), ("hunter/2", 3)] {
        let before = idp.requests().token;
        let variables = with(variables(idp.issuer()), &[("CLIENT_SECRET", secret)]);
        let report = examine(&variables).await;
        assert_eq!(
            idp.requests().token - before,
            requests,
            "{:#?}",
            lines(&report)
        );
    }
}

#[tokio::test]
async fn a_grant_that_is_not_allowed_is_told_from_a_wrong_secret() {
    let client = DevClient::new(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET).deny_grant();
    let idp = DevIdp::builder().client(client).start().await.unwrap();
    let report = examine(&variables(idp.issuer())).await;
    let line = of(&report, "token endpoint")[0].line(false);
    assert!(line.contains("unauthorized_client"), "{line}");
    assert!(
        line.contains("allow CLIENT_ID the client credentials grant"),
        "{line}"
    );
    assert_eq!(idp.requests().token, 1);
}

/// Keycloak says `unauthorized_client` to a wrong secret; the status tells what is meant.
#[tokio::test]
async fn a_refusal_with_401_is_about_the_credentials_whatever_its_code() {
    let idp = idp().await;
    let refusal = r#"{"error":"unauthorized_client"}"#;
    idp.fault(
        Fault::on(Endpoint::Token)
            .times(1)
            .status(401)
            .body(refusal),
    );
    let report = examine(&variables(idp.issuer())).await;
    let line = of(&report, "token endpoint")[0].line(false);
    assert!(
        line.contains("set CLIENT_AUTH_METHOD=client_secret_post"),
        "{line}"
    );
    assert_eq!(idp.requests().token, 2);
}

/// Entra dates its tokens back by five minutes.
#[tokio::test]
async fn a_token_that_is_dated_back_is_no_matter_of_clocks() {
    let idp = idp().await;
    let now = clock::unix_seconds(SystemClock.now());
    let token = idp.mint(TokenSpec::new().claim("iat", now - 300));
    let reply = json!({"access_token": token, "token_type": "Bearer", "expires_in": 300});
    idp.fault(Fault::on(Endpoint::Token).body(reply.to_string()));
    let report = examine(&variables(idp.issuer())).await;
    assert_eq!(status(&report, "clock"), Status::Passed);
    assert_eq!(report.exit_code(), 0, "{:#?}", lines(&report));
}

/// A12
#[tokio::test]
async fn a_narrower_grant_is_a_failure_and_the_checks_go_on() {
    let idp = idp().await;
    let variables = with(
        variables(idp.issuer()),
        &[("TOKEN_SCOPE", "data:read data:write")],
    );
    let token = idp.mint(TokenSpec::new());
    let reply = json!({"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": "data:read"});
    idp.fault(Fault::on(Endpoint::Token).body(reply.to_string()));
    let report = examine(&variables).await;
    let line = of(&report, "scope")[0].line(false);
    assert!(
        line.contains("take data:write out of TOKEN_SCOPE"),
        "{line}"
    );
    assert_eq!(status(&report, "validation"), Status::Passed);
    assert_eq!(report.failures(), 1, "{:#?}", lines(&report));
}

#[tokio::test]
async fn a_required_scope_that_the_token_lacks_is_named() {
    let idp = idp().await;
    let variables = with(
        variables(idp.issuer()),
        &[("REQUIRED_SCOPES", "data:write")],
    );
    let report = examine(&variables).await;
    let line = of(&report, "validation")[0].line(false);
    assert!(line.starts_with('✗'), "{line}");
    assert!(line.contains("add data:write to TOKEN_SCOPE"), "{line}");
}

/// F8, F19
#[tokio::test]
async fn a_setting_that_lets_an_unusual_token_pass_is_named() {
    let idp = idp().await;
    let now = clock::unix_seconds(SystemClock.now());
    let day = 24 * 60 * 60;
    for (name, spec, setting) in [
        (
            "scopes in an array",
            TokenSpec::new().claim("scope", json!(["data:read"])),
            "set ALLOW_SCOPE_ARRAY=true",
        ),
        (
            "a lifetime of more than a day",
            TokenSpec::new()
                .claim("iat", now)
                .claim("exp", now + day + 300),
            "raise MAX_TOKEN_LIFETIME",
        ),
    ] {
        let reply =
            json!({"access_token": idp.mint(spec), "token_type": "Bearer", "expires_in": 300});
        idp.fault(Fault::on(Endpoint::Token).body(reply.to_string()));
        let report = examine(&variables(idp.issuer())).await;
        idp.clear_faults();
        let line = of(&report, "validation")[0].line(false);
        assert!(line.contains(setting), "{name}: {line}");
    }
}

#[tokio::test]
async fn odd_lifetimes_are_worth_a_line() {
    for (expires_in, word) in [
        (ExpiresIn::Omitted, "takes it for 300 s"),
        (ExpiresIn::Value(json!(5)), "live longer"),
        (ExpiresIn::Value(json!(3600)), "the token itself 300 s"),
    ] {
        let idp = DevIdp::builder()
            .expires_in(expires_in)
            .start()
            .await
            .unwrap();
        let report = examine(&variables(idp.issuer())).await;
        let line = of(&report, "lifetime")[0].line(false);
        assert!(line.starts_with('!') && line.contains(word), "{line}");
        assert_eq!(status(&report, "lifetime"), Status::Warning);
    }
}

#[tokio::test]
async fn a_token_that_is_no_jwt_is_said_to_be_none() {
    let idp = idp().await;
    let reply = r#"{"access_token":"opaque","token_type":"Bearer","expires_in":300}"#;
    idp.fault(Fault::on(Endpoint::Token).body(reply));
    let report = examine(&variables(idp.issuer())).await;
    let line = of(&report, "validation")[0].line(false);
    assert!(
        line.contains("not a JWT") && line.contains("TOKEN_AUDIENCE"),
        "{line}"
    );
    assert_eq!(report.failures(), 1, "{:#?}", lines(&report));
}

#[tokio::test]
async fn unfit_keys_are_listed_with_the_reason() {
    let idp = idp().await;
    let published = r#"{"keys":[
        {"kty":"oct","kid":"shared","k":"c2VjcmV0"},
        {"kty":"OKP","crv":"Ed25519","kid":"good","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"OKP","crv":"Ed25519","kid":"enc","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"RSA"}]}"#;
    idp.fault(Fault::on(Endpoint::Jwks).body(published));
    let report = examine(&variables(idp.issuer())).await;
    let keys: Vec<String> = of(&report, "keys")
        .iter()
        .map(|one| one.line(false))
        .collect();
    assert_eq!(keys.len(), 3, "{keys:#?}");
    assert!(
        keys[0].contains("\"shared\" is not usable: symmetric key"),
        "{keys:#?}"
    );
    assert!(keys[1].contains("number 4 is not usable"), "{keys:#?}");
    assert!(
        keys[2].contains("1 usable") && keys[2].contains("\"good\" (EdDSA)"),
        "{keys:#?}"
    );
    assert!(keys[2].contains("1 for other uses"), "{keys:#?}");
    assert_eq!(status(&report, "signing key"), Status::Failed);
}

#[tokio::test]
async fn a_pair_with_another_configuration_is_told_to_restart() {
    let idp = idp().await;
    let other = [("API_AUDIENCE", "https://other.example")];
    let pair = Pair::start(&with(variables(idp.issuer()), &other)).await;
    pair.wait_ready().await;
    let ours = [("API_AUDIENCE", dev_idp::DEFAULT_AUDIENCE)];
    let report = examine(&with(pair.variables.clone(), &ours)).await;
    let line = of(&report, "protected-data")[0].line(false);
    assert!(
        line.starts_with('✗') && line.contains("restart it"),
        "{line}"
    );
    assert_eq!(report.failures(), 1, "{:#?}", lines(&report));
    pair.stop().await;
}

/// N11, N53
#[tokio::test]
async fn the_pair_is_called_with_the_token_where_public_data_puts_it() {
    let idp = idp().await;
    let elsewhere = [
        ("TOKEN_PLACEMENT", "header:X-Api-Token"),
        ("TOKEN_FROM", "header:X-Api-Token"),
    ];
    let pair = Pair::start(&with(variables(idp.issuer()), &elsewhere)).await;
    pair.wait_ready().await;
    let report = examine(&pair.variables).await;
    assert_eq!(report.exit_code(), 0, "{:#?}", lines(&report));
    assert_eq!(status(&report, "protected-data"), Status::Passed);

    let apart = [("TOKEN_PLACEMENT", "authorization:Bearer")];
    let report = examine(&with(pair.variables.clone(), &apart)).await;
    let line = of(&report, "protected-data")[0].line(false);
    assert!(line.starts_with('✗'), "{line}");
    assert!(
        line.contains("TOKEN_PLACEMENT") && line.contains("TOKEN_FROM"),
        "{line}"
    );
    pair.stop().await;
}
