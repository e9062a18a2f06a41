//! The metrics, read back from a recorder of this thread.

use jwks_validator::Answer;
use metrics::LocalRecorderGuard;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use serde_json::json;

use crate::fake_source::{FakeSource, Script, builder, ready};
use crate::signer::{NOW, Signer, good_claims, jwks};

struct Recorder {
    snapshotter: Snapshotter,
    _guard: LocalRecorderGuard<'static>,
}

impl Recorder {
    fn start() -> Self {
        let recorder = Box::leak(Box::new(DebuggingRecorder::new()));
        Self {
            snapshotter: recorder.snapshotter(),
            _guard: metrics::set_default_local_recorder(recorder),
        }
    }

    /// Everything that has been counted since the last call, without what is zero.
    fn taken(&self) -> Vec<(String, f64)> {
        let mut values: Vec<(String, f64)> = Vec::new();
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let key = key.key();
            let labels: Vec<String> = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            let value = match value {
                DebugValue::Counter(count) => f64::from(u32::try_from(count).unwrap()),
                DebugValue::Gauge(value) => value.into_inner(),
                DebugValue::Histogram(_) => panic!("there are none"),
            };
            if value != 0.0 {
                let name = key.name().trim_start_matches("jwks_validator_");
                values.push((format!("{name} {}", labels.join(" ")), value));
            }
        }
        values.sort_by(|a, b| a.0.cmp(&b.0));
        values
    }
}

fn counted(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    expected
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn decisions_are_counted_once_each_by_outcome_and_reason() {
    let recorder = Recorder::start();
    let (signer, new) = (Signer::es256("k"), Signer::es256("new"));
    let source = FakeSource::with_keys(&[&signer]);
    let validator = ready(builder(&source).verified_cache(8)).await;
    recorder.taken();
    let token = signer.good();
    let mut expired = good_claims();
    expired["exp"] = json!(NOW - 60);
    for token in [&token, &token, &token, &signer.token(&expired)] {
        let _ = validator.validate(token).await;
    }
    let _ = validator.validate(&new.good()).await;
    source.set(Script::Fail(Answer::Refused));
    let _ = validator.validate(&Signer::es256("other").good()).await;
    let found = recorder.taken();
    let expected = counted(&[
        ("cache_hits_total ", 2.0),
        (
            "key_fetches_total issuer=https://idp.example outcome=failed",
            1.0,
        ),
        (
            "key_fetches_total issuer=https://idp.example outcome=unchanged",
            1.0,
        ),
        ("unknown_key_ids_total issuer=https://idp.example", 2.0),
        ("validations_total outcome=accepted reason=", 3.0),
        ("validations_total outcome=refused reason=expired", 1.0),
        ("validations_total outcome=refused reason=unknown_key", 1.0),
        (
            "validations_total outcome=undecided reason=key_undetermined",
            1.0,
        ),
    ]);
    assert_eq!(found, expected);
}

/// D4, D5
#[tokio::test(start_paused = true)]
async fn fetches_and_skipped_keys_are_counted_and_the_age_is_shown() {
    let recorder = Recorder::start();
    let signer = Signer::es256("k");
    let odd = json!({"kty": "oct", "k": "AA"});
    let source = FakeSource::new(Script::Keys(jwks(&[signer.jwk(), odd])));
    let validator = ready(builder(&source).verified_cache(8)).await;
    let issuer = "issuer=https://idp.example";
    assert_eq!(
        recorder.taken(),
        counted(&[
            (&format!("key_fetches_total {issuer} outcome=changed"), 1.0),
            (
                &format!("skipped_keys_total {issuer} reason=symmetric"),
                1.0
            ),
        ])
    );
    source.set(Script::Fail(Answer::Refused));
    source.ended(2).await;
    let failed = recorder.taken();
    let [(fetch, 1.0), (gauge, age)] = &failed[..] else {
        panic!("{failed:?}");
    };
    assert_eq!(*fetch, format!("key_fetches_total {issuer} outcome=failed"));
    assert_eq!(*gauge, format!("keys_age_seconds {issuer}"));
    assert!((200.0..=300.0).contains(age), "{age}");
    assert!(validator.ready());
}

/// J4
#[tokio::test(start_paused = true)]
async fn no_byte_of_a_token_becomes_a_label() {
    let recorder = Recorder::start();
    let signer = Signer::es256("k");
    let validator = ready(builder(&FakeSource::with_keys(&[&signer])).verified_cache(8)).await;
    let mut claims = good_claims();
    claims["iss"] = "https://canary.example".into();
    claims["sub"] = "canary".into();
    for token in [
        signer.token(&claims),
        Signer::es256("canary").good(),
        "canary".to_owned(),
    ] {
        let _ = validator.validate(&token).await;
    }
    assert!(!format!("{:?}", recorder.taken()).contains("canary"));
}
