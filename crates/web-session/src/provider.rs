//! The provider, as a client that logs people in sees it.

mod builder;
mod error;
mod exchange;
mod id_token;
mod renewal;
mod template;
mod userinfo;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use idp_http::{Discovery, IdpClient, LoginMetadata};
use jwks_validator::JwtValidator;
use token_endpoint::Client;
use url::Url;

pub use self::builder::{ProviderBuilder, VanityDomain};
pub(crate) use self::error::{ErrorClass, ProviderError};
pub(crate) use self::exchange::{Grant, Granted};
pub(crate) use self::id_token::{IdTokenCheck, IdTokenError, LoggedOut, read_logout_token};
pub(crate) use self::renewal::{AtProvider, NotRenewed, Renewals, Renewed};
pub(crate) use self::template::Template;
pub(crate) use self::userinfo::Lookup;
use crate::tenancy::LoginTenant;

/// An OpenID provider, and the client that this application is there.
///
/// Keys are fetched once for ID tokens and, when the first one arrives, once for logout tokens. Clones are not
/// needed: [`WebSessions`](crate::WebSessions) owns it.
pub struct Provider {
    client: Client,
    client_id: String,
    issuer: String,
    scopes: String,
    audience: Option<String>,
    resource: Option<String>,
    named: Named,
    discovery: Option<Discovery>,
    /// Where tokens are asked for, if that is not where others ask.
    token_discovery: Option<Discovery>,
    id_tokens: JwtValidator,
    logout_tokens: JwtValidator,
    /// What was known when a page was last made.
    known: Mutex<Option<Arc<Endpoints>>>,
}

/// Endpoints that the settings name. They go before those of the metadata.
#[derive(Clone, Debug, Default)]
struct Named {
    authorization: Option<Template>,
    token: Option<Url>,
    userinfo: Option<Url>,
    revocation: Option<Url>,
    logout: Option<Logout>,
}

/// Where people are sent to log out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logout {
    /// OpenID Connect RP-Initiated Logout 1.0.
    OpenIdConnect(Template),
    /// `client_id`, `redirect_url` and `state`.
    RedirectUrl(Template),
}

/// All endpoints that a login needs.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) authorization: Template,
    pub(crate) token: Url,
    pub(crate) userinfo: Option<Url>,
    pub(crate) revocation: Option<Url>,
    pub(crate) logout: Option<Logout>,
    /// Where the request has to be pushed (RFC 9126).
    pub(crate) pushed: Option<Url>,
    /// Every answer has `iss` (RFC 9207).
    pub(crate) promises_iss: bool,
}

impl Provider {
    /// Returns the settings for the client with this id and secret, or what else
    /// [`ClientAuth`](token_endpoint::ClientAuth) takes from the secret's source.
    #[must_use]
    pub fn builder(
        client_id: &str,
        secret: impl Into<token_endpoint::SecretSource>,
    ) -> ProviderBuilder {
        ProviderBuilder::new(client_id, secret.into())
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    fn http(&self) -> &IdpClient {
        self.client.http()
    }

    /// Returns the endpoints, from memory if the metadata were read within the last hour.
    pub(crate) async fn endpoints(&self) -> Result<Arc<Endpoints>, ProviderError> {
        let found = match &self.discovery {
            None => LoginMetadata::default(),
            Some(discovery) => {
                let away = |error| {
                    ProviderError::away(format!("ISSUER: the metadata cannot be had: {error}"))
                };
                let metadata = discovery.metadata().await.map_err(away)?;
                let token = match &self.token_discovery {
                    Some(discovery) => {
                        let metadata = discovery.metadata().await.map_err(away)?;
                        metadata.token_endpoint.clone()
                    }
                    None => metadata.token_endpoint.clone(),
                };
                return self.assemble(token, &metadata.login);
            }
        };
        self.assemble(None, &found)
    }

    fn assemble(
        &self,
        token: Option<Url>,
        found: &LoginMetadata,
    ) -> Result<Arc<Endpoints>, ProviderError> {
        let missing = |name: &str| {
            if let Some(discovery) = &self.discovery {
                discovery.forget();
            }
            ProviderError::away(format!("ISSUER: the metadata name no {name}"))
        };
        let named = &self.named;
        let fixed = |url: &Url| Template::fixed(url.clone());
        let end_session = || {
            let url = found.end_session_endpoint.as_ref().map(fixed);
            url.map(Logout::OpenIdConnect)
        };
        let endpoints = Arc::new(Endpoints {
            authorization: (named.authorization.clone())
                .or_else(|| found.authorization_endpoint.as_ref().map(fixed))
                .ok_or_else(|| missing("authorization_endpoint"))?,
            token: (named.token.clone().or(token)).ok_or_else(|| missing("token_endpoint"))?,
            userinfo: named.userinfo.clone().or(found.userinfo_endpoint.clone()),
            revocation: named
                .revocation
                .clone()
                .or(found.revocation_endpoint.clone()),
            logout: named.logout.clone().or_else(end_session),
            pushed: match found.require_pushed_authorization_requests {
                false => None,
                true => Some(
                    (found.pushed_authorization_request_endpoint.clone())
                        .ok_or_else(|| missing("pushed_authorization_request_endpoint"))?,
                ),
            },
            promises_iss: found.authorization_response_iss_parameter,
        });
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&endpoints));
        Ok(endpoints)
    }

    fn known_endpoints(&self) -> Option<Arc<Endpoints>> {
        // Nothing can panic while the lock is held.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// Returns the origin of the provider's logout for a person of this tenant, as far as it is known.
    pub(crate) fn logout_origin(&self, tenant: &LoginTenant) -> Option<String> {
        let url = self.known_endpoints()?.logout.as_ref()?.url(tenant)?;
        Some(url.origin().ascii_serialization())
    }

    pub(crate) fn start(&self) {
        self.id_tokens.start();
    }

    /// Tells whether it is known where people log in; asks the provider only if it never was.
    pub(crate) async fn has_endpoints(&self) -> bool {
        self.known_endpoints().is_some() || self.endpoints().await.is_ok()
    }

    /// Tells whether ID tokens can be checked.
    pub(crate) fn has_keys(&self) -> bool {
        self.id_tokens.ready()
    }

    pub(crate) async fn shutdown(&self) {
        self.id_tokens.shutdown().await;
        self.logout_tokens.shutdown().await;
    }

    /// Returns the validator of logout tokens. Their keys are fetched from the first one on.
    pub(crate) fn logout_tokens(&self) -> &JwtValidator {
        self.logout_tokens.start();
        &self.logout_tokens
    }
}

impl Logout {
    /// Returns the address for a person of this tenant.
    pub(crate) fn url(&self, tenant: &LoginTenant) -> Option<Url> {
        let (Self::OpenIdConnect(template) | Self::RedirectUrl(template)) = self;
        template.url(tenant, template::LOGOUT_PATH)
    }
}

impl Endpoints {
    pub(crate) fn authorization_url(&self, tenant: &LoginTenant) -> Option<Url> {
        self.authorization.url(tenant, template::AUTHORIZE_PATH)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.issuer)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
