//! Requests at a fixed rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dev_idp::{Algorithm, DevIdp, SigningKey, TokenSpec};
use reqwest::{Client, Response, StatusCode, header};
use service_kit::with_sources;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::record::{Good, Hostile, Record};

/// Far above what the services promise: what takes longer counts as lost.
const PATIENCE: Duration = Duration::from_secs(15);
const ANSWER: &str = r#"{"publicData":"hello world","protectedData":"here I am"}"#;

fn client() -> Client {
    let builder = Client::builder().no_proxy().tls_certs_only([]);
    // Without TLS there is nothing that could be missing.
    builder.timeout(PATIENCE).build().unwrap_or_default()
}

/// Runs `send` at each of the moments that `rate` gives, until `end`, and waits for what was begun.
async fn at_rate<F>(rate: f64, end: Instant, mut send: impl FnMut(u64, Instant) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for n in 0_u32.. {
        let due = begun + Duration::from_secs_f64(f64::from(n) / rate);
        if due >= end {
            break;
        }
        sleep_until(due).await;
        running.spawn(send(u64::from(n), due));
        while running.try_join_next().is_some() {}
    }
    while running.join_next().await.is_some() {}
}

pub(crate) async fn good(url: String, rate: f64, end: Instant, record: Arc<Record>) {
    let client = client();
    at_rate(rate, end, |_, due| {
        let (request, record) = (client.get(&url), Arc::clone(&record));
        async move {
            let outcome = match request.send().await {
                Ok(response) => judge(response).await,
                Err(error) => Err(with_sources(&error)),
            };
            match outcome {
                Ok(outcome) => record.good(outcome, due.elapsed()),
                Err(what) => record.lost(what, due.elapsed()),
            }
        }
    })
    .await;
}

/// What an answer counts as, or what was got instead of one.
async fn judge(response: Response) -> Result<Good, String> {
    let status = response.status();
    let told_when = response.headers().contains_key(header::RETRY_AFTER);
    match response.text().await {
        Ok(body) if status == StatusCode::OK && body == ANSWER => Ok(Good::Answered),
        Ok(_) if status == StatusCode::SERVICE_UNAVAILABLE && told_when => Ok(Good::Shed),
        Ok(body) => Err(format!("{status} {body}")),
        Err(error) => Err(format!("{status} {}", with_sources(&error))),
    }
}

/// Tokens that must not be accepted, of every kind in turn.
pub(crate) async fn hostile(
    idp: Arc<DevIdp>,
    url: String,
    rate: f64,
    end: Instant,
    record: Arc<Record>,
) {
    let client = client();
    // Nobody publishes it.
    let stranger = SigningKey::generate(Algorithm::Es256).ok();
    let good = idp.mint(TokenSpec::new());
    let count = AtomicU64::new(0);
    at_rate(rate, end, |n, _| {
        let token = hostile_token(&idp, stranger.as_ref(), &good, n, &count);
        let request = client.get(&url).header(header::AUTHORIZATION, token);
        let record = Arc::clone(&record);
        async move {
            let outcome = match request.send().await {
                Ok(response) if response.status().is_success() => Hostile::Accepted,
                Ok(_) => Hostile::Refused,
                Err(_) => Hostile::Unanswered,
            };
            record.hostile(outcome);
        }
    })
    .await;
}

fn hostile_token(
    idp: &DevIdp,
    stranger: Option<&SigningKey>,
    good: &str,
    n: u64,
    invented: &AtomicU64,
) -> String {
    let spec = || TokenSpec::new().algorithm(Algorithm::Es256);
    let kid = || format!("invented-{}", invented.fetch_add(1, Ordering::Relaxed));
    let token = match n % 10 {
        0..=2 => idp.mint(spec().kid(kid())),
        3 => idp.mint(spec().claim("exp", 1_000_000_000)),
        4 => idp.mint(spec().claim("aud", "https://other.example")),
        5 => idp.mint(spec().claim("iss", "https://other.example")),
        6 => match stranger {
            Some(key) => idp.mint(spec().signed_by(key).kid(idp.current_kid())),
            None => kid(),
        },
        7 => idp.mint(spec().header("alg", "none")),
        8 => idp.mint(spec().header("crit", serde_json::json!(["exp"]))),
        // Another payload under a good signature.
        _ => match good.split('.').collect::<Vec<_>>()[..] {
            [head, _, signature] => format!("{head}.e30.{signature}"),
            _ => kid(),
        },
    };
    format!("Bearer {token}")
}
