//! What a source can be told about the request and its answer.

use std::path::Path;

use secrecy::SecretString;
use token_cache::{
    ClientAuth, ClientCredentials, ClientCredentialsBuilder, SecretSource, TokenErrorKind,
    TokenRequest, TokenSource as _,
};

use crate::endpoint::server::Endpoint;
use crate::logs::Logs;

const TOKEN: &str = r#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#;
const REFUSAL: &str = r#"{"error":"invalid_client"}"#;

fn source(url: &str, id: &str, secret: impl Into<SecretSource>) -> ClientCredentialsBuilder {
    ClientCredentials::builder(id, secret).token_endpoint(url)
}

fn value(secret: &str) -> SecretSource {
    SecretString::from(secret).into()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// B20, N34
#[tokio::test]
async fn id_secret_and_headers_are_read_from_their_files_for_every_exchange() {
    let directory = tempfile::tempdir().unwrap();
    let [id, secret, headers] = ["id", "secret", "headers"].map(|name| directory.path().join(name));
    write(&id, "id-1\n");
    write(&secret, "secret-1\n");
    write(&headers, "X-Api-Key: key-1\n");
    let mut endpoint = Endpoint::json("200 OK", TOKEN).await;
    let source = source(&endpoint.url, "", SecretSource::File(secret.clone()))
        .client_id_file(&id)
        .headers_file(&headers)
        .header("X-Tenant", &SecretString::from("acme"))
        .auth(ClientAuth::SecretPost)
        .build()
        .unwrap();
    let mut versions = vec![source.credentials_version().await];
    for (path, text) in [
        (&id, "id-2"),
        (&secret, "secret-2"),
        (&headers, "X-Api-Key: key-2"),
    ] {
        source.fetch(&TokenRequest::new()).await.unwrap();
        write(path, text);
        versions.push(source.credentials_version().await);
    }
    source.fetch(&TokenRequest::new()).await.unwrap();
    for (id, secret, key) in [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2)] {
        let sent = endpoint.requests.recv().await.unwrap();
        let form = format!("&client_id=id-{id}&client_secret=secret-{secret}");
        assert!(sent.ends_with(&form), "{sent}");
        let key = format!("\r\nx-api-key: key-{key}\r\n");
        assert!(sent.contains(&key), "{sent}");
        assert!(sent.contains("\r\nx-tenant: acme\r\n"), "{sent}");
    }
    let distinct: std::collections::BTreeSet<_> = versions.iter().collect();
    assert_eq!(distinct.len(), 4, "{versions:?}");

    for (path, text, expected) in [
        (&headers, "canary", "the file with the headers: line 1"),
        (&id, "", "the file with the client id is missing, empty"),
    ] {
        write(path, text);
        let error = source.fetch(&TokenRequest::new()).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Config);
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

/// N36
#[tokio::test]
async fn credentials_that_cannot_be_are_not_sent_and_odd_ones_are_named_when_they_are_rejected() {
    let mut endpoint = Endpoint::json("401 Unauthorized", REFUSAL).await;
    for (name, id, secret, expected) in [
        ("well", "id", "canary", ": invalid_client"),
        (
            "a space",
            "id",
            "canary ",
            "the client secret has a space at an end; invalid_client",
        ),
        (
            "a tab",
            "id\u{a0}",
            "canary",
            "the client id has a space at an end; invalid_client",
        ),
        (
            "a space inside",
            "my id",
            "canary",
            "the client id has a space inside; invalid_client",
        ),
        (
            "quotes",
            "'id'",
            "canary",
            "the client id has quotes around it; invalid_client",
        ),
        (
            "other quotes",
            "id",
            "\"canary\"",
            "the client secret has quotes around it;",
        ),
        ("one quote", "id", "canary\"", ": invalid_client"),
    ] {
        let source = source(&endpoint.url, id, value(secret)).build().unwrap();
        let error = source.fetch(&TokenRequest::new()).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), TokenErrorKind::InvalidClient);
        assert!(text.contains(expected), "{name}: {text}");
        assert!(!text.contains("canary"), "{name}: {text}");
    }
    assert_eq!(endpoint.count(), 7);

    let two_lines = source(&endpoint.url, "id", value("canary\nmore"))
        .build()
        .unwrap();
    let error = two_lines.fetch(&TokenRequest::new()).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.ends_with(": the client secret has a control character"),
        "{text}"
    );
    assert_eq!(endpoint.count(), 0);
}

/// N34, N36
#[test]
fn settings_that_cannot_work_are_refused_when_the_source_is_built() {
    let secret = SecretString::from("canary");
    let new = || source("https://idp.example/token?p=1", "id", secret.clone());
    assert!(new().build().is_ok());
    for (name, builder, setting) in [
        (
            "no id",
            source("https://idp.example", "", value("x")),
            "client_id",
        ),
        (
            "a control character",
            source("https://idp.example", "a\nb", value("x")),
            "client_id",
        ),
        (
            "credentials",
            new().header("authorization", &secret),
            "header",
        ),
        (
            "the body",
            new().header("Content-Encoding", &secret),
            "header",
        ),
        (
            "twice",
            new().header("x-a", &secret).header("X-A", &secret),
            "header",
        ),
        ("a proof", new().token_type_name("DPoP"), "token_type_name"),
        (
            "a signature",
            new().token_type_name("mac"),
            "token_type_name",
        ),
        ("no name", new().token_type_name(""), "token_type_name"),
        ("no room", new().max_token_size(0), "max_token_size"),
        (
            "too much room",
            new().max_token_size(32 * 1024 + 1),
            "max_token_size",
        ),
    ] {
        assert!(!format!("{builder:?}").contains("canary"), "{name}");
        let error = builder.build().unwrap_err();
        assert_eq!(error.setting(), setting, "{name}");
        assert!(!error.to_string().contains("canary"), "{name}");
    }
}

/// A19, A20
#[tokio::test]
async fn the_largest_token_and_other_names_of_bearer_can_be_set() {
    let large = "x".repeat(12 * 1024 + 1);
    let body = format!(r#"{{"access_token":"{large}","token_type":"BearerToken"}}"#);
    let endpoint = Endpoint::json("200 OK", &body).await;
    let new = || source(&endpoint.url, "id", value("x"));
    for (builder, expected) in [
        (new(), Some(TokenErrorKind::TooLarge)),
        (
            new().max_token_size(32 * 1024),
            Some(TokenErrorKind::TokenType),
        ),
        (
            new()
                .max_token_size(32 * 1024)
                .token_type_name("bearertoken"),
            None,
        ),
    ] {
        let result = builder.build().unwrap().fetch(&TokenRequest::new()).await;
        let kind = result.err().map(|error| error.kind());
        assert_eq!(kind, expected);
    }
}

/// A24
#[tokio::test]
async fn less_scope_than_asked_for_is_an_error_or_a_warning() {
    let body = r#"{"access_token":"t","scope":"a"}"#;
    let endpoint = Endpoint::json("200 OK", body).await;
    let request = TokenRequest::new().scope("a b");
    let strict = source(&endpoint.url, "id", value("x")).build().unwrap();
    let error = strict.fetch(&request).await.unwrap_err();
    let kind = TokenErrorKind::ScopeNotGranted;
    assert_eq!(error.kind(), kind);
    let logs = Logs::capture("token_cache=warn");
    let lenient = source(&endpoint.url, "id", value("x")).accept_narrower_scope();
    lenient.build().unwrap().fetch(&request).await.unwrap();
    assert!(
        logs.text().contains(r#"\"b\" was not granted"#),
        "{}",
        logs.text()
    );
}

/// RFC 6749 section 3.2.
#[tokio::test]
async fn the_query_of_the_token_endpoint_is_kept() {
    let mut endpoint = Endpoint::json("200 OK", TOKEN).await;
    let url = format!("{}?p=b2c_1&x=%20", endpoint.url);
    let source = source(&url, "id", value("x")).build().unwrap();
    source.fetch(&TokenRequest::new()).await.unwrap();
    let sent = endpoint.requests.recv().await.unwrap();
    assert!(
        sent.starts_with("POST /token?p=b2c_1&x=%20 HTTP/1.1\r\n"),
        "{sent}"
    );
}
