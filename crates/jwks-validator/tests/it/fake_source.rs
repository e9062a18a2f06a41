//! A key source that does what a test tells it and counts.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use clock::ManualClock;
use jwks_validator::{
    Answer, EntityTag, Fetched, JwtValidator, JwtValidatorBuilder, KeySet, KeySource, Reason,
    SourceError, SourceErrorKind,
};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::advance;

use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, jwks};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Clones share their script and their count.
#[derive(Clone, Debug)]
pub(crate) struct FakeSource {
    script: Arc<Mutex<Script>>,
    calls: Arc<watch::Sender<usize>>,
    ended: Arc<watch::Sender<usize>>,
    conditional: Arc<Mutex<Vec<bool>>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Script {
    Keys(Vec<u8>),
    /// Keys with an entity tag and a freshness.
    Tagged(Vec<u8>, Option<Duration>),
    NotModified,
    Fail(Answer),
    /// 503 with this in `Retry-After`.
    Busy(Duration),
    Panic,
    Hang,
    After(Duration, Box<Self>),
}

impl FakeSource {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            script: Arc::new(Mutex::new(script)),
            calls: Arc::default(),
            ended: Arc::default(),
            conditional: Arc::default(),
        }
    }

    pub(crate) fn with_keys(signers: &[&Signer]) -> Self {
        Self::new(keys(signers))
    }

    pub(crate) fn set(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    pub(crate) fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    /// Whether each fetch so far came with an entity tag.
    pub(crate) fn conditional(&self) -> Vec<bool> {
        self.conditional.lock().unwrap().clone()
    }

    /// Waits until that many fetches have begun; a paused clock runs ahead meanwhile.
    pub(crate) async fn called(&self, count: usize) {
        let mut calls = self.calls.subscribe();
        calls.wait_for(|calls| *calls >= count).await.unwrap();
    }

    /// Waits until that many fetches have ended and the validator has their result.
    pub(crate) async fn ended(&self, count: usize) {
        let mut ended = self.ended.subscribe();
        ended.wait_for(|ended| *ended >= count).await.unwrap();
        settle().await;
    }
}

/// Lets every task run that can run now. The test runtime has one thread and takes turns.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Returns the answer if it comes without any waiting.
pub(crate) async fn at_once<T>(answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

pub(crate) fn keys(signers: &[&Signer]) -> Script {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    Script::Keys(jwks(&keys))
}

#[async_trait]
impl KeySource for FakeSource {
    async fn fetch(&self, tag: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        self.conditional.lock().unwrap().push(tag.is_some());
        self.calls.send_modify(|calls| *calls += 1);
        // Counted on every way out, a panic and a cancellation included.
        let _ended = CountOnDrop(&self.ended);
        let mut script = self.script.lock().unwrap().clone();
        while let Script::After(delay, then) = script {
            elapse(delay).await;
            script = *then;
        }
        match script {
            Script::Keys(jwks) => Ok(Fetched::keys(KeySet::from_jwks_json(&jwks)?)),
            Script::Tagged(jwks, max_age) => {
                let tag = EntityTag::new(http::HeaderValue::from_static("\"1\""));
                let keys = KeySet::from_jwks_json(&jwks)?;
                Ok(Fetched::keys(keys)
                    .with_max_age(max_age)
                    .with_entity_tag(Some(tag)))
            }
            Script::NotModified => Ok(Fetched::not_modified()),
            Script::Fail(answer) => {
                Err(SourceError::new(SourceErrorKind::Other("told to"), answer))
            }
            Script::Busy(retry_after) => {
                let error = SourceError::new(SourceErrorKind::Status(503), Answer::Unusable);
                Err(error.with_retry_after(Some(retry_after)))
            }
            Script::Panic => panic!("told to"),
            Script::Hang => std::future::pending().await,
            Script::After(..) => unreachable!("unwrapped above"),
        }
    }
}

struct CountOnDrop<'a>(&'a watch::Sender<usize>);

impl Drop for CountOnDrop<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

pub(crate) fn builder(source: &FakeSource) -> JwtValidatorBuilder {
    JwtValidator::builder()
        .issuer(ISSUER, source.clone())
        .audience(AUDIENCE)
        .clock(Arc::new(ManualClock::at_unix(NOW.unsigned_abs())))
}

/// A validator with these settings that has its keys.
pub(crate) async fn ready(builder: JwtValidatorBuilder) -> JwtValidator {
    let validator = builder.build().unwrap();
    validator.start();
    assert!(validator.wait_ready().await);
    validator
}

/// A validator that has fetched once.
pub(crate) async fn started(source: &FakeSource) -> JwtValidator {
    ready(builder(source)).await
}

/// Why a token is refused; `None` if it is accepted.
pub(crate) async fn reason(validator: &JwtValidator, token: &str) -> Option<Reason> {
    validator
        .validate(token)
        .await
        .err()
        .map(|error| error.reason())
}

/// Lets so much of paused time go by, from timer to timer: whatever is due on the way is done when it is due.
/// That is how long an answer or a script takes, and no wait for anything.
pub(crate) async fn elapse(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Moves paused time in one leap and lets the tasks that it wakes run.
pub(crate) async fn pass(duration: Duration) {
    advance(duration).await;
    settle().await;
}
