//! Where sessions are kept.

mod body;
mod memory;
mod shared;
#[cfg(any(test, feature = "store-suite"))]
pub mod suite;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use self::body::Body;
pub use self::memory::MemoryStore;
pub use crate::time::{ForwardClock, Time};

/// The key of a session's row: SHA-256 of the handle in the cookie. Who reads the store cannot make a cookie of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

/// What rows are found by besides: SHA-256 of a person (`iss` and `sub`), of a tenant (`iss` and its id) or of a session
/// at the provider (`iss` and `sid`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Index([u8; 32]);

/// Who holds a lease: random, new for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub [u8; 16]);

/// Something that happened once, to be known on every replica for a while.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Used up: the `state` of a login, the `jti` of a logout token. The first time stays.
    Used([u8; 32]),
    /// Logged out: a person, or a session at the provider. The last time stays.
    LoggedOut(Index),
}

/// A lease on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub owner: Owner,
    /// When it ends, by the store's clock.
    pub ends: Time,
}

/// A session as a store keeps it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Grows by one with each [`replace`](SessionStore::replace) and [`claim`](SessionStore::claim).
    pub version: u64,
    /// The session, opaque.
    pub body: Body,
    /// The person.
    pub subject: Index,
    /// The tenant that the person is at.
    pub tenant: Index,
    /// The session at the provider, where it has a `sid`.
    pub session: Option<Index>,
    /// When the session ends unless there is activity.
    pub idle_ends: Time,
    /// When it ends whatever happens.
    pub ends: Time,
    /// The lease that was taken last; it may have ended.
    pub lease: Option<Lease>,
}

/// What is written of a session.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// The session, opaque.
    pub body: Body,
    /// The person.
    pub subject: Index,
    /// The tenant that the person is at.
    pub tenant: Index,
    /// The session at the provider, where it has a `sid`.
    pub session: Option<Index>,
    /// When the session ends unless there is activity.
    pub idle_ends: Time,
    /// When it ends whatever happens.
    pub ends: Time,
    /// Whether a lease on the row that is replaced goes on.
    pub keeps_lease: bool,
}

/// What came of a [`replace`](SessionStore::replace).
#[derive(Clone, Debug)]
pub enum Swap {
    /// The row is the new one, with the version after the one that was named.
    Swapped,
    /// Somebody else was first; this is the row.
    Changed(Box<Row>),
    /// There is no such session any more.
    Gone,
}

/// What came of a [`claim`](SessionStore::claim).
#[derive(Clone, Debug)]
pub enum Claim {
    /// The lease is the caller's; this is the row with it.
    Claimed(Box<Row>),
    /// The version is another one, or somebody else's lease runs; this is the row.
    Changed(Box<Row>),
    /// There is no such session any more.
    Gone,
}

/// Why a store did not do what it was asked.
///
/// Holds no key and nothing of a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}", .detail.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
pub struct StoreError {
    kind: StoreErrorKind,
    detail: Option<String>,
}

/// The class of a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It cannot be reached, did not answer within 1 s, or failed.
    #[error("the session store cannot be used")]
    Unavailable,
    /// It holds as many sessions as it can.
    #[error("the session store is full")]
    Full,
    /// A row with this key exists.
    #[error("the session exists already")]
    Exists,
    /// The system gives no random numbers, or a row cannot be written as bytes.
    #[error("a session cannot be sealed")]
    Sealing,
}

/// A store of sessions, shared by any number of replicas.
///
/// A row that has expired by the store's clock is not there, for any method; [`sweep`](Self::sweep) gives its
/// room back. Callers bound each call to 1 s and drop its future then: a call that is dropped has had its effect or
/// not, and leaves nothing half done.
///
/// # Errors
///
/// Every method fails with [`StoreErrorKind::Unavailable`] where the store cannot be asked.
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a row with version 1. Fails with [`StoreErrorKind::Exists`] where the key has one, and with
    /// [`StoreErrorKind::Full`].
    async fn create(&self, key: &Key, row: NewRow) -> Result<(), StoreError>;

    /// Returns a row.
    async fn load(&self, key: &Key) -> Result<Option<Row>, StoreError>;

    /// Replaces the row of this version, and ends its lease unless the new row keeps it.
    /// `idle_ends` never moves back.
    async fn replace(&self, key: &Key, version: u64, row: NewRow) -> Result<Swap, StoreError>;

    /// Takes the lease of the row of this version for so long, unless another one runs.
    async fn claim(
        &self,
        key: &Key,
        version: u64,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreError>;

    /// Moves `idle_ends` to a later time; to an earlier one it does nothing. The version stays.
    async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError>;

    /// Removes a row and returns it.
    async fn remove(&self, key: &Key) -> Result<Option<Row>, StoreError>;

    /// Returns the keys of the rows with this person, tenant or session at the provider, in any order.
    async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError>;

    /// Remembers a mark for at least `lifetime` and returns the time that it had before, if any.
    async fn mark(
        &self,
        mark: &Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError>;

    /// Returns the time of a mark.
    async fn marked(&self, mark: &Mark) -> Result<Option<Time>, StoreError>;

    /// Removes at most so many rows and marks that have expired, and returns how many it did. A store that
    /// does so by itself returns 0.
    async fn sweep(&self, at_most: usize) -> Result<usize, StoreError>;
}

impl Key {
    /// Returns the key with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Index {
    /// Returns the index with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn of_subject(issuer: &str, subject: &str) -> Self {
        Self(crate::digest(&[
            b"sub",
            issuer.as_bytes(),
            subject.as_bytes(),
        ]))
    }

    pub(crate) fn of_tenant(issuer: &str, tenant_id: &str) -> Self {
        Self(crate::digest(&[
            b"tenant",
            issuer.as_bytes(),
            tenant_id.as_bytes(),
        ]))
    }

    pub(crate) fn of_session(issuer: &str, sid: &str) -> Self {
        Self(crate::digest(&[b"sid", issuer.as_bytes(), sid.as_bytes()]))
    }
}

impl Mark {
    /// Returns the bytes that tell it from every other mark.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 33] {
        let (kind, hash) = match self {
            Self::Used(hash) => (b'u', hash),
            Self::LoggedOut(index) => (b'l', index.as_bytes()),
        };
        let mut bytes = [kind; 33];
        bytes[1..].copy_from_slice(hash);
        bytes
    }
}

impl Row {
    /// Returns what replaces the row and changes nothing of it.
    #[must_use]
    pub fn to_new(&self) -> NewRow {
        NewRow {
            body: self.body.clone(),
            subject: self.subject,
            tenant: self.tenant,
            session: self.session,
            idle_ends: self.idle_ends,
            ends: self.ends,
            keeps_lease: true,
        }
    }

    /// Returns what the row is found by.
    pub fn indexes(&self) -> impl Iterator<Item = Index> + use<> {
        [Some(self.subject), Some(self.tenant), self.session]
            .into_iter()
            .flatten()
    }

    /// Tells whether the session has ended.
    #[must_use]
    pub fn has_expired(&self, now: Time) -> bool {
        now >= self.idle_ends.min(self.ends)
    }
}

impl StoreError {
    /// Returns an error of this kind.
    #[must_use]
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, detail: None }
    }

    /// Adds a text for the log. It must hold no key and nothing of a row.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        self.detail = Some(idp_http::printable(detail));
        self
    }

    /// Returns the class of the failure.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

/// Shows nothing of the key: it is as good as a name for a person's session.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Index")
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Used(_) => "Used",
            Self::LoggedOut(_) => "LoggedOut",
        })
    }
}
