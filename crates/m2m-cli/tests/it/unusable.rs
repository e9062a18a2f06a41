//! Tokens that are issued and that protected-data cannot use.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dev_idp::{DevIdp, Endpoint, Fault, TokenSpec};
use m2m_cli::report::{Report, Status};
use serde_json::json;

use crate::world::{Off, Pair, examine, examine_with, idp, lines, of, status, variables, with};

/// What a doctor says where this is the token.
async fn with_token(idp: &DevIdp, token: &str, more: &[(&str, &str)]) -> Report {
    let reply = json!({"access_token": token, "token_type": "Bearer", "expires_in": 300});
    idp.fault(Fault::on(Endpoint::Token).body(reply.to_string()));
    let report = examine(&with(variables(idp.issuer()), more)).await;
    idp.clear_faults();
    report
}

/// A JWE with a key that both sides share, as Auth0 issues it for its own API.
fn encrypted() -> String {
    let header =
        URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM","iss":"https://idp.example/"}"#);
    format!("{header}..aXY.dGV4dA.dGFn")
}

/// Its name, the token, the variables that are set besides, and what the advice must say.
type Unreadable<'c> = (&'c str, String, &'c [(&'c str, &'c str)], &'c [&'c str]);

/// N76
#[tokio::test]
async fn a_token_that_protected_data_cannot_read_leads_to_what_makes_another() {
    let idp = idp().await;
    let quoted = [("API_AUDIENCE", "\"https://protected-data.example\"")];
    let named = [("TOKEN_AUDIENCE", "https://other.example")];
    let cases: [Unreadable<'_>; 6] = [
        (
            "opaque",
            "2YotnFZFEjr1zCsicMWpAA".to_owned(),
            &[],
            &[
                "opaque",
                "TOKEN_AUDIENCE or TOKEN_RESOURCE",
                "introspection",
            ],
        ),
        (
            "encrypted",
            encrypted(),
            &[],
            &["encrypted (JWE)", "signed JWTs", "TOKEN_AUDIENCE"],
        ),
        (
            "no aud",
            idp.mint(TokenSpec::new().without_claim("aud")),
            &[],
            &["AUDIENCE_CLAIM", "DANGEROUS_SKIP_AUDIENCE"],
        ),
        (
            "an aud nobody asked for",
            idp.mint(TokenSpec::new().claim("aud", "https://other.example")),
            &[],
            &["set TOKEN_AUDIENCE (or"],
        ),
        (
            "another aud",
            idp.mint(TokenSpec::new().claim("aud", "https://other.example")),
            &named,
            &["set API_AUDIENCE to what the token has"],
        ),
        (
            "quotes",
            idp.mint(TokenSpec::new()),
            &quoted,
            &["API_AUDIENCE: has quotes around it"],
        ),
    ];
    for (name, token, more, says) in cases {
        let report = with_token(&idp, &token, more).await;
        let line = of(&report, "validation")[0].line(false);
        let (_, change) = line.split_once(" → ").unwrap();
        for part in says {
            assert!(change.contains(part), "{name}, {part}: {line}");
        }
        assert_eq!(report.failures(), 1, "{name}: {:#?}", lines(&report));
    }
}

/// N77
#[tokio::test]
async fn an_issuer_is_proposed_only_where_it_was_asked_and_is_there() {
    let idp = idp().await;
    let token = |issuer: &str| idp.mint(TokenSpec::new().claim("iss", issuer));
    // The provider's endpoints, under a name that is not its own.
    let endpoints = [
        ("TOKEN_ENDPOINT", &*idp.token_endpoint()),
        ("JWKS_URI", &*idp.jwks_uri()),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let elsewhere = format!("{}/tenant", idp.issuer());
    for (name, configured, issuer, says) in [
        (
            "there",
            &*elsewhere,
            idp.issuer(),
            format!("set ISSUER={} (asked, and it is there", idp.issuer()),
        ),
        (
            "not there",
            idp.issuer(),
            &*elsewhere,
            "leads to another provider or tenant".to_owned(),
        ),
        (
            "a stranger",
            idp.issuer(),
            "https://stranger.invalid",
            "leads to another provider or tenant".to_owned(),
        ),
        (
            "Entra, version 1",
            "https://login.microsoftonline.com/t/v2.0",
            "https://sts.windows.net/t/",
            "set requestedAccessTokenVersion to 2".to_owned(),
        ),
    ] {
        let reply =
            json!({"access_token": token(issuer), "token_type": "Bearer", "expires_in": 300});
        idp.fault(Fault::on(Endpoint::Token).body(reply.to_string()));
        let mut variables = variables(configured);
        variables.extend(
            endpoints
                .clone()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        let report = examine(&variables).await;
        idp.clear_faults();
        let line = of(&report, "validation")[0].line(false);
        let (_, change) = line.split_once(" → ").unwrap();
        assert!(change.contains(&says), "{name}: {line}");
        let proposes = change.contains("set ISSUER=");
        assert_eq!(proposes, name == "there", "{name}: {line}");
    }
}

/// N78
#[tokio::test]
async fn a_scope_that_nobody_names_is_worth_a_look() {
    let idp = idp().await;
    let asked = [("TOKEN_SCOPE", "data:read data:admin")];
    let default = [("TOKEN_SCOPE", "api://data/.default")];
    for (name, spec, more, expected) in [
        (
            "named in the token",
            TokenSpec::new().claim("scope", "data:read data:admin"),
            &asked,
            Status::Passed,
        ),
        (
            "in a list",
            TokenSpec::new()
                .claim("scp", json!(["data:read", "data:admin"]))
                .without_claim("scope"),
            &asked,
            Status::Passed,
        ),
        ("one is not", TokenSpec::new(), &asked, Status::Warning),
        (
            "none is",
            TokenSpec::new().without_claim("scope"),
            &asked,
            Status::Warning,
        ),
        (
            "all that is granted",
            TokenSpec::new().without_claim("scope"),
            &default,
            Status::Passed,
        ),
    ] {
        let report = with_token(&idp, &idp.mint(spec), more).await;
        assert_eq!(
            status(&report, "scope"),
            expected,
            "{name}: {:#?}",
            lines(&report)
        );
        let line = of(&report, "scope")[0].line(false);
        if expected == Status::Warning {
            assert!(
                line.contains("neither the answer nor the token names"),
                "{line}"
            );
            assert!(line.contains("or take it out of TOKEN_SCOPE"), "{line}");
        }
    }
}

/// N79
#[tokio::test]
async fn a_token_is_said_to_be_refused_only_if_our_clock_refuses_it() {
    // Our clock is ahead: the token is old for us and still good.
    let idp = idp().await;
    for (by_s, is_refused) in [(120, false), (280, false), (400, true), (-300, true)] {
        let clock = std::sync::Arc::new(Off { by_s });
        let report = examine_with(&variables(idp.issuer()), clock).await;
        let line = of(&report, "validation")[0].line(false);
        assert_eq!(line.contains("refused"), is_refused, "{by_s}: {line}");
        assert_eq!(status(&report, "clock"), Status::Failed, "{by_s}");
        assert_eq!(report.failures(), 1, "{by_s}: {:#?}", lines(&report));
    }
}

/// N79
#[tokio::test]
async fn a_pair_with_a_better_clock_does_not_run_with_another_configuration() {
    let idp = idp().await;
    let pair = Pair::start(&variables(idp.issuer())).await;
    pair.wait_ready().await;
    for by_s in [-300, 120, 1_000] {
        let clock = std::sync::Arc::new(Off { by_s });
        let report = examine_with(&pair.variables, clock).await;
        let line = of(&report, "protected-data")[0].line(false);
        assert!(line.contains("accepts the token"), "{by_s}: {line}");
        assert!(!line.contains("configuration"), "{by_s}: {line}");
        assert_eq!(status(&report, "protected-data"), Status::Passed);
    }
    pair.stop().await;
}

/// N71
#[tokio::test]
async fn a_proxy_that_is_set_and_not_used_is_named() {
    let proxy = [("HTTPS_PROXY", "http://proxy.invalid:3128")];
    let report = examine(&with(variables("https://idp.invalid"), &proxy)).await;
    let found = of(&report, "configuration");
    let line = found[0].line(false);
    assert!(line.contains("HTTPS_PROXY: is set and not used"), "{line}");
    assert_eq!(found[0].status, Status::Warning);
    assert!(!lines(&report).concat().contains("proxy.invalid"));
}

/// N77
#[tokio::test]
async fn metadata_elsewhere_are_read_and_whose_they_are_is_the_line_to_set() {
    let idp = idp().await;
    let place = format!("{}/.well-known/openid-configuration", idp.issuer());
    let elsewhere = [("METADATA_URL", &*place)];
    let report = examine(&with(variables(idp.issuer()), &elsewhere)).await;
    assert_eq!(report.exit_code(), 0, "{:#?}", lines(&report));
    let report = examine(&with(variables("urn:example:idp"), &elsewhere)).await;
    let line = of(&report, "discovery")[0].line(false);
    let fix = format!("set ISSUER={}, which", idp.issuer());
    assert!(line.contains(&fix), "{line}");
    assert_eq!(report.failures(), 1, "{:#?}", lines(&report));
}

/// N79
#[tokio::test]
async fn the_clock_is_judged_by_the_configured_leeway() {
    let idp = idp().await;
    for (leeway, expected) in [("5m", Status::Warning), ("10s", Status::Failed)] {
        let variables = with(variables(idp.issuer()), &[("LEEWAY", leeway)]);
        let report = examine_with(&variables, std::sync::Arc::new(Off { by_s: 40 })).await;
        assert_eq!(status(&report, "clock"), expected, "{:#?}", lines(&report));
    }
}
