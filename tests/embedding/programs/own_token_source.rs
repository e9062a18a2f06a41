//! A source of tokens that is no token endpoint: an agent that hands them out, and may refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use token_cache::{
    IssuedToken, ManualClock, TokenCache, TokenError, TokenErrorKind, TokenRequest, TokenSource,
    async_trait,
};

#[derive(Clone, Debug, Default)]
struct Agent {
    asked: Arc<AtomicU64>,
}

#[async_trait]
impl TokenSource for Agent {
    async fn fetch(&self, request: &TokenRequest) -> Result<IssuedToken, TokenError> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        if request.scopes().any(|scope| scope == "admin") {
            let kind = TokenErrorKind::ScopeNotGranted;
            return Err(TokenError::new(kind).with_detail("admin"));
        }
        IssuedToken::new(format!("token-{number}"), Some(Duration::from_secs(300)))
    }
}

#[tokio::test]
async fn tokens_of_an_own_source_are_kept_until_they_expire() {
    let agent = Agent::default();
    let clock = ManualClock::at_unix(1_800_000_000);
    let cache = TokenCache::builder(agent.clone())
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(cache.token().await.unwrap().secret(), "token-1");
    }
    clock.advance(Duration::from_secs(301));
    assert_eq!(cache.token().await.unwrap().secret(), "token-2");

    let admin = TokenRequest::new().scope("admin");
    let refused = cache.token_for(&admin).await.unwrap_err();
    let kind = TokenErrorKind::ScopeNotGranted;
    assert_eq!(refused.kind(), kind);
    assert_eq!(agent.asked.load(Ordering::SeqCst), 3);
    cache.shutdown().await;
}
