//! People log in at an OpenID provider, and an axum application knows them.
//!
//! [`WebSessions`] sends a person to the provider, checks what comes back, keeps the session and its tokens on the
//! server, renews them, guards pages and APIs, and ends sessions everywhere. Access and
//! refresh tokens never reach the browser: it has a cookie that is worth nothing elsewhere.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use secrecy::SecretString;
//! use web_session::{MemoryStore, Provider, Session, SessionLayer, SessionSecrets, WebSessions};
//!
//! # async fn example(secret: SecretString, secrets: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::builder("web-app", secret)
//!     .issuer("https://idp.example")
//!     .build()?;
//! let sessions = WebSessions::builder(provider, SessionSecrets::from_text(secrets)?)
//!     .public_url("https://app.example")
//!     .store(MemoryStore::new(10_000))
//!     .build()?;
//! sessions.start();
//! let app: Router = Router::new()
//!     .route("/", get(|session: Session| async move { format!("hello {}", session.user_id()) }))
//!     .layer(SessionLayer::pages(sessions.clone()))
//!     .merge(sessions.routes());
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! The redirect URI to register at the provider is `PUBLIC_URL/api/auth/callback`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod answer;
mod callback;
mod cookies;
mod counts;
mod csrf;
mod extract;
mod fetch_metadata;
mod guard;
mod login;
mod login_state;
mod logout;
#[cfg(test)]
mod mutations;
mod people;
mod permissions;
mod provider;
mod public_url;
mod random;
mod refresh;
mod return_address;
mod revoke;
mod routes;
mod session;
mod sessions;
#[cfg(test)]
mod simulation;
mod state;
pub mod store;
mod tenancy;
mod time;
mod user_calls;
mod user_token;
mod watch;

pub use answer::Notice;
pub use clock::{Clock, SystemClock};
pub use cookies::SessionSameSite;
pub use counts::{
    CsrfRefusal, EndReason, LoginOutcome, OpenCounts, RefreshOutcome, Sealed, SessionHealth,
    StoreCall, StoreCounts,
};
pub use extract::CsrfToken;
pub use guard::{SessionLayer, SessionService};
pub use idp_http::{IdpClient, IdpClientBuilder};
pub use jwks_validator::Algorithm;
pub use people::SignedInPerson;
pub use permissions::{RequirePermission, RequireRole, RequireService, RequirementError};
pub use provider::{Provider, ProviderBuilder, VanityDomain};
pub use public_url::PublicUrlError;
/// The list of secrets behind [`SessionSecrets`].
pub use sealing::{Secrets, SecretsError};
pub use session::{DataError, OtherSession, Session};
pub use sessions::{BuildError, SessionSecrets, Unready, WebSessions, WebSessionsBuilder};
pub use store::{MemoryStore, SessionStore};
pub use tenancy::{CustomDomain, CustomDomainError, Tenancy, TenantName, TenantNameError};
pub use token_endpoint::{
    AssertionAlgorithm, AssertionType, CertificateHeader, ClientAuth, ClientBuilder, ConfigError,
    SecretSource, SecretString, Url,
};
pub use user_calls::{UserCallError, UserCalls, UserCallsBuilder};
pub use user_token::{UserToken, UserTokenError};

/// Hashes parts, each with its length before it.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Returns what stands for a person in the log: the first 8 hexadecimal digits of SHA-256 of `sub`.
fn digest_of(subject: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, subject.as_bytes());
    let first = digest.as_ref().iter().take(4);
    first.map(|byte| format!("{byte:02x}")).collect()
}

/// Compares texts in constant time.
fn is_equal(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}
