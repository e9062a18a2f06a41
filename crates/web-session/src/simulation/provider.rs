//! A provider whose refresh tokens rotate, and which ends a login when a used one comes again.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::{Replica, World};
use crate::provider::{NotRenewed, ProviderError, Renewals, Renewed};
use crate::state::{SessionState, Token};

#[derive(Debug)]
pub(super) struct Idp {
    access_lifetime: Duration,
    logins: Mutex<HashMap<String, Login>>,
}

#[derive(Debug)]
struct Login {
    /// The number of the refresh token that is good.
    current: u64,
    is_ended: bool,
    /// It was told so.
    is_refused: bool,
    presented: Vec<Presented>,
}

/// A refresh token that came.
#[derive(Debug)]
struct Presented {
    number: u64,
    replica: Replica,
    at: Instant,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    UnderWay,
    /// The client gave up before the answer.
    Unanswered,
    Failed,
    Delivered(Instant),
}

/// The provider as one process sees it.
#[derive(Debug)]
pub(super) struct Seen {
    idp: Arc<Idp>,
    world: Arc<World>,
    replica: Replica,
}

/// Marks a presentation whose future is dropped.
struct Asking<'a> {
    idp: &'a Idp,
    subject: &'a str,
    at: usize,
}

impl Asking<'_> {
    fn ended(&self, end: End) {
        let mut logins = self.idp.logins.lock().unwrap();
        logins.get_mut(self.subject).unwrap().presented[self.at].end = end;
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut logins = self.idp.logins.lock().unwrap();
        let end = &mut logins.get_mut(self.subject).unwrap().presented[self.at].end;
        if *end == End::UnderWay {
            *end = End::Unanswered;
        }
    }
}

fn number(token: &Token) -> u64 {
    token.expose().rsplit('-').next().unwrap().parse().unwrap()
}

fn tokens(subject: &str, number: u64) -> (Token, Token) {
    (
        Token::new(&format!("access-{subject}-{number}")),
        Token::new(&format!("refresh-{subject}-{number}")),
    )
}

impl Idp {
    pub(super) fn new(access_lifetime: Duration) -> Self {
        Self {
            access_lifetime,
            logins: Mutex::default(),
        }
    }

    pub(super) fn seen_by(self: &Arc<Self>, world: &Arc<World>, replica: &Replica) -> Seen {
        Seen {
            idp: Arc::clone(self),
            world: Arc::clone(world),
            replica: replica.clone(),
        }
    }

    pub(super) fn log_in(&self, subject: &str) -> (Token, Token) {
        let login = Login {
            current: 0,
            is_ended: false,
            is_refused: false,
            presented: Vec::new(),
        };
        self.logins
            .lock()
            .unwrap()
            .insert(subject.to_owned(), login);
        tokens(subject, 0)
    }

    pub(super) fn has_refused(&self, subject: &str) -> bool {
        self.logins.lock().unwrap()[subject].is_refused
    }
}

impl Seen {
    /// Notes that a token came, and judges whether it may.
    fn presented(&self, subject: &str, number: u64) -> usize {
        let mut logins = self.idp.logins.lock().unwrap();
        let presented = &mut logins.get_mut(subject).unwrap().presented;
        let now = Instant::now();
        for before in presented.iter() {
            let is_dead = before.replica.is_dead.load(Ordering::Relaxed);
            if let End::Delivered(at) = before.end {
                let is_apart = now.duration_since(before.at) >= Duration::from_secs(1);
                assert!(is_apart || is_dead, "5: a second between two refreshes");
                if before.number == number {
                    // What was delivered was not written down.
                    let is_lost = is_dead || self.world.store_failed_since(at);
                    assert!(
                        is_lost,
                        "1: a refresh token came twice, seed {}",
                        self.world.seed
                    );
                }
            }
            if before.end == End::UnderWay {
                // The lease of a living process outlasts its exchange.
                assert!(is_dead, "1: two exchanges of a session at once");
            }
        }
        presented.push(Presented {
            number,
            replica: self.replica.clone(),
            at: now,
            end: End::UnderWay,
        });
        presented.len() - 1
    }

    /// What the provider does with it.
    fn rotate(&self, subject: &str, number: u64) -> Option<u64> {
        let mut logins = self.idp.logins.lock().unwrap();
        let login = logins.get_mut(subject).unwrap();
        login.is_ended |= number != login.current;
        if login.is_ended {
            return None;
        }
        login.current += 1;
        Some(login.current)
    }

    async fn answer(&self, subject: &str, refresh: &Token) -> Result<Renewed, ProviderError> {
        let number = number(refresh);
        let asking = Asking {
            idp: &self.idp,
            subject,
            at: self.presented(subject, number),
        };
        let slowly = |world: &World| match world.chance(20) {
            true => world.millis(1_000..7_000),
            false => world.millis(1..200),
        };
        self.replica.wait(slowly(&self.world)).await;
        if self.world.chance(8) {
            asking.ended(End::Failed);
            return Err(match self.world.chance(2) {
                true => ProviderError::unasked(),
                false => ProviderError::away("503".to_owned()),
            });
        }
        let new = self.rotate(subject, number);
        self.replica.wait(slowly(&self.world)).await;
        if self.world.chance(25) {
            asking.ended(End::Unanswered);
            return Err(ProviderError::timed_out());
        }
        let Some(new) = new else {
            asking.ended(End::Failed);
            let mut logins = self.idp.logins.lock().unwrap();
            logins.get_mut(subject).unwrap().is_refused = true;
            return Err(ProviderError::invalid_grant());
        };
        asking.ended(End::Delivered(Instant::now()));
        let (access, refresh) = tokens(subject, new);
        Ok(Renewed {
            access,
            lifetime: Some(self.idp.access_lifetime),
            refresh: Some(refresh),
            id_token: None,
            person: None,
        })
    }
}

#[async_trait]
impl Renewals for Seen {
    async fn renew(
        &self,
        state: &SessionState,
        refresh: &Token,
        deadline: Instant,
    ) -> Result<Renewed, NotRenewed> {
        let answer = self.answer(&state.person.subject, refresh);
        let answer = timeout_at(deadline, answer).await;
        self.replica.lives().await;
        answer
            .unwrap_or_else(|_| Err(ProviderError::timed_out()))
            .map_err(NotRenewed::Error)
    }

    async fn revoke(&self, token: &Token) -> Result<(), ProviderError> {
        self.replica.wait(self.world.millis(1..200)).await;
        if self.world.chance(4) {
            return Err(ProviderError::away("503".to_owned()));
        }
        let subject = token.expose().trim_start_matches("refresh-");
        let (subject, _) = subject.rsplit_once('-').unwrap();
        // RFC 7009 section 2.1: the whole grant may end, of a used token too.
        let mut logins = self.idp.logins.lock().unwrap();
        logins.get_mut(subject).unwrap().is_ended = true;
        Ok(())
    }
}
