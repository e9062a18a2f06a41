//! OAuth 2.0 client-credentials tokens (RFC 6749 section 4.4), kept fresh in memory and attached to
//! `reqwest` calls.
//!
//! A [`TokenCache`] gets a token when it starts, refreshes it ahead of its expiry in the background,
//! and hands it out with one atomic load. One task per [`TokenRequest`] does the fetching; callers
//! wait for its result and share it. [`BearerTokenMiddleware`] attaches the token to requests for
//! allowed origins, and repeats a request once when a token was rejected.
//!
//! ```no_run
//! use reqwest_middleware::ClientBuilder;
//! use token_cache::{BearerTokenMiddleware, ClientCredentials, StartupPolicy, TokenCache, TokenRequest};
//!
//! # async fn example(secret: token_cache::SecretString) -> Result<(), Box<dyn std::error::Error>> {
//! let source = ClientCredentials::builder("my-service", secret)
//!     .issuer("https://idp.example")
//!     .build()?;
//! let cache = TokenCache::builder(source).request(TokenRequest::new().scope("data:read")).build()?;
//! cache.start(StartupPolicy::Background).await?;
//!
//! let bearer = BearerTokenMiddleware::builder(cache.clone()).allow_origin("https://api.example").build()?;
//! let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
//! let response = client.get("https://api.example/data").send().await?;
//! println!("{}", response.status());
//!
//! cache.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # When a token is refreshed
//!
//! | state | when | what a caller gets |
//! |---|---|---|
//! | [`Fresh`](Freshness::Fresh) | outside the refresh margin | the token |
//! | [`Stale`](Freshness::Stale) | the last 25 % of the lifetime (at least 10 s, at most 5 min, less up to 10 % jitter) | the token; one refresh runs |
//! | [`Critical`](Freshness::Critical) | the last 20 % (at most 30 s) | waits up to 1 s for the refresh, then the token; for the attempt if that expired meanwhile |
//! | [`Expired`](Freshness::Expired) or none | | waits for the attempt, or fails at once while the provider is down |
//!
//! A lifetime counts from the instant before the request was sent, and it is over when either the
//! monotonic or the wall clock says so.
//!
//! # When the provider fails
//!
//! A token that is still valid is never displaced by a failed refresh. An attempt makes up to three
//! requests; when it fails, callers without a token fail at once with
//! [`TokenError::retry_after`], and the cache asks again by itself: after 0.25 to 1.75 s where
//! nobody answered, 0.5 to 30 s after an unusable answer such as 5xx or 404 (or what `Retry-After`
//! says, 1 s to 5 min), 2.5 s to 2 min after a refusal, a 429 and a success without a usable token. Only
//! where nobody answered and after 408, 425 and 5xx is there more than one request in an attempt. A
//! replaced secret file ends the wait within a second where the credentials were rejected (`invalid_client`
//! in whatever words, any 401, a 403 without an OAuth error), or the file could not be read.
//!
//! [`guide::choosing_settings`] states every default with its reason, and what to change for many
//! replicas or for tokens that live shortly.
//!
//! # One dependency
//!
//! What the signatures of this crate name of `clock`, `idp-http`, `secrecy`, `url` and `async-trait` is here
//! too. Types of `http`, `reqwest` and `tower` are those of the client that the token is attached to.
//!
//! A [`TokenSource`] of one's own, here an agent on the same host that hands out tokens:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use token_cache::{
//!     Clock, IssuedToken, SystemClock, TokenCache, TokenError, TokenRequest, TokenSource, async_trait,
//! };
//!
//! #[derive(Debug)]
//! struct Agent;
//!
//! #[async_trait]
//! impl TokenSource for Agent {
//!     async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
//!         // Ask the agent here.
//!         IssuedToken::new("a-token".to_owned(), Some(Duration::from_secs(300)))
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A test gives a `ManualClock`.
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock);
//! let cache = TokenCache::builder(Agent).clock(clock).build()?;
//! assert_eq!(cache.token().await?.secret(), "a-token");
//! cache.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `metrics` | counters, a histogram and gauges: [`guide::metrics`] |
//! | `reqwest-middleware` (default) | `BearerTokenMiddleware` for reqwest clients |
//! | `tower` | `BearerTokenLayer` for hyper, hyper-util and tonic clients |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(any(feature = "reqwest-middleware", feature = "tower")),
    expect(dead_code, reason = "nothing puts tokens on requests")
)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod bearer;
mod cache;
mod client_credentials;
mod error;
mod freshness;
pub mod guide;
mod health;
mod metrics;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod need;
mod origin;
mod placement;
mod policy;
mod refresher;
mod request;
mod slot;
mod source;
mod sync;
mod token;
#[cfg(feature = "tower")]
mod tower;

/// The attribute that an implementation of [`TokenSource`] wants.
pub use async_trait::async_trait;
pub use cache::{TokenCache, TokenCacheBuilder};
pub use client_credentials::{ClientCredentials, ClientCredentialsBuilder, Exchange};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::TokenError;
pub use freshness::Freshness;
pub use health::Health;
/// Why an [`IdpClient`] cannot be built.
#[doc(inline)]
pub use idp_http::BuildError as IdpClientBuildError;
pub use idp_http::{
    Answer, CertificateProblem, FetchError, FetchErrorKind, IdpClient, IdpClientBuilder, Proxy,
    ProxyProblem, Reply, UrlProblem,
};
#[cfg(feature = "reqwest-middleware")]
pub use middleware::{BearerTokenMiddleware, BearerTokenMiddlewareBuilder};
pub use need::{Need, Trigger};
pub use placement::TokenPlacement;
pub use policy::{RefreshPolicy, StartupPolicy};
pub use request::TokenRequest;
pub use secrecy::SecretString;
pub use source::TokenSource;
pub use token::{AccessToken, DEFAULT_TOKEN_SIZE, IssuedToken, TokenScheme};
#[doc(inline)]
pub use token_endpoint::{
    AssertionAlgorithm, AssertionKey, AssertionSigner, AssertionType, CertificateHeader,
    ClientAuth, ClientBuilder, ConfigError, EndpointError, KeyProblem, MAX_TOKEN_SIZE,
    SecretProvider, SecretSource, SignerError, TokenErrorKind,
};
#[cfg(feature = "tower")]
pub use tower::{
    BearerTokenError, BearerTokenFuture, BearerTokenLayer, BearerTokenLayerBuilder,
    BearerTokenService, ReplayBody, ReplayEmpty,
};
pub use url::Url;
