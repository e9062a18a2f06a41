//! What happened, counted once: the status page and the metrics read the same.

use std::sync::atomic::{AtomicU64, Ordering};

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

#[derive(Debug)]
pub(crate) struct Counts {
    logins: [AtomicU64; LoginOutcome::ALL.len()],
    refreshes: [AtomicU64; RefreshOutcome::ALL.len()],
    ended: [AtomicU64; EndReason::ALL.len()],
    csrf_refused: AtomicU64,
    unreadable_rows: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            logins: std::array::from_fn(|_| AtomicU64::new(0)),
            refreshes: std::array::from_fn(|_| AtomicU64::new(0)),
            ended: std::array::from_fn(|_| AtomicU64::new(0)),
            csrf_refused: AtomicU64::new(0),
            unreadable_rows: AtomicU64::new(0),
        }
    }
}

/// How sessions are doing: counts since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionHealth {
    /// Logins by outcome.
    pub logins: Vec<(LoginOutcome, u64)>,
    /// Refreshes by outcome.
    pub refreshes: Vec<(RefreshOutcome, u64)>,
    /// Sessions that ended, by reason. Those that expired are not among them.
    pub ended: Vec<(EndReason, u64)>,
    /// Requests that were refused because they may come from a page that is not ours.
    pub csrf_refused: u64,
    /// Rows that could not be opened: sealed with a secret that was removed or is not here yet, or altered.
    pub unreadable_rows: u64,
    /// Revocations that have not ended yet.
    pub revocations_waiting: usize,
    /// Refreshes under way.
    pub refreshing: usize,
}

impl Counts {
    pub(crate) fn login(&self, outcome: LoginOutcome) {
        self.logins[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refresh(&self, outcome: RefreshOutcome) {
        self.refreshes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, reason: EndReason) {
        self.ended[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn csrf_refused(&self) {
        self.csrf_refused.fetch_add(1, Ordering::Relaxed);
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
            refreshes: read(RefreshOutcome::ALL, &counts.refreshes),
            ended: read(EndReason::ALL, &counts.ended),
            csrf_refused: counts.csrf_refused.load(Ordering::Relaxed),
            unreadable_rows: counts.unreadable_rows.load(Ordering::Relaxed),
            revocations_waiting: self.inner.revocations.waiting(),
            refreshing: self.inner.flights.count(),
        }
    }
}
