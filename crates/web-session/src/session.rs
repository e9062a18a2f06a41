//! The session of a request.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::counts::EndReason;
use crate::sessions::{Inner, Live, WebSessions};
use crate::state::SessionState;
use crate::store::{StoreError, StoreErrorKind, Swap, Time};
use crate::tenancy::TenantName;

/// Who makes a request, as a [`SessionLayer`](crate::SessionLayer) found out. An extractor; `Option<Session>` is
/// `None` for an anonymous request behind [`SessionLayer::optional`](crate::SessionLayer::optional).
///
/// It is what was known when the request came. `Debug` shows nothing of the person.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Admitted>);

pub(crate) struct Admitted {
    pub(crate) inner: Arc<Inner>,
    pub(crate) live: Live,
}

/// Why application data were not written. What was there stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// They would be longer than 4 KiB of JSON.
    #[error("the application data of a session have more than 4 KiB")]
    TooLarge,
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
    /// The store failed, or others changed the session again and again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const MAX_DATA: usize = 4 * 1024;
const DATA_TRIES: usize = 8;

impl Session {
    fn state(&self) -> &SessionState {
        &self.0.live.state
    }

    /// Returns `sub`: the person, among all of this issuer's.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.state().person.subject
    }

    /// Returns the issuer that says who the person is.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.state().person.issuer
    }

    /// Returns the id of the person's tenant; `default` without tenants.
    #[must_use]
    pub fn tenant_id(&self) -> &str {
        &self.state().person.tenant_id
    }

    /// Returns the name of the person's tenant, where it is known.
    #[must_use]
    pub fn tenant_name(&self) -> Option<&str> {
        self.state()
            .person
            .tenant_name
            .as_ref()
            .map(TenantName::as_str)
    }

    /// Returns the e-mail address, as the provider said.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.state().person.email.as_deref()
    }

    /// Returns the name to show, as the provider said: any text.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.state().person.display_name.as_deref()
    }

    /// Returns the keys of the person's roles.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.state().person.roles
    }

    /// Tells whether the person has a role with this key, compared whole.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().iter().any(|own| own == role)
    }

    /// Returns what the person's roles permit, each once.
    #[must_use]
    pub fn permissions(&self) -> Vec<&str> {
        self.0.inner.permissions(self.state())
    }

    /// Tells whether one of the person's roles permits something.
    #[must_use]
    pub fn has_permission(&self, permission: &str) -> bool {
        self.permissions().contains(&permission)
    }

    /// Returns when the session began.
    #[must_use]
    pub fn created(&self) -> Time {
        self.state().created
    }

    /// Returns when the session ends whatever happens.
    #[must_use]
    pub fn expires(&self) -> Time {
        self.0.live.row.ends
    }

    /// Returns the application's own data.
    #[must_use]
    pub fn data(&self) -> &Map<String, Value> {
        &self.state().data
    }

    /// Sets members of the application's own data, and leaves the others as they are then: requests that write at
    /// once both succeed. Null removes a member.
    ///
    /// # Errors
    ///
    /// Fails where all data together would be longer than 4 KiB of JSON, where the session has ended, and where the
    /// store cannot be used.
    pub async fn merge_data(&self, members: Map<String, Value>) -> Result<(), DataError> {
        let (inner, key) = (&self.0.inner, &self.0.live.key);
        let mut row = inner.load_row(key).await?.ok_or(DataError::Ended)?;
        for _ in 0..DATA_TRIES {
            let state = inner.state_of(key, &row).ok_or(DataError::Ended)?;
            let mut data = state.data.clone();
            for (name, value) in &members {
                match value {
                    Value::Null => drop(data.remove(name)),
                    value => drop(data.insert(name.clone(), value.clone())),
                }
            }
            let bytes = serde_json::to_vec(&data).map_or(usize::MAX, |json| json.len());
            if bytes > MAX_DATA {
                return Err(DataError::TooLarge);
            }
            let mut new = row.to_new();
            new.body = inner.body(
                *key,
                SessionState {
                    data,
                    ..(*state).clone()
                },
            );
            match inner.replace_row(key, row.version, new).await? {
                Swap::Swapped => return Ok(()),
                Swap::Changed(other) => row = *other,
                Swap::Gone => return Err(DataError::Ended),
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable).into())
    }

    /// Waits until the session ends: within 1 s where this process ends it, within 30 s where another one does, and
    /// at its own limits. For answers that last. Cancel-safe.
    pub async fn ended(&self) {
        let (inner, live) = (&self.0.inner, &self.0.live);
        let mut ended = inner.watches.subscribe(inner, live.key);
        let limit = live
            .row
            .ends
            .min(live.row.idle_ends)
            .since(inner.clock.now());
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => {}
            () = tokio::time::sleep(limit) => {}
        }
    }

    /// Ends this session.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be used.
    pub async fn end(&self) -> Result<(), StoreError> {
        self.0
            .inner
            .end(&self.0.live.key, EndReason::Logout)
            .await?;
        Ok(())
    }

    /// Returns the person's sessions, the oldest first.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be used.
    pub async fn of_same_person(&self) -> Result<Vec<OtherSession>, StoreError> {
        let index = self.0.live.row.subject;
        let mut found = Vec::new();
        for key in self.0.inner.find(&index).await? {
            let Some(row) = self.0.inner.load_row(&key).await? else {
                continue;
            };
            if let Some(state) = self.0.inner.state_of(&key, &row) {
                found.push(OtherSession {
                    is_this: key == self.0.live.key,
                    created: state.created,
                    last_activity: self.0.inner.last_activity(&row),
                    inner: Arc::clone(&self.0.inner),
                    key,
                });
            }
        }
        found.sort_by_key(|it| it.created);
        Ok(found)
    }

    /// Returns the application that the session belongs to.
    #[must_use]
    pub fn sessions(&self) -> WebSessions {
        WebSessions {
            inner: Arc::clone(&self.0.inner),
        }
    }
}

/// One of the sessions of a person.
#[derive(Clone)]
pub struct OtherSession {
    inner: Arc<Inner>,
    key: crate::store::Key,
    is_this: bool,
    created: Time,
    last_activity: Time,
}

impl OtherSession {
    /// Tells whether it is that of the request.
    #[must_use]
    pub fn is_this(&self) -> bool {
        self.is_this
    }

    /// Returns when it began.
    #[must_use]
    pub fn created(&self) -> Time {
        self.created
    }

    /// Returns when it was last used, to a minute.
    #[must_use]
    pub fn last_activity(&self) -> Time {
        self.last_activity
    }

    /// Ends it. Tells whether it was still there.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be used.
    pub async fn end(&self) -> Result<bool, StoreError> {
        self.inner.end(&self.key, EndReason::Logout).await
    }
}

impl Inner {
    pub(crate) fn permissions<'s>(&'s self, state: &SessionState) -> Vec<&'s str> {
        let mut found: Vec<&str> = Vec::new();
        for role in &state.person.roles {
            for permission in self
                .settings
                .role_permissions
                .get(role)
                .into_iter()
                .flatten()
            {
                if !found.contains(&permission.as_str()) {
                    found.push(permission);
                }
            }
        }
        found
    }

    pub(crate) fn last_activity(&self, row: &crate::store::Row) -> Time {
        let idle = u64::try_from(self.settings.idle.as_millis()).unwrap_or(u64::MAX);
        Time::from_unix_millis(row.idle_ends.unix_millis().saturating_sub(idle))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl fmt::Debug for OtherSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherSession")
            .field("is_this", &self.is_this)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}
