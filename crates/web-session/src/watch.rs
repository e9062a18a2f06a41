//! Answers that last as long as a session does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::sessions::Inner;
use crate::store::Key;

/// How often the row of a session with open streams is read: another replica may have ended it.
const READ_EVERY: Duration = Duration::from_secs(15);

/// The sessions of this process that something waits for the end of.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    by_key: Mutex<HashMap<Key, watch::Sender<bool>>>,
}

impl Watches {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, watch::Sender<bool>>> {
        // Nothing can panic while the lock is held but the allocator.
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn end(&self, key: &Key) {
        if let Some(sender) = self.lock().remove(key) {
            sender.send_replace(true);
        }
    }

    pub(crate) fn end_all(&self) {
        for (_, sender) in self.lock().drain() {
            sender.send_replace(true);
        }
    }

    /// Returns what turns true when the session ends. One task per session reads its row.
    pub(crate) fn subscribe(&self, inner: &Arc<Inner>, key: Key) -> watch::Receiver<bool> {
        let mut by_key = self.lock();
        if let Some(sender) = by_key.get(&key) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(inner.stop.is_cancelled());
        by_key.insert(key, sender);
        drop(by_key);
        let (weak, stop) = (Arc::downgrade(inner), inner.stop.clone());
        inner.tasks.spawn(async move {
            // At once for the first time: it may have ended before anything listened.
            loop {
                let Some(inner) = weak.upgrade() else {
                    return;
                };
                // While the store is away nobody knows; the session's own limits hold all the same.
                if let Ok(None) = inner.load_row(&key).await {
                    inner.watches.end(&key);
                    return;
                }
                drop(inner);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(READ_EVERY) => {}
                }
                if weak
                    .upgrade()
                    .is_none_or(|inner| inner.watches.is_unheard(&key))
                {
                    return;
                }
            }
        });
        receiver
    }

    /// Forgets a session that nothing waits for any more, and tells whether that is so.
    fn is_unheard(&self, key: &Key) -> bool {
        let mut by_key = self.lock();
        match by_key.get(key) {
            Some(sender) if sender.receiver_count() > 0 => false,
            _ => {
                by_key.remove(key);
                true
            }
        }
    }
}
