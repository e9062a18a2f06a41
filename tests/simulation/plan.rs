//! The script of a seed, drawn before anything runs.

use std::time::Duration;

use fastrand::Rng;
use tracing::Level;

use crate::clients::{Call, Kind};
use crate::faults::{
    Fault, Faults, Host, Issuer, JWKS_PATH, Nonsense, PROTECTED_PATH, TOKEN_PATH, Window,
};

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    /// In the order of their time.
    pub(crate) actions: Vec<(Duration, Action)>,
}

/// What does not change in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) lifetime: Duration,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_stale: Duration,
    /// How many verified tokens are cached.
    pub(crate) verified_cache: usize,
    pub(crate) level: Level,
    /// How far each wall clock is off at first: the issuers', the public ones', the protected ones'.
    pub(crate) offsets_ms: [i64; 6],
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Crash(Host),
    Restart(Host),
    Send(Call),
    Rotate(Issuer, Rotation),
    /// The old keys of an overlapping rotation go.
    Withdraw(Issuer),
    /// A wall clock is stepped by so many milliseconds.
    Step(Host, i64),
    /// Only looks whether all is well.
    Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// The old key stays published for a while.
    Overlapping,
    /// The old key goes at once.
    Hard,
    /// It goes at once, somebody else has it, and the operator revokes it where it is known.
    Emergency,
}

pub(crate) const PAIRS: usize = 2;
/// Faults begin after the start and end before the last of it, so that recovery can be seen.
const CALM_END: u64 = 12_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())]
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let settings = Settings::draw(seed, &mut rng);
        let end_ms = rng.u64(30_000..80_000);
        let windows: Vec<_> = (0..rng.usize(1..7))
            .map(|_| window(&mut rng, end_ms - CALM_END))
            .collect();
        let mut actions = Vec::new();
        for window in &windows {
            if let Fault::Down(host) = window.fault {
                actions.push((window.from, Action::Crash(host)));
                actions.push((window.until, Action::Restart(host)));
            }
        }
        for _ in 0..rng.usize(0..4) {
            rotate(&mut rng, end_ms, &mut actions);
        }
        for _ in 0..rng.usize(0..3) {
            let at = ms(rng.u64(1_000..end_ms));
            let host = pick(
                &mut rng,
                &[
                    Host::Public(0),
                    Host::Public(1),
                    Host::Protected(0),
                    Host::Protected(1),
                    Host::Idp(Issuer::A),
                ],
            );
            let far = pick(&mut rng, &[20_000, 100_000, 3_600_000]);
            actions.push((at, Action::Step(host, rng.i64(-far..=far))));
        }
        calls(&mut rng, end_ms, &mut actions);
        for at in (0..=end_ms).step_by(500) {
            actions.push((ms(at), Action::Look));
        }
        actions.sort_by_key(|(at, _)| *at);
        Self {
            settings,
            faults: Faults(windows),
            actions,
        }
    }

    /// The same script without the faults of an issuer.
    pub(crate) fn without_faults_of(mut self, issuer: Issuer) -> Self {
        let idp = Host::Idp(issuer);
        self.faults.0.retain(|window| !window.is_of(issuer));
        self.actions.retain(|(_, action)| match action {
            Action::Crash(host) | Action::Restart(host) => *host != idp,
            _ => true,
        });
        self
    }

    /// The same script, and at its beginning an issuer is away.
    pub(crate) fn with_outage_of(mut self, issuer: Issuer) -> Self {
        let fault = Fault::Down(Host::Idp(issuer));
        let (from, until) = (Duration::ZERO, ms(20_000));
        self.faults.0.push(Window { from, until, fault });
        let host = Host::Idp(issuer);
        self.actions.push((from, Action::Crash(host)));
        self.actions.push((until, Action::Restart(host)));
        self.actions.sort_by_key(|(at, _)| *at);
        self
    }

    /// The same script with the keys of an issuer staying as they are.
    pub(crate) fn without_rotations_of(mut self, issuer: Issuer) -> Self {
        self.actions.retain(|(_, action)| match action {
            Action::Rotate(of, _) | Action::Withdraw(of) => *of != issuer,
            _ => true,
        });
        self
    }
}

impl Settings {
    fn draw(seed: u64, rng: &mut Rng) -> Self {
        let skew = pick(rng, &[0, 500, 20_000]);
        let mut offsets_ms = [0; 6];
        offsets_ms.fill_with(|| rng.i64(-skew..=skew));
        if rng.u8(0..10) == 0 {
            // So far off that tokens are refused.
            offsets_ms[rng.usize(0..6)] += pick(rng, &[-90_000, 90_000]);
        }
        Self {
            seed,
            lifetime: Duration::from_secs(pick(rng, &[5, 10, 20, 60, 300])),
            max_age: pick(rng, &[None, Some(60), Some(300)]).map(Duration::from_secs),
            max_stale: Duration::from_secs(pick(rng, &[20, 60, 3_600])),
            verified_cache: pick(rng, &[0, 64]),
            level: pick(rng, &[Level::INFO, Level::INFO, Level::DEBUG, Level::TRACE]),
            offsets_ms,
        }
    }
}

fn window(rng: &mut Rng, end_ms: u64) -> Window {
    let from = rng.u64(0..end_ms - 1_000);
    let longest = pick(rng, &[500, 4_000, 25_000]);
    let until = (from + rng.u64(200..=longest)).min(end_ms);
    let pair = rng.usize(0..PAIRS);
    let (public, protected) = (Host::Public(pair), Host::Protected(pair));
    let idp = Host::Idp(Issuer::A);
    let (a, b) = pick(rng, &[(public, idp), (protected, idp), (public, protected)]);
    let (host, path) = pick(
        rng,
        &[
            (idp, TOKEN_PATH),
            (idp, JWKS_PATH),
            (protected, PROTECTED_PATH),
        ],
    );
    let fault = match rng.u8(0..20) {
        0..4 => Fault::Cut(a, b),
        4..7 => Fault::Slow(a, b, ms(rng.u64(50..2_500))),
        7 | 8 => Fault::Torn(a, b),
        9..13 => Fault::Down(pick(rng, &[public, protected, idp, idp])),
        _ => Fault::Says(host, path, nonsense(rng)),
    };
    Window {
        from: ms(from),
        until: ms(until),
        fault,
    }
}

fn nonsense(rng: &mut Rng) -> Nonsense {
    match rng.u8(0..10) {
        0 => Nonsense::Html,
        1 => Nonsense::OtherJson,
        2 => Nonsense::EmptyKeys,
        3 => Nonsense::HalfJson,
        4..7 => Nonsense::Status(429, Some(rng.u64(0..8))),
        7 => Nonsense::Status(401, None),
        _ => Nonsense::Status(pick(rng, &[500, 502, 503, 504, 408, 429]), None),
    }
}

fn rotate(rng: &mut Rng, end_ms: u64, actions: &mut Vec<(Duration, Action)>) {
    let at = rng.u64(2_000..end_ms);
    let rotations = [Rotation::Overlapping, Rotation::Hard, Rotation::Emergency];
    let issuer = pick(rng, &[Issuer::A, Issuer::A, Issuer::A, Issuer::B]);
    let rotation = pick(rng, &rotations);
    actions.push((ms(at), Action::Rotate(issuer, rotation)));
    if rotation == Rotation::Overlapping {
        let gone = at + rng.u64(1_000..30_000);
        actions.push((ms(gone), Action::Withdraw(issuer)));
    }
}

fn calls(rng: &mut Rng, end_ms: u64, actions: &mut Vec<(Duration, Action)>) {
    let mut number = 0;
    let mut send = |at_ms: u64, to, kind, patience| {
        number += 1;
        let call = Call {
            number,
            to,
            kind,
            patience,
        };
        actions.push((ms(at_ms), Action::Send(call)));
    };
    let patient = ms(30_000);
    for pair in 0..PAIRS {
        let (public, protected) = (Host::Public(pair), Host::Protected(pair));
        let mut at = rng.u64(0..1_500);
        while at < end_ms {
            send(at, public, Kind::Chain, patient);
            // Some callers come in crowds, and some do not wait for their answer.
            if rng.u8(0..16) == 0 {
                for _ in 0..rng.u64(5..25) {
                    send(at, public, Kind::Chain, patient);
                }
            }
            if rng.u8(0..12) == 0 {
                send(at, public, Kind::Chain, ms(rng.u64(1..3_000)));
            }
            at += rng.u64(100..3_000);
        }
        at = rng.u64(0..3_000);
        while at < end_ms {
            let kind = match rng.u8(0..10) {
                0..4 if pair == 1 => Kind::Good(Issuer::B),
                0..6 => Kind::Good(Issuer::A),
                6 => Kind::Health,
                _ => Kind::Old(pick(rng, &[Issuer::A, Issuer::A, Issuer::B])),
            };
            send(at, protected, kind, patient);
            at += rng.u64(100..4_000);
        }
        at = rng.u64(0..5_000);
        while at < end_ms {
            send(at, protected, Kind::Forged(rng.u8(..)), patient);
            if rng.u8(0..8) == 0 {
                for _ in 0..rng.u64(3..20) {
                    send(at, protected, Kind::Forged(rng.u8(0..16)), patient);
                }
            }
            if rng.u8(0..4) == 0 {
                send(at, public, Kind::Odd(rng.u8(..)), patient);
            }
            at += rng.u64(300..6_000);
        }
    }
}
