//! Replicas that share a store, browsers, and a provider whose refresh tokens rotate, under seeded scripts of faults on
//! paused time. Guards, refreshes and revocations are the real ones; the provider and the store's network are not.
//!
//! A run panics where a promise is broken:
//!
//! 1. a refresh token is presented twice only if the first answer was a failure, or did not come, or was lost with its
//!    replica or on the way to the store;
//! 2. a session ends only by a logout, a refused refresh token or a timeout;
//! 3. an ended session never answers again;
//! 4. every request is answered within its deadline;
//! 5. idle and absolute limits hold, and two refreshes of a session are a second apart;
//! 6. generations grow by one.

mod provider;
mod store;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use clock::Clock;
use fastrand::Rng;
use http::{Request, StatusCode};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

use self::provider::Idp;
use self::store::Shaky;
use crate::counts::EndReason;
use crate::provider::{NotRenewed, ProviderError, Renewals, Renewed};
use crate::random::Random;
use crate::state::{Person, SessionState, Token, Tokens};
use crate::store::{Index, NewRow};

use crate::{
    MemoryStore, Provider, SecretString, Session, SessionLayer, SessionSecrets, UserToken,
    WebSessions, WebSessionsBuilder,
};

/// In a plain test run; `M2M_SEEDS` sets another number, `M2M_SEED` a single one.
const SEEDS: u64 = 25;
const HOST: &str = "localhost:6004";
const ISSUER: &str = "http://127.0.0.1:1";
/// The wait for a refresh, and the calls of the store before and after it.
const DEADLINE: Duration = Duration::from_secs(9);

/// Nobody asks it for anything.
static PROVIDER: LazyLock<Arc<Provider>> = LazyLock::new(|| {
    let provider = Provider::builder("app", SecretString::from("secret")).issuer(ISSUER);
    Arc::new(provider.build().unwrap())
});

#[derive(Debug)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.0.elapsed()
    }
}

/// A process that can die: then nothing that it asked for comes back to it.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    is_dead: Arc<AtomicBool>,
}

impl Replica {
    /// Waits, and for ever in a dead process.
    pub(super) async fn wait(&self, duration: Duration) {
        sleep(duration).await;
        self.lives().await;
    }

    pub(super) async fn lives(&self) {
        if self.is_dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

/// What everybody in a run knows.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) rng: Mutex<Rng>,
    /// When the store last failed a call.
    store_failed: Mutex<Option<Instant>>,
    /// Nothing fails any more.
    is_calm: AtomicBool,
    idle: Duration,
    lifetime: Duration,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    pub(super) fn chance(&self, one_in: u32) -> bool {
        !self.is_calm.load(Ordering::Relaxed) && self.rng.lock().unwrap().u32(0..one_in) == 0
    }

    pub(super) fn millis(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.lock().unwrap().u64(range))
    }

    pub(super) fn store_fails(&self) {
        *self.store_failed.lock().unwrap() = Some(Instant::now());
    }

    pub(super) fn store_failed_since(&self, since: Instant) -> bool {
        self.store_failed
            .lock()
            .unwrap()
            .is_some_and(|at| at >= since)
    }
}

/// A person's session as its browser knows it.
struct Browser {
    subject: String,
    handle: Random,
    created: Instant,
    /// The last activity that was answered.
    seen: Mutex<Instant>,
    /// The last that may have been one.
    asked: Mutex<Instant>,
    logout: Mutex<Logout>,
}

#[derive(Clone, Copy, Debug)]
enum Logout {
    No,
    Begun,
    /// The session was removed by then.
    Done(Instant),
}

struct Process {
    replica: Replica,
    sessions: WebSessions,
    app: Router,
}

struct Run {
    world: Arc<World>,
    idp: Arc<Idp>,
    store: Arc<MemoryStore>,
    processes: Mutex<Vec<Arc<Process>>>,
    browsers: Vec<Browser>,
    access_lifetime: Duration,
    begun: Instant,
}

async fn page(_: Session) -> &'static str {
    "page"
}

async fn token(token: UserToken) -> String {
    token.generation().to_string()
}

impl Run {
    fn process(&self) -> Arc<Process> {
        self.process_with(|replica| Arc::new(self.idp.seen_by(&self.world, replica)))
    }

    fn process_with(&self, renewals: impl FnOnce(&Replica) -> Arc<dyn Renewals>) -> Arc<Process> {
        let replica = Replica {
            is_dead: Arc::default(),
        };
        let secrets = SessionSecrets::from_text("0123456789abcdef0123456789abcdef");
        let mut sessions = WebSessionsBuilder::new(Arc::clone(&PROVIDER), secrets.unwrap())
            .public_url(&format!("http://{HOST}"))
            .idle_timeout(self.world.idle)
            .lifetime(self.world.lifetime)
            .max_stale(Duration::from_secs(600))
            .clock(Arc::new(Paused(self.begun)))
            .store(Shaky::new(&self.world, &self.store, &replica))
            .build()
            .unwrap();
        let inner = Arc::get_mut(&mut sessions.inner).unwrap();
        inner.renewals = renewals(&replica);
        let guarded = Router::new()
            .route("/page", get(page))
            .route("/token", get(token));
        let app = guarded.layer(SessionLayer::api(sessions.clone()));
        Arc::new(Process {
            replica,
            sessions,
            app,
        })
    }

    fn any_process(&self) -> Arc<Process> {
        let processes = self.processes.lock().unwrap();
        let at = self.world.rng.lock().unwrap().usize(0..processes.len());
        Arc::clone(&processes[at])
    }

    /// Writes the row of a login.
    async fn log_in(&self, browser: &Browser, access_lifetime: Duration) {
        let process = self.any_process();
        let inner = &process.sessions.inner;
        let now = inner.clock.now();
        let (access, refresh) = self.idp.log_in(&browser.subject);
        let state = SessionState {
            created: now,
            host: HOST.to_owned(),
            person: Person {
                issuer: ISSUER.to_owned(),
                subject: browser.subject.clone(),
                sid: None,
                tenant_id: "default".to_owned(),
                tenant_name: None,
                custom_domain: None,
                email: None,
                display_name: None,
                roles: Vec::new(),
            },
            tokens: Tokens::new(access, Some(refresh), 0, now, Some(access_lifetime), 0.5),
            id_token: None,
            nonce: Token::new("nonce"),
            hold: None,
            data: serde_json::Map::new(),
        };
        let key = browser.handle.key();
        let row = NewRow {
            body: inner.body(key, state),
            subject: Index::of_subject(ISSUER, &browser.subject),
            tenant: Index::of_subject("tenant", "default"),
            session: None,
            idle_ends: now.plus(self.world.idle),
            ends: now.plus(self.world.lifetime),
            keeps_lease: false,
        };
        // Not by the way that fails.
        crate::SessionStore::create(&*self.store, &key, row)
            .await
            .unwrap();
    }

    /// One request. Panics where its answer is none that may be.
    async fn request(&self, browser: &Browser, path: &'static str) -> Option<StatusCode> {
        let process = self.any_process();
        let cookie = format!("__Host-session={}", *browser.handle.text());
        let request = Request::get(path)
            .header("host", HOST)
            .header("cookie", cookie)
            .body(Body::empty())
            .unwrap();
        let begun = Instant::now();
        let logout = *browser.logout.lock().unwrap();
        let seen = *browser.seen.lock().unwrap();
        let asked = std::mem::replace(&mut *browser.asked.lock().unwrap(), begun + 2 * DEADLINE);
        // A token that expires before the handler has it is waited for once more.
        let deadline = match self.access_lifetime < Duration::from_secs(1) {
            true => DEADLINE * 2,
            false => DEADLINE,
        };
        let answer = timeout(deadline, process.app.clone().oneshot(request)).await;
        if process.replica.is_dead.load(Ordering::Relaxed) {
            return None;
        }
        let status = answer.expect("4: a request is answered").unwrap().status();
        match status {
            StatusCode::OK => {
                let is_out = matches!(logout, Logout::Done(at) if at <= begun);
                assert!(!is_out, "3: an ended session answered");
                assert!(begun < browser.created + self.world.lifetime, "5: absolute");
                assert!(begun < asked + self.world.idle, "5: idle");
                *browser.seen.lock().unwrap() = Instant::now();
            }
            StatusCode::UNAUTHORIZED => self.may_have_ended(browser, seen),
            StatusCode::SERVICE_UNAVAILABLE => {}
            other => panic!("{other}"),
        }
        Some(status)
    }

    /// Checks that a session which is not there any more had a reason to end.
    fn may_have_ended(&self, browser: &Browser, seen: Instant) {
        let now = Instant::now();
        let is_out = !matches!(*browser.logout.lock().unwrap(), Logout::No);
        let is_refused = self.idp.has_refused(&browser.subject);
        let is_over = now + Duration::from_secs(1) >= browser.created + self.world.lifetime;
        // Activity is written once a minute at most, and where a write fails the one before it counts.
        let is_idle = now >= seen + self.world.idle / 2
            || self
                .world
                .store_failed_since(seen.checked_sub(self.world.idle).unwrap_or(self.begun));
        assert!(
            is_out || is_refused || is_over || is_idle,
            "2: a session ended without a reason, {} s after its activity",
            (now - seen).as_secs()
        );
    }

    async fn browse(&self, browser: &Browser, until: Instant) {
        while Instant::now() < until {
            let pause = match self.world.chance(40) {
                true => self.world.millis(60_000..400_000),
                false => self.world.millis(50..20_000),
            };
            sleep(pause).await;
            let at_once = if self.world.chance(5) { 6 } else { 1 };
            let path = if self.world.chance(2) {
                "/token"
            } else {
                "/page"
            };
            let requests = (0..at_once).map(|_| self.request(browser, path));
            futures_util::future::join_all(requests).await;
            if self.world.chance(200) {
                self.log_out(browser).await;
            }
        }
    }

    async fn log_out(&self, browser: &Browser) {
        let process = self.any_process();
        *browser.logout.lock().unwrap() = Logout::Begun;
        let inner = &process.sessions.inner;
        let ended = timeout(
            DEADLINE,
            inner.end(&browser.handle.key(), EndReason::Logout),
        )
        .await;
        if matches!(ended, Ok(Ok(_))) {
            *browser.logout.lock().unwrap() = Logout::Done(Instant::now());
        }
    }

    /// Processes die, and others come in their place.
    async fn kill(&self, until: Instant) {
        while Instant::now() < until {
            sleep(self.world.millis(20_000..240_000)).await;
            let born = self.process();
            let mut processes = self.processes.lock().unwrap();
            let at = self.world.rng.lock().unwrap().usize(0..processes.len());
            let dead = std::mem::replace(&mut processes[at], born);
            dead.replica.is_dead.store(true, Ordering::Relaxed);
        }
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let idle = Duration::from_secs(rng.u64(300..1_200));
        let lifetime = Duration::from_secs(rng.u64(1_200..3_000));
        // Some do not outlast the floor between two refreshes.
        let access_lifetime = match rng.u8(0..4) {
            0 => Duration::from_millis(300),
            _ => Duration::from_secs(rng.u64(5..400)),
        };
        let (processes, browsers) = (rng.usize(1..4), rng.usize(1..4));
        let begun = Instant::now();
        let run = Self {
            idp: Arc::new(Idp::new(access_lifetime)),
            store: Arc::new(MemoryStore::with_clock(100, Arc::new(Paused(begun)))),
            processes: Mutex::default(),
            browsers: (0..browsers)
                .map(|number| Browser {
                    subject: format!("person-{number}"),
                    handle: Random::new().unwrap(),
                    created: begun,
                    seen: Mutex::new(begun),
                    asked: Mutex::new(begun),
                    logout: Mutex::new(Logout::No),
                })
                .collect(),
            world: Arc::new(World {
                seed,
                rng: Mutex::new(rng),
                store_failed: Mutex::default(),
                is_calm: AtomicBool::new(false),
                idle,
                lifetime,
            }),
            access_lifetime,
            begun,
        };
        for _ in 0..processes {
            let process = run.process();
            run.processes.lock().unwrap().push(process);
        }
        run
    }
}

async fn run(seed: u64) {
    // What the library leaves to chance.
    fastrand::seed(seed);
    let run = Run::new(seed);
    for browser in &run.browsers {
        run.log_in(browser, run.access_lifetime).await;
    }
    let until = run.begun + Duration::from_secs(2_400);
    let browsing = run
        .browsers
        .iter()
        .map(|browser| run.browse(browser, until));
    tokio::join!(futures_util::future::join_all(browsing), run.kill(until));
    // Whatever failed is over: who is still signed in is served again.
    run.world.is_calm.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(130)).await;
    for browser in &run.browsers {
        let status = run.request(browser, "/token").await;
        assert_ne!(
            status,
            Some(StatusCode::SERVICE_UNAVAILABLE),
            "nothing heals"
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sets how long a search of the tests is; no service reads it"
)]
fn variable(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

/// A provider that never says anything.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Renewals for Silent {
    async fn renew(&self, _: &SessionState, _: &Token, _: Instant) -> Result<Renewed, NotRenewed> {
        std::future::pending().await
    }

    async fn revoke(&self, _: &Token) -> Result<(), ProviderError> {
        std::future::pending().await
    }
}

/// K83
#[tokio::test(start_paused = true)]
async fn a_request_waits_once_for_a_token_however_many_parts_of_it_want_one() {
    let run = Run::new(0);
    run.world.is_calm.store(true, Ordering::Relaxed);
    *run.processes.lock().unwrap() = vec![run.process_with(|_| Arc::new(Silent))];
    let browser = &run.browsers[0];
    run.log_in(browser, Duration::from_secs(1)).await;
    sleep(Duration::from_secs(2)).await;
    let begun = Instant::now();
    let status = run.request(browser, "/token").await;
    assert_eq!(status, Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
}

/// K56, K77, K79, K80, K83
/// K84, K87, K88, K89, K90
/// K91, K92, K94, K96
#[test]
#[expect(clippy::print_stdout, reason = "names the script that failed")]
fn seeded_scripts_of_faults_break_no_promise_of_a_session() {
    let seeds = match (variable("M2M_SEED"), variable("M2M_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(SEEDS),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        println!("M2M_SEED={seed}");
        runtime.block_on(run(seed));
    }
}
