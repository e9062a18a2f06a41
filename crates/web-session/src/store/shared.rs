//! A store that several share.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Claim, Index, Key, Mark, NewRow, Owner, Row, SessionStore, StoreError, Swap, Time};

#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    async fn create(&self, key: &Key, row: NewRow) -> Result<(), StoreError> {
        (**self).create(key, row).await
    }

    async fn load(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        (**self).load(key).await
    }

    async fn replace(&self, key: &Key, version: u64, row: NewRow) -> Result<Swap, StoreError> {
        (**self).replace(key, version, row).await
    }

    async fn claim(
        &self,
        key: &Key,
        version: u64,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        (**self).claim(key, version, owner, lease).await
    }

    async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError> {
        (**self).touch(key, idle_ends).await
    }

    async fn remove(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        (**self).remove(key).await
    }

    async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError> {
        (**self).find(index).await
    }

    async fn mark(
        &self,
        mark: &Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError> {
        (**self).mark(mark, at, lifetime).await
    }

    async fn marked(&self, mark: &Mark) -> Result<Option<Time>, StoreError> {
        (**self).marked(mark).await
    }

    async fn sweep(&self, at_most: usize) -> Result<usize, StoreError> {
        (**self).sweep(at_most).await
    }
}
