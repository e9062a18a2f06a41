//! An identity provider that runs inside the process, for development and tests.
//!
//! It issues signed access tokens to machines (the client-credentials grant of RFC 6749 section
//! 4.4, tokens shaped as RFC 9068 says), lets people of several tenants sign in at an application (OpenID
//! Connect), and publishes the keys to check the tokens with. Keys are made when it starts and live, like
//! everything else, only in memory. It listens on loopback and refuses anything else.
//! **Nothing that it signs may be trusted by a real service.**
//!
//! It does on request what a real provider does on a bad day: it rotates and withdraws
//! keys ([`DevIdp::rotate`], [`DevIdp::retire`]), fails, stalls and hangs up ([`Fault`]), lies ([`Tamper`]), goes
//! away and comes back on the same port ([`DevIdp::pause`], [`DevIdp::resume`]), and signs whatever
//! claims and headers a test asks for ([`DevIdp::mint`], [`DevIdp::mint_raw`]). It disables people
//! ([`DevIdp::disable_person`]), changes their roles ([`DevIdp::set_roles`]) and ends their sessions
//! ([`DevIdp::end_session`]). It counts the requests ([`DevIdp::requests`]).
//!
//! | request | answer |
//! |---|---|
//! | `GET /.well-known/openid-configuration` | metadata, OpenID Connect Discovery 1.0 |
//! | `GET /.well-known/oauth-authorization-server` | the same, RFC 8414 |
//! | `POST /api/v1/oauth2/token` | tokens for a machine, a code or a refresh token, or an error of RFC 6749 section 5.2 |
//! | `GET /api/v1/oauth2/jwks` | the public keys, RFC 7517 |
//! | `GET [/tenants/T]/api/v1/oauth2/authorize` | a redirect to the sign-in page, or to the client with a code or an error |
//! | `GET`, `POST /tenants/T/login`, `/sign-in` | the sign-in page of a tenant, and the one without a tenant |
//! | `GET`, `POST /api/v1/oauth2/userinfo` | who the user token is for, OpenID Connect Core 1.0 section 5.3 |
//! | `POST /api/v1/oauth2/revoke` | empty, RFC 7009 |
//! | `GET`, `POST /login?client_id=` | the page that finds a person's tenant, and leads to the client's login |
//! | `GET`, `POST /signup?client_id=` | the page that makes a tenant and its owner; 1,000 tenants at most |
//! | `GET`, `POST /forgot-tenant?client_id=` | the page that shows the tenants of an e-mail address |
//! | `GET`, `POST [/tenants/T]/api/v1/logout` | ends the session at the provider, tells its clients, and leads back |
//! | `POST /api/v1/oauth2/par` | a `request_uri` for a pushed request, RFC 9126 |
//!
//! # Example
//!
//! ```
//! use dev_idp::{DevClient, DevIdp, Endpoint, Fault, Rotation, TokenSpec};
//! use serde_json::json;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let idp = DevIdp::builder()
//!     .client(DevClient::new("reports", "s3cret").scopes(["data:read", "data:write"]))
//!     .default_audience("https://api.example")
//!     .token_lifetime(Duration::from_secs(60))
//!     .start()
//!     .await?;
//!
//! // Point the client under test at `idp.token_endpoint()`, the API under test at `idp.issuer()`.
//! assert_eq!(idp.token_endpoint(), format!("{}/api/v1/oauth2/token", idp.issuer()));
//!
//! // A token with one claim wrong, to see it refused.
//! let token = idp.mint(TokenSpec::new().claim("aud", json!("https://other.example")));
//! assert_eq!(token.split('.').count(), 3);
//!
//! // The next two token requests fail, and the keys change.
//! idp.fault(Fault::on(Endpoint::Token).times(2).status(503).header("retry-after", "1"));
//! idp.rotate(Rotation::Overlapping).await?;
//! assert_eq!(idp.requests().jwks, 0);
//!
//! idp.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Clients
//!
//! A client lists its scopes: a request that names none gets all of them, and one that names
//! another is refused with `invalid_scope`. A client that lists no audiences gets a token for *any*
//! audience or resource it asks for, because this is a development provider; list some with
//! [`DevClient::audiences`] to see `invalid_target`.
//!
//! # People
//!
//! Without people of your own ([`DevIdpBuilder::person`]) there are `owner@acme.example` and `viewer@acme.example` of
//! the tenant `acme`, `owner@globex.example` of `globex`, and `both@example.com`, a viewer of `acme` and owner of
//! `globex`. All have the password [`DEFAULT_PASSWORD`]. Their subjects are the same whenever the provider starts.
//!
//! A client that people sign in to registers its addresses ([`DevClient::application_at`], or one by one); it may do
//! so after the provider has started, for example once its own port is known ([`DevIdp::set_client`]). It must send
//! `scope` with `openid`, and a challenge by `S256` (RFC 7636). Codes are good for 60 s and once. Refresh tokens come
//! with `offline_access` and rotate ([`RefreshTokens`] has other ways); whoever uses one twice ends what came of that
//! sign-in. After ten wrong passwords an address has one more try every 6 s.
//!
//! A test needs no browser:
//!
//! ```
//! use dev_idp::{DevClient, DevIdp};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let idp = DevIdp::builder().client(DevClient::web()).start().await?;
//! idp.set_client(DevClient::web().application_at("http://localhost:41234"));
//!
//! // The application's login answers with such a redirect:
//! let location = format!(
//!     "{}?response_type=code&client_id=dev-web&scope=openid&state=s&code_challenge_method=S256\
//!      &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
//!      &redirect_uri=http://localhost:41234/api/auth/callback",
//!     idp.authorization_endpoint().replace("{tenant_name}", "acme"),
//! );
//! let callback = idp.sign_in(&location, "owner@acme.example");
//! assert!(callback.starts_with("http://localhost:41234/api/auth/callback?code="));
//! # Ok(())
//! # }
//! ```
//!
//! # Control over HTTP
//!
//! For programs that cannot call this library there is a control API on a listener of its own, off
//! unless [`DevIdpBuilder::control_addr`] is set. It is loopback only, and it refuses requests from
//! web pages (an `Origin` header, or a `Host` that is not loopback). It never serves a private key.
//! It answers what it refuses with a problem document (RFC 9457) without `request_id`, for it logs no requests.
//!
//! | request | effect |
//! |---|---|
//! | `POST /rotate?mode=overlapping\|hard` | new keys; the default is `overlapping` |
//! | `POST /retire` | withdraws all but the newest key of each algorithm |
//! | `POST /algorithm?name=RS256\|ES256\|EdDSA` | what the token endpoint signs with |
//! | `POST /lifetime?seconds=N` | lifetime of the tokens issued from now on |
//! | `POST /fault?endpoint=NAME&status=&delay_ms=&count=&retry_after=&body=` | adds a fault: `status=-1` closes the connection, `-2` lets the request take effect before that, no `status` only delays; `count` is 1 unless given, 0 lasts until cleared |
//! | `DELETE /fault` | clears all faults and lies |
//! | `POST /mint` with `{"claims":{},"header":{},"without":[],"without_header":[],"algorithm":"","lifetime_s":0,"unsigned":true,"hs256":"","bad_signature":true,"size":0}` | `{"access_token":"…"}`; every member may be left out |
//! | `POST /tamper` with `{"id_token":{},"user_token":{},"logout_token":{},"answer":{},"logout_answer":{},"token_reply":{},"userinfo":{}}` | lies once in each that is there ([`Tamper`]): the tokens as for `/mint`, the others as `{"set":{},"without":[],"repeat":{}}` |
//! | `POST /refresh-tokens?mode=rotate\|keep\|omit&grace=SECONDS` | [`RefreshTokens`] |
//! | `POST /pushed-requests?required=true\|false` | whether requests have to be pushed |
//! | `POST /client?id=&application_at=&redirect_uri=&post_logout_redirect_uri=&login_url=&back_channel_logout_uri=` | registers addresses of a client; all but `id` may be left out |
//! | `POST /person?email=&tenant=&role=&disabled=true\|false` | gives a person these roles at the tenant, disables or enables them; `{"sub":"…"}` |
//! | `GET /sessions?email=` | `{"sids":[]}`, the person's sessions |
//! | `DELETE /sessions?sid=` | ends sessions; `{"told":[{"client_id":"…","status":200}]}` |
//! | `GET /requests` | the request counts |
//!
//! The endpoints of a fault are `token`, `jwks`, `metadata`, `authorize`, `pages`, `userinfo`, `revocation`, `logout`,
//! `pushed_request` and `any`, which is the default.

mod authorize;
mod back_channel;
mod bounded;
mod builder;
mod client;
mod client_auth;
mod control;
mod error;
mod faults;
mod find_tenant;
mod forgot_tenant;
mod form;
mod grants;
mod handle;
mod keyring;
mod keys;
mod limiter;
mod logins;
mod logout;
mod metadata;
mod mint;
mod oauth_error;
mod pages;
mod people;
mod person_grants;
mod person_tokens;
mod provider;
mod pushed;
mod redirect;
mod requests;
mod revoke;
mod server;
mod sign_in;
mod sign_up;
mod tamper;
mod token;
mod userinfo;

pub use back_channel::LogoutDelivery;
pub use builder::DevIdpBuilder;
pub use client::{AuthMethod, DevClient};
pub use error::{KeyError, StartError, StartErrorKind, UnknownClient, UnknownPerson};
pub use faults::{Effect, Fault};
pub use grants::RefreshTokens;
pub use handle::DevIdp;
pub use keyring::Rotation;
pub use keys::{Algorithm, SigningKey};
pub use mint::TokenSpec;
pub use people::DevPerson;
pub use provider::ExpiresIn;
pub use requests::{Endpoint, RequestCounts};
pub use tamper::{Members, Tamper};

/// Client id that the provider knows when no client was configured.
pub const DEFAULT_CLIENT_ID: &str = "dev-client";

/// Secret of [`DEFAULT_CLIENT_ID`]. It is public, which is why the provider binds loopback only.
pub const DEFAULT_CLIENT_SECRET: &str = "dev-secret";

/// Client id of [`DevClient::web`].
pub const DEFAULT_WEB_CLIENT_ID: &str = "dev-web";

/// Secret of [`DEFAULT_WEB_CLIENT_ID`].
pub const DEFAULT_WEB_CLIENT_SECRET: &str = "dev-web-secret";

/// Scopes of [`DEFAULT_WEB_CLIENT_ID`], separated by spaces.
pub const DEFAULT_WEB_SCOPE: &str = "openid offline_access profile email roles data:read";

/// Password of the people that the provider knows when none was configured.
pub const DEFAULT_PASSWORD: &str = "dev-password";

/// Audience of a token for which neither an audience nor a resource was requested.
pub const DEFAULT_AUDIENCE: &str = "https://protected-data.example";

/// Scopes of [`DEFAULT_CLIENT_ID`], separated by spaces.
pub const DEFAULT_SCOPE: &str = "data:read";
