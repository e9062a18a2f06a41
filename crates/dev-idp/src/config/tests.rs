use super::*;

/// The variables that have no flag.
fn variables(
    pairs: &'static [(&'static str, &'static str)],
) -> impl Fn(&str) -> Result<String, VarError> {
    |name| {
        let found = pairs.iter().find(|(known, _)| *known == name);
        let value = found.map(|(_, value)| (*value).to_owned());
        value.ok_or(VarError::NotPresent)
    }
}

#[test]
fn without_any_configuration_the_defaults_apply() {
    let config = parse(Flags::default(), variables(&[])).ok().unwrap();
    assert_eq!(config.addr.to_string(), "127.0.0.1:6003");
    assert_eq!(config.control_addr, None);
    assert_eq!(config.client_id, "dev-client");
    assert_eq!(config.client_secret, "dev-secret");
    assert_eq!(config.web_client_id, "dev-web");
    assert_eq!(config.web_client_secret, "dev-web-secret");
    assert_eq!(config.public_url, None);
    assert_eq!(config.scopes, ["data:read"]);
    assert_eq!(config.audience, "https://protected-data.example");
    assert_eq!(config.log_format, LogFormat::Pretty);
}

#[test]
fn lists_are_split_and_an_empty_value_counts_as_unset() {
    let flags = Flags::parse_from([
        "dev-idp",
        "--client-id=",
        "--addr=[::1]:0",
        "--audience=https://protected-data.example https://other.example",
        "--scope=a b,c",
    ]);
    let config = parse(flags, variables(&[(CLIENT_SECRET, "")]))
        .ok()
        .unwrap();
    assert_eq!(config.client_id, "dev-client");
    assert_eq!(config.client_secret, "dev-secret");
    assert_eq!(config.web_client_id, "dev-web");
    assert_eq!(config.web_client_secret, "dev-web-secret");
    assert_eq!(config.public_url, None);
    assert_eq!(config.addr.to_string(), "[::1]:0");
    assert_eq!(config.audience, "https://protected-data.example");
    assert_eq!(config.scopes, ["a", "b", "c"]);
}

#[test]
fn every_problem_is_named_at_once_and_no_value_is_shown() {
    let flags = Flags {
        addr: Some("0.0.0.0:6003".into()),
        control_addr: Some("hunter2".into()),
        scope: Some("hunter2\"é".into()),
        client_id: Some("hunter2".into()),
        web_client_id: Some("hunter2".into()),
        public_url: Some("http://localhost:6004/hunter2".into()),
        ..Flags::default()
    };
    let variables = variables(&[
        (LOG_FORMAT, "hunter2"),
        (RUST_LOG, "hunter2=hunter2"),
        (CLIENT_SECRET_FILE, "hunter2"),
        (WEB_CLIENT_SECRET_FILE, "hunter2"),
    ]);
    let problems = parse(flags, variables).err().unwrap();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for variable in [
        ADDR,
        CONTROL_ADDR,
        TOKEN_SCOPE,
        LOG_FORMAT,
        RUST_LOG,
        CLIENT_SECRET_FILE,
        WEB_CLIENT_SECRET_FILE,
        WEB_CLIENT_ID,
        PUBLIC_URL,
    ] {
        let naming = lines.iter().filter(|line| line.starts_with(variable));
        // `DEV_IDP_ADDR` is no prefix of `DEV_IDP_CONTROL_ADDR`: each is named by one line.
        assert_eq!(naming.count(), 1, "{variable}: {lines:?}");
    }
    assert_eq!(lines.len(), 9);
    assert!(!lines.concat().contains("hunter2"), "{lines:?}");
    assert!(!lines.concat().contains("0.0.0.0"), "{lines:?}");
}
