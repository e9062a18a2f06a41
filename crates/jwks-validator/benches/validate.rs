//! What a decision about a token costs, beside the parts of it that nobody can do without.
//!
//! `cargo bench -p jwks-validator` measures, then prints one table; `--features jwks-client-rs` puts
//! that crate into it. Every ratio comes from rounds in which both sides took turns, so that a busy
//! machine slows both; the figures themselves are criterion's.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its result and ends where it breaks"
)]

mod bare;
#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/signer.rs"]
mod signer;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::ParsedPublicKey;
use clock::{Clock as _, SystemClock};
use criterion::Criterion;
use jsonwebtoken::{DecodingKey, Validation};
use jwks_validator::{
    EntityTag, Fetched, JwtValidator, KeySet, KeySource, Policy, Reason, SourceError, validate,
};
use measure::{Row, Table, allocations, now, ratio};
use serde_json::{Value, json};

use signer::{AUDIENCE, ISSUER, Signer, encode, good_claims, jwks};

const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];
const MAX_TOKEN: usize = 8 * 1024;

fn main() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let mut criterion = Criterion::default()
        .output_directory(&folder)
        .configure_from_args();
    let rounds = if std::env::args().any(|argument| argument == "--test") {
        // What `cargo test --benches` passes.
        0
    } else {
        400
    };
    let mut bench = Bench {
        criterion: &mut criterion,
        table: Table::default(),
        rounds,
    };
    signatures(&mut bench);
    cached(&mut bench);
    refused(&mut bench);
    key_sets(&mut bench);
    let mut table = bench.table;
    criterion.final_summary();
    if rounds > 0 {
        for row in &mut table.rows {
            row.ns = median_ns(&folder, &row.what);
        }
        println!("\n{table}");
        let folder = measure::folder(env!("CARGO_TARGET_TMPDIR"));
        table.write(&folder, "validate").unwrap();
    }
}

/// A token of each algorithm, checked by the library alone, by us and by others.
fn signatures(bench: &mut Bench<'_>) {
    for alg in ALGORITHMS {
        let case = Case::new(alg);
        let (raw, message, signature) = case.raw();
        let verify = || raw.verify_sig(message, &signature).unwrap();
        bench.base(&format!("verify/{alg}"), verify);
        let goal = match alg {
            "RS256" => "≤ 1.12 × verify",
            "ES256" => "≤ 1.06 × verify",
            _ => "",
        };
        bench.beside(
            &format!("validate/{alg}"),
            || case.validate(&case.token).unwrap(),
            ("verify", verify),
            goal,
        );

        let key = DecodingKey::from_jwk(&serde_json::from_value(case.signer.jwk()).unwrap());
        let key = key.unwrap();
        let mut validation = Validation::new(alg.parse().unwrap());
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_nbf = true;
        bench.beside(
            &format!("jsonwebtoken/{alg}"),
            || jsonwebtoken::decode::<Value>(&case.token, &key, &validation).unwrap(),
            ("verify", verify),
            "",
        );
        #[cfg(feature = "jwks-client-rs")]
        {
            let client = jwks_client_rs::JwksClient::<Published>::builder()
                .build(Published(json!({ "keys": [case.signer.jwk()] })));
            bench.beside(
                &format!("jwks_client_rs/{alg}"),
                || now(client.decode::<Value>(&case.token, &[AUDIENCE])).unwrap(),
                ("verify", verify),
                "",
            );
        }
    }
}

/// A token that the validator has seen before.
fn cached(bench: &mut Bench<'_>) {
    let case = Case::new("RS256");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .unwrap();
    let validator = JwtValidator::builder()
        .issuer(ISSUER, Fixed(jwks(&[case.signer.jwk()])))
        .audience(AUDIENCE)
        .verified_cache(10_000)
        .build()
        .unwrap();
    runtime.block_on(async {
        validator.start();
        assert!(validator.wait_ready().await);
    });
    let sha256 = || digest(&SHA256, case.token.as_bytes());
    bench.base("cached/SHA-256 of the token", sha256);
    bench.beside(
        "cached/hit",
        || now(validator.validate(&case.token)).unwrap(),
        ("SHA-256", sha256),
        "≤ 1 µs",
    );
}

/// What it costs to refuse.
fn refused(bench: &mut Bench<'_>) {
    let case = Case::new("ES256");
    let (raw, message, signature) = case.raw();
    let verify = || raw.verify_sig(message, &signature).unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = case.claims.clone();
        claims[name] = value;
        case.signer.token(&claims)
    };
    let header = encode(case.signer.header().to_string());
    // A generator with a fixed seed: the same junk in every run.
    let mut random = fastrand::Rng::with_seed(1);
    let mut junk = |len: usize| -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..len)
            .map(|_| char::from(alphabet[random.usize(..alphabet.len())]))
            .collect()
    };
    let part = (MAX_TOKEN - 2) / 3 / 4 * 4;
    let objects = "{\"a\":".repeat(100) + "1" + &"}".repeat(100);
    let members = (0..1_000).map(|n| format!("\"{n}\":1"));
    let members = members.collect::<Vec<_>>().join(",");
    let mut stranger = Signer::es256("stranger");
    stranger.kid = "unknown".to_owned();
    let other = Signer::es256("k");
    for (name, token, goal) in [
        ("8 KiB without dots", junk(MAX_TOKEN), "≤ 3 µs"),
        (
            "8 KiB in three parts",
            format!("{}.{}.{}", junk(part), junk(part), junk(part)),
            "≤ 3 µs",
        ),
        (
            "8 KiB behind a good header",
            format!("{header}.{}.{}", junk(part * 2), junk(88)),
            "≤ 3 µs",
        ),
        (
            "100 nested objects",
            format!("{header}.{}.{}", encode(&objects), junk(88)),
            "",
        ),
        (
            "1000 members without issuer",
            format!(
                "{header}.{}.{}",
                encode(format!("{{{}}}", &members[..5_800])),
                junk(88)
            ),
            "",
        ),
        ("other issuer", with("iss", "https://x".into()), ""),
        ("unknown key", stranger.token(&case.claims), ""),
        ("bad signature", other.token(&case.claims), ""),
        ("expired", with("exp", json!(case.seconds - 3_600)), ""),
    ] {
        assert!(token.len() <= MAX_TOKEN, "{name}");
        bench.beside(
            &format!("refused/{name}"),
            || case.validate(&token).unwrap_err(),
            ("ES256 verify", verify),
            goal,
        );
    }
}

/// A key set of the largest size that is read.
fn key_sets(bench: &mut Bench<'_>) {
    for alg in ["RS256", "ES256"] {
        let keys: Vec<Value> = (0..64)
            .map(|n| Signer::new(alg, &n.to_string()).jwk())
            .collect();
        let document = jwks(&keys);
        let read = || serde_json::from_slice::<Value>(&document).unwrap();
        bench.beside(
            &format!("key set/64 keys {alg}"),
            || KeySet::from_jwks_json(&document).unwrap(),
            ("reading it as JSON", read),
            "",
        );
    }
}

/// One key, one token, and what checks it.
struct Case {
    signer: Signer,
    claims: Value,
    token: String,
    keys: KeySet,
    policy: Policy,
    at: SystemTime,
    seconds: i64,
}

impl Case {
    fn new(alg: &'static str) -> Self {
        let signer = Signer::new(alg, "k");
        // The other libraries read the system's clock.
        let at = SystemClock.now();
        let seconds = clock::unix_seconds(at);
        let mut claims = good_claims();
        claims["exp"] = json!(seconds + 3_600);
        claims["iat"] = json!(seconds);
        claims["nbf"] = json!(seconds);
        Self {
            token: signer.token(&claims),
            keys: signer.keys(),
            policy: Policy::for_audiences([AUDIENCE]),
            signer,
            claims,
            at,
            seconds,
        }
    }

    fn validate(&self, token: &str) -> Result<jwks_validator::Claims, Reason> {
        let keys = |issuer: &str| {
            if issuer == ISSUER {
                Ok(&self.keys)
            } else {
                Err(Reason::UnknownIssuer)
            }
        };
        validate(black_box(token), self.at, keys, &self.policy)
    }

    fn raw(&self) -> (ParsedPublicKey, &[u8], Vec<u8>) {
        bare::parts(&self.signer, &self.token)
    }
}

#[derive(Debug)]
struct Fixed(Vec<u8>);

#[async_trait]
impl KeySource for Fixed {
    async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        Ok(Fetched::keys(KeySet::from_jwks_json(&self.0)?))
    }
}

#[cfg(feature = "jwks-client-rs")]
struct Published(Value);

#[cfg(feature = "jwks-client-rs")]
#[async_trait]
impl jwks_client_rs::source::JwksSource for Published {
    async fn fetch_keys(
        &self,
    ) -> Result<jwks_client_rs::JsonWebKeySet, jwks_client_rs::JwksClientError> {
        Ok(serde_json::from_value(self.0.clone()).unwrap())
    }
}

struct Bench<'c> {
    criterion: &'c mut Criterion,
    table: Table,
    /// How often both sides of a ratio take their turn.
    rounds: usize,
}

impl Bench<'_> {
    /// Measures what others are compared with.
    fn base<R>(&mut self, id: &str, mut run: impl FnMut() -> R) {
        self.criterion
            .bench_function(id, |bencher| bencher.iter(&mut run));
        self.table.rows.push(Row {
            what: id.to_owned(),
            allocations: Some(allocations(&mut run)),
            ..Row::default()
        });
    }

    fn beside<R, B>(
        &mut self,
        id: &str,
        mut run: impl FnMut() -> R,
        (name, mut base): (&'static str, impl FnMut() -> B),
        goal: &'static str,
    ) {
        self.base(id, &mut run);
        let row = self.table.rows.last_mut().unwrap();
        row.ratio = ratio(self.rounds, &mut run, &mut base).map(|ratio| (ratio, name.to_owned()));
        row.goal = goal.to_owned();
    }
}

/// The median that criterion wrote, if this run measured it.
fn median_ns(folder: &Path, id: &str) -> Option<f64> {
    // Criterion's folder for a benchmark without a group is its whole name in one part.
    let file: PathBuf = folder.join(id.replace('/', "_")).join("new/estimates.json");
    let json: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    json["median"]["point_estimate"].as_f64()
}
