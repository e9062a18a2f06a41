//! The session of a request.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::counts::EndReason;
use crate::sessions::{Inner, Live, WebSessions};
use crate::state::SessionState;
use crate::store::{Index, Key, Row, StoreError, StoreErrorKind, Swap, Time};
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
        let end_of = |row: &Row| row.ends.min(row.idle_ends);
        let mut limit = end_of(&live.row);
        loop {
            tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return,
                () = tokio::time::sleep(limit.since(inner.clock.now())) => {}
            }
            // Other requests may have moved it.
            match inner.load_row(&live.key).await {
                Ok(Some(row)) if !row.has_expired(inner.clock.now()) => limit = end_of(&row),
                _ => return,
            }
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
        let live = &self.0.live;
        self.0
            .inner
            .sessions_of(&live.row.subject, Some(&live.key))
            .await
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
    key: Key,
    tenant_id: String,
    is_this: bool,
    created: Time,
    last_activity: Time,
}

impl OtherSession {
    /// Returns the id of the tenant that it is at.
    #[must_use]
    pub fn tenant_id(&self) -> &str {
        &self.tenant_id
    }

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
    /// Returns the sessions of an index, the oldest first.
    pub(crate) async fn sessions_of(
        self: &Arc<Self>,
        index: &Index,
        this: Option<&Key>,
    ) -> Result<Vec<OtherSession>, StoreError> {
        let mut found = Vec::new();
        for key in self.find(index).await? {
            let Some(row) = self.load_row(&key).await? else {
                continue;
            };
            if let Some(state) = self.state_of(&key, &row) {
                found.push(OtherSession {
                    is_this: this == Some(&key),
                    tenant_id: state.person.tenant_id.clone(),
                    created: state.created,
                    last_activity: self.last_activity(&row),
                    inner: Arc::clone(self),
                    key,
                });
            }
        }
        found.sort_by_key(|it| it.created);
        Ok(found)
    }

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

    pub(crate) fn last_activity(&self, row: &Row) -> Time {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clock::ManualClock;
    use token_endpoint::SecretString;

    use super::*;
    use crate::random::Random;
    use crate::state::{Person, Token, Tokens};
    use crate::store::{MemoryStore, NewRow, SessionStore as _};
    use crate::{Provider, SessionSecrets};

    /// A session, and the store that others have too.
    async fn session(idle: Duration) -> (Session, Arc<MemoryStore>) {
        let clock: Arc<ManualClock> = Arc::new(ManualClock::at_unix(1_800_000_000));
        let limited = MemoryStore::with_clock(1, Arc::<ManualClock>::clone(&clock));
        let store = Arc::new(limited);
        let provider = Provider::builder("web", SecretString::from("s"))
            .issuer("http://127.0.0.1:1")
            .build()
            .unwrap();
        let secrets = SessionSecrets::from_text(&"s".repeat(32)).unwrap();
        let sessions = WebSessions::builder(provider, secrets)
            .public_url("http://localhost:1")
            .store(Arc::clone(&store))
            .idle_timeout(idle)
            .clock(clock)
            .build()
            .unwrap();
        let inner = sessions.inner;
        let (handle, now) = (Random::new().unwrap(), inner.clock.now());
        let (key, token) = (handle.key(), Token::new("t"));
        let state = SessionState {
            created: now,
            host: "localhost:1".to_owned(),
            person: Person {
                issuer: "i".to_owned(),
                subject: "s".to_owned(),
                sid: None,
                tenant_id: "default".to_owned(),
                tenant_name: None,
                custom_domain: None,
                email: None,
                display_name: None,
                roles: vec!["owner".to_owned()],
            },
            tokens: Tokens::new(token.clone(), None, 1, now, None, 0.0),
            id_token: None,
            nonce: token,
            hold: None,
            data: Map::new(),
        };
        let row = NewRow {
            body: inner.body(key, state),
            subject: Index::of_subject("i", "s"),
            tenant: Index::of_tenant("i", "default"),
            session: None,
            idle_ends: now.plus(idle),
            ends: now.plus(Duration::from_secs(3_600)),
            keeps_lease: false,
        };
        inner.create_row(&key, row).await.unwrap();
        let row = inner.load_row(&key).await.unwrap().unwrap();
        let state = inner.state_of(&key, &row).unwrap();
        let live = Live {
            handle,
            key,
            row,
            state,
            held: None,
        };
        (Session(Arc::new(Admitted { inner, live })), store)
    }

    /// K113
    #[tokio::test(start_paused = true)]
    async fn what_lasts_ends_within_half_a_minute_when_another_replica_ends_the_session() {
        let (session, store) = session(Duration::from_secs(3_600)).await;
        let waiting = tokio::spawn({
            let session = session.clone();
            async move { session.ended().await }
        });
        tokio::time::advance(Duration::from_secs(50)).await;
        let begun = tokio::time::Instant::now();
        // Without a word to who waits here.
        store.remove(&session.0.live.key).await.unwrap().unwrap();
        waiting.await.unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(30));
    }

    #[tokio::test]
    async fn roles_permit_nothing_until_the_application_says_what() {
        let (session, _) = session(Duration::from_secs(60)).await;
        assert!(session.has_role("owner"));
        assert_eq!(session.permissions(), [""; 0]);
    }

    /// K57, K113
    #[tokio::test(start_paused = true)]
    async fn what_lasts_goes_on_while_other_requests_keep_the_session_and_ends_with_it() {
        let (session, _) = session(Duration::from_secs(60)).await;
        let begun = tokio::time::Instant::now();
        let waiting = tokio::spawn({
            let session = session.clone();
            async move { session.ended().await }
        });
        tokio::time::advance(Duration::from_secs(50)).await;
        let (inner, key) = (&session.0.inner, &session.0.live.key);
        let later = inner.clock.now().plus(Duration::from_secs(60));
        inner.touch(key, later).await.unwrap();
        waiting.await.unwrap();
        let lasted = begun.elapsed();
        assert!((109..=126).contains(&lasted.as_secs()), "{lasted:?}");
    }
}
