//! A replica that is killed while it refreshes: its store goes on, and it is not heard of any more.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use web_session::SessionStore;
use web_session::store::{Claim, Index, Key, Mark, NewRow, Owner, Row, StoreError, Swap, Time};

#[derive(Debug)]
pub(super) struct Dying {
    store: Arc<dyn SessionStore>,
    dies: Dies,
    /// How often a claim was refused; one when it has died.
    events: watch::Sender<usize>,
}

#[derive(Debug, PartialEq, Eq)]
enum Dies {
    Never,
    AfterClaim,
    AfterExchange,
}

impl Dying {
    fn new(store: Arc<dyn SessionStore>, dies: Dies) -> (Self, watch::Receiver<usize>) {
        let (events, seen) = watch::channel(0);
        let store = Self {
            store,
            dies,
            events,
        };
        (store, seen)
    }

    /// With what tells how often somebody else's lease ran.
    pub(super) fn never(store: Arc<dyn SessionStore>) -> (Self, watch::Receiver<usize>) {
        Self::new(store, Dies::Never)
    }

    /// With what tells that it has died.
    pub(super) fn after_claim(store: Arc<dyn SessionStore>) -> (Self, watch::Receiver<usize>) {
        Self::new(store, Dies::AfterClaim)
    }

    /// With what tells that it has died.
    pub(super) fn after_exchange(store: Arc<dyn SessionStore>) -> (Self, watch::Receiver<usize>) {
        Self::new(store, Dies::AfterExchange)
    }

    async fn die<T>(&self) -> T {
        self.events.send_replace(1);
        std::future::pending().await
    }
}

#[async_trait]
impl SessionStore for Dying {
    async fn create(&self, key: &Key, row: NewRow) -> Result<(), StoreError> {
        self.store.create(key, row).await
    }

    async fn load(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.store.load(key).await
    }

    async fn replace(&self, key: &Key, version: u64, row: NewRow) -> Result<Swap, StoreError> {
        if self.dies == Dies::AfterExchange {
            return self.die().await;
        }
        self.store.replace(key, version, row).await
    }

    async fn claim(
        &self,
        key: &Key,
        version: u64,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        let claim = self.store.claim(key, version, owner, lease).await;
        if self.dies == Dies::AfterClaim {
            return self.die().await;
        }
        if matches!(claim, Ok(Claim::Changed(_))) {
            self.events.send_modify(|count| *count += 1);
        }
        claim
    }

    async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError> {
        self.store.touch(key, idle_ends).await
    }

    async fn remove(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.store.remove(key).await
    }

    async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError> {
        self.store.find(index).await
    }

    async fn mark(
        &self,
        mark: &Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError> {
        self.store.mark(mark, at, lifetime).await
    }

    async fn marked(&self, mark: &Mark) -> Result<Option<Time>, StoreError> {
        self.store.marked(mark).await
    }

    async fn sweep(&self, at_most: usize) -> Result<usize, StoreError> {
        self.store.sweep(at_most).await
    }
}
