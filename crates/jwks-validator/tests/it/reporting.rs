//! What is logged about published keys.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Once};

use clock::ManualClock;
use jwks_validator::JwtValidator;
use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::fake_source::{FakeSource, Script, builder, reason};
use crate::signer::{AUDIENCE, NOW, Signer, jwks};

thread_local! {
    /// Level, key id and reason of every event of this thread about a key that is not used.
    static LINES: RefCell<Option<Vec<Line>>> = const { RefCell::new(None) };
    /// The message of every other warning of this thread.
    static WARNINGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Level, fields and message of every event of this thread about a refusal.
    pub(crate) static REFUSALS: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// One for all threads: what a thread without a subscriber logs first would be switched off for all.
struct Log;

type Line = (Level, String, String);

#[derive(Default)]
struct Fields {
    kid: String,
    reason: String,
    all: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.all = format!("{} {}={value:?}", self.all, field.name());
        match field.name() {
            "jwks.kid" => self.kid = format!("{value:?}").trim_matches('"').to_owned(),
            "reason" => self.reason = format!("{value:?}"),
            _ => {}
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == "jwks_validator::refusal" {
            let mut fields = Fields::default();
            event.record(&mut fields);
            let line = (*event.metadata().level(), fields.all);
            REFUSALS.with_borrow_mut(|refusals| refusals.push(line));
            return;
        }
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let mut fields = Fields::default();
            event.record(&mut fields);
            let level = *event.metadata().level();
            if !fields.reason.is_empty() {
                lines.push((level, fields.kid, fields.reason));
            } else if level == Level::WARN {
                WARNINGS.with_borrow_mut(|warnings| warnings.push(fields.all));
            }
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Keeps what this thread logs from now on.
pub(crate) fn capture() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
    LINES.set(Some(Vec::new()));
}

fn taken() -> Vec<Line> {
    LINES.with_borrow_mut(|lines| std::mem::take(lines.as_mut().unwrap()))
}

fn line(level: Level, kid: &str, reason: &str) -> Line {
    (level, kid.to_owned(), reason.to_owned())
}

/// D9, D10, D12, D13
#[tokio::test(start_paused = true)]
async fn each_unusable_key_is_reported_once_and_loudly_if_it_is_a_mistake() {
    capture();
    let good = Signer::es256("good");
    let mut private = Signer::es256("private").jwk();
    private["d"] = "AA".into();
    let twin = || Signer::es256("twin").jwk();
    let oct = json!({"kty": "oct", "k": "AA", "kid": "oct"});
    let quantum = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "new"});
    let mut for_encryption = Signer::es256("enc").jwk();
    for_encryption["use"] = "enc".into();
    let odd: Vec<Value> = vec![oct, private, quantum, for_encryption, twin(), twin()];
    let mut all = odd.clone();
    all.push(good.jwk());
    let source = FakeSource::new(Script::Keys(jwks(&all)));
    let validator = builder(&source).build().unwrap();
    validator.start();
    source.ended(1).await;
    let twins = "another key has the same id and algorithm";
    let reported = [
        line(Level::WARN, "oct", "symmetric key"),
        line(Level::WARN, "private", "private key material is published"),
        line(
            Level::INFO,
            "new",
            "unsupported key type, curve or algorithm",
        ),
        line(Level::INFO, "enc", "not meant for verifying signatures"),
        line(Level::WARN, "twin", twins),
        line(Level::WARN, "twin", twins),
    ];
    assert_eq!(taken(), reported);

    // Another order, and another good key, are no news about the others.
    all.reverse();
    all.push(Signer::es256("another").jwk());
    source.set(Script::Keys(jwks(&all)));
    source.ended(2).await;
    source.set(Script::NotModified);
    source.ended(3).await;
    assert_eq!(taken(), []);

    source.set(Script::Keys(jwks(&[odd[0].clone(), good.jwk()])));
    source.ended(4).await;
    assert_eq!(taken(), reported[..1]);

    // A document with no usable key at all: the keys stay, and the reasons are told.
    source.set(Script::Keys(jwks(&odd[1..3])));
    source.ended(6).await;
    assert_eq!(taken(), reported[1..3]);
    assert!(validator.ready());
}

/// N63
#[tokio::test(start_paused = true)]
async fn that_nobody_called_start_is_told_once_at_the_first_token() {
    capture();
    let signer = Signer::es256("k");
    let source = FakeSource::with_keys(&[&signer]);
    let warnings = || WARNINGS.with_borrow_mut(std::mem::take);

    let validator = builder(&source).build().unwrap();
    for _ in 0..2 {
        assert_eq!(reason(&validator, &signer.good()).await, None);
    }
    let told = warnings();
    assert_eq!(told.len(), 1, "{told:?}");
    let text = "`start` was not called: the first callers wait for the keys";
    assert!(told[0].contains(text), "{told:?}");

    let started = builder(&source).build().unwrap();
    started.start();
    assert_eq!(reason(&started, &signer.good()).await, None);
    let awaited = builder(&source).build().unwrap();
    assert!(awaited.wait_ready().await);
    assert_eq!(reason(&awaited, &signer.good()).await, None);
    let admitting = JwtValidator::builder()
        .admit_issuers(1, move |_| Some(source.clone().into()))
        .audience(AUDIENCE)
        .clock(Arc::new(ManualClock::at_unix(NOW.unsigned_abs())))
        .build()
        .unwrap();
    assert_eq!(reason(&admitting, &signer.good()).await, None);
    assert_eq!(warnings(), [""; 0]);
}
