use super::*;

fn read(text: &str) -> Result<StoreUrl, StoreUrlError> {
    text.parse()
}

#[test]
fn each_place_is_read_and_shown_without_its_password() {
    for (text, engine, shown) in [
        ("sqlite:a b.db", StoreEngine::Sqlite, "sqlite:a b.db"),
        ("sqlite:/x/a.db", StoreEngine::Sqlite, "sqlite:/x/a.db"),
        ("sqlite:///x/a.db", StoreEngine::Sqlite, "sqlite:/x/a.db"),
        (
            "postgres://u:canary@localhost/d",
            StoreEngine::Postgres,
            "postgres://u@localhost/d",
        ),
        (
            "postgresql://u:canary@10.0.0.1:5433/d?sslmode=require",
            StoreEngine::Postgres,
            "postgresql://u@10.0.0.1:5433/d?sslmode=require",
        ),
        (
            "postgres://u@localhost/d?host=/run/pg",
            StoreEngine::Postgres,
            "postgres://u@localhost/d?host=/run/pg",
        ),
        ("redis://h?prefix=a:", StoreEngine::Redis, "redis://h"),
        (
            "rediss://u:canary@h:1/3",
            StoreEngine::Redis,
            "rediss://u@h:1/3",
        ),
        ("redis://:canary@[::1]", StoreEngine::Redis, "redis://[::1]"),
    ] {
        let url = read(text).unwrap();
        assert_eq!((url.engine(), url.to_string().as_str()), (engine, shown));
        assert_eq!(format!("{url:?}"), format!("StoreUrl({shown})"));
    }
}

#[test]
fn what_is_no_place_is_told_by_what_is_missing_and_shows_nothing() {
    for (text, error) in [
        ("", StoreUrlError::Scheme),
        ("memory", StoreUrlError::Scheme),
        ("mysql://canary", StoreUrlError::Scheme),
        ("redis:canary", StoreUrlError::Scheme),
        ("sqlite:", StoreUrlError::Path),
        ("sqlite::memory:", StoreUrlError::Path),
        ("sqlite:canary?mode=ro", StoreUrlError::Path),
        ("sqlite:canary/", StoreUrlError::Path),
        ("postgres://u:canary@h:x/d", StoreUrlError::Url),
        ("postgres:///canary", StoreUrlError::Host),
        ("postgres://canary/d", StoreUrlError::User),
        ("postgres://u:canary@h", StoreUrlError::Database),
        ("postgres://u:canary@h/", StoreUrlError::Database),
        (
            "postgres://u@h/d?password=canary",
            StoreUrlError::Parameter(POSTGRES_PARAMETERS),
        ),
        (
            "postgres://u@h/d?canary=1",
            StoreUrlError::Parameter(POSTGRES_PARAMETERS),
        ),
        ("redis://", StoreUrlError::Url),
        ("redis://canary/one", StoreUrlError::Number),
        ("redis://canary/70000", StoreUrlError::Number),
        (
            "redis://h?canary=1",
            StoreUrlError::Parameter(REDIS_PARAMETERS),
        ),
    ] {
        let found = read(text).unwrap_err();
        assert!(!found.to_string().contains("canary"), "{text}");
        // A host that is empty may already be refused as a URL.
        let is_same = found == error || (text == "redis://" && found == StoreUrlError::Host);
        assert!(is_same, "{text}: {found:?}");
    }
}

#[test]
fn a_password_is_added_once_and_never_to_a_file() {
    let password = SecretString::from("can/ry@ %");
    let url = read("redis://u@h/1").unwrap();
    let url = url.with_password(&password).unwrap();
    let Place::Redis(inner, _) = &url.0 else {
        unreachable!("it is Redis");
    };
    assert_eq!(inner.as_str(), "redis://u:can%2Fry%40%20%25@h/1");
    assert_eq!(url.to_string(), "redis://u@h/1");
    let again = url.with_password(&password).unwrap_err();
    assert_eq!(again, StoreUrlError::TwoPasswords);
    let file = read("sqlite:a").unwrap().with_password(&password);
    assert_eq!(file.unwrap_err(), StoreUrlError::PasswordOfFile);
}

#[test]
fn postgres_on_another_machine_has_to_prove_its_name_unless_told_otherwise() {
    for (text, expected) in [
        ("postgres://u@db.example/d", Some("verify-full")),
        ("postgres://u@10.0.0.1/d", Some("verify-full")),
        (
            "postgres://u@localhost/d?host=db.example",
            Some("verify-full"),
        ),
        ("postgres://u@db.example/d?sslmode=require", Some("require")),
        ("postgres://u@localhost/d", None),
        ("postgres://u@127.0.0.1/d", None),
        ("postgres://u@[::1]/d", None),
        ("postgres://u@localhost/d?host=/run/postgresql", None),
    ] {
        let Place::Postgres(url) = read(text).unwrap().0 else {
            unreachable!("it is Postgres");
        };
        let modes = url.query_pairs().filter(|(name, _)| name == "sslmode");
        let modes: Vec<String> = modes.map(|(_, value)| value.into_owned()).collect();
        assert_eq!(modes.first().map(String::as_str), expected, "{text}");
        assert!(modes.len() < 2);
    }
}

#[test]
fn what_goes_over_a_network_without_tls_is_told() {
    for (text, is_in_the_clear) in [
        ("sqlite:a", false),
        ("redis://localhost", false),
        ("redis://10.0.0.1", true),
        ("rediss://10.0.0.1", false),
        ("postgres://u@db.example/d", false),
        ("postgres://u@db.example/d?sslmode=prefer", true),
        ("postgres://u@localhost/d", false),
    ] {
        assert_eq!(
            read(text).unwrap().is_in_the_clear(),
            is_in_the_clear,
            "{text}"
        );
    }
}
