//! The store of one process.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use clock::{Clock, SystemClock};

use super::{
    Claim, Index, Key, Lease, Mark, NewRow, Owner, Row, SessionStore, StoreError, StoreErrorKind,
    Swap,
};
use crate::time::{ForwardClock, Time};

/// Requests of different people seldom wait for the same lock.
const SHARDS: usize = 16;

/// Keeps sessions in the memory of one process, and ends them with it.
///
/// At its limit it refuses further logins and keeps the sessions that it has.
#[derive(Debug)]
pub struct MemoryStore {
    shards: [Mutex<HashMap<Key, Row>>; SHARDS],
    indexes: Mutex<HashMap<Index, HashSet<Key>>>,
    marks: Mutex<HashMap<Mark, Marked>>,
    count: AtomicUsize,
    limit: usize,
    clock: ForwardClock,
}

#[derive(Debug)]
struct Marked {
    at: Time,
    ends: Time,
}

impl MemoryStore {
    /// Returns a store for at most so many sessions.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self::with_clock(limit, Arc::new(SystemClock))
    }

    /// Returns a store that goes by this clock.
    #[must_use]
    pub fn with_clock(limit: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            indexes: Mutex::default(),
            marks: Mutex::default(),
            count: AtomicUsize::new(0),
            limit,
            clock: ForwardClock::new(clock),
        }
    }

    /// Returns how many sessions there are, those that have expired and were not swept included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Row>> {
        lock(&self.shards[usize::from(key.as_bytes()[0]) % SHARDS])
    }

    fn index(&self, key: &Key, row: &Row) {
        let mut indexes = lock(&self.indexes);
        for index in row.indexes() {
            indexes.entry(index).or_default().insert(*key);
        }
    }

    fn unindex(&self, key: &Key, row: &Row) {
        let mut indexes = lock(&self.indexes);
        for index in row.indexes() {
            if let Some(keys) = indexes.get_mut(&index) {
                keys.remove(key);
                if keys.is_empty() {
                    indexes.remove(&index);
                }
            }
        }
    }

    fn forget(&self, key: &Key, row: &Row) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.unindex(key, row);
    }

    /// Returns the row to change, and removes one that has expired.
    fn live<'s>(&self, shard: &'s mut HashMap<Key, Row>, key: &Key) -> Option<&'s mut Row> {
        let now = self.clock.now();
        if shard.get(key)?.has_expired(now) {
            if let Some(row) = shard.remove(key) {
                self.forget(key, &row);
            }
            return None;
        }
        shard.get_mut(key)
    }
}

/// Nothing that could leave a value half changed panics while a lock is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn create(&self, key: &Key, row: NewRow) -> Result<(), StoreError> {
        let mut shard = self.shard(key);
        if self.live(&mut shard, key).is_some() {
            return Err(StoreError::new(StoreErrorKind::Exists));
        }
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        let row = row.into_row(1, None);
        self.index(key, &row);
        shard.insert(*key, row);
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let mut shard = self.shard(key);
        Ok(self.live(&mut shard, key).cloned())
    }

    async fn replace(&self, key: &Key, version: u64, row: NewRow) -> Result<Swap, StoreError> {
        let mut shard = self.shard(key);
        let Some(current) = self.live(&mut shard, key) else {
            return Ok(Swap::Gone);
        };
        if current.version != version {
            return Ok(Swap::Changed(Box::new(current.clone())));
        }
        let idle_ends = current.idle_ends.max(row.idle_ends);
        let lease = current.lease.filter(|_| row.keeps_lease);
        let mut new = row.into_row(version + 1, lease);
        new.idle_ends = idle_ends;
        if !new.indexes().eq(current.indexes()) {
            self.unindex(key, current);
            self.index(key, &new);
        }
        *current = new;
        Ok(Swap::Swapped)
    }

    async fn claim(
        &self,
        key: &Key,
        version: u64,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        let now = self.clock.now();
        let mut shard = self.shard(key);
        let Some(current) = self.live(&mut shard, key) else {
            return Ok(Claim::Gone);
        };
        if current.version != version || current.lease.is_some_and(|lease| now < lease.ends) {
            return Ok(Claim::Changed(Box::new(current.clone())));
        }
        let ends = now.plus(lease);
        current.lease = Some(Lease { owner, ends });
        current.version += 1;
        Ok(Claim::Claimed(Box::new(current.clone())))
    }

    async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError> {
        let mut shard = self.shard(key);
        if let Some(row) = self.live(&mut shard, key) {
            row.idle_ends = row.idle_ends.max(idle_ends);
        }
        Ok(())
    }

    async fn remove(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let mut shard = self.shard(key);
        if self.live(&mut shard, key).is_none() {
            return Ok(None);
        }
        let row = shard.remove(key);
        if let Some(row) = &row {
            self.forget(key, row);
        }
        Ok(row)
    }

    async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError> {
        let keys: Vec<Key> = lock(&self.indexes)
            .get(index)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let is_live = |key: &Key| self.live(&mut self.shard(key), key).is_some();
        Ok(keys.into_iter().filter(is_live).collect())
    }

    async fn mark(
        &self,
        mark: &Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError> {
        let now = self.clock.now();
        let mut marks = lock(&self.marks);
        let before = marks.get(mark).filter(|known| now < known.ends);
        let before = before.map(|known| known.at);
        let at = match (mark, before) {
            (Mark::Used(_), Some(first)) => first,
            (Mark::LoggedOut(_), Some(last)) => last.max(at),
            (_, None) => at,
        };
        let ends = now.plus(lifetime);
        marks.insert(*mark, Marked { at, ends });
        Ok(before)
    }

    async fn marked(&self, mark: &Mark) -> Result<Option<Time>, StoreError> {
        let now = self.clock.now();
        let marks = lock(&self.marks);
        let known = marks.get(mark).filter(|known| now < known.ends);
        Ok(known.map(|known| known.at))
    }

    async fn sweep(&self, at_most: usize) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut swept = 0;
        for shard in &self.shards {
            let mut shard = lock(shard);
            let expired = shard.iter().filter(|(_, row)| row.has_expired(now));
            let expired: Vec<Key> = expired.map(|(key, _)| *key).take(at_most - swept).collect();
            swept += expired.len();
            for key in expired {
                if let Some(row) = shard.remove(&key) {
                    self.forget(&key, &row);
                }
            }
        }
        let mut marks = lock(&self.marks);
        let expired = marks.iter().filter(|(_, known)| now >= known.ends);
        let expired: Vec<Mark> = expired
            .map(|(mark, _)| *mark)
            .take(at_most - swept)
            .collect();
        for mark in &expired {
            marks.remove(mark);
        }
        Ok(swept + expired.len())
    }
}

impl NewRow {
    fn into_row(self, version: u64, lease: Option<Lease>) -> Row {
        Row {
            version,
            body: self.body,
            subject: self.subject,
            tenant: self.tenant,
            session: self.session,
            idle_ends: self.idle_ends,
            ends: self.ends,
            lease,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> Option<(MemoryStore, ())> {
        Some((MemoryStore::new(1_000), ()))
    }

    crate::store_suite!(fresh);
}
