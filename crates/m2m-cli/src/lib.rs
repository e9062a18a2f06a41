//! `m2m`, the command line for the operator of the services.
//!
//! It reads the variables and the `.env` that public-data and protected-data read, with their own
//! readers, and looks at the identity provider and at the running pair as they do:
//!
//! | command | what it does |
//! |---|---|
//! | `m2m doctor` | makes every check from the configuration to a request through the pair ([`doctor`]) |
//! | `m2m token` | prints a token ([`token`]) |
//! | `m2m inspect` | decodes a token and explains what protected-data makes of it ([`inspect`]) |
//! | `m2m watch` | shows running services live ([`watch`]) |
//! | `m2m completions`, `m2m man` | print shell completions and the manual page |
//!
//! | exit code | when |
//! |---|---|
//! | 0 | every check passed, a token was printed, the inspected token is accepted, or watching was ended |
//! | 1 | a check failed, there is no token, it is refused or cannot be decided on, or there is nothing to watch |
//! | 64 | the configuration or the command line cannot be used |
//!
//! Neither the client's secret nor a token's signature is ever printed, except for the token that
//! `m2m token` is asked for.
//!
//! # Without a provider of one's own
//!
//! The services have no default issuer, and neither has this tool: a secret must not go anywhere that
//! nobody named. `m2m --dev doctor` looks at a running `cargo up`: it fills in what `cargo up` does
//! when no provider is named ([`settings`]).

pub mod args;
pub mod doctor;
pub mod inspect;
mod jwt;
mod program;
pub mod report;
pub mod settings;
pub mod token;
pub mod watch;

pub use program::main;
