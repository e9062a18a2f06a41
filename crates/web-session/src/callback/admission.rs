//! From a code to a session.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Came, End};
use crate::answer;
use crate::counts::{EndReason, LoginOutcome};
use crate::login_state::LoginState;
use crate::provider::{Endpoints, ErrorClass, Grant, Granted, IdTokenError, Lookup, ProviderError};
use crate::random::Random;
use crate::refresh::MAX_ID_TOKEN_HINT;
use crate::sessions::Inner;
use crate::state::{Person, SessionState, Token, Tokens};
use crate::store::{Index, Key, Mark, NewRow, StoreError, StoreErrorKind, Swap};
use crate::tenancy::TenantName;
use crate::time::Time;

/// The session that a browser had before serves for this long, so that its requests under way succeed.
const RETIRED_AFTER: Duration = Duration::from_secs(30);
/// Two sessions that were made in this time and never used mean that the browser does not keep the cookie.
const LOOKS_LIKE_A_LOOP: Duration = Duration::from_secs(60);

/// What the checks of a callback gave.
struct Checked {
    granted: Granted,
    person: Person,
}

impl Inner {
    /// Checks what came back, in this order, and makes the session.
    pub(super) async fn admit(
        self: Arc<Self>,
        login: &LoginState,
        came: &Came,
        handle: Random,
        before: Vec<Random>,
    ) -> End {
        let endpoints = match self.provider.endpoints().await {
            Ok(endpoints) => endpoints,
            Err(error) => return ended_by(&error),
        };
        let sent = self.clock.now();
        let checked = match self.check(&endpoints, login, came).await {
            Ok(checked) => checked,
            Err(end) => return end,
        };
        let refresh = checked.granted.refresh.clone();
        match self.keep(login, checked, sent, &handle, &before).await {
            Ok(end) => end,
            Err(error) => {
                // A row that may be there was not compared with the logouts.
                let _ = self.end(&handle.key(), EndReason::LoggedOut).await;
                self.take_back(refresh.as_ref());
                tracing::warn!("a session cannot be kept: {error}");
                let answer = match error.kind() {
                    StoreErrorKind::Full => answer::STORE_FULL,
                    _ => answer::STORE_AWAY,
                };
                End::Refused(answer, LoginOutcome::StoreAway)
            }
        }
    }

    fn take_back(self: &Arc<Self>, refresh: Option<&SecretString>) {
        if let Some(token) = refresh {
            drop(
                self.revocations
                    .begin(self, Token::new(token.expose_secret())),
            );
        }
    }

    async fn check(
        self: &Arc<Self>,
        endpoints: &Endpoints,
        login: &LoginState,
        came: &Came,
    ) -> Result<Checked, End> {
        // On failure neither `code` nor `error` is looked at: they may be another issuer's (RFC 9207 section 2.4).
        let is_our_issuer = match &came.iss {
            Some(iss) => iss == self.provider.issuer(),
            None => !endpoints.promises_iss,
        };
        if !is_our_issuer {
            tracing::warn!(
                "a login failed: `iss` of the answer is not the issuer, or is missing although promised"
            );
            return Err(End::Refused(answer::BAD_REQUEST, LoginOutcome::Failed));
        }
        if !self.tenancy.is_as_begun(&login.tenant(), &came.asked()) {
            return Err(End::failed(
                "the tenant that came back is not the one that was begun",
            ));
        }
        let code = came.code()?;
        let grant = Grant::Code {
            code,
            redirect_uri: &login.redirect_uri,
            verifier: login.verifier.expose(),
        };
        let granted = self
            .provider
            .grant(endpoints, grant)
            .await
            .map_err(|error| ended_by(&error))?;
        let person = self.person(endpoints, login, &granted).await;
        if person.is_err() {
            self.take_back(granted.refresh.as_ref());
        }
        Ok(Checked {
            person: person?,
            granted,
        })
    }

    async fn person(
        &self,
        endpoints: &Endpoints,
        login: &LoginState,
        granted: &Granted,
    ) -> Result<Person, End> {
        let Some(id_token) = &granted.id_token else {
            return Err(ended_by(&ProviderError::nonsense(
                "the reply has no `id_token`".to_owned(),
            )));
        };
        let token = match self.provider.check_id_token(id_token).await {
            Ok(token) => token,
            Err(IdTokenError::NoKeys(reason)) => {
                return Err(ended_by(&ProviderError::away(format!(
                    "the ID token cannot be checked: {reason}"
                ))));
            }
            Err(IdTokenError::Refused(why, _)) => {
                return Err(End::failed(&format!("the ID token: {why}")));
            }
        };
        if token.has_nonce(login.nonce.expose()) != Some(true) {
            return Err(End::failed(
                "the ID token: its nonce is not that of the login",
            ));
        }
        if !token.fits_access_token(&granted.access) {
            return Err(End::failed(
                "the ID token: `at_hash` is not that of the access token",
            ));
        }
        let claims = (self.tenancy.id_claim(), self.tenancy.name_claim());
        let lookup = self
            .provider
            .userinfo(endpoints, &granted.access, &token.subject, claims);
        let lookup = lookup
            .await
            .map_err(|error| ended_by(&error))?
            .unwrap_or_default();
        let (tenant_id, tenant_name) = self.tenant(login, &lookup)?;
        Ok(Person {
            issuer: self.provider.issuer().to_owned(),
            sid: token
                .text("sid")
                .filter(|it| !it.is_empty())
                .map(str::to_owned),
            subject: token.subject,
            tenant_id,
            tenant_name,
            custom_domain: login.tenant().custom_domain,
            email: lookup.email,
            display_name: lookup.display_name,
            roles: lookup.roles,
        })
    }

    /// Returns id and name of the person's tenant, which has to be the one that the login was for.
    fn tenant(
        &self,
        login: &LoginState,
        lookup: &Lookup,
    ) -> Result<(String, Option<TenantName>), End> {
        if !self.tenancy.is_required() {
            let name = TenantName::parse("default").ok();
            return Ok(("default".to_owned(), name));
        }
        let other = || End::failed("userinfo names another tenant than the login was for");
        let told = lookup
            .tenant_name
            .as_deref()
            .map(TenantName::parse)
            .transpose();
        let told = told.map_err(|_| other())?;
        let begun = login.tenant().name;
        if let (Some(told), Some(begun)) = (&told, &begun)
            && told != begun
        {
            return Err(other());
        }
        let name = told.or(begun);
        // A provider that says neither is taken at its host's word.
        let domain = login.tenant().custom_domain;
        let id = lookup.tenant_id.clone();
        let id = id.or_else(|| name.as_ref().map(|it| it.as_str().to_owned()));
        let id = id.or_else(|| domain.map(|it| it.as_str().to_owned()));
        Ok((id.ok_or_else(other)?, name))
    }

    async fn keep(
        self: &Arc<Self>,
        login: &LoginState,
        checked: Checked,
        sent: Time,
        handle: &Random,
        before: &[Random],
    ) -> Result<End, StoreError> {
        let (now, key) = (self.clock.now(), handle.key());
        let Checked { granted, person } = checked;
        let subject = Index::of_subject(&person.issuer, &person.subject);
        let tenant = Index::of_tenant(&person.issuer, &person.tenant_id);
        let session = person
            .sid
            .as_deref()
            .map(|sid| Index::of_session(&person.issuer, sid));
        let token = |it: &SecretString| Token::new(it.expose_secret());
        let state = SessionState {
            created: now,
            host: login.host.clone(),
            tokens: Tokens::new(
                token(&granted.access),
                granted.refresh.as_ref().map(token),
                1,
                sent,
                granted.lifetime,
                fastrand::f64(),
            ),
            id_token: granted
                .id_token
                .as_ref()
                .map(token)
                .filter(|it| it.expose().len() <= MAX_ID_TOKEN_HINT),
            nonce: login.nonce.clone(),
            hold: None,
            data: serde_json::Map::new(),
            person,
        };
        let person = state.person.clone();
        let row = NewRow {
            body: self.body(key, state),
            subject,
            tenant,
            session,
            idle_ends: now.plus(self.settings.idle),
            ends: now.plus(self.settings.lifetime),
            keeps_lease: false,
        };
        self.create_row(&key, row).await?;
        // After the row is there: a logout marks first and removes then, so one of the two sees the other.
        for index in [Some(subject), session].into_iter().flatten() {
            let logged_out = self.marked(&Mark::LoggedOut(index)).await?;
            if logged_out.is_some_and(|at| at >= login.begun) {
                self.end(&key, EndReason::LoggedOut).await?;
                return Ok(End::Restart);
            }
        }
        tracing::info!(person = %crate::digest_of(&person.subject), "signed in");
        // The session is there, whatever becomes of the ones before.
        for other in before {
            if let Err(error) = self.retire(&other.key(), &key, &person).await {
                tracing::warn!("the session that the browser had before goes on: {error}");
            }
        }
        let unused = self
            .limit(&subject, &key, now)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!("a person's sessions were not counted: {error}");
                0
            });
        Ok(End::SignedIn {
            check: before.is_empty() && unused >= 2,
        })
    }

    /// Ends what the browser had before: the same person's session in a moment, anybody else's at once.
    async fn retire(
        self: &Arc<Self>,
        old: &Key,
        new: &Key,
        person: &Person,
    ) -> Result<(), StoreError> {
        if old == new {
            return Ok(());
        }
        let Some(row) = self.load_row(old).await? else {
            return Ok(());
        };
        let Some(state) = self.state_of(old, &row) else {
            return Ok(());
        };
        let theirs = (
            &state.person.issuer,
            &state.person.subject,
            &state.person.tenant_id,
        );
        if theirs != (&person.issuer, &person.subject, &person.tenant_id) {
            self.end(old, EndReason::Replaced).await?;
            return Ok(());
        }
        let mut shorter = row.to_new();
        shorter.ends = shorter.ends.min(self.clock.now().plus(RETIRED_AFTER));
        // Where somebody else changed the row meanwhile it goes a little later, by its own limits or the next login.
        if let Swap::Swapped = self.replace_row(old, row.version, shorter).await? {
            let (weak, old) = (Arc::downgrade(self), *old);
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    // Before the row expires by itself: what it holds has to be taken back.
                    () = tokio::time::sleep(RETIRED_AFTER - Duration::from_millis(500)) => {
                        if let Some(inner) = weak.upgrade() {
                            let _ = inner.end(&old, EndReason::Replaced).await;
                        }
                    }
                }
            });
        }
        Ok(())
    }

    /// Ends the oldest of a person's sessions where there is one too many. Returns how many were made in the last
    /// minute and never used.
    async fn limit(
        self: &Arc<Self>,
        subject: &Index,
        own: &Key,
        now: Time,
    ) -> Result<usize, StoreError> {
        let mut all = Vec::new();
        for key in self.find(subject).await? {
            let Some(row) = self.load_row(&key).await? else {
                continue;
            };
            if let Some(state) = self.state_of(&key, &row) {
                let is_unused = row.idle_ends <= state.created.plus(self.settings.idle);
                all.push((state.created, key, is_unused));
            }
        }
        all.sort_by_key(|(created, _, _)| *created);
        let is_new = |created: Time| now.since(created) < LOOKS_LIKE_A_LOOP;
        let unused = all
            .iter()
            .filter(|(created, key, unused)| *unused && key != own && is_new(*created));
        let unused = unused.count();
        let too_many = all.len().saturating_sub(self.settings.per_person);
        for (_, key, _) in all.iter().filter(|(_, key, _)| key != own).take(too_many) {
            self.end(key, EndReason::Limit).await?;
        }
        Ok(unused)
    }
}

fn ended_by(error: &ProviderError) -> End {
    match error.class {
        ErrorClass::InvalidGrant => {
            tracing::info!("a login begins again: {error}");
            End::Restart
        }
        ErrorClass::Refused | ErrorClass::Nonsense => {
            tracing::error!("a login failed: {error}");
            End::Refused(answer::PROVIDER_REFUSES, LoginOutcome::ProviderRefuses)
        }
        ErrorClass::Unsent | ErrorClass::InFlight | ErrorClass::Overloaded => {
            tracing::warn!("a login failed: {error}");
            let wait = error.retry_after.unwrap_or(Duration::from_secs(2));
            End::Refused(
                answer::PROVIDER_AWAY.after(wait),
                LoginOutcome::ProviderAway,
            )
        }
    }
}
