//! OAuth 2.0 client authentication, requests to a token endpoint and strict reading of its replies.
//!
//! A [`Client`] is a client that a provider knows: its id, and how it proves who it is ([`ClientAuth`]).
//! [`Client::post`] sends a form with that proof to one of the provider's endpoints, through the bounded
//! exchange of [`idp_http`]; [`Response::token`] reads a token reply (RFC 6749 section 5). Nothing here
//! keeps a token, asks twice or waits: `token-cache` does, on top of this crate.
//!
//! - What comes from files ([`SecretSource::File`]) is read anew for every request, so that a rotated secret,
//!   key or certificate needs no restart.
//! - An [`EndpointError`] holds no secret and no token, whatever a provider echoes.
//! - A reply is strict JSON (duplicate members are refused), and a token in it is one that a header can
//!   carry; where large providers stray from RFC 6749 without harm, they are understood.
//!
//! ```no_run
//! use token_endpoint::{Client, ClientAuth, Expected, SecretString};
//!
//! # async fn example(secret: SecretString) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("my-service", secret)
//!     .auth(ClientAuth::SecretPost)
//!     .build()?;
//! let url = "https://idp.example/token".parse()?;
//! let form = "grant_type=client_credentials&scope=data%3Aread".to_owned();
//! let reply = client.post(&url, form).await?.token(&Expected {
//!     token_types: &[],
//!     max_token_size: 12 * 1024,
//!     scopes: &["data:read"],
//! })?;
//! println!("a token for {:?}", reply.lifetime);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod assertion;
mod client;
mod client_auth;
mod endpoint;
mod error;
mod key;
mod kind;
mod response;
mod secret;
mod signer;

pub use assertion::CertificateHeader;
/// The attribute that an implementation of [`AssertionSigner`] or [`SecretProvider`] wants.
pub use async_trait::async_trait;
pub use client::{Client, ClientBuilder};
pub use client_auth::{AssertionType, ClientAuth};
pub use clock::{Clock, ManualClock, SystemClock};
pub use endpoint::Endpoint;
pub use error::{ConfigError, EndpointError};
pub use idp_http::{Discovery, FetchError, FetchErrorKind, IdpClient, IdpClientBuilder, Reply};
pub use key::{AssertionAlgorithm, AssertionKey, KeyProblem};
pub use kind::TokenErrorKind;
pub use response::{
    Expected, MAX_TOKEN_SIZE, Response, TokenReply, UserTokens, check_access_token,
};
pub use secrecy::SecretString;
pub use secret::SecretSource;
pub use signer::{AssertionSigner, SecretProvider, SignerError};
pub use url::Url;
