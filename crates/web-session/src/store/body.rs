//! What a row says, which is for no store to read.

use std::fmt;
use std::sync::{Arc, OnceLock};

use sealing::Sealer;
use zeroize::Zeroizing;

use super::{Key, StoreError, StoreErrorKind};
use crate::state::SessionState;

/// A session, opaque to the store that keeps it.
///
/// A store in the same process keeps the value itself: cloning it costs a reference count. One that writes bytes
/// takes [`sealed`](Self::sealed) and gives back [`from_sealed`](Self::from_sealed): they are encrypted, tied to
/// the row's key, and can neither be read nor moved to another row.
#[derive(Clone)]
pub struct Body(Arc<Kept>);

enum Kept {
    Open {
        state: Arc<SessionState>,
        sealer: Arc<Sealer>,
        key: Key,
    },
    Sealed {
        bytes: Vec<u8>,
        opened: OnceLock<Option<Arc<SessionState>>>,
    },
}

impl Body {
    /// Returns the body that these bytes are; whether they are one is found out when it is used.
    #[must_use]
    pub fn from_sealed(bytes: Vec<u8>) -> Self {
        let opened = OnceLock::new();
        Self(Arc::new(Kept::Sealed { bytes, opened }))
    }

    /// Returns the bytes to keep. They differ from call to call.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreErrorKind::Sealing`] where the system has no random numbers.
    pub fn sealed(&self) -> Result<Vec<u8>, StoreError> {
        let failed = |_| StoreError::new(StoreErrorKind::Sealing);
        match &*self.0 {
            Kept::Sealed { bytes, .. } => Ok(bytes.clone()),
            Kept::Open { state, sealer, key } => {
                let json = serde_json::to_vec(&**state).map(Zeroizing::new);
                let json = json.map_err(|_| StoreError::new(StoreErrorKind::Sealing))?;
                sealer.seal(&json, key.as_bytes()).map_err(failed)
            }
        }
    }

    pub(crate) fn open(state: SessionState, sealer: &Arc<Sealer>, key: Key) -> Self {
        Self(Arc::new(Kept::Open {
            state: Arc::new(state),
            sealer: Arc::clone(sealer),
            key,
        }))
    }

    /// Returns the session, or nothing where the bytes are not what was sealed under this key.
    pub(crate) fn state(&self, sealer: &Sealer, key: &Key) -> Option<Arc<SessionState>> {
        match &*self.0 {
            Kept::Open {
                state, key: own, ..
            } => (own == key).then(|| Arc::clone(state)),
            Kept::Sealed { bytes, opened } => {
                let open = || {
                    let json = sealer.open(bytes, key.as_bytes())?;
                    serde_json::from_slice(&json).map(Arc::new).ok()
                };
                opened.get_or_init(open).clone()
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}
