//! What a flood of forged key ids does to the requests of others.
//!
//! `cargo bench -p jwks-validator --bench forged_kids` takes two minutes: rounds of one second in which good
//! requests come alone, and rounds in which a million forged tokens in all come to the same validator, in
//! turn, so that a busy machine slows both. `-- --quick` takes ten seconds. With `--hanging` the provider
//! hangs for 3 s at each fetch and fails, and a thousand forged tokens come per second.
//!
//! A forged token is well-formed, names our issuer, has not expired, and names a key id of its own. A good
//! one is signed with RS256 and verified each time. Both are tasks on one runtime, started from outside
//! at fixed rates whether or not those before have ended, and a good request's latency counts from the
//! instant at which it was due. A ratio below 1 is no mistake: waking the threads of an idle runtime costs
//! more than a forged token does.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its result and ends where it breaks"
)]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/signer.rs"]
mod signer;

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use clock::{Clock as _, SystemClock};
use jwks_validator::{
    Answer, EntityTag, Fetched, JwtValidator, KeySet, KeySource, Reason, SourceError,
    SourceErrorKind,
};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use signer::{AUDIENCE, ISSUER, Signer, encode, good_claims, jwks};

const GOOD_PER_SECOND: u32 = 1_000;
/// A million in the minute that the rounds with them make up.
const FORGED_PER_SECOND: u32 = 17_000;
/// Beside a provider that hangs, each of them could hold a permit to wait for a second. No multiple of the good ones'
/// rate: what comes by itself does not fall due at the same instants as something else.
const FORGED_WHILE_HANGING: u32 = 1_028;
/// What the HTTP client gives up after.
const HANGING_TIME: Duration = Duration::from_secs(3);
/// Forged tokens come in groups this small: a larger one delays whatever falls due during it.
const GROUP: u32 = 4;
/// What an issuer in the next data centre takes to answer.
const FETCH_TIME: Duration = Duration::from_millis(20);
const MINUTE: Duration = Duration::from_secs(60);

fn main() {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    // `cargo test --benches` passes no `--bench`.
    let (pairs, length) = if has("--test") || !has("--bench") {
        (2, Duration::from_millis(100))
    } else if has("--quick") {
        (5, Duration::from_secs(1))
    } else {
        (60, Duration::from_secs(1))
    };
    let hanging = has("--hanging");
    let runtime = Runtime::new().unwrap();
    let bench = Bench::new(&runtime, hanging);
    // The first requests find cold caches and sleeping threads.
    bench.round(length, false);
    bench.source.forget();
    let rounds: Vec<[Round; 2]> = (0..pairs)
        .map(|_| [false, true].map(|attacked| bench.round(length, attacked)))
        .collect();
    let fetches = bench.source.fetches();
    runtime.block_on(bench.validator.shutdown());
    report(&rounds, length * pairs, &fetches, bench.forged_per_second);
}

struct Bench<'r> {
    runtime: &'r Runtime,
    validator: JwtValidator,
    source: Source,
    forged_per_second: u32,
    good: Arc<str>,
    /// Payload and signature of every forged token.
    forged: String,
    /// How many key ids have been invented.
    invented: AtomicUsize,
}

/// What the tasks of a round found.
#[derive(Default)]
struct Round {
    latencies: Mutex<Vec<Duration>>,
    forged: AtomicUsize,
    /// Forged tokens that got 503: nobody could be asked about their key.
    undecided: AtomicUsize,
}

impl<'r> Bench<'r> {
    fn new(runtime: &'r Runtime, hanging: bool) -> Self {
        let signer = Signer::new("RS256", "k");
        let now = clock::unix_seconds(SystemClock.now());
        let mut claims = good_claims();
        claims["exp"] = json!(now + 3_600);
        claims["iat"] = json!(now);
        claims["nbf"] = json!(now);
        let forged = Signer::es256("forged").token(&claims);
        let source = Source::new(jwks(&[signer.jwk()]));
        let validator = runtime.block_on(async {
            let validator = JwtValidator::builder()
                .issuer(ISSUER, source.clone())
                .audience(AUDIENCE)
                .build()
                .unwrap();
            validator.start();
            assert!(validator.wait_ready().await);
            validator
        });
        source.hangs.store(hanging, Ordering::Relaxed);
        Self {
            runtime,
            validator,
            source,
            forged_per_second: if hanging {
                FORGED_WHILE_HANGING
            } else {
                FORGED_PER_SECOND
            },
            good: signer.token(&claims).into(),
            forged: forged.split_once('.').unwrap().1.to_owned(),
            invented: AtomicUsize::new(0),
        }
    }

    /// Sends good requests for so long, with forged ones beside them or without, and waits for the answers.
    fn round(&self, length: Duration, attacked: bool) -> Round {
        let round = Arc::new(Round::default());
        let tasks = TaskTracker::new();
        thread::scope(|scope| {
            if attacked {
                scope.spawn(|| {
                    pace(self.forged_per_second / GROUP, length, |_| {
                        for _ in 0..GROUP {
                            tasks.spawn_on(self.forged_request(&round), self.runtime.handle());
                        }
                    });
                });
            }
            pace(GOOD_PER_SECOND, length, |due| {
                tasks.spawn_on(self.good_request(&round, due), self.runtime.handle());
            });
        });
        tasks.close();
        self.runtime.block_on(tasks.wait());
        // The tasks have ended, and their shares with them.
        Arc::into_inner(round).unwrap()
    }

    fn good_request(&self, round: &Arc<Round>, due: Instant) -> impl Future<Output = ()> + use<> {
        let (validator, token) = (self.validator.clone(), Arc::clone(&self.good));
        let round = Arc::clone(round);
        async move {
            validator.validate(&token).await.unwrap();
            let latency = due.elapsed();
            round.latencies.lock().unwrap().push(latency);
        }
    }

    fn forged_request(&self, round: &Arc<Round>) -> impl Future<Output = ()> + use<> {
        let number = self.invented.fetch_add(1, Ordering::Relaxed);
        let header = encode(format!(r#"{{"alg":"ES256","kid":"forged-{number}"}}"#));
        let token = format!("{header}.{}", self.forged);
        let (validator, round) = (self.validator.clone(), Arc::clone(round));
        async move {
            let refusal = validator.validate(&token).await.unwrap_err();
            round.forged.fetch_add(1, Ordering::Relaxed);
            match refusal.reason() {
                Reason::UnknownKey => {}
                Reason::KeyUndetermined => drop(round.undecided.fetch_add(1, Ordering::Relaxed)),
                other => unreachable!("refused because of {other:?}"),
            }
        }
    }
}

/// Calls `send` at a fixed rate, with the instant at which each call was due. One that is late is made up for.
fn pace(per_second: u32, length: Duration, send: impl Fn(Instant)) {
    // What the system may add to a wait.
    const SLACK: Duration = Duration::from_micros(100);
    let interval = Duration::from_secs(1) / per_second;
    let begun = Instant::now();
    let mut due = begun;
    while due - begun < length {
        let wait = due.saturating_duration_since(Instant::now());
        if wait > SLACK {
            thread::park_timeout(wait - SLACK);
        }
        while Instant::now() < due {
            spin_loop();
        }
        send(due);
        due += interval;
    }
}

/// Gives the same keys each time, or hangs, and notes when it was asked.
#[derive(Clone, Debug)]
struct Source {
    jwks: Arc<[u8]>,
    hangs: Arc<AtomicBool>,
    fetches: Arc<Mutex<Vec<Instant>>>,
}

impl Source {
    fn new(jwks: Vec<u8>) -> Self {
        Self {
            jwks: jwks.into(),
            hangs: Arc::default(),
            fetches: Arc::default(),
        }
    }

    fn forget(&self) {
        self.fetches.lock().unwrap().clear();
    }

    fn fetches(&self) -> Vec<Instant> {
        self.fetches.lock().unwrap().clone()
    }
}

#[async_trait]
impl KeySource for Source {
    async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        self.fetches.lock().unwrap().push(Instant::now());
        if self.hangs.load(Ordering::Relaxed) {
            sleep(HANGING_TIME).await;
            let kind = SourceErrorKind::Other("it hung");
            return Err(SourceError::new(kind, Answer::None));
        }
        sleep(FETCH_TIME).await;
        Ok(Fetched::keys(KeySet::from_jwks_json(&self.jwks)?))
    }
}

fn report(rounds: &[[Round; 2]], attacked_for: Duration, fetches: &[Instant], per_second: u32) {
    let count = |count: fn(&Round) -> &AtomicUsize| -> usize {
        let rounds = rounds.iter().flatten();
        rounds
            .map(|round| count(round).load(Ordering::Relaxed))
            .sum()
    };
    let forged = count(|round| &round.forged);
    println!("{:<44} | {:>10} | goal", "what", "figure");
    println!("{:-<44} | {:->10} | {:-<8}", "", "", "");
    let row = |what: &str, figure: String, goal: &str| {
        println!("{what:<44} | {figure:>10} | {goal}");
    };
    row(
        "forged tokens, each with a key id of its own",
        forged.to_string(),
        "",
    );
    row(
        "  per second of attack",
        format!("{:.0}", forged as f64 / attacked_for.as_secs_f64()),
        &format!("≥ {per_second}"),
    );
    row(
        "  answered 503 instead of 401",
        count(|round| &round.undecided).to_string(),
        "",
    );
    row("key fetches", fetches.len().to_string(), "");
    row(
        "  in the worst minute",
        worst_minute(fetches).to_string(),
        // Those that fail are repeated by the back-off.
        if per_second == FORGED_WHILE_HANGING {
            ""
        } else {
            "≤ 3"
        },
    );
    for (name, share) in [("median", 0.5), ("p99", 0.99)] {
        let [alone, attacked] = [0, 1].map(|which| {
            let all = rounds
                .iter()
                .map(|pair| pair[which].latencies.lock().unwrap());
            quantile(all.flat_map(|some| some.clone()).collect(), share)
        });
        let ratios = rounds.iter().map(|pair| {
            let [alone, attacked] = pair
                .each_ref()
                .map(|round| quantile(round.latencies.lock().unwrap().clone(), share));
            attacked.div_duration_f64(alone)
        });
        let mut ratios: Vec<f64> = ratios.collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let goal = if name == "p99" { "≤ 1.10" } else { "" };
        let micros = |duration: Duration| format!("{:.1} µs", duration.as_secs_f64() * 1e6);
        row(&format!("good requests alone, {name}"), micros(alone), "");
        row(
            &format!("good requests under attack, {name}"),
            micros(attacked),
            "",
        );
        row(
            "  ratio of all",
            format!("{:.3}", attacked.div_duration_f64(alone)),
            goal,
        );
        row(
            "  median ratio of a pair of rounds",
            format!("{:.3}", ratios[ratios.len() / 2]),
            "",
        );
    }
}

/// The most fetches that began within sixty seconds.
fn worst_minute(fetches: &[Instant]) -> usize {
    let within = |from: &Instant| {
        let since = fetches.iter().filter(|at| **at >= *from);
        since.filter(|at| **at - *from < MINUTE).count()
    };
    fetches.iter().map(within).max().unwrap_or(0)
}

fn quantile(mut latencies: Vec<Duration>, share: f64) -> Duration {
    latencies.sort_unstable();
    let last = latencies.len() - 1;
    latencies[(last as f64 * share).round() as usize]
}
