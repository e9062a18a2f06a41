//! What happened, counted once: the status page and the metrics read the same.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

pub use sealing::OpenCounts;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the name for logs and metric labels.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

labels! {
    /// Why a session ended.
    EndReason {
        /// By its person.
        Logout = "logout",
        /// All of a person's.
        Everywhere = "everywhere",
        /// By an administrator of the tenant.
        Admin = "admin",
        /// By the provider (OpenID Connect Back-Channel Logout 1.0).
        BackChannel = "backchannel",
        /// By a logout that came while it was made.
        LoggedOut = "logged_out",
        /// The provider refused its refresh token.
        RefreshRefused = "refresh_refused",
        /// The same, after a refresh whose answer was lost.
        LostInFlight = "lost_in_flight",
        /// The reply to a refresh was about somebody else.
        OtherPerson = "other_person",
        /// By a later login in the same browser.
        Replaced = "replaced",
        /// By one session too many.
        Limit = "limit",
    }
}

labels! {
    /// What a login came to.
    LoginOutcome {
        /// A session.
        SignedIn = "signed_in",
        /// Begun again, once.
        Restarted = "restarted",
        /// An answer of the browser or the provider that cannot be used.
        Failed = "failed",
        /// The person or the provider said no.
        Denied = "denied",
        /// The provider refuses the client, or answers nonsense.
        ProviderRefuses = "provider_refuses",
        /// The provider is away.
        ProviderAway = "provider_away",
        /// The store is away, or full.
        StoreAway = "store_away",
    }
}

labels! {
    /// What a refresh came to.
    RefreshOutcome {
        /// New tokens.
        Refreshed = "refreshed",
        /// Another replica was faster.
        ByAnother = "by_another",
        /// The session ended.
        Ended = "ended",
        /// The provider could not serve; the session is kept.
        Failed = "failed",
        /// The store could not be used.
        StoreAway = "store_away",
    }
}

labels! {
    /// Why a request that changes something was refused: it may come from a page of somebody else.
    CsrfRefusal {
        /// The page is of another site.
        Site = "site",
        /// The origin is not ours, or is not told.
        Origin = "origin",
        /// There is no token, or it is not of this session.
        Token = "token",
    }
}

labels! {
    /// A call of the session store.
    StoreCall {
        /// A session was written for the first time.
        Create = "create",
        /// A session was read.
        Load = "load",
        /// A session was written over.
        Replace = "replace",
        /// A lease was asked for.
        Claim = "claim",
        /// An activity was written.
        Touch = "touch",
        /// A session was removed.
        Remove = "remove",
        /// Sessions were looked for by an index.
        Find = "find",
        /// A mark was set.
        Mark = "mark",
        /// A mark was read.
        Marked = "marked",
    }
}

labels! {
    /// What a sealed value is for.
    Sealed {
        /// The row of a session.
        Row = "row",
        /// The cookie of a login under way.
        Login = "login",
        /// The cookie of a logout under way.
        Logout = "logout",
    }
}

/// How the calls of one kind went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCounts {
    /// Those that were answered, however.
    pub answered: u64,
    /// Those that failed or took longer than 1 s. A full store and a key that exists are answers.
    pub failed: u64,
    /// How long all of them took together.
    pub took: Duration,
}

#[derive(Debug, Default)]
struct StoreCounters {
    answered: AtomicU64,
    failed: AtomicU64,
    nanoseconds: AtomicU64,
}

/// Counts somebody as waiting until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'c>(&'c AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Counts {
    logins: [AtomicU64; LoginOutcome::ALL.len()],
    refreshes: [AtomicU64; RefreshOutcome::ALL.len()],
    ended: [AtomicU64; EndReason::ALL.len()],
    csrf_refused: [AtomicU64; CsrfRefusal::ALL.len()],
    store: [StoreCounters; StoreCall::ALL.len()],
    unreadable_rows: AtomicU64,
    refused_logins: AtomicU64,
    waiting: AtomicUsize,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            logins: std::array::from_fn(|_| AtomicU64::new(0)),
            refreshes: std::array::from_fn(|_| AtomicU64::new(0)),
            ended: std::array::from_fn(|_| AtomicU64::new(0)),
            csrf_refused: std::array::from_fn(|_| AtomicU64::new(0)),
            store: std::array::from_fn(|_| StoreCounters::default()),
            unreadable_rows: AtomicU64::new(0),
            refused_logins: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }
}

/// How sessions are doing: counts since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionHealth {
    /// Logins by outcome.
    pub logins: Vec<(LoginOutcome, u64)>,
    /// Logins that ended as [`LoginOutcome::ProviderRefuses`] since somebody signed in last.
    pub refused_logins: u64,
    /// Refreshes by outcome.
    pub refreshes: Vec<(RefreshOutcome, u64)>,
    /// Sessions that ended, by reason. Those that expired are not among them.
    pub ended: Vec<(EndReason, u64)>,
    /// Requests that were refused because they may come from a page that is not ours, by what told so.
    pub csrf_refused: Vec<(CsrfRefusal, u64)>,
    /// Sealed values that were opened, and those that were not, by what they are for.
    pub unsealed: Vec<(Sealed, OpenCounts)>,
    /// Calls of the store, by kind.
    pub store: Vec<(StoreCall, StoreCounts)>,
    /// Rows that could not be opened: sealed with a secret that was removed or is not here yet, or altered.
    pub unreadable_rows: u64,
    /// Revocations that have not ended yet.
    pub revocations_waiting: usize,
    /// Refreshes under way.
    pub refreshing: usize,
    /// Requests that wait for one.
    pub waiters: usize,
}

impl Counts {
    pub(crate) fn login(&self, outcome: LoginOutcome) {
        match outcome {
            LoginOutcome::SignedIn => self.refused_logins.store(0, Ordering::Relaxed),
            LoginOutcome::ProviderRefuses => {
                self.refused_logins.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        self.logins[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refresh(&self, outcome: RefreshOutcome) {
        self.refreshes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, reason: EndReason) {
        self.ended[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn csrf_refused(&self, why: CsrfRefusal) {
        self.csrf_refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn store(&self, call: StoreCall, is_answered: bool, took: Duration) {
        let counters = &self.store[call as usize];
        let counter = match is_answered {
            true => &counters.answered,
            false => &counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counters
            .nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
    }

    fn store_calls(&self) -> Vec<(StoreCall, StoreCounts)> {
        let read = |counters: &StoreCounters| StoreCounts {
            answered: counters.answered.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
            took: Duration::from_nanos(counters.nanoseconds.load(Ordering::Relaxed)),
        };
        let counts = self.store.iter().map(read);
        StoreCall::ALL.iter().copied().zip(counts).collect()
    }

    pub(crate) fn waiting(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    pub(crate) fn unreadable_row(&self) {
        self.unreadable_rows.fetch_add(1, Ordering::Relaxed);
    }
}

impl crate::WebSessions {
    /// Returns how sessions are doing.
    #[must_use]
    pub fn health(&self) -> SessionHealth {
        fn read<L: Copy>(labels: &[L], counts: &[AtomicU64]) -> Vec<(L, u64)> {
            let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
            labels.iter().copied().zip(counts).collect()
        }
        let counts = &self.inner.counts;
        SessionHealth {
            logins: read(LoginOutcome::ALL, &counts.logins),
            refused_logins: counts.refused_logins.load(Ordering::Relaxed),
            refreshes: read(RefreshOutcome::ALL, &counts.refreshes),
            ended: read(EndReason::ALL, &counts.ended),
            csrf_refused: read(CsrfRefusal::ALL, &counts.csrf_refused),
            unsealed: vec![
                (Sealed::Row, self.inner.row_sealer.counts()),
                (Sealed::Login, self.inner.login_sealer.counts()),
                (Sealed::Logout, self.inner.logout_sealer.counts()),
            ],
            store: counts.store_calls(),
            unreadable_rows: counts.unreadable_rows.load(Ordering::Relaxed),
            revocations_waiting: self.inner.revocations.waiting(),
            refreshing: self.inner.flights.count(),
            waiters: counts.waiting.load(Ordering::Relaxed),
        }
    }
}
