//! The command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use secrecy::SecretString;
use url::Url;

use crate::watch;

/// Says why machine-to-machine authentication does not work, and what to change.
///
/// Reads the variables of public-data and protected-data from the environment, then from .env;
/// .env.example explains them. No secret is taken from the command line, where everybody on the machine
/// could see it.
#[derive(Debug, Parser)]
#[command(name = "m2m", version, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Looks at a running `cargo up` without an identity provider of one's own.
    ///
    /// What is not set becomes what `cargo up` uses then: the issuer at DEV_IDP_ADDR
    /// (127.0.0.1:6003), the client dev-client with its public secret, and the audience that
    /// .env.example has.
    #[arg(long, global = true)]
    pub dev: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 a check failed, there is no token or nothing to watch, \
                          64 the configuration or the command line cannot be used.";

const TOKEN_HELP: &str = "Prints a token, and nothing else on standard output.

A token on a command line shows in `ps`, so hand it on through a pipe:

    m2m token --header | curl -H @- http://127.0.0.1:6002/api/protected/data";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks everything from the configuration to a request through the running pair.
    ///
    /// One line per check: ✓, ! (worth a look, or not checked) or ✗, what was found, and after an arrow
    /// what to change. Asks for a token with the configured client authentication method; if the
    /// provider refuses the client, once more with each other one that the provider lists, or that there is
    /// where it lists none, and where it gives no reason, once without TOKEN_SCOPE. The token is sent to
    /// PROTECTED_DATA_URL and nowhere else.
    Doctor {
        /// Prints one JSON document instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// Prints a token, and nothing else on standard output.
    #[command(long_about = TOKEN_HELP)]
    Token {
        /// Prints a header line, `Authorization: Bearer …`.
        #[arg(long, conflicts_with = "json")]
        header: bool,
        /// Prints a JSON object with access_token, token_type, expires_in, expires_at and scope.
        #[arg(long)]
        json: bool,
    },
    /// Decodes a token and explains every check that protected-data would make.
    ///
    /// Prints the header and the claims, never the signature. Checks with the issuer, the keys, the
    /// audience, the algorithms and the scopes that are configured; what is not configured, or cannot
    /// be fetched, is not checked, and a line says so.
    Inspect {
        /// The token, or - for standard input, which is also the default. A token given here shows in
        /// `ps` and in the shell's history: prefer -.
        token: Option<SecretString>,
        /// Asks nobody for keys.
        #[arg(long)]
        offline: bool,
    },
    /// Shows running services live, from their status addresses.
    ///
    /// On a terminal one screen, public-data and protected-data side by side if both answer; elsewhere
    /// one line per change. Ctrl-C, SIGTERM and SIGHUP end it, with 0; 1 when nothing answers at first.
    Watch {
        /// Status addresses, such as http://127.0.0.1:6011. Default: those of PUBLIC_DATA_ADMIN_ADDR and
        /// PROTECTED_DATA_ADMIN_ADDR.
        #[arg(value_parser = url)]
        url: Vec<Url>,
    },
    /// Prints completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Prints the manual page, for `man -l -`.
    Man,
}

fn url(text: &str) -> Result<Url, &'static str> {
    watch::address(text).ok_or("must be an http or https URL, or a host and a port")
}
