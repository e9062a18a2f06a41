//! What a source is told about a fetch.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use clock::ManualClock;
use token_cache::{
    IssuedToken, Need, RefreshPolicy, StartupPolicy, TokenCache, TokenError, TokenErrorKind,
    TokenRequest, TokenScheme, TokenSource, Trigger,
};
use tokio::sync::Semaphore;
use tokio::time::advance;

use crate::script::settle;

const HOUR: Duration = Duration::from_secs(3_600);
/// When a token of one hour is stale, whatever its jitter.
const STALE: Duration = Duration::from_secs(3_340);

/// The trigger of a fetch, what was held and what was rejected.
type Told = (Trigger, Option<String>, Vec<String>);

#[derive(Clone, Debug)]
struct Noting(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// One entry per fetch.
    told: Mutex<Vec<Told>>,
    answers: Mutex<Vec<Option<IssuedToken>>>,
    gate: Semaphore,
}

impl Noting {
    /// Fetches beyond the answers fail; the first `open` of all fetches do not wait.
    fn new(answers: impl IntoIterator<Item = Option<IssuedToken>>, open: usize) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self(Arc::new(Inner {
            told: Mutex::default(),
            answers: Mutex::new(answers),
            gate: Semaphore::new(open),
        }))
    }

    fn told(&self) -> Vec<Told> {
        self.0.told.lock().unwrap().clone()
    }

    fn cache(&self, retries: u32) -> TokenCache {
        let policy = RefreshPolicy::default().retries(retries);
        TokenCache::builder(self.clone())
            .refresh_policy(policy)
            .clock(Arc::new(ManualClock::at_unix(2_000_000_000)))
            .build()
            .unwrap()
    }
}

#[async_trait]
impl TokenSource for Noting {
    async fn fetch(&self, _: &TokenRequest) -> Result<IssuedToken, TokenError> {
        unreachable!("the cache says why it asks")
    }

    async fn fetch_for(&self, _: &TokenRequest, need: &Need) -> Result<IssuedToken, TokenError> {
        let held = need.held().map(|token| token.secret().to_owned());
        let rejected = need.rejected().iter().map(|it| it.secret().to_owned());
        let told = (need.trigger(), held, rejected.collect());
        self.0.told.lock().unwrap().push(told);
        self.0.gate.acquire().await.unwrap().forget();
        let answer = self.0.answers.lock().unwrap().pop().flatten();
        answer.ok_or_else(|| TokenError::new(TokenErrorKind::Connect))
    }
}

fn token(characters: &str) -> Option<IssuedToken> {
    Some(IssuedToken::new(characters.to_owned(), Some(HOUR)).unwrap())
}

fn texts(characters: &[&str]) -> Vec<String> {
    characters.iter().map(|&it| it.to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_source_learns_why_it_is_asked_and_which_tokens_do_not_serve() {
    let source = Noting::new([token("a"), token("b"), None, token("c")], usize::MAX >> 3);
    let cache = source.cache(0);
    cache.start(StartupPolicy::Background).await.unwrap();
    settle().await;
    advance(STALE).await;
    settle().await;
    let current = cache.token().await.unwrap();
    assert_eq!(current.secret(), "b");
    assert_eq!(current.scheme(), TokenScheme::Bearer);
    advance(Duration::from_secs(2)).await;
    cache.invalidate(&current);
    settle().await;
    // The attempt failed, and asks again by itself.
    advance(Duration::from_secs(2)).await;
    settle().await;
    assert_eq!(cache.token().await.unwrap().secret(), "c");
    advance(STALE).await;
    settle().await;
    let held = |characters: &str| Some(characters.to_owned());
    let expected = [
        (Trigger::Start, None, texts(&[])),
        (Trigger::Ahead, held("a"), texts(&[])),
        (Trigger::Invalidated, None, texts(&["b"])),
        (Trigger::Retry, None, texts(&["b"])),
        (Trigger::Ahead, held("c"), texts(&[])),
    ];
    assert_eq!(source.told()[..5], expected);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_rejected_while_its_refresh_runs_is_known_to_the_next_retry() {
    let source = Noting::new([token("a"), None, token("b")], 1);
    let cache = source.cache(2);
    let first = cache.token().await.unwrap();
    advance(STALE).await;
    settle().await;
    assert_eq!(source.told().len(), 2);
    cache.invalidate(&first);
    source.0.gate.add_permits(1);
    settle().await;
    advance(Duration::from_millis(200)).await;
    settle().await;
    let expected = (Trigger::Ahead, None, texts(&["a"]));
    assert_eq!(source.told()[2..], [expected]);
}

/// A token that others got an hour and a half ago lives and is refreshed as it does with them. That it is due for
/// a refresh when it comes does not make a request of each moment.
#[tokio::test(start_paused = true)]
async fn a_token_that_others_got_keeps_its_times() {
    let two_hours = Some(2 * HOUR);
    let aged = |seconds| {
        let issued = IssuedToken::new("shared".to_owned(), two_hours).unwrap();
        Some(issued.aged(Duration::from_secs(seconds)))
    };
    let source = Noting::new([aged(5_400), aged(7_000), aged(7_000)], usize::MAX >> 3);
    let cache = source.cache(0);
    cache.token().await.unwrap();
    let health = cache.health();
    assert_eq!(health.age, Some(Duration::from_secs(5_400)));
    assert_eq!(health.expires_in, Some(Duration::from_secs(1_800)));
    assert_eq!(health.lifetime, two_hours);

    advance(Duration::from_secs(1_540)).await;
    settle().await;
    assert_eq!(source.told().len(), 2);
    advance(Duration::from_millis(900)).await;
    settle().await;
    cache.token().await.unwrap();
    settle().await;
    assert_eq!(source.told().len(), 2, "within a second of the last one");
}
