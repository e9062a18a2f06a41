//! What costs grow with, and what they do not grow with.
//!
//! `cargo bench -p measure --bench growth` writes `growth.json` and `growth.svg` to `target/bench`; with
//! `-- --full` it goes up to a million cached tokens, which takes minutes to sign. The time is that of
//! one core, the smallest of several turns: whatever else the machine does can only add to it.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its result, ends where it breaks, and counts to a million"
)]

mod fakes;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../../crates/jwks-validator/tests/it/signer.rs"]
mod signer;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use clock::ManualClock;
use fakes::{Fixed, token_cache};
use jwks_validator::{JwtValidator, KeySet};
use measure::plot::{self, Plot};
use measure::{now, repeats, turn};
use serde_json::{Value, json};
use signer::{AUDIENCE, ISSUER, NOW, Signer, good_claims, jwks};
use token_cache::TokenRequest;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

type Points = Vec<(f64, f64)>;

fn main() {
    // What `cargo test --benches` passes: whether it runs, and not what comes out.
    let short = std::env::args().any(|it| it == "--test");
    let full = std::env::args().any(|it| it == "--full");
    let upto = |all: &[usize]| -> Vec<usize> {
        let count = if short { 1 } else { all.len() };
        all[..count].to_vec()
    };
    let runtime = Runtime::new().unwrap();
    let _context = runtime.enter();
    let tokens: &[usize] = match full {
        true => &[10, 100, 1_000, 10_000, 100_000, 1_000_000],
        false => &[10, 100, 1_000, 10_000, 100_000],
    };
    let (refused, taken_in) = keys(&upto(&[1, 2, 4, 8, 16, 32, 64]));
    let (hit, memory) = cached(&runtime, &upto(tokens));
    let (known, unknown) = issuers(&runtime, &upto(&[1, 3, 10, 30, 100]));
    let (size_hit, size_checked) = sizes(&runtime, &upto(&[300, 600, 1_200, 2_400, 4_800, 8_000]));
    let plots = [
        Plot {
            title: "Keys in the set: a token with an unknown key id is refused",
            x: "keys",
            y: "ns",
            lines: vec![("refused", refused)],
        },
        Plot {
            title: "Keys in the set: reading the set",
            x: "keys",
            y: "µs",
            lines: vec![("taken in", taken_in)],
        },
        Plot {
            title: "Remembered tokens: a hit",
            x: "tokens",
            y: "ns",
            lines: vec![("hit", hit)],
        },
        Plot {
            title: "Remembered tokens: memory for each",
            x: "tokens",
            y: "bytes",
            lines: vec![("memory", memory)],
        },
        Plot {
            title: "Issuers",
            x: "issuers",
            y: "ns",
            lines: vec![
                ("a hit of the last one's token", known),
                ("a stranger's token refused", unknown),
            ],
        },
        Plot {
            title: "Size of the token",
            x: "bytes",
            y: "µs",
            lines: vec![
                ("hit", size_hit),
                ("signature checked (ES256)", size_checked),
            ],
        },
        Plot {
            title: "Tasks that read one token at once",
            x: "tasks",
            y: "ns of one core per read",
            lines: vec![("read", tasks(&runtime, &upto(&[1, 10, 100, 1_000, 10_000])))],
        },
        Plot {
            title: "Token requests in one cache",
            x: "requests",
            y: "ns",
            lines: vec![(
                "read",
                requests(&runtime, &upto(&[1, 3, 10, 30, 100, 300, 1_000])),
            )],
        },
    ];
    for plot in &plots {
        println!("\n{}", plot.title);
        for (name, points) in &plot.lines {
            let figures: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{x:.0}: {y:.1}"))
                .collect();
            println!(
                "  {name} ({} by {}): {}",
                plot.y,
                plot.x,
                figures.join(", ")
            );
        }
    }
    if !short {
        let folder = measure::folder(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(&folder).unwrap();
        let document: Vec<Value> = plots
            .iter()
            .map(|it| json!({ "title": it.title, "x": it.x, "y": it.y, "lines": it.lines }))
            .collect();
        std::fs::write(
            folder.join("growth.json"),
            format!("{:#}\n", json!(document)),
        )
        .unwrap();
        plot::lines(&folder.join("growth.svg"), &plots).unwrap();
    }
}

/// Nanoseconds of one call: the smallest of several turns.
fn ns<R>(mut run: impl FnMut() -> R) -> f64 {
    let count = repeats(Duration::from_millis(2), &mut run);
    let turns = (0..9).map(|_| turn(count, &mut run) / f64::from(count));
    turns.fold(f64::MAX, f64::min) * 1e9
}

fn keys(counts: &[usize]) -> (Points, Points) {
    let signers: Vec<Signer> = (0..64)
        .map(|n| Signer::es256(&format!("key-{n}")))
        .collect();
    let token = Signer::es256("nobody").good();
    let mut refused = Vec::new();
    let mut taken_in = Vec::new();
    for &count in counts {
        eprintln!("{count} keys");
        let published: Vec<Value> = signers[..count].iter().map(Signer::jwk).collect();
        let document = jwks(&published);
        let set = KeySet::from_jwks_json(&document).unwrap();
        let policy = jwks_validator::Policy::for_audiences([AUDIENCE]);
        let at = std::time::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs());
        let x = count as f64;
        refused.push((
            x,
            ns(|| jwks_validator::validate(&token, at, |_| Ok(&set), &policy).unwrap_err()),
        ));
        taken_in.push((x, ns(|| KeySet::from_jwks_json(&document).unwrap()) / 1e3));
    }
    (refused, taken_in)
}

/// A validator of so many issuers that all have the keys of one signer.
fn validator(runtime: &Runtime, issuers: usize, cached: usize, signer: &Signer) -> JwtValidator {
    let mut builder = JwtValidator::builder()
        .audience(AUDIENCE)
        .verified_cache(cached)
        .clock(Arc::new(ManualClock::at_unix(NOW.unsigned_abs())));
    for n in 0..issuers {
        builder = builder.issuer(&issuer(n), Fixed(jwks(&[signer.jwk()])));
    }
    let validator = builder.build().unwrap();
    validator.start();
    assert!(runtime.block_on(validator.wait_ready()));
    validator
}

fn issuer(n: usize) -> String {
    match n {
        0 => ISSUER.to_owned(),
        _ => format!("{ISSUER}/{n}"),
    }
}

fn cached(runtime: &Runtime, counts: &[usize]) -> (Points, Points) {
    let signer = Signer::new("EdDSA", "k");
    let mut hit = Vec::new();
    let mut memory = Vec::new();
    for &count in counts {
        eprintln!("{count} cached tokens");
        let validator = validator(runtime, 1, count, &signer);
        let mut claims = good_claims();
        let before = resident();
        // A few are enough to read; all of them would be as much memory as what is measured.
        let mut some = Vec::new();
        for n in 0..count {
            claims["jti"] = json!(n.to_string());
            let token = signer.token(&claims);
            now(validator.validate(&token)).unwrap();
            if n % (count / 10) == 0 {
                some.push(token);
            }
        }
        let grown = resident().saturating_sub(before);
        let mut turn = some.iter().cycle();
        hit.push((
            count as f64,
            ns(|| now(validator.validate(turn.next().unwrap())).unwrap()),
        ));
        if count >= 1_000 {
            memory.push((count as f64, grown as f64 / count as f64));
        }
        runtime.block_on(validator.shutdown());
    }
    if memory.is_empty() {
        memory.push((1.0, 0.0));
    }
    (hit, memory)
}

/// Bytes of this process in memory, where the system tells.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse::<usize>().ok());
    pages.unwrap_or_default() * 4_096
}

fn issuers(runtime: &Runtime, counts: &[usize]) -> (Points, Points) {
    let signer = Signer::es256("k");
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for &count in counts {
        eprintln!("{count} issuers");
        let validator = validator(runtime, count, 10, &signer);
        let mut claims = good_claims();
        claims["iss"] = json!(issuer(count - 1));
        let token = signer.token(&claims);
        claims["iss"] = json!("https://idp.example/somebody");
        let stranger = signer.token(&claims);
        // The keys of this one may be the last to come.
        runtime.block_on(validator.validate(&token)).unwrap();
        let x = count as f64;
        known.push((x, ns(|| now(validator.validate(&token)).unwrap())));
        unknown.push((x, ns(|| now(validator.validate(&stranger)).unwrap_err())));
        runtime.block_on(validator.shutdown());
    }
    (known, unknown)
}

fn sizes(runtime: &Runtime, sizes: &[usize]) -> (Points, Points) {
    let signer = Signer::es256("k");
    let caching = validator(runtime, 1, 10, &signer);
    let forgetting = validator(runtime, 1, 0, &signer);
    let mut hit = Vec::new();
    let mut checked = Vec::new();
    for &size in sizes {
        eprintln!("a token of {size} bytes");
        let mut claims = good_claims();
        let short = signer.token(&claims).len();
        claims["more"] = json!("x".repeat(size.saturating_sub(short + 16) / 4 * 3));
        let token = signer.token(&claims);
        let x = token.len() as f64;
        now(caching.validate(&token)).unwrap();
        hit.push((x, ns(|| now(caching.validate(&token)).unwrap()) / 1e3));
        checked.push((x, ns(|| now(forgetting.validate(&token)).unwrap()) / 1e3));
    }
    (hit, checked)
}

fn tasks(runtime: &Runtime, counts: &[usize]) -> Points {
    const READS: usize = 2_000_000;
    let cache = token_cache(runtime);
    let read = |count: usize| {
        let before = core_time();
        let mut running = JoinSet::new();
        for _ in 0..count {
            let cache = cache.clone();
            running.spawn(async move {
                for n in 0..READS / count {
                    black_box(cache.token().await.unwrap());
                    // As after a request: the others get their turn.
                    if n % 64 == 63 {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        runtime.block_on(async { while running.join_next().await.is_some() {} });
        (core_time() - before).as_secs_f64() * 1e9 / READS as f64
    };
    let points = counts.iter().map(|&count| {
        eprintln!("{count} tasks");
        let turns = (0..5).map(|_| read(count));
        (count as f64, turns.fold(f64::MAX, f64::min))
    });
    points.collect()
}

/// How long the threads of this process were on a core; Linux tells.
fn core_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let times = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    });
    times.map(Duration::from_nanos).sum()
}

fn requests(runtime: &Runtime, counts: &[usize]) -> Points {
    let points = counts.iter().map(|&count| {
        eprintln!("{count} token requests");
        let cache = token_cache(runtime);
        let requests: Vec<TokenRequest> = (0..count)
            .map(|n| TokenRequest::new().scope(&format!("scope-{n}")))
            .collect();
        for request in &requests {
            runtime.block_on(cache.token_for(request)).unwrap();
        }
        let last = requests.last().unwrap();
        let read = ns(|| now(cache.token_for(last)).unwrap());
        runtime.block_on(cache.shutdown());
        (count as f64, read)
    });
    points.collect()
}
