//! The keys of one purpose, derived anew when the secrets were replaced.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::Secrets;
use crate::secrets::{KeyId, List, Secret};

/// What a derived key is used as.
pub(crate) trait Key {
    /// What keeps the keys of this use apart from others with the same purpose.
    const USE: &'static str;

    fn new(bytes: &[u8; 32]) -> Self;
}

pub(crate) struct Keyring<K> {
    secrets: Secrets,
    pub(crate) purpose: &'static str,
    derived: ArcSwap<Keys<K>>,
}

/// The keys of one list, in its order.
pub(crate) struct Keys<K> {
    list: Arc<List>,
    keys: Vec<(KeyId, K)>,
}

impl<K: Key> Keyring<K> {
    pub(crate) fn new(secrets: Secrets, purpose: &'static str) -> Self {
        let keys = Keys::derive(Guard::into_inner(secrets.list()), purpose);
        Self {
            secrets,
            purpose,
            derived: ArcSwap::from_pointee(keys),
        }
    }

    pub(crate) fn keys(&self) -> Guard<Arc<Keys<K>>> {
        let derived = self.derived.load();
        let list = self.secrets.list();
        if Arc::ptr_eq(&derived.list, &list) {
            return derived;
        }
        // Callers may do this at the same time, and one with an older list may come last. The next one
        // notices.
        let keys = Arc::new(Keys::derive(Guard::into_inner(list), self.purpose));
        self.derived.store(Arc::clone(&keys));
        Guard::from_inner(keys)
    }

    pub(crate) fn count(&self) -> usize {
        self.secrets.list().0.len()
    }
}

impl<K: Key> Keys<K> {
    fn derive(list: Arc<List>, purpose: &str) -> Self {
        let key = |secret: &Secret| K::new(&secret.key(K::USE, purpose));
        let keys = list.0.iter().map(|secret| (secret.id, key(secret)));
        Self {
            keys: keys.collect(),
            list,
        }
    }

    /// A list is never empty.
    pub(crate) fn first(&self) -> &(KeyId, K) {
        &self.keys[0]
    }

    pub(crate) fn with_id(&self, id: KeyId) -> Option<&K> {
        let mut keys = self.keys.iter();
        keys.find(|(found, _)| *found == id).map(|(_, key)| key)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &K> {
        self.keys.iter().map(|(_, key)| key)
    }
}
