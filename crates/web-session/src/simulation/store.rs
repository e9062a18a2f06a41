//! The store of all processes, over a network that is slow and loses calls and answers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sealing::{Sealer, Secrets};

use super::{Replica, World};
use crate::store::{
    Claim, Index, Key, Mark, MemoryStore, NewRow, Owner, Row, SessionStore, StoreError,
    StoreErrorKind, Swap,
};
use crate::time::Time;

pub(super) struct Shaky {
    world: Arc<World>,
    store: Arc<MemoryStore>,
    replica: Replica,
    /// Opens what this process wrote.
    sealer: Sealer,
}

impl std::fmt::Debug for Shaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shaky")
    }
}

impl Shaky {
    pub(super) fn new(world: &Arc<World>, store: &Arc<MemoryStore>, replica: &Replica) -> Self {
        let secrets = Secrets::from_text("0123456789abcdef0123456789abcdef").unwrap();
        Self {
            world: Arc::clone(world),
            store: Arc::clone(store),
            replica: replica.clone(),
            sealer: secrets.purpose("row"),
        }
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let world = &self.world;
        let away = || {
            world.store_fails();
            StoreError::new(StoreErrorKind::Unavailable)
        };
        self.replica.wait(world.millis(0..20)).await;
        if world.chance(150) {
            return Err(away());
        }
        if world.chance(300) {
            world.store_fails();
            self.replica
                .wait(Duration::from_millis(900) + world.millis(0..400))
                .await;
        }
        let answer = call.await;
        if world.chance(150) {
            return Err(away());
        }
        self.replica.wait(world.millis(0..20)).await;
        answer
    }

    fn generation(&self, key: &Key, row: &Row) -> u64 {
        row.body.state(&self.sealer, key).unwrap().tokens.generation
    }
}

#[async_trait]
impl SessionStore for Shaky {
    async fn create(&self, key: &Key, row: NewRow) -> Result<(), StoreError> {
        self.call(self.store.create(key, row)).await
    }

    async fn load(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.call(self.store.load(key)).await
    }

    async fn replace(&self, key: &Key, version: u64, row: NewRow) -> Result<Swap, StoreError> {
        let swap = async {
            let before = self.store.load(key).await?;
            let new = row.body.state(&self.sealer, key).unwrap().tokens.generation;
            let swap = self.store.replace(key, version, row).await?;
            if let (Swap::Swapped, Some(before)) = (&swap, before) {
                let old = self.generation(key, &before);
                assert!(new == old || new == old + 1, "6: {old} became {new}");
            }
            Ok(swap)
        };
        self.call(swap).await
    }

    async fn claim(
        &self,
        key: &Key,
        version: u64,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        self.call(self.store.claim(key, version, owner, lease))
            .await
    }

    async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError> {
        self.call(self.store.touch(key, idle_ends)).await
    }

    async fn remove(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.call(self.store.remove(key)).await
    }

    async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError> {
        self.call(self.store.find(index)).await
    }

    async fn mark(
        &self,
        mark: &Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError> {
        self.call(self.store.mark(mark, at, lifetime)).await
    }

    async fn marked(&self, mark: &Mark) -> Result<Option<Time>, StoreError> {
        self.call(self.store.marked(mark)).await
    }

    async fn sweep(&self, at_most: usize) -> Result<usize, StoreError> {
        self.call(self.store.sweep(at_most)).await
    }
}
