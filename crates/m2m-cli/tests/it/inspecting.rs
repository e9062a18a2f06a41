//! `m2m inspect`.

use std::sync::Arc;

use clock::{Clock as _, SystemClock, unix_seconds};
use dev_idp::{RequestCounts, TokenSpec};
use m2m_cli::inspect::{Inspection, Inspector};
use m2m_cli::settings::Settings;
use secrecy::SecretString;

use crate::world::{Variables, idp, variables, with};

async fn inspect(variables: &Variables, token: &str, offline: bool) -> Inspection {
    let mut settings = Settings::new(variables, false);
    let inspector = Inspector::new(&mut settings, offline, Arc::new(SystemClock)).unwrap();
    let inspection = inspector.inspect(&SecretString::from(token), false).await;
    let signature = token
        .trim()
        .rsplit_once('.')
        .map(|(_, signature)| signature);
    if let Some(signature) = signature.filter(|signature| signature.len() > 20) {
        let text = &inspection.text;
        assert!(!text.contains(signature), "the signature is shown: {text}");
        assert!(!text.contains("eyJ"), "{text}");
    }
    inspection
}

#[tokio::test]
async fn a_good_token_is_accepted_and_shown() {
    let idp = idp().await;
    let token = idp.mint(TokenSpec::new());
    let found = inspect(
        &variables(idp.issuer()),
        &format!("Bearer {token}\n"),
        false,
    )
    .await;
    assert!(found.is_accepted, "{}", found.text);
    for part in [
        r#""kid": ""#,
        r#""scope": "data:read""#,
        "exp 2",
        "✓ accepted",
        "✓ signature",
        "✓ audience",
    ] {
        assert!(found.text.contains(part), "{part}: {}", found.text);
    }
    assert!(!found.text.contains('\u{1b}'));
}

#[tokio::test]
async fn dates_are_told_with_how_far_away_they_are() {
    let idp = idp().await;
    let now = unix_seconds(SystemClock.now());
    let spec = TokenSpec::new()
        .claim("iat", now - 100_000)
        .claim("exp", now + 100_000);
    let found = inspect(&variables(idp.issuer()), &idp.mint(spec), true).await;
    for part in [", 1 d 3 h 46 min 4", ", in 1 d 3 h 46 min"] {
        assert!(found.text.contains(part), "{part}: {}", found.text);
    }
}

#[tokio::test]
async fn a_switch_that_is_written_out_as_off_is_as_if_unset() {
    let idp = idp().await;
    let off: Variables = [
        ("ISSUER", idp.issuer()),
        ("DANGEROUS_SKIP_AUDIENCE", "false"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let found = inspect(&off, &idp.mint(TokenSpec::new()), false).await;
    assert!(found.is_accepted, "{}", found.text);
    let note = "the audience was not checked: API_AUDIENCE is not set";
    assert!(found.text.contains(note), "{}", found.text);
}

#[tokio::test]
async fn a_refused_token_names_the_check_it_fails() {
    let idp = idp().await;
    let required = [("REQUIRED_SCOPES", "data:write")];
    let cases = [
        (
            variables(idp.issuer()),
            TokenSpec::new().claim("aud", "https://protected-data.example/"),
            "✗ audience",
            "differs from \"https://protected-data.example\" by a trailing slash",
        ),
        (
            variables(idp.issuer()),
            TokenSpec::new().claim("exp", 1_000_000_000),
            "✗ expiry",
            "s ago by our clock",
        ),
        (
            variables(idp.issuer()),
            TokenSpec::new().claim("iss", format!("{}/", idp.issuer())),
            "✗ issuer",
            "a trailing slash",
        ),
        (
            with(variables(idp.issuer()), &required),
            TokenSpec::new(),
            "✗ refused: the token lacks data:write",
            "REQUIRED_SCOPES",
        ),
    ];
    for (variables, spec, check, detail) in cases {
        let found = inspect(&variables, &idp.mint(spec), false).await;
        assert!(!found.is_accepted);
        assert!(found.text.contains(check), "{check}: {}", found.text);
        assert!(found.text.contains(detail), "{detail}: {}", found.text);
    }
}

/// As long-lived as Entra's tokens for managed identities, with and without asking for keys.
#[tokio::test]
async fn the_longest_lifetime_is_the_configured_one() {
    let idp = idp().await;
    let now = unix_seconds(SystemClock.now());
    let spec = TokenSpec::new().claim("iat", now);
    let token = idp.mint(spec.claim("exp", now + 24 * 60 * 60 + 300));
    let day = variables(idp.issuer());
    let longer = with(day.clone(), &[("MAX_TOKEN_LIFETIME", "24h 5m")]);
    for (name, variables, mark) in [("day", &day, "✗"), ("longer", &longer, "✓")] {
        for offline in [false, true] {
            let found = inspect(variables, &token, offline).await;
            let accepted = mark == "✓" && !offline;
            assert_eq!(found.is_accepted, accepted, "{name}: {}", found.text);
            let line = format!("{mark} lifetime          1 d 5 min of ");
            assert!(found.text.contains(&line), "{name}: {}", found.text);
        }
    }
}

/// F19
#[tokio::test]
async fn scopes_are_read_as_protected_data_reads_them() {
    let idp = idp().await;
    let scopes = serde_json::json!(["data:list", "data:write"]);
    let spec = TokenSpec::new().claim("scp", scopes);
    let token = idp.mint(spec.claim("scope", 1));
    let plain = variables(idp.issuer());
    let named = [("REQUIRED_SCOPES", "data:write"), ("SCOPE_CLAIM", "scp")];
    let named = with(plain.clone(), &named);
    let array = with(named.clone(), &[("ALLOW_SCOPE_ARRAY", "true")]);
    let refused = "✗ claim types";
    for (variables, parts) in [
        (&plain, [refused, "scope is a number"]),
        (
            &named,
            [refused, "scp is an array, and only a string is allowed"],
        ),
        (
            &array,
            [
                "✓ claim types",
                r#"scp is an array of "data:list" "data:write""#,
            ],
        ),
    ] {
        for offline in [false, true] {
            let found = inspect(variables, &token, offline).await;
            let accepted = parts[0] != refused && !offline;
            assert_eq!(found.is_accepted, accepted, "{}", found.text);
            for part in parts {
                assert!(found.text.contains(part), "{part}: {}", found.text);
            }
        }
    }
}

/// Whatever the token says, only the configured issuer is asked.
#[tokio::test]
async fn the_issuer_that_a_token_names_is_not_asked() {
    let (idp, other) = (idp().await, idp().await);
    let token = other.mint(TokenSpec::new());
    let found = inspect(&variables(idp.issuer()), &token, false).await;
    assert!(found.text.contains("✗ issuer"), "{}", found.text);
    let requests = other.requests();

    assert_eq!(requests, RequestCounts::default());
    assert_eq!(idp.requests().jwks, 1);
}

#[tokio::test]
async fn without_keys_it_says_what_can_be_said() {
    let idp = idp().await;
    let ours = variables(idp.issuer());
    let good = idp.mint(TokenSpec::new());
    let old = idp.mint(TokenSpec::new().claim("exp", 1_000_000_000));
    let none = Variables::new();
    let away = variables("http://127.0.0.1:1");
    let foreign = idp.mint(TokenSpec::new().claim("iss", "http://127.0.0.1:1"));
    for (name, variables, token, offline, parts) in [
        (
            "offline",
            &ours,
            &good,
            true,
            vec![
                "! undecided",
                "✓ expiry",
                "✓ audience",
                "· signature",
                "--offline",
            ],
        ),
        (
            "expired",
            &ours,
            &old,
            true,
            vec!["✗ refused", "✗ expiry", "· audience"],
        ),
        (
            "without any configuration",
            &none,
            &good,
            false,
            vec![
                "! undecided",
                "✓ expiry",
                "ISSUER is not set",
                "API_AUDIENCE is not set",
            ],
        ),
        (
            "the provider is away",
            &away,
            &foreign,
            false,
            vec!["! undecided", "could not connect", "✓ issuer"],
        ),
    ] {
        let found = inspect(variables, token, offline).await;
        assert!(!found.is_accepted, "{name}");
        for part in parts {
            assert!(found.text.contains(part), "{name}, {part}: {}", found.text);
        }
    }
    assert_eq!(idp.requests(), RequestCounts::default());
}

/// J1
#[tokio::test]
async fn what_is_no_token_is_not_shown() {
    let idp = idp().await;
    let variables = variables(idp.issuer());
    for text in [
        "",
        "hunter2-hunter2-hunter2",
        "a.b",
        "hunter2.hunter2.hunter2-hunter2-hunter2",
    ] {
        let found = inspect(&variables, text, true).await;
        assert!(!found.is_accepted);
        assert!(!found.text.contains("hunter2"), "{}", found.text);
        assert!(found.text.contains("✗ refused"), "{}", found.text);
    }
}
