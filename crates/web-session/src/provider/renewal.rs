//! New tokens of a session, and who its person is by now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, timeout_at};

use super::{Endpoints, Grant, Granted, IdTokenCheck, Lookup, Provider, ProviderError};
use crate::state::{Person, SessionState, Token};
use crate::tenancy::{Tenancy, TenantName};

/// Where tokens are renewed and taken back: the provider, or what stands for it where refreshes are simulated.
#[async_trait]
pub(crate) trait Renewals: fmt::Debug + Send + Sync {
    /// Presents the session's refresh token (RFC 6749 section 6). Ends by the deadline.
    async fn renew(
        &self,
        state: &SessionState,
        refresh: &Token,
        deadline: Instant,
    ) -> Result<Renewed, NotRenewed>;

    /// Revokes a refresh token (RFC 7009).
    async fn revoke(&self, token: &Token) -> Result<(), ProviderError>;
}

/// What a session has new.
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) access: Token,
    pub(crate) lifetime: Option<Duration>,
    /// Absent where the old one stays good.
    pub(crate) refresh: Option<Token>,
    pub(crate) id_token: Option<Token>,
    /// Absent where that could not be learnt.
    pub(crate) person: Option<Person>,
}

/// Why there are no new tokens.
#[derive(Debug)]
pub(crate) enum NotRenewed {
    /// They came, and are somebody else's; so is this refresh token.
    OtherPerson(Option<Token>),
    Error(ProviderError),
}

/// The provider, for people of these tenants.
#[derive(Debug)]
pub(crate) struct AtProvider {
    pub(crate) provider: Arc<Provider>,
    pub(crate) tenancy: Tenancy,
}

#[async_trait]
impl Renewals for AtProvider {
    async fn renew(
        &self,
        state: &SessionState,
        refresh: &Token,
        deadline: Instant,
    ) -> Result<Renewed, NotRenewed> {
        let provider = &self.provider;
        let endpoints = timeout_at(deadline, provider.endpoints()).await;
        let endpoints = endpoints
            .unwrap_or_else(|_| Err(ProviderError::unasked()))
            .map_err(NotRenewed::Error)?;
        let exchange = provider.grant(&endpoints, Grant::Refresh(refresh.expose()));
        let mut granted = timeout_at(deadline, exchange)
            .await
            .unwrap_or_else(|_| Err(ProviderError::timed_out()))
            .map_err(NotRenewed::Error)?;
        let check = timeout_at(deadline, provider.check_refreshed(&granted, state)).await;
        match check.unwrap_or(IdTokenCheck::Unchecked) {
            IdTokenCheck::SamePerson => {}
            IdTokenCheck::Unchecked => granted.id_token = None,
            IdTokenCheck::OtherPerson => {
                return Err(NotRenewed::OtherPerson(granted.refresh.map(token)));
            }
        }
        let person = timeout_at(deadline, self.person(&endpoints, &granted, state)).await;
        Ok(Renewed {
            access: token(granted.access),
            lifetime: granted.lifetime,
            refresh: granted.refresh.map(token),
            id_token: granted.id_token.map(token),
            person: person.unwrap_or_default(),
        })
    }

    async fn revoke(&self, token: &Token) -> Result<(), ProviderError> {
        self.provider.revoke(token.expose()).await
    }
}

fn token(secret: SecretString) -> Token {
    Token::new(secret.expose_secret())
}

impl AtProvider {
    /// Asks who the person is now, so that roles follow; where that fails they are as before.
    async fn person(
        &self,
        endpoints: &Endpoints,
        granted: &Granted,
        state: &SessionState,
    ) -> Option<Person> {
        let claims = (self.tenancy.id_claim(), self.tenancy.name_claim());
        let asked =
            self.provider
                .userinfo(endpoints, &granted.access, &state.person.subject, claims);
        match asked.await {
            Ok(None) => None,
            Ok(Some(lookup)) if !self.is_of_tenant(&lookup, &state.person) => {
                tracing::warn!(
                    "a person's roles stay as they were: userinfo is about another tenant"
                );
                None
            }
            Ok(Some(lookup)) => Some(Person {
                email: lookup.email,
                display_name: lookup.display_name,
                roles: lookup.roles,
                ..state.person.clone()
            }),
            Err(error) => {
                tracing::debug!("a person's roles stay as they were: {error}");
                None
            }
        }
    }

    /// Tells whether userinfo is about the tenant that the person logged in at, as far as it says.
    fn is_of_tenant(&self, lookup: &Lookup, person: &Person) -> bool {
        let name = lookup.tenant_name.as_deref();
        let own = person.tenant_name.as_ref().map(TenantName::as_str);
        let has_name = name.is_none_or(|name| own.is_none_or(|own| name.eq_ignore_ascii_case(own)));
        let has_id = lookup
            .tenant_id
            .as_ref()
            .is_none_or(|id| *id == person.tenant_id);
        !self.tenancy.is_required() || has_name && has_id
    }
}
