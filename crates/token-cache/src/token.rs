//! The token itself.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::error::TokenError;
use token_endpoint::{TokenErrorKind, check_access_token};

/// The longest token that is taken by default, in bytes: room for the two hundred groups of some.
pub const DEFAULT_TOKEN_SIZE: usize = 12 * 1024;
const SCHEME: &str = "Bearer ";

/// An access token, ready to be sent. Clones share one buffer.
///
/// `Debug` shows no byte of it, and the buffer is wiped when the last clone is dropped. What an HTTP
/// client copies into its own write buffer is out of reach.
#[derive(Clone)]
pub struct AccessToken {
    header: HeaderValue,
    expires_at: SystemTime,
}

impl AccessToken {
    /// Returns the token's characters. Send them only to who the token is for, and never log them.
    #[must_use]
    pub fn secret(&self) -> &str {
        // That it is visible ASCII was checked in `new`.
        self.header
            .to_str()
            .unwrap_or_default()
            .get(SCHEME.len()..)
            .unwrap_or_default()
    }

    /// Returns in which scheme the token is sent.
    #[must_use]
    pub fn scheme(&self) -> TokenScheme {
        TokenScheme::Bearer
    }

    /// Returns the value of an `Authorization` header, marked sensitive.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.header
    }

    /// Returns when the token expires, as the token endpoint said, on this machine's clock.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Tells whether two tokens have the same characters.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.header == other.header
    }

    fn new(token: &str, expires_at: SystemTime) -> Result<Self, TokenError> {
        check_access_token(token)?;
        let wiped = Zeroizing::new([SCHEME.as_bytes(), token.as_bytes()].concat());
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(wiped))
            .map_err(|_| TokenError::new(TokenErrorKind::TokenSyntax))?;
        header.set_sensitive(true);
        Ok(Self { header, expires_at })
    }
}

/// In which authentication scheme a token is sent (RFC 9110 section 11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenScheme {
    /// Who has the token may use it (RFC 6750).
    Bearer,
}

/// How many sets of clones a held token has. More would serve more cores that read at once.
const LANES: usize = 8;

/// One token, for readers on several cores.
///
/// Clones of an [`AccessToken`] count themselves in one place, and cores that write to one place all
/// the time wait for each other: two of them that do nothing else take twice as long. So a token that
/// is read by everybody exists in several lanes, over one buffer; each thread clones from its own.
#[derive(Debug)]
pub(crate) struct HeldToken([AccessToken; LANES]);

/// The bytes of a token, with a counter of clones that shares its cache lines with nothing. Two lines
/// of 64 bytes, because processors fetch them in pairs.
#[repr(align(128))]
struct Lane(HeaderValue);

impl HeldToken {
    pub(crate) fn new(token: &AccessToken) -> Self {
        Self(std::array::from_fn(|_| token.in_own_lane()))
    }

    /// The token, in the lane of this thread.
    pub(crate) fn get(&self) -> &AccessToken {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static LANE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % LANES;
        }
        // A thread that is being taken down has no lane any more.
        let lane = LANE.try_with(|lane| *lane).unwrap_or_default();
        &self.0[lane]
    }
}

impl AsRef<[u8]> for Lane {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl AccessToken {
    fn in_own_lane(&self) -> Self {
        let bytes = Bytes::from_owner(Lane(self.header.clone()));
        match HeaderValue::from_maybe_shared(bytes) {
            Ok(mut header) => {
                header.set_sensitive(true);
                let expires_at = self.expires_at;
                Self { header, expires_at }
            }
            // These bytes were a header value before.
            Err(_) => self.clone(),
        }
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What one token request brought.
///
/// Made by a [`TokenSource`](crate::TokenSource); the cache adds the times.
pub struct IssuedToken {
    token: Zeroizing<String>,
    lifetime: Option<Duration>,
    age: Duration,
    date: Option<SystemTime>,
}

impl IssuedToken {
    /// Checks a token and its lifetime.
    ///
    /// `lifetime` counts from the instant before the request was sent. `None` means that the endpoint
    /// did not say, and zero that the token serves the waiting callers only.
    ///
    /// # Errors
    ///
    /// Fails when the token is empty, longer than 32 KiB, or has characters that are not visible ASCII
    /// (RFC 6749 appendix A.12, less the space, which no header could carry).
    pub fn new(access_token: String, lifetime: Option<Duration>) -> Result<Self, TokenError> {
        let token = Zeroizing::new(access_token);
        // The times do not matter for the check.
        AccessToken::new(&token, SystemTime::UNIX_EPOCH)?;
        Ok(Self {
            token,
            lifetime,
            age: Duration::ZERO,
            date: None,
        })
    }

    /// Adds how long ago the provider was asked for it, for a token that others got. Its refresh and its expiry are
    /// then those that it has with them. Default: just now.
    #[must_use]
    pub fn aged(mut self, elapsed: Duration) -> Self {
        self.age = elapsed;
        self
    }

    /// Adds what the provider's clock said when it answered, to the second. It is compared with this
    /// machine's ([`Health::provider_clock_ahead_s`](crate::Health::provider_clock_ahead_s)) and
    /// changes nothing about the token's lifetime.
    #[must_use]
    pub fn dated(mut self, date: SystemTime) -> Self {
        self.date = Some(date);
        self
    }

    pub(crate) fn age(&self) -> Duration {
        self.age
    }

    pub(crate) fn date(&self) -> Option<SystemTime> {
        self.date
    }

    /// Returns the token's characters. Send them only to who the token is for, and never log them.
    #[must_use]
    pub fn access_token(&self) -> &str {
        &self.token
    }

    /// Returns what the endpoint said in `expires_in`, which counts from before the request.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    pub(crate) fn into_token(self, expires_at: SystemTime) -> Result<AccessToken, TokenError> {
        AccessToken::new(&self.token, expires_at)
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use token_endpoint::MAX_TOKEN_SIZE;

    /// A17, A18, A19
    #[test]
    fn only_what_a_bearer_header_can_carry_is_a_token() {
        for (token, expected) in [
            ("", Some(TokenErrorKind::MissingToken)),
            ("abc.DEF-_~+/09==", None),
            ("00Dxx0000001gPL!AQ8AQPE.x|y\"z=", None),
            ("a b", Some(TokenErrorKind::TokenSyntax)),
            ("a\r\nX-Injected: 1", Some(TokenErrorKind::TokenSyntax)),
            ("a\0", Some(TokenErrorKind::TokenSyntax)),
            ("a\x7f", Some(TokenErrorKind::TokenSyntax)),
            ("tökén", Some(TokenErrorKind::TokenSyntax)),
        ] {
            let got = IssuedToken::new(token.to_owned(), None)
                .err()
                .map(|e| e.kind());
            assert_eq!(got, expected, "{token:?}");
        }
        let longest = "x".repeat(MAX_TOKEN_SIZE);
        assert!(IssuedToken::new(longest.clone(), None).is_ok());
        let error = IssuedToken::new(longest + "x", None).unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::TooLarge);
    }

    /// J1
    #[test]
    fn debug_shows_no_byte_of_a_token() {
        let issued = IssuedToken::new("canary".to_owned(), None).unwrap();
        assert!(!format!("{issued:?}").contains("canary"));
        let token = issued.into_token(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(token.secret(), "canary");
        assert_eq!(token.authorization(), "Bearer canary");
        assert!(token.authorization().is_sensitive());
        assert!(!format!("{token:?} {:?}", token.authorization()).contains("canary"));
    }
}
