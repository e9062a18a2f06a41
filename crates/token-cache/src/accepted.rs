//! The token that the resource server took last.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use crate::freshness::Moment;
use crate::token::AccessToken;

/// For so long an acceptance says something about the present.
const RECENT: Duration = Duration::from_secs(5);
/// An acceptance is noted again after this, not for each answer.
const NOTED: Duration = Duration::from_secs(1);
/// Longer than any token lives here, and short enough to be added to any time.
const MAX_LEFT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Remembers an accepted token, for when its successor is rejected.
///
/// A resource server that fetches keys on a budget may, after a rotation without overlap, not know the key of
/// a new token for a while, and still know that of the one before. Until then the old token is the one to
/// call with.
#[derive(Default)]
pub(crate) struct LastAccepted(ArcSwapOption<Accepted>);

struct Accepted {
    token: AccessToken,
    at: Moment,
    /// When it expires by the clock that nobody steps.
    until: Instant,
}

impl LastAccepted {
    pub(crate) fn note(&self, token: &AccessToken, now: Moment) {
        let last = self.0.load();
        let same = last.as_ref().filter(|last| last.token.is_same(token));
        if same.is_some_and(|last| now.monotonic.duration_since(last.at.monotonic) < NOTED) {
            return;
        }
        let until = same.map_or_else(
            || {
                let left = token.expires_at().duration_since(now.wall);
                now.monotonic + left.unwrap_or_default().min(MAX_LEFT)
            },
            |last| last.until,
        );
        self.0.store(Some(Arc::new(Accepted {
            token: token.clone(),
            at: now,
            until,
        })));
    }

    /// Returns another token than the rejected one that was accepted just now and has not expired.
    pub(crate) fn instead_of(&self, rejected: &AccessToken, now: Moment) -> Option<AccessToken> {
        let last = self.0.load();
        let last = last.as_deref()?;
        let is_recent = now.monotonic.duration_since(last.at.monotonic) < RECENT;
        let lives = now.wall < last.token.expires_at() && now.monotonic < last.until;
        (is_recent && lives && !last.token.is_same(rejected)).then(|| last.token.clone())
    }

    /// Called when a token was rejected.
    pub(crate) fn forget(&self, rejected: &AccessToken) {
        let last = self.0.load();
        if last.as_ref().is_some_and(|it| it.token.is_same(rejected)) {
            self.0.compare_and_swap(&last, None);
        }
    }
}

impl fmt::Debug for LastAccepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastAccepted").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::IssuedToken;
    use std::time::UNIX_EPOCH;
    use tokio::time::{Instant, advance};

    fn token(text: &str) -> AccessToken {
        let issued = IssuedToken::new(text.to_owned(), None).unwrap();
        issued
            .into_token(UNIX_EPOCH + Duration::from_secs(100))
            .unwrap()
    }

    fn at(wall_s: u64) -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: UNIX_EPOCH + Duration::from_secs(wall_s),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_token_stands_in_while_that_is_recent_and_it_lives() {
        let (old, new) = (token("old"), token("new"));
        let last = LastAccepted::default();
        let secret = |now| last.instead_of(&new, now).map(|it| it.secret().to_owned());
        assert_eq!(secret(at(0)), None);
        last.note(&old, at(0));
        assert_eq!(secret(at(99)).as_deref(), Some("old"));
        assert_eq!(secret(at(100)), None, "expired");
        assert!(last.instead_of(&old, at(0)).is_none(), "the same token");

        advance(RECENT - Duration::from_millis(1)).await;
        assert_eq!(secret(at(0)).as_deref(), Some("old"));
        last.note(&old, at(0));
        advance(Duration::from_millis(1)).await;
        assert_eq!(secret(at(0)).as_deref(), Some("old"), "noted again");
        advance(RECENT - Duration::from_millis(2)).await;
        assert_eq!(secret(at(0)).as_deref(), Some("old"));
        advance(Duration::from_millis(1)).await;
        assert_eq!(secret(at(0)), None, "long ago");

        last.note(&old, at(0));
        advance(NOTED).await;
        last.note(&old, at(0));
        advance(RECENT - Duration::from_millis(1)).await;
        assert_eq!(secret(at(0)).as_deref(), Some("old"), "noted again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_stepped_back_does_not_make_it_live_longer() {
        let (old, new) = (token("old"), token("new"));
        let last = LastAccepted::default();
        last.note(&old, at(98));
        advance(Duration::from_millis(1_999)).await;
        last.note(&old, at(0));
        assert!(last.instead_of(&new, at(0)).is_some());
        advance(Duration::from_millis(1)).await;
        assert!(last.instead_of(&new, at(0)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_token_that_was_rejected_is_forgotten() {
        let (old, new) = (token("old"), token("new"));
        let last = LastAccepted::default();
        last.note(&old, at(0));
        last.forget(&new);
        assert!(last.instead_of(&new, at(0)).is_some());
        last.forget(&old);
        assert!(last.instead_of(&new, at(0)).is_none());
    }
}
