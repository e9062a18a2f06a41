//! Scripted days of a cache, each from a seed: outages, slow endpoints, panics, invalid answers,
//! rejected secrets and tokens, wall clocks that step, machines that sleep, callers that give up. A model
//! that knows nothing of the cache's insides judges every event.
//!
//! Two hundred seeds, ten thousand where `M2M_LONG` is set; `M2M_SEED=n` runs the script of one alone.

mod model;
mod numbers;
mod source;
mod trace;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use token_cache::{AccessToken, RefreshPolicy, StartupPolicy, TokenCache};
use tokio::time::timeout;

use self::model::Model;
use self::source::{Source, Weather, forecast, pick};
use self::trace::{Event, Key, Trace, WallClock};

use crate::script::elapse;

/// A1, A10, A11, A12, A22, A38, B1, B2, B3, B4, B5, B6, B7, B8, B9, B13, B14, B16, B18, B20, B21, B22
#[test]
fn seeded_scripts_keep_every_promise() {
    if let Some(seed) = chosen_seed() {
        run(seed).unwrap_or_else(|broken| panic!("M2M_SEED={seed}: {broken}"));
        return;
    }
    let seeds = seeds();
    let next = AtomicU64::new(0);
    let failed: Option<(u64, String)> = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds {
                            return None;
                        }
                        if let Err(broken) = run(seed) {
                            next.store(seeds, Ordering::Relaxed);
                            return Some((seed, broken));
                        }
                    }
                })
            })
            .collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap());
        results.flatten().min()
    });
    if let Some((seed, broken)) = failed {
        panic!("M2M_SEED={seed}: {broken}");
    }
}

#[test]
fn a_seed_tells_everything_that_happens() {
    for seed in (0..seeds()).step_by(100) {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the tests take is a choice of their run"
)]
fn seeds() -> u64 {
    std::env::var_os("M2M_LONG").map_or(200, |_| 10_000)
}

/// The variable reruns one seed alone.
#[expect(
    clippy::disallowed_methods,
    reason = "a seed is not configuration of anything"
)]
fn chosen_seed() -> Option<u64> {
    std::env::var("M2M_SEED").ok()?.parse().ok()
}

/// Returns the hash of all that happened.
fn run(seed: u64) -> Result<u64, String> {
    // The cache's jitter comes from this thread's generator.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let run = || runtime.block_on(async { Script::new(seed).run().await });
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("a panic, see above".into()))
}

struct Script {
    rng: Rng,
    cache: TokenCache,
    clock: WallClock,
    source: Source,
    trace: Trace,
    calls: u64,
    /// The tokens that callers got.
    held: Arc<Mutex<BTreeMap<(Key, u64), AccessToken>>>,
    /// The longest lifetime of now; it only shrinks.
    longest_s: u64,
    /// The longest time that is simulated at once under the weather of now.
    span: Duration,
}

impl Script {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let clock = WallClock::new();
        let retries = if rng.bool() { 0 } else { 2 };
        let policy = RefreshPolicy::default().retries(retries);
        let started = rng.u32(0..4) > 0;
        let trace = Trace::new(clock.clone(), Model::new(retries, started));
        let longest_s = 7_200;
        let (weather, latency, span) = forecast(&mut rng, longest_s);
        let source = Source::new(trace.clone(), weather);
        source.change(weather, latency);
        let cache = TokenCache::builder(source.clone())
            .refresh_policy(policy)
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        Self {
            rng,
            cache,
            clock,
            source,
            trace,
            calls: u64::from(!started),
            held: Arc::default(),
            longest_s,
            span,
        }
    }

    async fn run(mut self) -> Result<u64, String> {
        if self.calls == 0 {
            self.cache.start(StartupPolicy::Background).await.unwrap();
        }
        let steps = self.rng.u32(6..24);
        for _ in 0..steps {
            self.step().await;
            self.settle().await;
            self.trace.check()?;
        }
        self.trace.note(Event::ShutDown);
        self.cache.shutdown().await;
        self.call(Key::Own);
        self.settle().await;
        self.trace.check()?;
        Ok(self.trace.hash())
    }

    async fn step(&mut self) {
        match self.rng.u32(0..24) {
            0..6 => {
                let wait = self.wait();
                elapse(wait).await;
            }
            6..11 => {
                let key = *pick(&mut self.rng, &Key::ALL);
                self.call(key);
            }
            11..13 => {
                for _ in 0..self.rng.u32(2..8) {
                    let key = *pick(&mut self.rng, &Key::ALL);
                    self.call(key);
                    if self.rng.bool() {
                        let wait = Duration::from_millis(self.rng.u64(1..300));
                        elapse(wait).await;
                        self.settle().await;
                    }
                }
            }
            13..17 => self.change_weather(),
            17 => {
                self.trace.note(Event::SecretReplaced);
                self.source.replace_secret();
            }
            18..21 => self.reject(),
            21 => {
                let step = Duration::from_millis(self.rng.u64(1..3_600_000));
                match self.rng.bool() {
                    true => self.clock.steps.advance(step),
                    false => self.clock.steps.step_back(step),
                }
            }
            22 => {
                let slept = Duration::from_millis(self.rng.u64(1..7_200_000));
                self.clock.steps.advance(slept);
            }
            _ => self.note_health(),
        }
    }

    /// A moment, a while, or until just before or after the own token expires.
    fn wait(&mut self) -> Duration {
        let left = self.cache.health().expires_in.unwrap_or_default();
        let wait = match self.rng.u32(0..5) {
            0 => Duration::from_millis(self.rng.u64(1..50)),
            1 => Duration::from_millis(self.rng.u64(50..2_000)),
            2 => Duration::from_millis(self.rng.u64(2_000..30_000)),
            3 => left.mul_f64(self.rng.f64()),
            _ => left + Duration::from_millis(self.rng.u64(0..5)),
        };
        wait.min(self.span)
    }

    fn change_weather(&mut self) {
        self.longest_s = self.rng.u64(1..=self.longest_s);
        let (weather, latency, span) = forecast(&mut self.rng, self.longest_s);
        self.source.change(weather, latency);
        self.span = span;
        let long_enough = |lifetime: Option<Duration>| lifetime.is_none_or(|it| it.as_secs() > 0);
        let good = matches!(weather, Weather::Token(lifetime) if long_enough(lifetime))
            && latency <= Duration::from_millis(200)
            && self.source.accepts_the_secret();
        self.trace.note(match good {
            true => Event::WeatherIsGood,
            false => Event::WeatherIsNot,
        });
    }

    fn call(&mut self, key: Key) {
        self.calls += 1;
        let id = self.calls;
        let patience = match self.rng.u32(0..3) {
            0 => Some(Duration::from_millis(self.rng.u64(1..6_000))),
            _ => None,
        };
        let (cache, trace) = (self.cache.clone(), self.trace.clone());
        let held = Arc::clone(&self.held);
        tokio::spawn(async move {
            trace.note(Event::Called(id, key, patience));
            let request = key.request();
            let call = cache.token_for(&request);
            let result = match patience {
                None => call.await,
                Some(patience) => match timeout(patience, call).await {
                    Ok(result) => result,
                    Err(_) => return trace.note(Event::GaveUp(id)),
                },
            };
            match result {
                Ok(token) => {
                    let number = key.number(token.secret());
                    trace.note(Event::Served(id, number, token.expires_at()));
                    held.lock().unwrap().insert((key, number), token);
                }
                Err(error) => trace.note(Event::Failed(id, error.kind(), error.retry_after())),
            }
        });
    }

    /// A resource server rejects a token that some caller got: mostly the last one, sometimes a late answer.
    fn reject(&mut self) {
        let held = self.held.lock().unwrap();
        let wanted = *pick(&mut self.rng, &Key::ALL);
        let of_key: Vec<_> = held.iter().filter(|((key, _), _)| *key == wanted).collect();
        let index = match self.rng.u32(0..3) {
            _ if of_key.is_empty() => return,
            0 => self.rng.usize(0..of_key.len()),
            _ => of_key.len() - 1,
        };
        let ((key, number), token) = of_key[index];
        let accepted = self.cache.invalidate(token);
        self.trace.note(Event::Rejected(*key, *number, accepted));
    }

    fn note_health(&mut self) {
        for key in Key::ALL {
            if let Some(health) = self.cache.health_for(&key.request()) {
                self.trace.note(Event::Health(
                    key,
                    health.consecutive_failures,
                    health.expires_in,
                    health.next_attempt_in,
                ));
            }
        }
    }

    /// Lets every task run until all of them wait for time.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.trace.note(Event::Settled);
    }
}
