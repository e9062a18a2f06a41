//! The metrics, read back from a recorder of this thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use clock::{Clock as _, ManualClock};
use metrics::LocalRecorderGuard;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use token_cache::{
    IssuedToken, RefreshPolicy, StartupPolicy, TokenCache, TokenError, TokenRequest, TokenSource,
};
use tokio::time::advance;

use crate::middleware::{Api, INVALID, plain_client, unauthorized};
use crate::script::{DOWN, Script, Step, WRONG_SECRET, settle};

/// Numbers by name and label.
struct Recorded<'a> {
    snapshotter: Snapshotter,
    numbers: BTreeMap<String, Vec<f64>>,
    _guard: LocalRecorderGuard<'a>,
}

impl<'a> Recorded<'a> {
    fn start(recorder: &'a DebuggingRecorder) -> Self {
        Self {
            snapshotter: recorder.snapshotter(),
            numbers: BTreeMap::new(),
            _guard: metrics::set_default_local_recorder(recorder),
        }
    }

    /// Counters, gauges and the values of histograms, since the start.
    fn read(&mut self) -> &BTreeMap<String, Vec<f64>> {
        for (key, unit, description, value) in self.snapshotter.snapshot().into_vec() {
            assert!(unit.is_some() && description.is_some(), "{key:?}");
            let key = key.key();
            let mut name = key.name().strip_prefix("token_cache_").unwrap().to_owned();
            for label in key.labels() {
                match label.key() {
                    "cache" => assert_eq!(label.value(), "reports"),
                    key => name += &format!(" {key}={}", label.value()),
                }
            }
            // A snapshot sets back what it shows.
            let known = self.numbers.entry(name);
            match value {
                DebugValue::Counter(0) => {}
                DebugValue::Counter(more) => {
                    known.or_insert_with(|| vec![0.0])[0] +=
                        f64::from(u32::try_from(more).unwrap());
                }
                DebugValue::Gauge(more) => {
                    known.or_insert_with(|| vec![0.0])[0] += more.into_inner();
                }
                DebugValue::Histogram(values) => {
                    let known = known.or_default();
                    known.extend(values.iter().map(|value| value.into_inner()));
                }
            }
        }
        &self.numbers
    }
}

fn numbers<const N: usize>(expected: [(&str, &[f64]); N]) -> BTreeMap<String, Vec<f64>> {
    let owned = |(name, values): (&str, &[f64])| (name.to_owned(), values.to_vec());
    expected.into_iter().map(owned).collect()
}

fn named_cache(script: &Script) -> TokenCache {
    // Without jitter the times below would still hold, but not to the second.
    let policy = RefreshPolicy::default()
        .retries(0)
        .margin(0.5)
        .max_margin(Duration::from_secs(100));
    TokenCache::builder(script.clone())
        .name("reports")
        .refresh_policy(policy)
        .clock(Arc::new(ManualClock::at_unix(2_000_000_000)))
        .build()
        .unwrap()
}

/// B28
#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_put_off_at_the_start_counts_as_one_of_the_start() {
    let recorder = DebuggingRecorder::new();
    let mut recorded = Recorded::start(&recorder);
    let policy = RefreshPolicy::default().start_jitter(Duration::from_secs(1));
    let script = Script::new([]);
    let cache = TokenCache::builder(script.clone())
        .name("reports")
        .refresh_policy(policy)
        .build()
        .unwrap();
    cache.start(StartupPolicy::Background).await.unwrap();
    script.called(1).await;
    settle().await;
    assert_eq!(recorded.read()["refreshes_total trigger=start"], [1.0]);
}

/// B6, B27
#[tokio::test(start_paused = true)]
async fn reads_requests_refreshes_and_the_failure_window_are_counted() {
    let recorder = DebuggingRecorder::new();
    let mut recorded = Recorded::start(&recorder);
    let script = Script::new([
        DOWN,
        Step::Token("one", Some(1_000)),
        WRONG_SECRET,
        DOWN,
        Step::Token("two", Some(1_000)),
    ]);
    let cache = named_cache(&script);

    // The first attempt fails, and so do its waiter and whoever comes after it.
    cache.start(StartupPolicy::Background).await.unwrap();
    cache.token().await.unwrap_err();
    cache.token().await.unwrap_err();
    let expected = numbers([
        ("requests_total outcome=connect", &[1.0]),
        ("refreshes_total trigger=start", &[1.0]),
        ("reads_total result=failed", &[2.0]),
        ("remaining_lifetime_seconds", &[]),
        ("window_open", &[1.0]),
    ]);
    assert_eq!(*recorded.read(), expected);

    // The next one brings a token.
    script.called(2).await;
    settle().await;
    cache.token().await.unwrap();
    let expected = numbers([
        ("requests_total outcome=connect", &[1.0]),
        ("requests_total outcome=ok", &[1.0]),
        ("refreshes_total trigger=start", &[1.0]),
        ("refreshes_total trigger=retry", &[1.0]),
        ("reads_total result=failed", &[2.0]),
        ("reads_total result=fresh", &[1.0]),
        ("remaining_lifetime_seconds", &[0.0]),
        ("window_open", &[0.0]),
    ]);
    assert_eq!(*recorded.read(), expected);

    // Ahead of its expiry two attempts fail and one succeeds, while the old token serves.
    script.called(3).await;
    settle().await;
    cache.token().await.unwrap();
    assert_eq!(recorded.read()["window_open"], [1.0]);
    script.called(5).await;
    settle().await;
    let read = recorded.read();
    assert_eq!(read["window_open"], [0.0]);
    assert_eq!(read["reads_total result=stale"], [1.0]);
    assert_eq!(read["refreshes_total trigger=ahead"], [1.0]);
    assert_eq!(read["refreshes_total trigger=retry"], [3.0]);
    assert_eq!(read["requests_total outcome=invalid_client"], [1.0]);
    assert_eq!(read["requests_total outcome=connect"], [2.0]);
    assert_eq!(read["requests_total outcome=ok"], [2.0]);
    // Nothing was left when there was nothing yet.
    let left = &read["remaining_lifetime_seconds"];
    assert_eq!((left.len(), left[0]), (4, 0.0), "{left:?}");
    let ahead = |left: &f64| (80.0..=100.0).contains(left);
    assert!(left[1..].iter().all(ahead), "{left:?}");
}

/// B27
#[tokio::test(start_paused = true)]
async fn waiting_callers_the_leeway_and_rejections_are_counted() {
    let recorder = DebuggingRecorder::new();
    let mut recorded = Recorded::start(&recorder);
    let script = Script::gated([
        Step::Token("one", Some(30)),
        Step::Token("two", Some(100)),
        Step::Token("three", Some(100)),
    ]);
    let cache = named_cache(&script);
    script.open();
    let one = cache.token().await.unwrap();
    // The refresh hangs until inside the leeway, so that a caller settles for what is there.
    script.called(2).await;
    advance(Duration::from_secs(10)).await;
    assert!(cache.token().await.unwrap().is_same(&one));
    script.open();
    settle().await;
    let two = cache.token().await.unwrap();
    assert!(cache.invalidate(&two));
    script.open();
    cache.token().await.unwrap();
    let read = recorded.read();
    assert_eq!(read["reads_total result=wait"], [2.0]);
    assert_eq!(read["reads_total result=critical"], [1.0]);
    assert_eq!(read["reads_total result=fresh"], [1.0]);
    assert_eq!(read["refreshes_total trigger=caller"], [1.0]);
    assert_eq!(read["refreshes_total trigger=ahead"], [1.0]);
    assert_eq!(read["refreshes_total trigger=invalidated"], [1.0]);
}

/// A source whose clock is off.
#[derive(Debug)]
struct Ahead(Arc<ManualClock>);

#[async_trait]
impl TokenSource for Ahead {
    async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
        let issued = IssuedToken::new("token".to_owned(), Some(Duration::from_secs(300)))?;
        Ok(issued.dated(self.0.now()))
    }
}

/// B15
#[tokio::test(start_paused = true)]
async fn the_provider_s_clock_is_compared_with_ours() {
    let recorder = DebuggingRecorder::new();
    let mut recorded = Recorded::start(&recorder);
    for (theirs, expected) in [(2_000_000_300, 300.0), (1_999_999_900, -99.0)] {
        let cache = TokenCache::builder(Ahead(Arc::new(ManualClock::at_unix(theirs))))
            .name("reports")
            .clock(Arc::new(ManualClock::at_unix(2_000_000_000)))
            .build()
            .unwrap();
        cache.token().await.unwrap();
        let name = "provider_clock_ahead_seconds";
        let shown = recorded.read()[name].iter().sum::<f64>();
        assert_eq!(shown, expected);
        recorded.numbers.clear();
    }
}

/// B12, B27
#[tokio::test(start_paused = true)]
async fn a_thousand_requests_share_their_labels_and_leave_no_window_open() {
    let recorder = DebuggingRecorder::new();
    let mut recorded = Recorded::start(&recorder);
    let script = Script::new([]).then_always(DOWN);
    let cache = named_cache(&script);
    for tenant in 0..1_000 {
        let request = TokenRequest::new().audience(&format!("https://{tenant}.example"));
        cache.token_for(&request).await.unwrap_err();
    }
    let read = recorded.read();
    assert!(read["window_open"][0] > 900.0, "{read:?}");
    assert!(read.len() <= 6, "{read:?}");
    cache.shutdown().await;
    assert_eq!(recorded.read()["window_open"], [0.0]);
}

/// N4
#[tokio::test(start_paused = true)]
async fn the_failure_of_a_token_that_nobody_asks_for_any_more_is_not_counted() {
    let wanted = TokenRequest::new().audience("wanted");
    for end in ["nobody asks", "another takes its place", "shutdown"] {
        let recorder = DebuggingRecorder::new();
        let mut recorded = Recorded::start(&recorder);
        let policy = RefreshPolicy::default().retries(0).max_keys(2);
        let script = Script::new([DOWN]).then_always(DOWN);
        let cache = TokenCache::builder(script.clone())
            .name("reports")
            .refresh_policy(policy)
            .build()
            .unwrap();
        cache.token_for(&wanted).await.unwrap_err();
        assert_eq!(recorded.read()["window_open"], [1.0], "{end}");
        match end {
            "nobody asks" => advance(Duration::from_secs(3_600)).await,
            "shutdown" => cache.shutdown().await,
            _ => {
                let other = TokenRequest::new().audience("other");
                script.now_always(None);
                cache.token_for(&other).await.unwrap();
            }
        }
        settle().await;
        assert_eq!(recorded.read()["window_open"], [0.0], "{end}");
    }
}

#[tokio::test]
async fn replays_are_counted_by_what_became_of_them() {
    let recorder = DebuggingRecorder::new();
    let mut recorded = Recorded::start(&recorder);
    for (outcome, steps) in [
        ("ok", vec![]),
        ("rejected", vec![]),
        ("failed", vec![]),
        ("no_token", vec![Step::Token("one", Some(300)), DOWN]),
        ("body", vec![]),
    ] {
        let api = Api::start(move |authorization| match (outcome, authorization) {
            ("ok", "Bearer token-2") => "fine".into_response(),
            ("failed", "Bearer token-2") => panic!("hangs up"),
            _ => unauthorized(INVALID),
        })
        .await;
        let cache = named_cache(&Script::new(steps));
        let client = plain_client().with(api.bearer(&cache)).build();
        let request = client.post(&api.origin);
        let request = match outcome {
            "body" => request.body(reqwest::Body::wrap(http_body_util::Full::new(
                bytes::Bytes::from("once"),
            ))),
            _ => request,
        };
        match request.send().await {
            Ok(response) => {
                let rejected = response.status() == StatusCode::UNAUTHORIZED;
                assert_eq!(rejected, outcome != "ok", "{outcome}");
            }
            Err(error) => assert_eq!(outcome, "failed", "{error}"),
        }
        let name = format!("replays_total outcome={outcome}");
        assert_eq!(recorded.read().get(&name), Some(&vec![1.0]), "{outcome}");
    }
}
