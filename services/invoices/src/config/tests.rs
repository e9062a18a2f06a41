//! Each variable with values that it takes and values that it does not.

mod together;
mod values;

use std::collections::BTreeMap;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

type Variables<'a> = BTreeMap<&'a str, &'a str>;

fn base() -> Variables<'static> {
    BTreeMap::from([
        ("ISSUER", "https://idp.example"),
        ("CLIENT_ID", "app"),
        ("CLIENT_SECRET", "hunter2"),
        ("SESSION_SECRETS", SECRET),
    ])
}

fn read(variables: &Variables<'_>) -> (Config, Vec<String>, Vec<String>) {
    let mut reader = Reader::new(variables);
    let config = Config::read(&mut reader);
    let warnings = reader.warnings().iter().map(ToString::to_string).collect();
    let problems = match reader.finish() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    };
    (config, problems, warnings)
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Variables<'a> {
    let mut variables = base();
    variables.extend(more.iter().copied());
    variables
}

/// The variables that problems name, each once.
fn named(problems: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = problems
        .iter()
        .map(|problem| problem.split_once(": ").unwrap().0)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn the_smallest_configuration_has_the_defaults() {
    let (config, problems, warnings) = read(&base());
    assert_eq!(problems, [""; 0]);
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.address.to_string(), "127.0.0.1:6004");
    assert_eq!(config.admin_address.unwrap().to_string(), "127.0.0.1:6014");
    assert_eq!(config.people.public_url(6004), "http://localhost:6004");
    assert!(!config.people.has_tenants && !config.has_samples());
    assert_eq!(config.clients.web.id, "app");
    let hour = std::time::Duration::from_secs(3600);
    let sessions = &config.sessions;
    assert_eq!(
        (sessions.idle, sessions.lifetime, sessions.max_stale),
        (hour, 12 * hour, hour)
    );
    assert_eq!((sessions.max, sessions.per_person), (10_000, 20));
    let owner = ["invoice:read", "invoice:write", "session:revoke"];
    assert_eq!(config.people.role_permissions["owner"], owner);
    assert_eq!(config.people.role_permissions["viewer"], ["invoice:read"]);
    assert!(config.audiences.is_empty());
    let local = with(&[("ISSUER", "http://127.0.0.1:6003")]);
    assert!(read(&local).0.has_samples());
}

#[test]
fn a_vanity_domain_stands_for_everything_under_both_of_its_names() {
    for name in ["APPLICATION_VANITY_DOMAIN", "APPLICATION_DOMAIN"] {
        let variables = with(&[("ISSUER", ""), (name, "app.idp.example")]);
        let (config, problems, _) = read(&variables);
        assert_eq!(problems, [""; 0], "{name}");
        assert_eq!(config.provider.issuer, "https://app.idp.example");
        assert!(config.people.has_tenants);
        let login = config.login;
        let texts = [login.application_login, login.signup].map(|url| url.unwrap().to_string());
        assert_eq!(
            texts,
            [
                "https://app.idp.example/login",
                "https://app.idp.example/signup"
            ]
        );
        assert_eq!(login.vanity.unwrap().domain, "app.idp.example");
    }
}

/// K64
#[test]
fn secrets_are_one_to_five_of_32_characters_each_once() {
    let other = SECRET.replace('0', "x");
    let many: Vec<String> = (0..6).map(|at| format!("{SECRET}{at}")).collect();
    for (value, is_good) in [
        (format!("{SECRET} {other}"), true),
        (many[..5].join(" "), true),
        (many.join(" "), false),
        (format!("{SECRET} {SECRET}"), false),
        (SECRET[1..].to_owned(), false),
        (format!("{SECRET} short"), false),
        ("   ".to_owned(), false),
        (String::new(), false),
    ] {
        let (_, problems, _) = read(&with(&[("SESSION_SECRETS", &value)]));
        let expected: &[&str] = if is_good { &[] } else { &["SESSION_SECRETS"] };
        assert_eq!(named(&problems), expected, "{value}: {problems:?}");
        let shows = problems.iter().any(|it| it.contains("0123456"));
        assert!(!shows, "{problems:?}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{SECRET}\n{other}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let by_file = with(&[("SESSION_SECRETS", ""), ("SESSION_SECRETS_FILE", path)]);
    assert_eq!(read(&by_file).1, [""; 0]);
    let both = with(&[("SESSION_SECRETS_FILE", path)]);
    assert_eq!(named(&read(&both).1), ["SESSION_SECRETS"]);
    std::fs::write(file.path(), "hunter2").unwrap();
    let problems = read(&by_file).1;
    assert_eq!(named(&problems), ["SESSION_SECRETS_FILE"]);
    assert!(!problems[0].contains("hunter2"));
}

/// K74
#[test]
fn insecure_cookies_are_warned_of_and_refused_beside_https() {
    const NAME: &str = "DANGEROUS_INSECURE_COOKIES";
    let (config, problems, warnings) = read(&with(&[(NAME, "true")]));
    assert_eq!(problems, [""; 0]);
    assert!(config.sessions.insecure_cookies);
    assert!(
        warnings.iter().any(|it| it.starts_with(NAME)),
        "{warnings:?}"
    );
    let https = with(&[(NAME, "true"), ("PUBLIC_URL", "https://app.example")]);
    assert_eq!(named(&read(&https).1), [NAME]);
}

#[test]
fn what_works_and_was_hardly_meant_is_a_warning() {
    for (name, value) in [
        ("LOGIN_SCOPES", "openid profile"),
        ("SESSION_IDLE_TIMEOUT", "30s"),
        ("DANGEROUS_TOKEN_ENDPOINT", "true"),
    ] {
        let (_, problems, warnings) = read(&with(&[(name, value)]));
        assert_eq!(problems, [""; 0], "{name}");
        assert!(
            warnings.iter().any(|it| it.starts_with(name)),
            "{name}: {warnings:?}"
        );
    }
}

#[test]
fn the_password_of_a_store_comes_from_a_file_and_is_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2canary\n").unwrap();
    let path = file.path().to_str().unwrap();
    const FILE: &str = "SESSION_STORE_PASSWORD_FILE";
    let place = |url| with(&[("SESSION_STORE", url), (FILE, path)]);
    for url in ["redis://u@localhost", "postgres://u@localhost/d"] {
        let variables = place(url);
        let (config, problems, warnings) = read(&variables);
        assert_eq!((problems, warnings), (Vec::new(), Vec::new()), "{url}");
        assert!(!format!("{config:?}").contains("canary"));
        let StoreSetting::Outside(store) = config.sessions.store else {
            panic!("{url}");
        };
        let again = store.with_password(&"other".into());
        assert!(again.is_err(), "it has the file's");
    }
    for url in ["memory", "sqlite:a.db", "redis://:other@localhost"] {
        let (_, problems, _) = read(&place(url));
        assert_eq!(named(&problems), [FILE], "{url}: {problems:?}");
        assert!(!problems[0].contains("canary") && !problems[0].contains("other"));
    }
    let (_, problems, warnings) = read(&with(&[("SESSION_STORE", "redis://10.0.0.1")]));
    assert_eq!(problems, [""; 0]);
    assert!(
        warnings.iter().any(|it| it.starts_with("SESSION_STORE")),
        "{warnings:?}"
    );
}

/// K20
#[test]
fn every_problem_comes_at_once_and_without_a_value() {
    let canary = "canary canary";
    let names = [
        "SESSION_SECRETS",
        "SESSION_STORE",
        "SESSION_IDLE_TIMEOUT",
        "DOMAIN_FORMAT",
        "PUBLIC_URL",
        "TENANTS",
        "ROLE_PERMISSIONS",
        "LOGIN_SCOPES",
        "INVOICES_ADDR",
        "TRUSTED_ORIGINS",
        "AUTHORIZATION_ENDPOINT",
    ];
    let more: Vec<(&str, &str)> = names.iter().map(|name| (*name, canary)).collect();
    let (_, problems, _) = read(&with(&more));
    let found = named(&problems);
    for name in names {
        assert!(found.contains(&name), "{name}: {problems:?}");
    }
    for problem in &problems {
        assert!(
            !problem.contains("canary") && !problem.contains('\n'),
            "{problem}"
        );
    }
}

#[test]
fn every_variable_that_is_read_is_known() {
    let variables = base();
    let mut reader = Reader::new(&variables);
    Config::read(&mut reader);
    for name in reader.asked() {
        assert!(VARIABLES.contains(&name), "{name}");
    }
}
