//! Since when an issuer has published its keys, and which ones it has withdrawn.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::key::KeyIdentity;
use crate::key_set::KeySet;

/// The keys of one issuer as they came and went. Kept for explanations only; decides nothing.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    current: Vec<(Arc<KeyIdentity>, Instant)>,
    /// Withdrawn keys with the time of the fetch that lacked them, the oldest first.
    withdrawn: Vec<(Arc<KeyIdentity>, Instant)>,
}

/// Some rotations: an operator asks about what happened lately.
const MAX_WITHDRAWN: usize = 16;

/// What there is to say about an issuer's keys now.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyHistory {
    /// Time since the issuer last confirmed the set.
    pub(crate) confirmed: Option<Duration>,
    pub(crate) current: Vec<(Arc<KeyIdentity>, Duration)>,
    pub(crate) withdrawn: Vec<(Arc<KeyIdentity>, Duration)>,
}

impl Sightings {
    /// Notes the set that a fetch brought.
    pub(crate) fn note(&mut self, keys: &KeySet, now: Instant) {
        let is_published = |known: &KeyIdentity| keys.identities().any(|key| **key == *known);
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.current)
            .into_iter()
            .partition(|(key, _)| is_published(key));
        self.current = kept;
        self.withdrawn.retain(|(key, _)| !is_published(key));
        self.withdrawn
            .extend(gone.into_iter().map(|(key, _)| (key, now)));
        let surplus = self.withdrawn.len().saturating_sub(MAX_WITHDRAWN);
        self.withdrawn.drain(..surplus);
        for key in keys.identities() {
            if !self.current.iter().any(|(known, _)| **known == **key) {
                self.current.push((Arc::clone(key), now));
            }
        }
    }

    pub(crate) fn history(&self, confirmed: Option<Duration>) -> KeyHistory {
        let aged = |keys: &[(Arc<KeyIdentity>, Instant)]| {
            keys.iter()
                .map(|(key, at)| (Arc::clone(key), at.elapsed()))
                .collect()
        };
        KeyHistory {
            confirmed,
            current: aged(&self.current),
            withdrawn: aged(&self.withdrawn),
        }
    }
}
