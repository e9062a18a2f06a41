//! Validates OAuth 2.0 bearer tokens (JWT, RFC 7519, RFC 9068) against an issuer's cached keys, as a
//! tower layer, an axum extractor and a function.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use jwks_validator::{IdpClient, Jwt, JwtLayer, JwtValidator, RemoteJwks, RequireScopes};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = IdpClient::builder().build()?;
//! let keys = RemoteJwks::new(client, "https://idp.example/jwks".parse()?);
//! let validator = JwtValidator::builder()
//!     .issuer("https://idp.example", keys)
//!     .audience("https://api.example")
//!     .verified_cache(10_000)
//!     .build()?;
//! validator.start();
//!
//! async fn hello(claims: Jwt) -> String {
//!     format!("hello {}", claims.client_id().unwrap_or("client"))
//! }
//! let app: Router = Router::new()
//!     .route("/data", get(hello).layer(RequireScopes::all(["data:read"])?))
//!     .layer(JwtLayer::new(validator));
//! # Ok(())
//! # }
//! ```
//!
//! # Order of checks
//!
//! 1. One `Authorization` header, no `access_token` in the query beside it: else 400.
//! 2. `Bearer`, one space, one token in b64token characters: else 400; another scheme or no header
//!    is 401 without an error code. An [optional](JwtLayer::optional) layer lets requests without
//!    the header through, without claims. [`TokenFrom`] names another header or a cookie, which holds the
//!    bare token, instead.
//! 3. The checks of [`validate`](validate()): form, header, issuer, key, signature, claims: else 401
//!    `invalid_token`.
//! 4. The claims that tokens of this issuer must carry besides ([`IssuerKeys::require_claim`]), and the
//!    [`Revocation`] hook: else 401 `invalid_token`.
//! 5. The scopes of [`RequireScopes`]: else 403 `insufficient_scope`.
//!
//! Where the validator cannot tell, because there are no keys, a new key id could not be asked about, or the
//! hook does not answer, the answer is 503 with `Retry-After`, never 401. gRPC requests get the same in
//! gRPC's words ([`JwtLayer`]).
//!
//! The log gets the [`Reason`], the caller does not: each refusal is one line of `tracing` at DEBUG with the
//! target `jwks_validator::refusal` and the fields `http.status` and `auth.reason`. A layer that logs it louder, or
//! with the request's path, takes the [`AuthError`] out of the response's extensions.
//!
//! # Keys
//!
//! Readers take the keys with one atomic load. One task per issuer fetches them: at 80 % of their
//! freshness (of 5 min at most), give or take 10 %; again soon after a failure; and when a token
//! names an unknown key, for which there are two fetches at once and one more per 30 s; never before
//! the end of a `Retry-After`. Failed fetches leave the last good keys in use for `max_stale`, by the
//! monotonic and the wall clock. A key that the issuer no longer publishes is refused from the next
//! fetch on, for cached tokens too. At most 64 callers per issuer wait for a fetch, for 1 s at most,
//! and no caller while fetches fail.
//!
//! Each issuer's keys are its own. Issuers are named beforehand
//! ([`issuer`](JwtValidatorBuilder::issuer)), or admitted by a function as tokens name them
//! ([`admit_issuers`](JwtValidatorBuilder::admit_issuers)), within bounds.
//!
//! # One dependency
//!
//! What the signatures of this crate name of `clock`, `idp-http`, `secrecy`, `url` and `async-trait` is here
//! too. Types of `http`, `http-body`, `bytes`, `axum` and `tower` are those of the server that is guarded. `axum` is needed by the
//! feature of that name alone, which is on by default: without it the layers guard any tower service over the
//! types of `http`, and there is no extractor.
//!
//! A [`KeySource`] and a [`Revocation`] of one's own:
//!
//! ```
//! use std::sync::Arc;
//! use jwks_validator::{
//!     Claims, Clock, Fetched, JwtValidator, KeySet, KeySource, Revocation, RevocationError, SourceError,
//!     SystemClock, EntityTag, async_trait,
//! };
//!
//! /// Keys that the configuration holds, as a JWKS.
//! #[derive(Debug)]
//! struct Pinned(String);
//!
//! #[async_trait]
//! impl KeySource for Pinned {
//!     async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
//!         Ok(Fetched::keys(KeySet::from_jwks_json(self.0.as_bytes())?))
//!     }
//! }
//!
//! #[derive(Debug)]
//! struct Dismissed(Vec<String>);
//!
//! #[async_trait]
//! impl Revocation for Dismissed {
//!     async fn is_revoked(&self, claims: &Claims) -> Result<bool, RevocationError> {
//!         Ok(self.0.iter().any(|subject| claims.subject() == Some(subject)))
//!     }
//!
//!     fn needs_token_id(&self) -> bool {
//!         false
//!     }
//! }
//!
//! # fn example(jwks: String) -> Result<(), Box<dyn std::error::Error>> {
//! // A test gives a `ManualClock`.
//! let clock: Arc<dyn Clock> = Arc::new(SystemClock);
//! let validator = JwtValidator::builder()
//!     .issuer("https://idp.example", Pinned(jwks))
//!     .audience("https://api.example")
//!     .revocation(Dismissed(vec!["mallory".to_owned()]))
//!     .clock(clock)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Operating
//!
//! - [`health`](JwtValidator::health) tells how the keys are, [`ready`](JwtValidator::ready) whether
//!   there are any, [`refresh`](JwtValidator::refresh) fetches them now; [`keys`](JwtValidator::keys) lists
//!   those in use, and [`verified_cache`](JwtValidator::verified_cache) tells how full the cache of verified
//!   tokens is.
//! - [`revoke_kid`](JwtValidator::revoke_kid) makes a key unusable at once that its issuer still
//!   publishes; a [`DenyList`] does that to single tokens.
//! - [`explain`](JwtValidator::explain) says of a token which check it fails and by how much: a
//!   trailing slash, a clock, a key that was withdrawn.
//! - [`ProtectedResource`] tells clients where to get a token (RFC 9728).
//!
//! With the feature `metrics`, these are counted through the `metrics` facade; a recorder must be
//! installed before the validator is built.
//!
//! | name | labels |
//! |---|---|
//! | `jwks_validator_validations_total` | `outcome` (`accepted`, `refused`, `undecided`), `reason` ([`Reason::as_str`], empty for accepted tokens) |
//! | `jwks_validator_cache_hits_total` | |
//! | `jwks_validator_key_fetches_total` | `issuer`, `outcome` (`changed`, `unchanged`, `failed`) |
//! | `jwks_validator_skipped_keys_total` | `issuer`, `reason` ([`SkipReason::as_str`]) |
//! | `jwks_validator_unknown_key_ids_total` | `issuer` |
//! | `jwks_validator_keys_age_seconds` | `issuer`; as of the last fetch |
//!
//! `issuer` is a configured one, or `admitted` for all others: no byte of a token becomes a label.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(feature = "jwks-client-rs")]
mod adapter;
mod admitted;
mod algorithm;
mod budget;
mod builder;
mod claims;
mod compact;
mod error;
mod explain;
mod header;
mod history;
mod http;
mod issuer;
mod json;
mod key;
mod key_set;
mod metrics;
mod policy;
mod reason;
mod refresh;
mod remote;
mod required;
mod revocation;
mod source;
mod validate;
mod validator;
mod verified_cache;
mod weak_keys;

#[cfg(feature = "jwks-client-rs")]
pub use adapter::JwksSourceAdapter;
pub use algorithm::{Algorithm, UnknownAlgorithm};
/// The attribute that implementations of [`KeySource`] and [`Revocation`] need.
pub use async_trait::async_trait;
pub use builder::{BuildError, BuildErrorKind, JwtValidatorBuilder};
pub use claims::Claims;
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::AuthError;
pub use explain::{Check, CheckOutcome, CheckReport, Explanation, explain, explain_without_keys};
/// Why an [`IdpClient`] cannot be built.
#[doc(inline)]
pub use idp_http::BuildError as IdpClientBuildError;
pub use idp_http::{
    Answer, CertificateProblem, Discovery, DiscoveryError, FetchError, FetchErrorKind, IdpClient,
    IdpClientBuilder, Metadata, Proxy, ProxyProblem, Reader, Reply, SecretString, UrlProblem,
};
pub use issuer::{IssuerHealth, KeyHealth};
pub use key::SkipReason;
pub use key_set::{KeySet, KeySetError, KeySetErrorKind, SkippedKey};
pub use policy::{DEFAULT_TOKEN_SIZE, MAX_LEEWAY, MAX_TOKEN_SIZE, Policy};
pub use reason::Reason;
pub use remote::RemoteJwks;
pub use required::ClaimValue;
pub use revocation::{DenyList, DenyListFull, Revocation, RevocationError};
pub use source::{EntityTag, Fetched, IssuerKeys, KeySource, SourceError, SourceErrorKind};
pub use url::Url;
pub use validate::validate;
pub use validator::{IssuerRefresh, JwtValidator, RefreshOutcome, UnknownIssuer};
pub use verified_cache::VerifiedCacheHealth;

#[cfg(feature = "axum")]
pub use crate::http::{FromClaims, Jwt};
pub use crate::http::{
    GuardBody, GuardFuture, JwtLayer, JwtService, ProtectedResource, RequestContext, RequireScopes,
    RequireScopesService, TokenFrom, TokenScheme,
};
