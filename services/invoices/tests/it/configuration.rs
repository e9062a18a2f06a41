//! The service as its variables make it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use invoices::Config;
use rcgen::PublicKeyData as _;
use reqwest::Method;
use serde_json::Value;
use service_kit::config::Reader;

use crate::browser::LIMIT;
use crate::world::{SECRET, World};

fn document(path: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    std::fs::read_to_string(format!("{root}{path}")).unwrap()
}

/// K20, K64
#[test]
fn problems_end_the_start_with_64_one_line_each_and_no_value() {
    let directory = tempfile::tempdir().unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_invoices"))
        .current_dir(directory.path())
        .env_clear()
        .env("ISSUER", "https://idp.example")
        .env("CLIENT_ID", "app")
        .env("CLIENT_SECRET", "canary")
        .env("SESSION_SECRETS", "canary")
        .env("SESSION_STORE", "redis://canary/canary")
        .env("PUBLIC_URL", "http://canary.example")
        .env("DOMAIN_FORMAT", "canary")
        .env("LOGIN_SCOPES", "canary")
        .env("ROLE_PERMISSIONS", "canary")
        .output()
        .unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(64), "{told}");
    for name in [
        "SESSION_SECRETS",
        "SESSION_STORE",
        "PUBLIC_URL",
        "DOMAIN_FORMAT",
        "LOGIN_SCOPES",
        "ROLE_PERMISSIONS",
    ] {
        let start = format!("configuration: {name}: ");
        let lines = told.lines().filter(|line| line.starts_with(&start));
        assert_eq!(lines.count(), 1, "{name}: {told}");
    }
    assert!(!told.contains("canary"), "{told}");
}

/// Values of `.env.example` that stand for a default there.
#[test]
fn values_shown_as_defaults_are_the_defaults() {
    let text = document(".env.example");
    let commented: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .filter(|(name, _)| name.bytes().all(|it| it.is_ascii_uppercase() || it == b'_'))
        .map(|(name, value)| (name, value.trim_matches('\'')))
        .collect();
    let base = BTreeMap::from([
        ("ISSUER", "https://idp.example"),
        ("CLIENT_ID", "app"),
        ("CLIENT_SECRET", "secret"),
        ("SESSION_SECRETS", SECRET),
    ]);
    let read = |variables: &BTreeMap<&str, &str>| {
        let mut reader = Reader::new(variables);
        let config = Config::read(&mut reader);
        let asked: BTreeSet<String> = reader.asked().map(str::to_owned).collect();
        reader.finish().unwrap();
        // What people see by default depends on the listener.
        let shown = config.people.public_url(config.address.port());
        let text = format!("{config:#?}");
        let text = text.replace("public_url: None", &shown);
        (
            text.replace(
                &format!("public_url: Some(\n            \"{shown}\",\n        )"),
                &shown,
            ),
            asked,
        )
    };
    let (expected, asked) = read(&base);
    let mut compared = 0;
    for name in [
        "APPLICATION_CUSTOM_DOMAIN",
        "CLIENT_AUTH_METHOD",
        "LOGIN_SCOPES",
        "DOMAIN_FORMAT",
        "PUBLIC_URL",
        "TENANTS",
        "TENANT_ID_CLAIM",
        "TENANT_NAME_CLAIM",
        "ROLE_PERMISSIONS",
        "SESSION_STORE",
        "SESSION_IDLE_TIMEOUT",
        "SESSION_LIFETIME",
        "SESSION_MAX_STALE",
        "SESSION_MAX",
        "SESSIONS_PER_USER",
        "SESSION_SAME_SITE",
        "DANGEROUS_INSECURE_COOKIES",
        "DANGEROUS_TOKEN_ENDPOINT",
        "INVOICES_ADDR",
        "INVOICES_ADMIN_ADDR",
        "PROTECTED_DATA_URL",
        "ALLOWED_ALGORITHMS",
    ] {
        let mut variables = base.clone();
        variables.insert(name, commented[name]);
        assert_eq!(read(&variables).0, expected, "{name}");
        compared += 1;
    }
    assert!(asked.len() > compared);
    for name in &asked {
        let is_there = text.contains(&format!("\n{name}=")) || commented.contains_key(&**name);
        assert!(is_there, "{name}");
    }
}

fn members(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                found.insert(name.clone());
                members(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|it| members(it, found)),
        _ => {}
    }
}

#[tokio::test]
async fn a_ready_service_says_so_and_its_status_has_no_person_in_it() {
    let world = World::with(&[("INVOICES_ADMIN_ADDR", "127.0.0.1:0")]).await;
    let mut owner = world.owner().await;
    let added = owner.get("/calls").await;
    assert_eq!(added.status, 200);
    let admin = world.admin.unwrap();
    let status = owner.get(&format!("http://{admin}/status")).await;
    let document = status.json();
    assert_eq!(document["service"], "invoices");
    assert_eq!(
        document["sessions"]["logins"]["signed_in"], 1,
        "{document:#}"
    );
    assert_eq!(document["downstream"]["outcomes"]["person"]["ok"], 1);
    assert_eq!(document["downstream"]["outcomes"]["machine"]["ok"], 1);
    assert_eq!(document["token"]["ready"], true);
    let mut names = BTreeSet::new();
    for part in ["sessions", "invoices", "token", "downstream"] {
        names.insert(part.to_owned());
        members(&document[part], &mut names);
    }
    let page = self::document("docs/STATUS.md");
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for secret in ["owner@acme", "Olive", "acme", &owner.csrf().unwrap()] {
        assert!(!status.body.contains(secret), "{secret}: {}", status.body);
    }
    assert_eq!(owner.get("/livez").await.status, 200);
}

/// K63
#[tokio::test]
async fn secrets_are_read_again_when_their_file_changes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SECRET).unwrap();
    let world = World::with(&[
        ("SESSION_SECRETS", ""),
        ("SESSION_SECRETS_FILE", file.path().to_str().unwrap()),
        ("INVOICES_ADMIN_ADDR", "127.0.0.1:0"),
    ])
    .await;
    let mut owner = world.owner().await;
    let login = owner.get("/api/auth/login?tenant_name=globex").await;
    let callback = world
        .idp
        .sign_in(login.header("location"), "owner@globex.example");
    let status = format!("http://{}/status", world.admin.unwrap());
    let secrets = |document: &Value| document["sessions"]["secrets"].as_array().unwrap().clone();
    let before = secrets(&owner.get(&status).await.json());
    assert_eq!(before.len(), 1);
    std::fs::write(file.path(), format!("{}\n{SECRET}\n", "n".repeat(32))).unwrap();
    let changed = async {
        loop {
            let now = secrets(&owner.get(&status).await.json());
            if now.len() == 2 {
                break now;
            }
            tokio::task::yield_now().await;
        }
    };
    let now = tokio::time::timeout(LIMIT, changed).await.unwrap();
    assert_eq!(now[1], before[0]);
    assert_eq!(owner.get(&callback).await.status, 303);
}

#[tokio::test]
async fn a_key_proves_the_client_that_logs_people_in() {
    let key = rcgen::KeyPair::generate().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key.serialize_pem()).unwrap();
    let world = World::with(&[
        ("WEB_CLIENT_ID", ""),
        ("WEB_CLIENT_SECRET", ""),
        ("CLIENT_ID", dev_idp::DEFAULT_WEB_CLIENT_ID),
        ("CLIENT_SECRET", ""),
        ("CLIENT_AUTH_METHOD", "private_key_jwt"),
        ("CLIENT_KEY_FILE", file.path().to_str().unwrap()),
    ])
    .await;
    let origin = format!("http://localhost:{}", world.address.port());
    let client = dev_idp::DevClient::web()
        .application_at(&origin)
        .allow([dev_idp::AuthMethod::PrivateKeyJwt])
        .public_key(key.subject_public_key_info());
    world.idp.set_client(client);
    let mut owner = world.owner().await;
    assert_eq!(owner.get("/invoices").await.status, 200);
}

#[tokio::test]
async fn it_is_told_why_nobody_can_log_in() {
    let world = World::with(&[("INVOICES_ADMIN_ADDR", "127.0.0.1:0")]).await;
    let mut browser = world.owner().await;
    let status = format!("http://{}/status", world.admin.unwrap());
    // It is looked at now and then.
    let ready = async { while browser.get(&status).await.json()["state"] != "green" {} };
    tokio::time::timeout(LIMIT, ready).await.unwrap();
    let id = dev_idp::DEFAULT_WEB_CLIENT_ID;
    world.idp.set_secret(id, "another").unwrap();
    let login = browser.get("/api/auth/login?tenant_name=globex").await;
    let callback = world
        .idp
        .sign_in(login.header("location"), "owner@globex.example");
    let refused = browser.get(&callback).await;
    assert_eq!(refused.status, 502, "{}", refused.body);
    let document = browser.get(&status).await.json();
    assert_eq!(document["state"], "amber", "{document:#}");
    let advice = document["advice"].as_str().unwrap();
    assert!(advice.contains("WEB_CLIENT_SECRET"), "{advice}");

    let keyless = World::with(&[("JWKS_URI", "http://127.0.0.1:1/jwks")]).await;
    let mut browser = keyless.browser();
    let unready = browser.get("/readyz").await;
    assert_eq!(unready.status, 503);
    assert!(unready.body.contains("no keys"), "{}", unready.body);
}

#[tokio::test]
async fn each_tenant_may_have_a_host_of_its_own() {
    let world = World::with(&[
        ("DOMAIN_FORMAT", "VANITY_DOMAIN"),
        ("DEFAULT_TENANT_NAME", ""),
    ])
    .await;
    let mut browser = world.browser();
    let port = world.address.port();
    let at = |host: &str, path: &str| {
        let request = world.browser().request(Method::GET, path);
        request.header("host", format!("{host}:{port}"))
    };
    let home = browser.send(at("acme.localhost", "/")).await;
    assert_eq!(home.status, 200);
    let login = browser.send(at("acme.localhost", "/api/auth/login")).await;
    assert_eq!(login.status, 302);
    assert!(
        login.header("location").contains("/tenants/acme/"),
        "{}",
        login.header("location")
    );
    let foreign = browser.send(at("acme.example", "/invoices")).await;
    assert_eq!(foreign.status, 421);
}
