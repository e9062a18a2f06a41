//! Counts instructions instead of time, so that a change that costs something shows on any machine.
//!
//! `cargo bench -p measure --bench instructions` repeats each operation under callgrind (valgrind), which counts
//! the repetitions and not the start. It fails when a figure has left the band of 3 % around the one in
//! `tests/instructions.txt`; `UPDATE=1` writes that file anew, and the change that moves a figure says why. The
//! work of the cryptography library is measured and taken off, because it chooses its code by the processor;
//! where it has chosen otherwise than in the record, nothing is compared.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its result, ends where it breaks, and is told by the environment to update"
)]

mod fakes;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use axum::body::Body;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::ManualClock;
use fakes::{Fixed, token_cache};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use jwks_validator::{JwtValidator, KeySet, Policy, validate};
use measure::now;
use serde_json::json;
use service_kit::shutdown::Shutdown;
use tower::Service as _;

const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "https://api.example";
/// 2027-01-15T08:00:00Z.
const NOW: u64 = 1_800_000_000;

/// What is counted, and what of it is the cryptography library's.
const OPERATIONS: [(&str, Option<&str>); 8] = [
    ("attach", None),
    ("verify", None),
    ("sha256", None),
    ("validate", Some("verify")),
    ("hit", Some("sha256")),
    ("refuse an unknown key", None),
    ("route without the layer", None),
    ("route of protected-data", Some("sha256")),
];
/// These say something of the cryptography library and the processor only.
const LIBRARY: [&str; 2] = ["verify", "sha256"];
/// Repetitions; with more, what only the first one does weighs less.
const TIMES: u32 = 1_000;
/// The same for what takes half a million instructions.
const TIMES_SLOW: u32 = 100;
const RUNS: usize = 3;
/// Where callgrind counts. The start is left out: the cryptography library gathers entropy there, until it has enough.
const COUNTED: &str = "instructions::counted*";
/// In percent of the recorded figure.
const BAND: f64 = 3.0;
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../instructions.txt");

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let operation = arguments
        .find(|it| it == "--operation")
        .and_then(|_| arguments.next());
    if let Some(operation) = operation {
        let times = arguments.next().unwrap().parse().unwrap();
        run(&operation, times);
        return ExitCode::SUCCESS;
    }
    // What `cargo test --benches` passes.
    if std::env::args().any(|it| it == "--test") {
        for (operation, _) in OPERATIONS {
            run(operation, 1);
        }
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions are not counted: valgrind is not installed");
        return ExitCode::SUCCESS;
    }
    let counted: BTreeMap<&str, i64> = OPERATIONS
        .iter()
        .map(|(operation, _)| (*operation, per_operation(operation)))
        .collect();
    let own: Vec<(String, i64)> = OPERATIONS
        .iter()
        .filter(|(operation, _)| !LIBRARY.contains(operation))
        .map(|(operation, less)| match less {
            Some(less) => (
                format!("{operation} less {less}"),
                counted[operation] - counted[less],
            ),
            None => ((*operation).to_owned(), counted[operation]),
        })
        .collect();
    report(&own, &counted)
}

fn report(own: &[(String, i64)], counted: &BTreeMap<&str, i64>) -> ExitCode {
    let before: BTreeMap<String, i64> = std::fs::read_to_string(RECORD)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))
        .collect();
    let mut text = String::from(
        "Instructions of one operation, without those of the cryptography library.\n\
         Written by `UPDATE=1 cargo bench -p measure --bench instructions`.\n\n",
    );
    for name in LIBRARY {
        let _ = writeln!(text, "{name}: {}", counted[name]);
    }
    let is_same = |name: &&str| {
        let recorded = before.get(*name).copied().unwrap_or_default();
        (recorded - counted[*name]).abs() * 1_000 <= recorded
    };
    let is_comparable = before.is_empty() || LIBRARY.iter().all(is_same);
    let mut is_moved = false;
    println!(
        "{:<32} {:>12} {:>12} {:>9}",
        "instructions", "recorded", "counted", "change"
    );
    for (name, count) in own {
        let _ = writeln!(text, "{name}: {count}");
        let Some(recorded) = before.get(name) else {
            println!("{name:<32} {:>12} {count:>12}", "-");
            is_moved = true;
            continue;
        };
        let change = (float(*count) / float(*recorded) - 1.0) * 100.0;
        let moved = float((count - recorded).abs());
        is_moved |= moved > float(*recorded) * BAND / 100.0;
        println!("{name:<32} {recorded:>12} {count:>12} {change:>+8.1}%");
    }
    println!(
        "of the cryptography library here: {} for a signature, {} for a hash",
        counted["verify"], counted["sha256"]
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(RECORD, text).unwrap();
        return ExitCode::SUCCESS;
    }
    if !is_comparable {
        println!("not compared: on this processor the library itself takes other instructions");
        return ExitCode::SUCCESS;
    }
    if is_moved {
        println!("a figure moved by more than {BAND} %: see tests/instructions.txt");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn float(count: i64) -> f64 {
    f64::from(i32::try_from(count).unwrap())
}

/// The smallest of several runs: random addresses make some a little longer.
fn per_operation(operation: &str) -> i64 {
    let times = match operation {
        "verify" | "validate" => TIMES_SLOW,
        _ => TIMES,
    };
    let runs = (0..RUNS).map(|_| total(operation, times));
    runs.min().unwrap_or_default() / i64::from(times)
}

/// Instructions of a whole run, as callgrind counts them.
fn total(operation: &str, times: u32) -> i64 {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind.out");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--operation", operation, &times.to_string()])
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let text = std::fs::read_to_string(out).unwrap();
    let summary = text.lines().find_map(|line| {
        line.strip_prefix("summary: ")
            .or(line.strip_prefix("totals: "))
    });
    summary.unwrap().trim().parse().unwrap()
}

fn run(operation: &str, times: u32) {
    match operation {
        "attach" => {
            let runtime = runtime();
            let cache = token_cache(&runtime);
            let mut headers = HeaderMap::with_capacity(8);
            counted(times, || {
                let token = now(cache.token()).unwrap();
                headers.insert(header::AUTHORIZATION, token.authorization().clone());
            });
        }
        "hit" => {
            let signed = Signed::new("k");
            let (_runtime, validator) = validator(&signed);
            now(validator.validate(&signed.token)).unwrap();
            counted(times, || now(validator.validate(&signed.token)).unwrap());
        }
        "sha256" => {
            let token = Signed::new("k").token;
            counted(times, || digest(&SHA256, token.as_bytes()));
        }
        "verify" => {
            let signed = Signed::new("k");
            let (message, signature) = signed.token.rsplit_once('.').unwrap();
            let key = ParsedPublicKey::new(&ED25519, signed.key.public_key()).unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            counted(times, || {
                key.verify_sig(message.as_bytes(), &signature).unwrap();
            });
        }
        "validate" => {
            let signed = Signed::new("k");
            let (keys, policy) = (signed.keys(), Policy::for_audiences([AUDIENCE]));
            let check = || validate(&signed.token, at(), |_| Ok(&keys), &policy).unwrap();
            counted(times, check);
        }
        "refuse an unknown key" => {
            let token = Signed::new("unknown").token;
            let (keys, policy) = (Signed::new("k").keys(), Policy::for_audiences([AUDIENCE]));
            let check = || validate(&token, at(), |_| Ok(&keys), &policy).unwrap_err();
            counted(times, check);
        }
        "route without the layer" => {
            let signed = Signed::new("k");
            let data = async || {
                let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
                (no_store, Json(json!({ "protectedData": "here I am" })))
            };
            let router = Router::new().route(protected_data::DATA_PATH, get(data));
            answer(times, router, &signed.token);
        }
        "route of protected-data" => {
            let signed = Signed::new("k");
            let (_runtime, validator) = validator(&signed);
            let router = protected_data::app(protected_data::AppState {
                validator,
                required_scopes: None,
                token_from: jwks_validator::TokenFrom::default(),
                decisions: Arc::default(),
                shutdown: Shutdown::manual(Duration::ZERO),
            });
            answer(times, router, &signed.token);
        }
        other => unreachable!("{other}"),
    }
}

/// Sends one request with this token again and again, without a connection.
fn answer(times: u32, router: Router, token: &str) {
    // As the server does it.
    let router = router.with_state(());
    let bearer = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let ask = || {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static(protected_data::DATA_PATH);
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, bearer.clone());
        let response = now(router.clone().call(request)).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    };
    ask();
    counted(times, ask);
}

/// A key and a token that are the same in every run: what a signature costs depends on its bits.
struct Signed {
    kid: &'static str,
    key: Ed25519KeyPair,
    token: String,
}

impl Signed {
    fn new(kid: &'static str) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid });
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "client", "client_id": "client",
            "iat": NOW, "exp": NOW + 3_600, "jti": "0123456789", "scope": "data:read data:write",
        });
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        let token = format!("{message}.{signature}");
        Self { kid, key, token }
    }

    fn jwks(&self) -> Vec<u8> {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key());
        let jwk =
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": self.kid, "x": x });
        json!({ "keys": [jwk] }).to_string().into_bytes()
    }

    fn keys(&self) -> KeySet {
        KeySet::from_jwks_json(&self.jwks()).unwrap()
    }
}

#[inline(never)]
fn counted<R>(times: u32, mut run: impl FnMut() -> R) {
    for _ in 0..times {
        black_box(run());
    }
}

fn at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn validator(signed: &Signed) -> (tokio::runtime::Runtime, JwtValidator) {
    let runtime = runtime();
    let validator = JwtValidator::builder()
        .issuer(ISSUER, Fixed(signed.jwks()))
        .audience(AUDIENCE)
        .verified_cache(64)
        .clock(Arc::new(ManualClock::at_unix(NOW)))
        .build()
        .unwrap();
    runtime.block_on(async {
        validator.start();
        assert!(validator.wait_ready().await);
    });
    (runtime, validator)
}

/// One thread, which does nothing while an operation is repeated.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap()
}
