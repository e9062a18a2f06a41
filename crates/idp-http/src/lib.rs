//! One bounded HTTP exchange with an identity provider, its metadata, and the tasks that repeat it.
//!
//! A token client and a JWT validator both ask an identity provider over HTTP, and what can go
//! wrong there is the same for both: a redirect that carries a secret to another host, an endless
//! body, a proxy taken from the environment, a provider that is asked without pause while it is
//! down. The rules live here once:
//!
//! - [`IdpClient`]: https only (http on loopback), no redirects, no proxy from the environment, no
//!   cookies, no decompression, 1 s to connect to each address, 3 s in all, a cap on the body.
//! - [`Discovery`]: OpenID Connect Discovery 1.0 and RFC 8414, with the issuer compared byte for
//!   byte.
//! - [`Backoff`]: how long to leave a provider alone after a failed attempt.
//! - [`may_have_moved`]: whether to read the metadata again after an exchange of no use.
//! - [`Outage`]: which failed attempts are worth a log line.
//! - [`Supervisor`]: the life of the tasks that keep tokens and keys current.
//! - [`file`](mod@file): secrets and certificates from files, without waiting for a pipe.
//! - [`retry_after`], [`whole_seconds`]: waits as HTTP writes them.
//! - [`rejects_token`], [`says_invalid_token`]: what the challenge of a resource server says about a token.
//! - [`json`]: JSON with duplicate members refused, as a tree or as what the caller needs of it.
//!
//! ```no_run
//! use http::HeaderMap;
//! use idp_http::IdpClient;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = IdpClient::builder().build()?;
//! let url = "https://idp.example/jwks".parse()?;
//! client.check_url(&url)?;
//! let reply = client.get(&url, HeaderMap::new(), 64 * 1024).await?;
//! println!("{} with {} bytes", reply.status, reply.body.len());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod addresses;
mod backoff;
mod challenge;
mod client;
mod connect;
mod discovery;
mod error;
pub mod file;
pub mod json;
mod moved;
mod outage;
mod proxy;
mod race;
mod reply;
mod supervisor;
mod text;
mod trust;
mod url_rules;

pub use backoff::{Answer, Backoff};
pub use challenge::{rejects_token, says_invalid_token};
pub use client::{IdpClient, IdpClientBuilder};
pub use discovery::{Discovery, DiscoveryError, LoginMetadata, Metadata, Reader};
pub use error::{BuildError, CertificateProblem, FetchError, FetchErrorKind, ProxyProblem};
pub use moved::may_have_moved;
pub use outage::{LeftOut, Outage, OutageEnd};
pub use proxy::Proxy;
pub use reply::{MAX_RETRY_AFTER, MIN_RETRY_AFTER, Reply, retry_after, whole_seconds};
pub use secrecy::SecretString;
pub use supervisor::{Ended, SupervisedTask, Supervisor};
pub use text::{calendar, copying_slip, printable, span};
pub use url::Url;
pub use url_rules::{UrlProblem, is_loopback, is_loopback_address};
