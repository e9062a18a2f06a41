//! The whole: what handlers, layers and routes share.

mod builder;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::HeaderMap;
use sealing::Sealer;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::builder::{BuildError, SessionSecrets, WebSessionsBuilder};
use crate::answer::NoticePage;
use crate::cookies::{CookieRules, Cookies, MAX_HANDLES};
use crate::counts::{Counts, EndReason, StoreCall};
use crate::provider::{Provider, Renewals};
use crate::public_url::{Origin, PublicUrl};
use crate::random::Random;
use crate::refresh::Flights;
use crate::revoke::Revocations;
use crate::session::OtherSession;
use crate::state::SessionState;
use crate::store::{Index, Key, NewRow, Row, SessionStore, StoreError, StoreErrorKind};
use crate::tenancy::Tenancy;
use crate::time::{ForwardClock, Time};
use crate::watch::Watches;

/// Logins, sessions and logouts of one application.
///
/// Clones share everything. Dropping the last one ends the background tasks.
#[derive(Clone)]
pub struct WebSessions {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) provider: Arc<Provider>,
    pub(crate) renewals: Arc<dyn Renewals>,
    pub(crate) tenancy: Tenancy,
    pub(crate) public_url: PublicUrl,
    pub(crate) cookies: CookieRules,
    pub(crate) settings: Settings,
    pub(crate) notice_page: Option<NoticePage>,
    store: Arc<dyn SessionStore>,
    pub(crate) row_sealer: Arc<Sealer>,
    pub(crate) login_sealer: Sealer,
    pub(crate) logout_sealer: Sealer,
    pub(crate) clock: ForwardClock,
    pub(crate) flights: Flights,
    pub(crate) watches: Watches,
    pub(crate) revocations: Revocations,
    pub(crate) counts: Counts,
    pub(crate) tasks: TaskTracker,
    is_swept: AtomicBool,
    pub(crate) stop: CancellationToken,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) idle: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) max_stale: Duration,
    pub(crate) per_person: usize,
    pub(crate) role_permissions: BTreeMap<String, Vec<String>>,
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) hands_out_tokens: bool,
}

/// A store that does not answer in this time counts as away.
const STORE_LIMIT: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(30);
const SWEEP_AT_MOST: usize = 1_000;

/// Why nobody can log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("{}", self.as_str())]
pub enum Unready {
    /// The clock shows a year before 2020.
    Clock,
    /// No key of the provider was fetched.
    Keys,
    /// The provider's metadata cannot be had, or name no endpoint for logins.
    Metadata,
    /// The store does not answer.
    Store,
}

impl Unready {
    /// Returns what is missing, in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "the clock is not set",
            Self::Keys => "there are no keys of the provider yet",
            Self::Metadata => "the provider's metadata cannot be had, or lack an endpoint",
            Self::Store => "the session store does not answer",
        }
    }
}

/// A session that a request has.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) handle: Random,
    pub(crate) key: Key,
    pub(crate) row: Row,
    pub(crate) state: Arc<SessionState>,
    /// Until when there are no newer tokens, where this request has waited for them already.
    pub(crate) held: Option<Time>,
}

/// What the cookies of a request came to.
#[derive(Debug)]
pub(crate) enum Found {
    Live(Box<Live>),
    Nobody,
    /// Two live sessions: it cannot be told which one is meant.
    Two,
    Unavailable(StoreError),
}

impl WebSessions {
    /// Returns the settings for people of this provider. The secrets seal what leaves the process: cookies, and rows
    /// of a store.
    #[must_use]
    pub fn builder(provider: Provider, secrets: SessionSecrets) -> WebSessionsBuilder {
        WebSessionsBuilder::new(Arc::new(provider), secrets)
    }

    /// Begins the background work: fetching keys, and sweeping sessions that have expired. Calling it again begins
    /// nothing.
    pub fn start(&self) {
        let inner = &self.inner;
        inner.provider.start();
        if inner.is_swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let (store, stop) = (Arc::clone(&inner.store), inner.stop.clone());
        inner.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(SWEEP_EVERY) => {}
                }
                // Until there is nothing to sweep, or the store is away.
                while let Ok(Ok(SWEEP_AT_MOST)) =
                    timeout(STORE_LIMIT, store.sweep(SWEEP_AT_MOST)).await
                {}
            }
        });
    }

    /// Returns the routes below `/api/auth/`.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        crate::routes::router(self)
    }

    /// Tells whether a person could log in now. Asks the store, and the provider where its metadata were never had;
    /// takes 3 s at most unless the settings of the provider's client say otherwise.
    ///
    /// # Errors
    ///
    /// Fails with the first thing that is missing.
    pub async fn ready(&self) -> Result<(), Unready> {
        let inner = &self.inner;
        if inner.clock.is_unset() {
            return Err(Unready::Clock);
        }
        if !inner.provider.has_keys() {
            return Err(Unready::Keys);
        }
        if !inner.provider.has_endpoints().await {
            return Err(Unready::Metadata);
        }
        let asked = inner.load_row(&Key::new([0; 32])).await;
        asked.map(drop).map_err(|_| Unready::Store)
    }

    /// Returns the sessions of a person of this issuer, the oldest first.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be asked.
    pub async fn sessions_of(
        &self,
        issuer: &str,
        user_id: &str,
    ) -> Result<Vec<OtherSession>, StoreError> {
        let index = Index::of_subject(issuer, user_id);
        self.inner.sessions_of(&index, None).await
    }

    /// Ends all sessions of a person of this issuer, at whatever tenant, and revokes their refresh tokens. Returns how
    /// many there were. A login of theirs that is under way does not survive it.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be asked; some sessions may have ended then.
    pub async fn end_person(&self, issuer: &str, user_id: &str) -> Result<usize, StoreError> {
        let index = Index::of_subject(issuer, user_id);
        self.inner.end_all(&index, EndReason::Everywhere).await
    }

    /// Ends the sessions that a person of this issuer has at one tenant, for its administrator, and revokes their
    /// refresh tokens. Returns how many there were. No login of theirs that is under way survives it.
    ///
    /// # Errors
    ///
    /// Fails where the store cannot be asked; some sessions may have ended then.
    pub async fn end_person_at(
        &self,
        issuer: &str,
        user_id: &str,
        tenant_id: &str,
    ) -> Result<usize, StoreError> {
        let index = Index::of_subject(issuer, user_id);
        let inner = &self.inner;
        let is_theirs = |key: &Key, row: &Row| {
            let state = inner.state_of(key, row);
            state.is_some_and(|state| state.person.tenant_id == tenant_id)
        };
        inner.end_those(&index, EndReason::Admin, is_theirs).await
    }

    /// Ends the background work and waits for revocations under way, at most so long.
    pub async fn shutdown(&self, grace: Duration) {
        let inner = &self.inner;
        // In this order: who begins to wait in between finds that it is over.
        inner.stop.cancel();
        inner.watches.end_all();
        inner.tasks.close();
        let _ = timeout(grace, inner.tasks.wait()).await;
        inner.provider.shutdown().await;
    }
}

impl fmt::Debug for WebSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSessions")
            .field("provider", &self.inner.provider)
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Inner {
    /// Bounds a call of the store, and counts it.
    async fn bounded<T>(
        &self,
        kind: StoreCall,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let away =
            || StoreError::new(StoreErrorKind::Unavailable).with_detail("no answer within 1 s");
        let began = Instant::now();
        let answer = timeout(STORE_LIMIT, call)
            .await
            .unwrap_or_else(|_| Err(away()));
        let is_answered =
            !matches!(&answer, Err(error) if error.kind() == StoreErrorKind::Unavailable);
        self.counts.store(kind, is_answered, began.elapsed());
        answer
    }

    pub(crate) async fn load_row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.bounded(StoreCall::Load, self.store.load(key)).await
    }

    pub(crate) async fn replace_row(
        &self,
        key: &Key,
        version: u64,
        row: NewRow,
    ) -> Result<crate::store::Swap, StoreError> {
        self.bounded(StoreCall::Replace, self.store.replace(key, version, row))
            .await
    }

    pub(crate) async fn create_row(&self, key: &Key, row: NewRow) -> Result<(), StoreError> {
        self.bounded(StoreCall::Create, self.store.create(key, row))
            .await
    }

    pub(crate) async fn marked(
        &self,
        mark: &crate::store::Mark,
    ) -> Result<Option<Time>, StoreError> {
        self.bounded(StoreCall::Marked, self.store.marked(mark))
            .await
    }

    pub(crate) async fn mark(
        &self,
        mark: &crate::store::Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError> {
        self.bounded(StoreCall::Mark, self.store.mark(mark, at, lifetime))
            .await
    }

    pub(crate) async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError> {
        self.bounded(StoreCall::Find, self.store.find(index)).await
    }

    pub(crate) async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError> {
        self.bounded(StoreCall::Touch, self.store.touch(key, idle_ends))
            .await
    }

    pub(crate) async fn claim(
        &self,
        key: &Key,
        version: u64,
        lease: Duration,
    ) -> Result<crate::store::Claim, StoreError> {
        let random = crate::random::bytes();
        let owner =
            crate::store::Owner(random.map_err(|_| StoreError::new(StoreErrorKind::Sealing))?);
        self.bounded(
            StoreCall::Claim,
            self.store.claim(key, version, owner, lease),
        )
        .await
    }

    pub(crate) fn body(&self, key: Key, state: SessionState) -> crate::store::Body {
        crate::store::Body::open(state, &self.row_sealer, key)
    }

    pub(crate) fn state_of(&self, key: &Key, row: &Row) -> Option<Arc<SessionState>> {
        let state = row.body.state(&self.row_sealer, key);
        if state.is_none() {
            self.counts.unreadable_row();
        }
        state
    }

    /// Finds the session that the cookies of a request mean on this host.
    pub(crate) async fn session_of(&self, headers: &HeaderMap, origin: &Origin) -> Found {
        let cookies = Cookies::read(headers);
        let name = self.cookies.session_name();
        let handles = cookies
            .all(&name)
            .take(MAX_HANDLES)
            .filter_map(Random::parse);
        let mut found: Option<Live> = None;
        for handle in handles {
            let key = handle.key();
            if found.as_ref().is_some_and(|live| live.key == key) {
                continue;
            }
            let row = match self.load_row(&key).await {
                Ok(Some(row)) => row,
                Ok(None) => continue,
                Err(error) => return Found::Unavailable(error),
            };
            let Some(state) = self.state_of(&key, &row) else {
                continue;
            };
            if state.host != origin.host {
                continue;
            }
            if found.is_some() {
                return Found::Two;
            }
            found = Some(Live {
                handle,
                key,
                row,
                state,
                held: None,
            });
        }
        found.map_or(Found::Nobody, |live| Found::Live(Box::new(live)))
    }

    /// Ends one session: the row goes first, so that from then on the handle is nobody's on every replica. Then its
    /// streams end, and its refresh token is revoked behind. Tells whether it was there.
    pub(crate) async fn end(
        self: &Arc<Self>,
        key: &Key,
        reason: EndReason,
    ) -> Result<bool, StoreError> {
        Ok(self.end_and_revoke(key, reason).await?.is_some())
    }

    /// Does the same, and returns what resolves when the provider was asked once.
    pub(crate) async fn end_and_revoke(
        self: &Arc<Self>,
        key: &Key,
        reason: EndReason,
    ) -> Result<Option<oneshot::Receiver<()>>, StoreError> {
        let removed = self
            .bounded(StoreCall::Remove, self.store.remove(key))
            .await?;
        self.watches.end(key);
        let Some(row) = removed else {
            return Ok(None);
        };
        self.counts.ended(reason);
        if let Some(state) = self.state_of(key, &row) {
            tracing::info!(reason = reason.as_str(), person = %crate::digest_of(&state.person.subject), "session ended");
            if let Some(token) = &state.tokens.refresh {
                return Ok(Some(self.revocations.begin(self, token.clone())));
            }
        }
        // Nothing to wait for.
        let (_, revoked) = oneshot::channel();
        Ok(Some(revoked))
    }

    /// Ends all sessions of an index.
    pub(crate) async fn end_all(
        self: &Arc<Self>,
        index: &Index,
        reason: EndReason,
    ) -> Result<usize, StoreError> {
        self.end_those(index, reason, |_, _| true).await
    }

    /// Ends those sessions of an index. The mark goes first, so that a login that began before either sees it or is
    /// seen here.
    async fn end_those(
        self: &Arc<Self>,
        index: &Index,
        reason: EndReason,
        is_meant: impl Fn(&Key, &Row) -> bool,
    ) -> Result<usize, StoreError> {
        let mark = crate::store::Mark::LoggedOut(*index);
        self.mark(&mark, self.clock.now(), crate::cookies::LOGIN_LIFETIME)
            .await?;
        let mut ended = 0;
        for key in self.find(index).await? {
            let Some(row) = self.load_row(&key).await? else {
                continue;
            };
            if is_meant(&key, &row) {
                ended += usize::from(self.end(&key, reason).await?);
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use token_endpoint::SecretString;

    use super::*;

    #[tokio::test]
    async fn starting_again_starts_nothing() {
        let provider =
            Provider::builder("web", SecretString::from("s")).issuer("http://127.0.0.1:1");
        let secrets = SessionSecrets::from_text(&"s".repeat(32)).unwrap();
        let sessions = WebSessions::builder(provider.build().unwrap(), secrets);
        let sessions = sessions.public_url("http://localhost:1").build().unwrap();
        for _ in 0..3 {
            sessions.start();
        }
        assert_eq!(sessions.inner.tasks.len(), 1);
        sessions.shutdown(Duration::from_secs(1)).await;
    }
}
