//! `m2m token`.

use clock::ManualClock;
use m2m_cli::settings::Settings;
use m2m_cli::token::{Form, line};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::world::{Variables, idp, variables, with};

async fn printed(variables: &Variables, form: Form) -> Result<String, String> {
    let settings = Settings::new(variables, false);
    let (config, _) = settings.read(public_data::Config::read).unwrap();
    let clock = ManualClock::at_unix(1_000_000_000);
    match line(&config, form, &clock).await {
        Ok(line) => Ok(line.expose_secret().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn a_token_comes_in_three_forms() {
    let idp = idp().await;
    let variables = variables(idp.issuer());
    let plain = printed(&variables, Form::Plain).await.unwrap();
    assert_eq!(plain.split('.').count(), 3);
    let header = printed(&variables, Form::Header).await.unwrap();
    assert!(header.starts_with("Authorization: Bearer eyJ"), "{header}");
    let json = printed(&variables, Form::Json).await.unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["access_token"].as_str().unwrap().starts_with("eyJ"));
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["expires_in"], 300);
    assert_eq!(json["expires_at"], 1_000_000_300);
    assert_eq!(json["scope"], "data:read");
    assert_eq!(idp.requests().token, 3);
}

#[tokio::test]
async fn a_failure_names_what_to_change() {
    let idp = idp().await;
    let issuer = idp.issuer().to_owned();
    let cases = [
        (
            with(variables(&issuer), &[("CLIENT_SECRET", "hunter2")]),
            "CLIENT_SECRET",
        ),
        (
            with(variables(&issuer), &[("TOKEN_SCOPE", "data:admin")]),
            "TOKEN_SCOPE",
        ),
        (variables(&format!("{issuer}/")), "ISSUER"),
        (variables("http://127.0.0.1:1"), "ISSUER"),
    ];
    for (variables, name) in cases {
        let error = printed(&variables, Form::Plain).await.unwrap_err();
        assert!(error.contains(name), "{name}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
