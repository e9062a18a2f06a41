//! What a caller pays for a token.
//!
//! `cargo bench -p token-cache` measures, then prints one table of ratios; `--features metrics` adds
//! the counters to every figure. Ratios are taken inside one run on one machine, so they can be
//! compared where the figures themselves cannot.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its result and ends where it breaks"
)]

use std::future::Future as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::routing::post;
use clock::{Clock, ManualClock, SystemClock};
use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode};
use http::{HeaderMap, HeaderValue, header};
use measure::{Row, Table};
use token_cache::{
    AccessToken, ClientCredentials, IssuedToken, SecretString, StartupPolicy, TokenCache,
    TokenError, TokenRequest, TokenSource,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// About as long as a signed token with a handful of claims.
const TOKEN_LEN: usize = 800;
const READERS: [usize; 3] = [1, 8, 64];
const HERD: usize = 10_000;
/// What a provider in another network takes to answer.
const LATENCY: Duration = Duration::from_millis(50);
const REFRESHES: u64 = 1_000;
const READS_PER_SECOND: u64 = 10_000;

fn main() {
    #[cfg(feature = "metrics")]
    metrics_util::debugging::DebuggingRecorder::new()
        .install()
        .unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    // So that the table shows nothing of an earlier run.
    let _ = std::fs::remove_dir_all(&folder);
    let mut criterion = Criterion::default()
        .output_directory(&folder)
        .configure_from_args();
    let allocations = attach(&mut criterion);
    readers(&mut criterion);
    criterion.final_summary();
    // What `cargo test --benches` and profilers pass.
    if std::env::args().any(|it| it == "--test" || it == "--profile-time") {
        return;
    }
    let estimates = Estimates(folder);
    let herd = herd();
    // Last: pausing tokio's time makes its clock slower for the rest of the process.
    let waiting = waiting_callers();
    report(&estimates, &herd, waiting, allocations);
}

/// Returns the allocations of one.
fn attach(criterion: &mut Criterion) -> f64 {
    let runtime = runtime();
    let cache = warm_cache(&runtime);
    let mut group = criterion.benchmark_group("attach");
    // Many samples of a millisecond each: most of them are not interrupted by another process, so the
    // median is that of a quiet machine.
    group.sample_size(1_000);
    group.measurement_time(Duration::from_secs(1));
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("floor", |bencher| {
        let current = ArcSwap::from_pointee(cache_token(&cache));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        bencher.iter(|| {
            let guard = current.load();
            black_box((Instant::now(), clock.now()));
            black_box(guard.expires_at())
        });
    });
    group.bench_function("read", |bencher| {
        bencher.iter(|| black_box(cache_token(&cache)));
    });
    group.bench_function("attach", |bencher| {
        bencher.iter_batched_ref(
            request_headers,
            |headers| {
                let token = cache_token(&cache);
                headers.insert(header::AUTHORIZATION, token.authorization().clone());
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
    let mut headers = request_headers();
    measure::allocations(&mut || {
        let token = cache_token(&cache);
        headers.insert(header::AUTHORIZATION, token.authorization().clone())
    })
}

/// Headers as a request of a service has them, with room for one more.
fn request_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("service/1"));
    headers.insert("traceparent", HeaderValue::from_static("00-0-0-01"));
    headers
}

fn readers(criterion: &mut Criterion) {
    let runtime = runtime();
    let cache = warm_cache(&runtime);
    let mut group = criterion.benchmark_group("readers");
    for tasks in READERS {
        group.bench_function(BenchmarkId::from_parameter(tasks), |bencher| {
            bencher.iter_custom(|reads| {
                let before = core_time();
                let elapsed = runtime.block_on(read_at_once(&cache, tasks, reads));
                let cores = runtime.metrics().num_workers().min(tasks);
                match (before, core_time()) {
                    (Some(before), Some(after)) => after - before,
                    _ => elapsed.saturating_mul(u32::try_from(cores).unwrap()),
                }
            });
        });
    }
    group.finish();
}

/// How long the threads of this process were on a core. Unlike the time that passes it does not grow
/// when other processes want the cores too. Linux only.
fn core_time() -> Option<Duration> {
    let mut total = Duration::ZERO;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        total += Duration::from_nanos(text.split(' ').next()?.parse().ok()?);
    }
    Some(total)
}

/// Shares `reads` among tasks that start together. Returns how long that took.
async fn read_at_once(cache: &TokenCache, tasks: usize, reads: u64) -> Duration {
    let barrier = Arc::new(Barrier::new(tasks + 1));
    let share = reads.div_ceil(tasks as u64);
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let (cache, barrier) = (cache.clone(), Arc::clone(&barrier));
        running.spawn(async move {
            barrier.wait().await;
            for _ in 0..share.div_ceil(64) {
                for _ in 0..64 {
                    black_box(cache.token().await.unwrap());
                }
                tokio::task::yield_now().await;
            }
        });
    }
    barrier.wait().await;
    let begun = Instant::now();
    while let Some(reader) = running.join_next().await {
        reader.unwrap();
    }
    begun.elapsed()
}

struct Herd {
    latency: Duration,
    total: Duration,
    requests: u64,
}

/// Callers without a token, against an endpoint over a real socket that takes its time.
fn herd() -> Herd {
    let runtime = runtime();
    runtime.block_on(async {
        let requests = Arc::new(AtomicU64::new(0));
        let app = axum::Router::new()
            .route("/token", post(slow_token))
            .with_state(Arc::clone(&requests));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });

        let mut latencies = Vec::new();
        let mut totals = Vec::new();
        for _ in 0..5 {
            let cache = cold_cache(&url);
            let begun = Instant::now();
            cache.token().await.unwrap();
            latencies.push(begun.elapsed());

            let cache = cold_cache(&url);
            let barrier = Arc::new(Barrier::new(HERD + 1));
            let mut callers = JoinSet::new();
            for _ in 0..HERD {
                let (cache, barrier) = (cache.clone(), Arc::clone(&barrier));
                callers.spawn(async move {
                    barrier.wait().await;
                    cache.token().await.unwrap();
                });
            }
            let before = requests.load(Ordering::SeqCst);
            barrier.wait().await;
            let begun = Instant::now();
            while let Some(caller) = callers.join_next().await {
                caller.unwrap();
            }
            totals.push(begun.elapsed());
            assert_eq!(requests.load(Ordering::SeqCst) - before, 1);
        }
        Herd {
            latency: median(latencies),
            total: median(totals),
            requests: 1,
        }
    })
}

async fn slow_token(State(requests): State<Arc<AtomicU64>>) -> Json<serde_json::Value> {
    requests.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(LATENCY).await;
    Json(serde_json::json!({
        "access_token": "x".repeat(TOKEN_LEN), "token_type": "Bearer", "expires_in": 3600,
    }))
}

fn cold_cache(url: &str) -> TokenCache {
    let source = ClientCredentials::builder("client", SecretString::from("secret"))
        .token_endpoint(url)
        .build()
        .unwrap();
    TokenCache::builder(source).build().unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Counts the callers that had to wait while tokens of 5 s were refreshed, on simulated time.
fn waiting_callers() -> u64 {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let source = Fake::new(Duration::from_secs(5), LATENCY);
        let fetches = Arc::clone(&source.fetches);
        // The wall clock stands still, so that the simulated one alone decides.
        let cache = TokenCache::builder(source)
            .clock(Arc::new(ManualClock::at_unix(2_000_000_000)))
            .build()
            .unwrap();
        let limit = Duration::from_secs(10);
        cache.start(StartupPolicy::Require(limit)).await.unwrap();
        let mut waiting = 0;
        while fetches.load(Ordering::Relaxed) <= REFRESHES {
            for _ in 0..READS_PER_SECOND / 1_000 {
                let read = pin!(cache.token());
                let state = read.poll(&mut Context::from_waker(Waker::noop()));
                waiting += u64::from(state.is_pending());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        waiting
    })
}

/// A source that hands out tokens of one lifetime after a while.
#[derive(Debug)]
struct Fake {
    lifetime: Duration,
    latency: Duration,
    fetches: Arc<AtomicU64>,
}

impl Fake {
    fn new(lifetime: Duration, latency: Duration) -> Self {
        Self {
            lifetime,
            latency,
            fetches: Arc::default(),
        }
    }
}

#[async_trait]
impl TokenSource for Fake {
    async fn fetch(&self, _request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        tokio::time::sleep(self.latency).await;
        let number = self.fetches.fetch_add(1, Ordering::Relaxed);
        IssuedToken::new(format!("{number:0>TOKEN_LEN$}"), Some(self.lifetime))
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}

/// A cache whose token stays fresh for the whole run.
fn warm_cache(runtime: &Runtime) -> TokenCache {
    let source = Fake::new(Duration::from_secs(86_400), Duration::ZERO);
    let cache = TokenCache::builder(source).build().unwrap();
    let start = cache.start(StartupPolicy::Require(Duration::from_secs(10)));
    runtime.block_on(start).unwrap();
    cache
}

/// Reads as a task does: one poll, which is ready.
fn cache_token(cache: &TokenCache) -> AccessToken {
    match pin!(cache.token()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(token) => token.unwrap(),
        Poll::Pending => unreachable!("the token is fresh"),
    }
}

/// What criterion wrote.
struct Estimates(PathBuf);

impl Estimates {
    /// The median in nanoseconds, if this run measured it.
    fn median_ns(&self, id: &str) -> Option<f64> {
        let text = std::fs::read(self.0.join(id).join("new/estimates.json")).ok()?;
        let json: serde_json::Value = serde_json::from_slice(&text).ok()?;
        json["median"]["point_estimate"].as_f64()
    }
}

fn report(estimates: &Estimates, herd: &Herd, waiting: u64, allocations: f64) {
    let mut table = Table::default();
    let mut times = |what: &str, id: &str, (base, name): (&str, &str), goal: &str| {
        let ns = estimates.median_ns(id);
        let ratio = ns
            .zip(estimates.median_ns(base))
            .map(|(ns, base)| ns / base);
        table.rows.push(Row {
            what: what.to_owned(),
            ns,
            ratio: ratio.map(|ratio| (ratio, name.to_owned())),
            goal: goal.to_owned(),
            ..Row::default()
        });
    };
    for (what, id, goal) in [
        ("one ArcSwap load and two clock reads", "floor", ""),
        ("read a fresh token", "read", ""),
        (
            "attach it to a request",
            "attach",
            "≤ 150 ns, 0 allocations",
        ),
    ] {
        let floor = ("attach/floor", "load and clocks");
        times(what, &format!("attach/{id}"), floor, goal);
    }
    for tasks in READERS {
        let what = format!("read, {tasks} tasks at once, time of one core");
        let one = ("readers/1", "one task");
        times(&what, &format!("readers/{tasks}"), one, "< 2 × one task");
    }
    table.rows[2].allocations = Some(allocations);
    let (total, latency) = (herd.total.as_secs_f64(), herd.latency.as_secs_f64());
    table.rows.push(Row {
        what: format!("{HERD} callers without a token"),
        ns: Some(total * 1e9),
        ratio: Some((total / latency, "the endpoint".to_owned())),
        goal: "< 2 × the endpoint".to_owned(),
        ..Row::default()
    });
    for (what, text, goal) in [
        ("token requests for them", herd.requests.to_string(), "1"),
        (
            &format!("callers who waited in {REFRESHES} refreshes"),
            format!("{waiting} at {READS_PER_SECOND} reads/s"),
            "0",
        ),
    ] {
        table.rows.push(Row {
            what: what.to_owned(),
            text,
            goal: goal.to_owned(),
            ..Row::default()
        });
    }
    println!("\n{table}");
    let folder = measure::folder(env!("CARGO_TARGET_TMPDIR"));
    table.write(&folder, "token-cache").unwrap();
}
