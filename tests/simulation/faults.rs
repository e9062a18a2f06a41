//! What can go wrong between two hosts, and when.

use std::time::Duration;

/// Who can send and be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Host {
    Outside,
    Public(usize),
    Protected(usize),
    Idp(Issuer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Issuer {
    A,
    B,
}

pub(crate) const TOKEN_PATH: &str = "/token";
pub(crate) const JWKS_PATH: &str = "/jwks";
pub(crate) const PROTECTED_PATH: &str = "/api/protected/data";
pub(crate) const PUBLIC_PATH: &str = "/api/public/data";

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nothing gets from one to the other, in either direction.
    Cut(Host, Host),
    /// Every message takes so much longer.
    Slow(Host, Host, Duration),
    /// Answers end half-way.
    Torn(Host, Host),
    /// The process is gone; it is started again at the end.
    Down(Host),
    /// This is answered there instead.
    Says(Host, &'static str, Nonsense),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Nonsense {
    /// A status, and `Retry-After` in seconds.
    Status(u16, Option<u64>),
    Html,
    /// A JSON document of the wrong kind.
    OtherJson,
    EmptyKeys,
    HalfJson,
}

/// A fault from one moment to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    pub(crate) fault: Fault,
}

/// All faults of a script.
#[derive(Clone, Debug)]
pub(crate) struct Faults(pub(crate) Vec<Window>);

/// How it is between two hosts at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) is_cut: bool,
    pub(crate) is_torn: bool,
    pub(crate) delay: Duration,
    pub(crate) says: Option<Nonsense>,
}

impl Window {
    fn is_open(&self, now: Duration) -> bool {
        self.from <= now && now < self.until
    }

    /// Whether an exchange from one host with a path of another may suffer from it.
    fn touches(&self, from: Host, to: Host, path: &str) -> bool {
        let between = |a: Host, b: Host| (a, b) == (from, to) || (b, a) == (from, to);
        match self.fault {
            Fault::Cut(a, b) | Fault::Slow(a, b, _) | Fault::Torn(a, b) => between(a, b),
            Fault::Down(host) => host == from || host == to,
            Fault::Says(host, at, _) => host == to && at == path,
        }
    }

    /// Whether it is the trouble of an issuer, and of nobody else.
    pub(crate) fn is_of(&self, issuer: Issuer) -> bool {
        let idp = Host::Idp(issuer);
        match self.fault {
            Fault::Cut(a, b) | Fault::Slow(a, b, _) | Fault::Torn(a, b) => a == idp || b == idp,
            Fault::Down(host) | Fault::Says(host, ..) => host == idp,
        }
    }
}

impl Faults {
    pub(crate) fn weather(&self, from: Host, to: Host, path: &str, now: Duration) -> Weather {
        let mut weather = Weather::default();
        let open = self.0.iter().filter(|window| window.is_open(now));
        for window in open.filter(|window| window.touches(from, to, path)) {
            match window.fault {
                Fault::Cut(..) => weather.is_cut = true,
                Fault::Slow(.., delay) => weather.delay += delay,
                Fault::Torn(..) => weather.is_torn = true,
                // Whoever is down is found out on arrival.
                Fault::Down(_) => {}
                Fault::Says(.., nonsense) => weather.says = Some(nonsense),
            }
        }
        weather
    }

    pub(crate) fn is_down(&self, host: Host, now: Duration) -> bool {
        let mut open = self.0.iter().filter(|window| window.is_open(now));
        open.any(|window| matches!(window.fault, Fault::Down(down) if down == host))
    }

    /// Tells whether nothing was wrong between these two all that time.
    pub(crate) fn calm(&self, pair: (Host, Host), path: &str, span: (Duration, Duration)) -> bool {
        let (from, until) = span;
        let mut windows = self.0.iter();
        !windows.any(|window| {
            window.touches(pair.0, pair.1, path) && window.from <= until && from <= window.until
        })
    }

    /// When the last fault between these two ended, unless one is open.
    pub(crate) fn over(&self, pair: (Host, Host), path: &str, now: Duration) -> Option<Duration> {
        let mut over = Duration::ZERO;
        let begun = self.0.iter().filter(|window| window.from <= now);
        for window in begun.filter(|window| window.touches(pair.0, pair.1, path)) {
            if now < window.until {
                return None;
            }
            over = over.max(window.until);
        }
        Some(over)
    }
}
