//! Configuration: flags first, then the environment, then `.env`. clap reads the variables that have a flag.

use std::borrow::Cow;
use std::env::VarError;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;

use clap::Parser;
use dev_idp::{
    DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SCOPE,
    DEFAULT_WEB_CLIENT_ID, DEFAULT_WEB_CLIENT_SECRET,
};
use dot_env::{Nearest, dollar_problems};
use tracing_subscriber::EnvFilter;

pub(crate) const ADDR: &str = "DEV_IDP_ADDR";
pub(crate) const CONTROL_ADDR: &str = "DEV_IDP_CONTROL_ADDR";
const CLIENT_ID: &str = "CLIENT_ID";
const CLIENT_SECRET: &str = "CLIENT_SECRET";
const CLIENT_SECRET_FILE: &str = "CLIENT_SECRET_FILE";
const WEB_CLIENT_ID: &str = "WEB_CLIENT_ID";
const WEB_CLIENT_SECRET: &str = "WEB_CLIENT_SECRET";
const WEB_CLIENT_SECRET_FILE: &str = "WEB_CLIENT_SECRET_FILE";
const PUBLIC_URL: &str = "PUBLIC_URL";
const TOKEN_SCOPE: &str = "TOKEN_SCOPE";
const API_AUDIENCE: &str = "API_AUDIENCE";
const LOG_FORMAT: &str = "LOG_FORMAT";
const RUST_LOG: &str = "RUST_LOG";

/// All variables of the program.
const VARIABLES: [&str; 13] = [
    ADDR,
    CONTROL_ADDR,
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_FILE,
    WEB_CLIENT_ID,
    WEB_CLIENT_SECRET,
    WEB_CLIENT_SECRET_FILE,
    PUBLIC_URL,
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
/// empty variable counts as unset. CLIENT_SECRET and WEB_CLIENT_SECRET have no option, because other
/// users of the machine can read command lines. RUST_LOG (info) and LOG_FORMAT (pretty or json) are
/// read too.
#[derive(Debug, Default, Parser)]
#[command(version)]
pub(crate) struct Flags {
    /// Address to listen on [default: 127.0.0.1:6003]
    #[arg(long, value_name = "IP:PORT", env = ADDR, hide_env_values = true)]
    addr: Option<OsString>,

    /// Address of the control API [default: none, which turns it off]
    #[arg(long, value_name = "IP:PORT", env = CONTROL_ADDR, hide_env_values = true)]
    control_addr: Option<OsString>,

    /// The machine client's id [default: dev-client, with CLIENT_SECRET dev-secret]
    #[arg(long, value_name = "ID", env = CLIENT_ID, hide_env_values = true)]
    client_id: Option<OsString>,

    /// Id of the client that people sign in to [default: dev-web, with WEB_CLIENT_SECRET dev-web-secret]
    #[arg(long, value_name = "ID", env = WEB_CLIENT_ID, hide_env_values = true)]
    web_client_id: Option<OsString>,

    /// Where that application is, besides http://localhost:6004 and http://{tenant_name}.localhost:6004
    #[arg(long, value_name = "ORIGIN", env = PUBLIC_URL, hide_env_values = true)]
    public_url: Option<OsString>,

    /// Scopes that the machine client may have [default: data:read]
    #[arg(long, value_name = "SCOPES", env = TOKEN_SCOPE, hide_env_values = true)]
    scope: Option<OsString>,

    /// Audience of tokens for which none is requested [default: https://protected-data.example]
    #[arg(long, value_name = "AUDIENCE", env = API_AUDIENCE, hide_env_values = true)]
    audience: Option<OsString>,
}

/// The settings of the program.
pub(crate) struct Config {
    pub(crate) addr: SocketAddr,
    pub(crate) control_addr: Option<SocketAddr>,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) web_client_id: String,
    pub(crate) web_client_secret: String,
    pub(crate) public_url: Option<String>,
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
pub(crate) struct ConfigProblem {
    variable: &'static str,
    expected: Cow<'static, str>,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.expected)
    }
}

/// Adds all variables of the nearest `.env` to the environment of the process, and returns what is wrong with either.
///
/// A variable that the process has wins even when it is empty, so that one of the file can be unset for one run.
pub(crate) fn load_dot_env() -> Vec<ConfigProblem> {
    // dotenvy takes one that is no text for none, and would replace it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the program's own reader of its environment"
    )]
    let is_no_text =
        |name: &&'static str| matches!(std::env::var(name), Err(VarError::NotUnicode(_)));
    let no_text: Vec<ConfigProblem> = VARIABLES
        .into_iter()
        .filter(is_no_text)
        .map(no_utf8)
        .collect();
    if !no_text.is_empty() {
        return no_text;
    }
    let problem = |expected| ConfigProblem {
        variable: ".env",
        expected,
    };
    // dotenvy's errors quote the line, which may hold a secret.
    let unreadable = problem(Cow::Borrowed(
        "expected a readable file of NAME=value lines, in single quotes where a value has spaces or a backslash",
    ));
    let folder = std::env::current_dir().unwrap_or_default();
    let Nearest::File(path) = Nearest::of(&folder) else {
        return Vec::new();
    };
    // The environment of a process cannot hold NUL: setting one panics, with the value.
    let text = std::fs::read_to_string(path).ok();
    let Some(text) = text.filter(|text| !text.contains('\0')) else {
        return vec![unreadable];
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let dollars = dollar_problems(text).map(|text| problem(Cow::Owned(text)));
    let mut problems: Vec<ConfigProblem> = dollars.collect();
    if dotenvy::from_read(text.as_bytes()).is_err() {
        problems.push(unreadable);
    }
    problems
}

/// Checks the flags, and the variables that have none. Returns all that is wrong at once, after `problems`.
pub(crate) fn read(
    flags: Flags,
    mut problems: Vec<ConfigProblem>,
) -> Result<Config, Vec<ConfigProblem>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this binary cannot use service-kit: the provider depends on none of our crates that it helps to test"
    )]
    let parsed = parse(flags, |variable| std::env::var(variable));
    match parsed {
        Ok(config) if problems.is_empty() => Ok(config),
        Ok(_) => Err(problems),
        Err(mut more) => {
            more.retain(|one| !problems.contains(one));
            problems.extend(more);
            Err(problems)
        }
    }
}

fn no_utf8(variable: &'static str) -> ConfigProblem {
    let expected = Cow::Borrowed("expected UTF-8");
    ConfigProblem { variable, expected }
}

fn parse(
    flags: Flags,
    variable: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Config, Vec<ConfigProblem>> {
    let mut problems = Vec::new();
    let mut text = |variable, value: Result<Option<String>, OsString>| match value {
        Ok(value) => value.filter(|value| !value.is_empty()),
        Err(_) => {
            problems.push(no_utf8(variable));
            None
        }
    };
    let mut flag =
        |name, value: Option<OsString>| text(name, value.map(OsString::into_string).transpose());
    let addr = flag(ADDR, flags.addr);
    let control_addr = flag(CONTROL_ADDR, flags.control_addr);
    let client_id = flag(CLIENT_ID, flags.client_id);
    let web_client_id = flag(WEB_CLIENT_ID, flags.web_client_id);
    let public_url = flag(PUBLIC_URL, flags.public_url);
    let scope = flag(TOKEN_SCOPE, flags.scope);
    let audience = flag(API_AUDIENCE, flags.audience);
    let mut unflagged = |name| {
        let value = match variable(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(value)) => Err(value),
        };
        text(name, value)
    };
    let secrets = [
        (CLIENT_SECRET, CLIENT_SECRET_FILE),
        (WEB_CLIENT_SECRET, WEB_CLIENT_SECRET_FILE),
    ]
    .map(|(secret, file)| (unflagged(secret), unflagged(file)));
    let [log_format, log_filter] = [LOG_FORMAT, RUST_LOG].map(unflagged);
    let mut check = |variable, expected: &'static str, correct: bool| {
        if !correct {
            let expected = expected.into();
            problems.push(ConfigProblem { variable, expected });
        }
    };

    let addr = addr.unwrap_or_else(|| DEFAULT_ADDR.to_owned());
    let addr = loopback(&addr);
    check(ADDR, LOOPBACK, addr.is_some());

    let control_addr = control_addr.map(|addr| loopback(&addr));
    check(CONTROL_ADDR, LOOPBACK, control_addr != Some(None));

    let scope = scope.unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
    check(
        TOKEN_SCOPE,
        "expected scopes separated by spaces or commas, of printable ASCII without \" and \\",
        scope.bytes().all(is_scope_byte),
    );

    // The clients would be refused for a secret that stands in its file and not here.
    let [(client_secret, file), (web_client_secret, web_file)] = secrets;
    check(
        CLIENT_SECRET_FILE,
        "is read by `cargo up` and the services only; set CLIENT_SECRET for this program",
        file.is_none() || client_secret.is_some(),
    );
    check(
        WEB_CLIENT_SECRET_FILE,
        "is read by `cargo up` and the services only; set WEB_CLIENT_SECRET for this program",
        web_file.is_none() || web_client_secret.is_some(),
    );

    let or = |found: Option<String>, default: &str| found.unwrap_or_else(|| default.to_owned());
    let client_id = or(client_id, DEFAULT_CLIENT_ID);
    let web_client_id = or(web_client_id, DEFAULT_WEB_CLIENT_ID);
    check(
        WEB_CLIENT_ID,
        "expected another id than the machine client's",
        web_client_id != client_id,
    );

    let is_origin = |url: &String| {
        let host = url.strip_prefix("http://").or(url.strip_prefix("https://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@']))
    };
    check(
        PUBLIC_URL,
        "expected an origin such as http://localhost:6004, without a path",
        public_url.as_ref().is_none_or(is_origin),
    );

    let log_format = match log_format.as_deref() {
        None | Some("pretty") => Some(LogFormat::Pretty),
        Some("json") => Some(LogFormat::Json),
        Some(_) => None,
    };
    check(LOG_FORMAT, "expected pretty or json", log_format.is_some());

    let log_filter = log_filter.unwrap_or_else(|| "info".to_owned());
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
    let audience =
        audience.and_then(|names| Some(names.split_ascii_whitespace().next()?.to_owned()));
    Ok(Config {
        addr,
        control_addr: control_addr.flatten(),
        client_id,
        client_secret: or(client_secret, DEFAULT_CLIENT_SECRET),
        web_client_id,
        web_client_secret: or(web_client_secret, DEFAULT_WEB_CLIENT_SECRET),
        public_url,
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
mod tests;
