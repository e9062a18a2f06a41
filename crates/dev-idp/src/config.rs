//! Configuration: flags first, then the environment, then `.env`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

use clap::Parser;
use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPE};
use tracing_subscriber::EnvFilter;

use crate::dollars::lines_with_dollars;
use crate::nearest::Nearest;

pub(crate) const ADDR: &str = "DEV_IDP_ADDR";
pub(crate) const CONTROL_ADDR: &str = "DEV_IDP_CONTROL_ADDR";
const CLIENT_ID: &str = "CLIENT_ID";
const CLIENT_SECRET: &str = "CLIENT_SECRET";
const CLIENT_SECRET_FILE: &str = "CLIENT_SECRET_FILE";
const TOKEN_SCOPE: &str = "TOKEN_SCOPE";
const API_AUDIENCE: &str = "API_AUDIENCE";
const LOG_FORMAT: &str = "LOG_FORMAT";
const RUST_LOG: &str = "RUST_LOG";

const VARIABLES: [&str; 9] = [
    ADDR,
    CONTROL_ADDR,
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_FILE,
    TOKEN_SCOPE,
    API_AUDIENCE,
    LOG_FORMAT,
    RUST_LOG,
];

const DEFAULT_ADDR: &str = "127.0.0.1:6003";

/// An identity provider for development and tests. It listens on loopback only, and nothing real
/// may trust the tokens it issues.
///
/// Each option overrides an environment variable, which overrides the same variable in `.env`. An
/// empty variable counts as unset. CLIENT_SECRET has no option, because other users of the machine
/// can read command lines. RUST_LOG (info) and LOG_FORMAT (pretty or json) are read too.
#[derive(Debug, Default, Parser)]
#[command(version)]
pub(crate) struct Flags {
    /// Address to listen on [DEV_IDP_ADDR; default 127.0.0.1:6003]
    #[arg(long, value_name = "IP:PORT")]
    addr: Option<String>,

    /// Address of the control API [DEV_IDP_CONTROL_ADDR; off by default]
    #[arg(long, value_name = "IP:PORT")]
    control_addr: Option<String>,

    /// The one client's id [CLIENT_ID; default dev-client, with CLIENT_SECRET dev-secret]
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,

    /// Scopes that the client may have [TOKEN_SCOPE; default data:read]
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,

    /// Audience of tokens for which none is requested [API_AUDIENCE; default
    /// https://protected-data.example]
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
}

/// What the program runs with.
pub(crate) struct Config {
    pub(crate) addr: SocketAddr,
    pub(crate) control_addr: Option<SocketAddr>,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) audience: String,
    pub(crate) log_format: LogFormat,
    pub(crate) log_filter: EnvFilter,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

/// A variable that is wrong, and what it should be. It does not hold the value, which may be a
/// secret in the wrong place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    variable: &'static str,
    expected: Cow<'static, str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.expected)
    }
}

/// Reads flags, environment and `.env`, and returns all that is wrong with them at once.
pub(crate) fn read(flags: Flags) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let file = dot_env(&mut problems);
    let environment = environment(&mut problems);
    let mut values = file;
    values.extend(environment);
    match parse(flags, &values) {
        Ok(config) if problems.is_empty() => Ok(config),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

type Values = HashMap<String, String>;

#[expect(
    clippy::disallowed_methods,
    reason = "this binary cannot use service-kit: the provider depends on none of our crates that it helps to test"
)]
fn environment(problems: &mut Vec<Problem>) -> Values {
    let mut values = Values::new();
    for variable in VARIABLES {
        match std::env::var(variable) {
            // Empty values too: they hide the ones of `.env`, so that one can be unset for one run.
            Ok(value) => {
                values.insert(variable.to_owned(), value);
            }
            Err(std::env::VarError::NotPresent) => {}
            Err(std::env::VarError::NotUnicode(_)) => problems.push(Problem {
                variable,
                expected: "expected UTF-8".into(),
            }),
        }
    }
    values
}

fn dot_env(problems: &mut Vec<Problem>) -> Values {
    let mut problem = |expected: Cow<'static, str>| {
        problems.push(Problem {
            variable: ".env",
            expected,
        });
    };
    // dotenvy's errors quote the line, which may hold a secret.
    let unreadable = "expected a readable file of NAME=value lines, in single quotes where a value has \
                      spaces or a backslash";
    let mut values = Values::new();
    let folder = std::env::current_dir().unwrap_or_default();
    let Nearest::File(path) = Nearest::of(&folder) else {
        return values;
    };
    let Ok(text) = std::fs::read_to_string(path) else {
        problem(unreadable.into());
        return values;
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    for line in lines_with_dollars(text) {
        problem(Cow::Owned(format!(
            "line {line} has a $ that would stand for a variable; put the value into single quotes"
        )));
    }
    for line in dotenvy::from_read_iter(text.as_bytes()) {
        match line {
            Ok((name, value)) => {
                values.entry(name).or_insert(value);
            }
            Err(_) => {
                problem(unreadable.into());
                break;
            }
        }
    }
    values
}

fn parse(flags: Flags, values: &Values) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let value = |variable: &str, flag: Option<String>| {
        flag.or_else(|| values.get(variable).cloned())
            .filter(|value| !value.is_empty())
    };
    let mut check = |variable, expected: &'static str, correct: bool| {
        if !correct {
            let expected = expected.into();
            problems.push(Problem { variable, expected });
        }
    };

    let addr = value(ADDR, flags.addr).unwrap_or_else(|| DEFAULT_ADDR.to_owned());
    let addr = loopback(&addr);
    check(ADDR, LOOPBACK, addr.is_some());

    let control_addr = value(CONTROL_ADDR, flags.control_addr);
    let control_addr = control_addr.map(|addr| loopback(&addr));
    check(CONTROL_ADDR, LOOPBACK, control_addr != Some(None));

    let scope = value(TOKEN_SCOPE, flags.scope).unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
    check(
        TOKEN_SCOPE,
        "expected scopes separated by spaces or commas, of printable ASCII without \" and \\",
        scope.bytes().all(is_scope_byte),
    );

    // Its client would be refused for a secret that nobody wrote down here.
    let has_secret_file = value(CLIENT_SECRET_FILE, None).is_some();
    check(
        CLIENT_SECRET_FILE,
        "is read by `cargo up` and the services only; set CLIENT_SECRET for this program",
        !has_secret_file || value(CLIENT_SECRET, None).is_some(),
    );

    let log_format = match value(LOG_FORMAT, None).as_deref() {
        None | Some("pretty") => Some(LogFormat::Pretty),
        Some("json") => Some(LogFormat::Json),
        Some(_) => None,
    };
    check(LOG_FORMAT, "expected pretty or json", log_format.is_some());

    let log_filter = value(RUST_LOG, None).unwrap_or_else(|| "info".to_owned());
    let log_filter = EnvFilter::try_new(log_filter).ok();
    check(
        RUST_LOG,
        "expected a log filter such as info,dev_idp=debug",
        log_filter.is_some(),
    );

    let (Some(addr), Some(log_format), Some(log_filter), true) =
        (addr, log_format, log_filter, problems.is_empty())
    else {
        return Err(problems);
    };
    // protected-data may know several; tokens are issued for the first.
    let audience = value(API_AUDIENCE, flags.audience)
        .and_then(|names| Some(names.split_ascii_whitespace().next()?.to_owned()));
    let or = |found: Option<String>, default: &str| found.unwrap_or_else(|| default.to_owned());
    Ok(Config {
        addr,
        control_addr: control_addr.flatten(),
        client_id: or(value(CLIENT_ID, flags.client_id), DEFAULT_CLIENT_ID),
        client_secret: or(value(CLIENT_SECRET, None), DEFAULT_CLIENT_SECRET),
        scopes: words(&scope),
        audience: or(audience, DEFAULT_AUDIENCE),
        log_format,
        log_filter,
    })
}

/// As the services split it: at spaces and commas.
fn words(scope: &str) -> Vec<String> {
    let words = scope.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

const LOOPBACK: &str = "expected a loopback address and a port, such as 127.0.0.1:6003";

fn loopback(text: &str) -> Option<SocketAddr> {
    let addr: SocketAddr = text.parse().ok()?;
    addr.ip().is_loopback().then_some(addr)
}

/// RFC 6749 section 3.3, and the space between scopes.
fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn without_any_configuration_the_defaults_apply() {
        let config = parse(Flags::default(), &Values::new()).ok().unwrap();
        assert_eq!(config.addr.to_string(), "127.0.0.1:6003");
        assert_eq!(config.control_addr, None);
        assert_eq!(config.client_id, "dev-client");
        assert_eq!(config.client_secret, "dev-secret");
        assert_eq!(config.scopes, ["data:read"]);
        assert_eq!(config.audience, "https://protected-data.example");
        assert_eq!(config.log_format, LogFormat::Pretty);
    }

    #[test]
    fn a_flag_overrides_a_variable_and_an_empty_variable_counts_as_unset() {
        let flags = Flags::parse_from(["dev-idp", "--client-id", "flag", "--addr", "[::1]:0"]);
        let values = values(&[
            (CLIENT_ID, "variable"),
            (ADDR, "127.0.0.1:1"),
            (
                API_AUDIENCE,
                "https://protected-data.example https://other.example",
            ),
            (TOKEN_SCOPE, "a b,c"),
        ]);
        let config = parse(flags, &values).ok().unwrap();
        assert_eq!(config.client_id, "flag");
        assert_eq!(config.addr.to_string(), "[::1]:0");
        assert_eq!(config.audience, "https://protected-data.example");
        assert_eq!(config.scopes, ["a", "b", "c"]);
    }

    #[test]
    fn every_problem_is_named_at_once_and_no_value_is_shown() {
        let values = values(&[
            (ADDR, "0.0.0.0:6003"),
            (CONTROL_ADDR, "hunter2"),
            (TOKEN_SCOPE, "hunter2\"é"),
            (LOG_FORMAT, "hunter2"),
            (RUST_LOG, "hunter2=hunter2"),
            (CLIENT_SECRET_FILE, "hunter2"),
        ]);
        let problems = parse(Flags::default(), &values).err().unwrap();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for variable in [
            ADDR,
            CONTROL_ADDR,
            TOKEN_SCOPE,
            LOG_FORMAT,
            RUST_LOG,
            CLIENT_SECRET_FILE,
        ] {
            let naming = lines.iter().filter(|line| line.starts_with(variable));
            // `DEV_IDP_ADDR` is no prefix of `DEV_IDP_CONTROL_ADDR`: each is named by one line.
            assert_eq!(naming.count(), 1, "{variable}: {lines:?}");
        }
        assert_eq!(lines.len(), 6);
        assert!(!lines.concat().contains("hunter2"), "{lines:?}");
        assert!(!lines.concat().contains("0.0.0.0"), "{lines:?}");
    }
}
