//! Who of a tenant is signed in.

use std::collections::BTreeMap;
use std::fmt;

use crate::sessions::WebSessions;
use crate::state::SessionState;
use crate::store::{Index, StoreError, Time};

/// A person who is signed in at a tenant. `Debug` shows nothing of them.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedInPerson {
    user_id: String,
    email: Option<String>,
    display_name: Option<String>,
    sessions: usize,
    last_activity: Time,
}

/// How many sessions of a tenant are read at most: each is one call of the store.
const MAX_READ: usize = 1_000;

impl WebSessions {
    /// Returns who is signed in at a tenant of this issuer, whatever replica they use, by user id. Of a tenant with more
    /// than 1,000 sessions it looks at 1,000.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be asked.
    pub async fn people_of(
        &self,
        issuer: &str,
        tenant_id: &str,
    ) -> Result<Vec<SignedInPerson>, StoreError> {
        let inner = &self.inner;
        let mut people: BTreeMap<String, SignedInPerson> = BTreeMap::new();
        let keys = inner.find(&Index::of_tenant(issuer, tenant_id)).await?;
        for key in keys.into_iter().take(MAX_READ) {
            let Some(row) = inner.load_row(&key).await? else {
                continue;
            };
            let Some(state) = inner.state_of(&key, &row) else {
                continue;
            };
            let last_activity = inner.last_activity(&row);
            people
                .entry(state.person.subject.clone())
                .and_modify(|person| person.add(&state, last_activity))
                .or_insert_with(|| SignedInPerson::new(&state, last_activity));
        }
        Ok(people.into_values().collect())
    }
}

impl SignedInPerson {
    fn new(state: &SessionState, last_activity: Time) -> Self {
        Self {
            user_id: state.person.subject.clone(),
            email: state.person.email.clone(),
            display_name: state.person.display_name.clone(),
            sessions: 1,
            last_activity,
        }
    }

    /// What the session that was used last says of them holds.
    fn add(&mut self, state: &SessionState, last_activity: Time) {
        let sessions = self.sessions + 1;
        if last_activity > self.last_activity {
            *self = Self::new(state, last_activity);
        }
        self.sessions = sessions;
    }

    /// Returns `sub`: the person, among all of this issuer's.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Returns the e-mail address, as the provider said.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// Returns the name to show, as the provider said: any text.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// Returns how many sessions they have at the tenant.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// Returns when one of these was last used, to a minute.
    #[must_use]
    pub fn last_activity(&self) -> Time {
        self.last_activity
    }
}

impl fmt::Debug for SignedInPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedInPerson")
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}
