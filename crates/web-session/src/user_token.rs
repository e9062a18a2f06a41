//! The person's access token, for calls in their name.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use crate::refresh::{Cause, Refreshed};
use crate::session::Session;
use crate::state::{Freshness, Tokens};
use crate::store::Time;

/// The person's access token, as good as it can be had: for calls in their name. An extractor.
///
/// Where it is about to expire the request waits for a newer one, 5 s at most. Clones are cheap. `Debug` shows nothing
/// of it. [`UserCalls`](crate::UserCalls) puts it on requests.
#[derive(Clone)]
pub struct UserToken {
    session: Session,
    token: SecretString,
    expires: Time,
    generation: u64,
}

/// Why there is no token, or no newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserTokenError {
    /// The session has ended, or its token has expired and cannot be refreshed: the person has to sign in.
    #[error("the session has ended")]
    Ended,
    /// None can be had at present; when to try again.
    #[error("no access token of the person can be had at present")]
    Unavailable(Duration),
    /// The provider gave no refresh token.
    #[error("there is no refresh token")]
    NoRefreshToken,
}

/// What is waited where the store does not say.
const AWAY: Duration = Duration::from_secs(1);

impl UserToken {
    fn new(session: &Session, tokens: &Tokens) -> Self {
        Self {
            session: session.clone(),
            token: SecretString::from(tokens.access.expose()),
            expires: tokens.expires,
            generation: tokens.generation,
        }
    }

    /// Returns the token.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.token
    }

    /// Returns when it expires.
    #[must_use]
    pub fn expires(&self) -> Time {
        self.expires
    }

    /// Returns a number that grows with every refresh.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns a newer token in place of this one, which a resource server refused with 401 and
    /// `error="invalid_token"` (RFC 6750 section 3.1); for a client of your own that sends the request once more with
    /// it. Not for a 403, nor for a token that has merely grown old.
    ///
    /// However many requests and replicas ask, the session is refreshed once: who comes later gets what the first one
    /// got. A token that came so and is refused in its turn is replaced 1 s after it came, the next one 2 s after, and so
    /// on up to 30 s. Waits 5 s at most. Cancelling it cancels no refresh.
    ///
    /// # Errors
    ///
    /// Fails where the session has ended, also because the provider refuses its refresh token; where no newer token
    /// can be had yet; and where there is no refresh token. Then the answer at hand stands.
    pub async fn refresh(&self) -> Result<Self, UserTokenError> {
        let (inner, key) = (&self.session.0.inner, self.session.0.live.key);
        loop {
            let row = match inner.load_row(&key).await {
                Ok(row) => row.ok_or(UserTokenError::Ended)?,
                Err(_) => return Err(UserTokenError::Unavailable(AWAY)),
            };
            let state = inner.state_of(&key, &row).ok_or(UserTokenError::Ended)?;
            if state.tokens.generation > self.generation {
                return Ok(Self::new(&self.session, &state.tokens));
            }
            if state.tokens.refresh.is_none() {
                return Err(UserTokenError::NoRefreshToken);
            }
            let now = inner.clock.now();
            let held = state.held(now).map(|hold| hold.until.since(now));
            if let Some(wait) = state.tokens.cool_down(now).max(held) {
                return Err(UserTokenError::Unavailable(wait));
            }
            match inner.refreshed(key, self.generation, Cause::Rejected).await {
                Refreshed::Tokens(_, state) if state.tokens.generation > self.generation => {
                    return Ok(Self::new(&self.session, &state.tokens));
                }
                // It began before this token was there.
                Refreshed::Tokens(..) => {}
                Refreshed::Ended => return Err(UserTokenError::Ended),
                Refreshed::Held(wait) => return Err(UserTokenError::Unavailable(wait)),
            }
        }
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserToken")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) async fn user_token(&self) -> Result<UserToken, UserTokenError> {
        let (inner, live) = (&self.0.inner, &self.0.live);
        let tokens = &live.state.tokens;
        let token_of = |tokens: &Tokens| UserToken::new(self, tokens);
        let now = inner.clock.now();
        let freshness = tokens.freshness(now);
        if freshness < Freshness::Critical {
            return Ok(token_of(tokens));
        }
        if tokens.refresh.is_none() {
            return match freshness {
                Freshness::Expired => Err(UserTokenError::Ended),
                _ => Ok(token_of(tokens)),
            };
        }
        let held = live.state.held(now).map(|hold| hold.until.since(now));
        let wait = match held.or(live.held.map(|until| until.since(now))) {
            Some(wait) => wait,
            None => match inner
                .refreshed(live.key, tokens.generation, Cause::Age)
                .await
            {
                Refreshed::Tokens(_, state) => return Ok(token_of(&state.tokens)),
                Refreshed::Ended => return Err(UserTokenError::Ended),
                Refreshed::Held(wait) => wait,
            },
        };
        match tokens.freshness(inner.clock.now()) {
            Freshness::Expired => Err(UserTokenError::Unavailable(wait)),
            _ => Ok(token_of(tokens)),
        }
    }
}
