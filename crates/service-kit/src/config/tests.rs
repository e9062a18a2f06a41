use std::path::Path;

use super::*;

const CANARY: &str = "hunter2-canary";

fn lines<'a>(
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    read: impl FnOnce(&mut Reader<'_>),
) -> Vec<String> {
    let map: BTreeMap<&str, &str> = variables.into_iter().collect();
    let mut reader = Reader::new(&map);
    read(&mut reader);
    match reader.finish() {
        Ok(()) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

fn read_everything(reader: &mut Reader<'_>) {
    let _ = reader.required("REQUIRED");
    reader.socket_addr("ADDRESS", ([127, 0, 0, 1], 1).into());
    reader.duration(
        "DURATION",
        Duration::from_secs(1),
        Duration::ZERO..=Duration::from_secs(60),
    );
    reader.bool("BOOL", false);
    reader.usize("NUMBER", 1, 1..=10);
    reader.one_of("CHOICE", &[("a", 1), ("b", 2)], 1);
    reader.parse("PARSED", "something else", |_| None::<()>);
    reader.endpoint("ENDPOINT", false);
    let _ = reader.required_secret("SECRET");
    IdentityProvider::read(reader);
    Runtime::read(reader);
}

/// H3
#[test]
fn all_problems_are_reported_at_once_with_name_and_form() {
    let problems = lines(
        [
            ("ADDRESS", "x"),
            ("DURATION", "10"),
            ("NUMBER", "11"),
            ("BOOL", "yes"),
        ],
        read_everything,
    );
    assert_eq!(
        problems,
        [
            "REQUIRED: is required",
            "ADDRESS: must be an address and a port, such as 127.0.0.1:6001",
            "DURATION: must be a duration with its unit, such as 10s, between 0s and 1m",
            "BOOL: must be true or false",
            "NUMBER: must be a whole number between 1 and 10",
            "SECRET: is required, or SECRET_FILE",
            "ISSUER: is required, or APPLICATION_VANITY_DOMAIN",
        ]
    );
}

/// H3, J1
#[test]
fn no_problem_shows_a_value() {
    let names = [
        "ADDRESS",
        "DURATION",
        "BOOL",
        "NUMBER",
        "CHOICE",
        "PARSED",
        "ENDPOINT",
        "SECRET_FILE",
        "ISSUER",
        "APPLICATION_VANITY_DOMAIN",
        "TOKEN_ENDPOINT",
        "JWKS_URI",
        "METADATA_URL",
        "IDP_CA_FILE",
        "IDP_PROXY",
        "IDP_PROXY_CREDENTIALS_FILE",
        "IDP_TIMEOUT",
        "IDP_CONNECT_TIMEOUT",
        "ALLOW_INSECURE_HTTP",
        "SHUTDOWN_GRACE",
        "LOG_FORMAT",
        "RUST_LOG",
    ];
    for value in [
        CANARY.to_owned(),
        format!("https://u:{CANARY}@h/?{CANARY}#"),
        format!("=[{CANARY}"),
    ] {
        let map: BTreeMap<String, String> = names
            .iter()
            .map(|name| ((*name).to_owned(), value.clone()))
            .collect();
        let mut reader = Reader::new(&map);
        read_everything(&mut reader);
        let debug = format!("{reader:?}");
        let error = reader.finish().unwrap_err();
        let shown = format!("{error} {error:?} {debug}");
        assert!(!shown.contains(CANARY), "{shown}");
        // A directive list takes nearly any word, and a canary is a legal host name and URL part.
        for name in names
            .iter()
            .filter(|name| !["RUST_LOG", "APPLICATION_VANITY_DOMAIN", "CHOICE"].contains(name))
        {
            assert!(
                error
                    .problems()
                    .iter()
                    .any(|problem| problem.name() == *name),
                "{name} is not reported for {value:?}: {shown}"
            );
        }
    }
}

/// H3
#[test]
fn an_empty_value_counts_as_unset() {
    let names = [
        "REQUIRED",
        "ADDRESS",
        "DURATION",
        "BOOL",
        "NUMBER",
        "CHOICE",
        "PARSED",
        "ENDPOINT",
        "SECRET",
        "SECRET_FILE",
        "ISSUER",
        "APPLICATION_VANITY_DOMAIN",
        "TOKEN_ENDPOINT",
        "JWKS_URI",
        "METADATA_URL",
        "IDP_CA_FILE",
        "IDP_PROXY",
        "IDP_PROXY_CREDENTIALS_FILE",
        "IDP_TIMEOUT",
        "IDP_CONNECT_TIMEOUT",
        "ALLOW_INSECURE_HTTP",
        "SHUTDOWN_GRACE",
        "LOG_FORMAT",
        "RUST_LOG",
    ];
    let problems = lines(names.map(|name| (name, "")), read_everything);
    assert_eq!(
        problems,
        [
            "REQUIRED: is required",
            "SECRET: is required, or SECRET_FILE",
            "ISSUER: is required, or APPLICATION_VANITY_DOMAIN",
        ]
    );
}

#[test]
fn values_are_read_and_defaults_fill_in() {
    let map = BTreeMap::from([
        ("LIST", "a, b,,c  d"),
        ("DURATION", "1m 30s"),
        ("CHOICE", "b"),
        ("ADDRESS", "[::1]:0"),
    ]);
    let mut reader = Reader::new(&map);
    let range = Duration::ZERO..=Duration::from_secs(600);
    assert_eq!(reader.list("LIST"), ["a", "b", "c", "d"]);
    assert!(reader.list("NO_LIST").is_empty());
    assert_eq!(
        reader.duration("DURATION", Duration::ZERO, range.clone()),
        Duration::from_secs(90)
    );
    assert_eq!(
        reader.duration("NO_DURATION", Duration::ZERO, range),
        Duration::ZERO
    );
    assert_eq!(reader.one_of("CHOICE", &[("a", 1), ("b", 2)], 1), 2);
    assert_eq!(
        reader.optional_socket_addr("ADDRESS"),
        "[::1]:0".parse().ok()
    );
    assert_eq!(reader.optional_socket_addr("NO_ADDRESS"), None);
    assert_eq!(reader.usize("NO_NUMBER", 7, 0..=9), 7);
    let runtime = Runtime::read(&mut reader);
    assert_eq!(runtime.shutdown_grace, Duration::from_secs(10));
    assert_eq!(runtime.log_filter, "info");
    reader.finish().unwrap();
}

/// H4
#[test]
fn a_cross_field_problem_stops_the_start_like_any_other() {
    let problems = lines([], |reader| {
        reader.problem("LEEWAY", "must be shorter than TOKEN_LIFETIME");
        reader.warning("OTHER", "is deprecated");
        assert_eq!(reader.warnings()[0].to_string(), "OTHER: is deprecated");
    });
    assert_eq!(problems, ["LEEWAY: must be shorter than TOKEN_LIFETIME"]);
}

fn provider(variables: &[(&str, &str)]) -> (IdentityProvider, Vec<String>) {
    let mut provider = None;
    let problems = lines(variables.iter().copied(), |reader| {
        provider = Some(IdentityProvider::read(reader));
    });
    (provider.unwrap(), problems)
}

#[test]
fn the_issuer_stays_byte_for_byte() {
    for issuer in [
        "https://Example.COM:443/a/../b/",
        "http://127.0.0.1:6003",
        "http://localhost:1/",
    ] {
        let (provider, problems) = provider(&[("ISSUER", issuer)]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(provider.issuer, issuer);
        assert_eq!((provider.token_endpoint, provider.jwks_uri), (None, None));
    }
}

/// A launcher reads the shared variables for each service.
#[test]
fn a_problem_of_the_provider_is_one_line_for_two_readings() {
    for (variable, expected) in [
        (
            ("ISSUER", "ftp://x"),
            "ISSUER: must be an absolute https URL",
        ),
        (
            ("APPLICATION_VANITY_DOMAIN", "a/b"),
            "APPLICATION_VANITY_DOMAIN: must be",
        ),
        (("OTHER", "x"), "ISSUER: is required"),
    ] {
        let problems = lines([variable, ("SECRET_FILE", "/nonexistent")], |reader| {
            for _ in 0..2 {
                IdentityProvider::read(reader);
                let _ = reader.required_secret("SECRET");
            }
        });
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with(expected), "{problems:?}");
        assert!(problems[1].starts_with("SECRET_FILE: "), "{problems:?}");
    }
}

/// H3
#[test]
fn an_issuer_over_plain_http_needs_consent() {
    let (_, problems) = provider(&[("ISSUER", "http://idp.example")]);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with("ISSUER: must be an absolute https URL"),
        "{problems:?}"
    );
    let variables = [
        ("ISSUER", "http://idp.example"),
        ("ALLOW_INSECURE_HTTP", "true"),
    ];
    let problems = lines(variables, |reader| {
        assert!(IdentityProvider::read(reader).allow_insecure_http);
        let warning = reader.warnings()[0].to_string();
        assert!(
            warning.starts_with("ALLOW_INSECURE_HTTP: is on"),
            "{warning}"
        );
    });
    assert_eq!(problems, [""; 0]);
}

#[test]
fn a_vanity_domain_stands_for_issuer_and_endpoints() {
    let (provider, problems) = provider(&[("APPLICATION_VANITY_DOMAIN", "login.example.com:8443")]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(provider.issuer, "https://login.example.com:8443");
    assert_eq!(
        provider.token_endpoint.unwrap().as_str(),
        "https://login.example.com:8443/api/v1/oauth2/token"
    );
    assert_eq!(
        provider.jwks_uri.unwrap().as_str(),
        "https://login.example.com:8443/api/v1/oauth2/jwks"
    );
}

#[test]
fn single_settings_override_their_part_of_a_vanity_domain() {
    let (provider, problems) = provider(&[
        ("APPLICATION_VANITY_DOMAIN", "d.example"),
        ("ISSUER", "https://d.example/"),
        ("TOKEN_ENDPOINT", "http://127.0.0.1:1/token"),
    ]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(provider.issuer, "https://d.example/");
    assert_eq!(
        provider.token_endpoint.unwrap().as_str(),
        "http://127.0.0.1:1/token"
    );
    assert_eq!(
        provider.jwks_uri.unwrap().as_str(),
        "https://d.example/api/v1/oauth2/jwks"
    );
}

/// H4
#[test]
fn an_issuer_on_another_host_than_the_vanity_domain_is_refused() {
    let (_, problems) = provider(&[
        ("APPLICATION_VANITY_DOMAIN", "d.example"),
        ("ISSUER", "https://other.example"),
    ]);
    assert_eq!(
        problems,
        ["ISSUER: is on another host than APPLICATION_VANITY_DOMAIN; set one"]
    );
}

/// H3
#[test]
fn a_vanity_domain_is_a_host_and_perhaps_a_port() {
    for domain in [
        "https://d.example",
        "d.example/",
        "d.example/x",
        "d.example?x",
        "d.example#x",
        "u@d.example",
        "d.example:",
        "d.example:99999",
        " d.example",
        "d.example\n",
        "d example",
        ":443",
        "d\\x",
        "d%2fx",
        "[::1",
        "d.example:a",
    ] {
        let (_, problems) = provider(&[("APPLICATION_VANITY_DOMAIN", domain)]);
        assert_eq!(
            problems,
            [
                "APPLICATION_VANITY_DOMAIN: must be a host or host:port and nothing else, such as \
              login.example.com"
            ],
            "{domain:?}"
        );
    }
}

/// H3
#[test]
fn a_ca_file_must_hold_certificates_that_can_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let read = |path: &Path| {
        provider(&[
            ("ISSUER", "https://a"),
            ("IDP_CA_FILE", path.to_str().unwrap()),
        ])
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = &made.cert.pem();
    let two = format!("in words\n{pem}{pem}");
    for (name, content) in [("one", pem), ("two", &two)] {
        let (good, problems) = read(&write(name, content));
        assert_eq!(problems, [""; 0], "{name}");
        assert!(good.ca_file.is_some(), "{name}");
    }
    let markers = |content: &str| {
        format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n")
    };
    for (name, content) in [
        ("empty", String::new()),
        ("key", "-----BEGIN PRIVATE KEY-----\n".to_owned()),
        ("torn", "-----BEGIN CERTIFICATE-----\n".to_owned()),
        ("not base64", markers("canary!")),
        ("not a certificate", markers("MA==")),
        ("one good, one not", format!("{pem}{}", markers("MA=="))),
    ] {
        let (_, problems) = read(&write(name, &content));
        assert_eq!(
            problems,
            ["IDP_CA_FILE: names a file without a usable PEM certificate"],
            "{name}"
        );
    }
    let (_, problems) = read(&directory.path().join("absent"));
    assert_eq!(problems, ["IDP_CA_FILE: names a file that does not exist"]);
}

#[test]
fn the_variables_asked_for_are_known_by_name() {
    let empty: BTreeMap<&str, &str> = BTreeMap::new();
    let mut reader = Reader::new(&empty);
    IdentityProvider::read(&mut reader);
    Runtime::read(&mut reader);
    let _ = reader.optional_secret("CLIENT_SECRET");
    let mut expected: Vec<&str> = IdentityProvider::VARIABLES
        .into_iter()
        .chain(Runtime::VARIABLES)
        .collect();
    expected.extend(["CLIENT_SECRET", "CLIENT_SECRET_FILE"]);
    expected.sort_unstable();
    assert_eq!(reader.asked().collect::<Vec<_>>(), expected);
}
