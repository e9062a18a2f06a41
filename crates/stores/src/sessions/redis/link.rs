//! The connection.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError};
use tokio::sync::Mutex;
use tokio::time::Instant;
use web_session::store::{StoreError, StoreErrorKind};

use crate::sessions::away;

/// One connection that all calls share, made when it is needed.
pub(super) struct Link {
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    /// Counts connections: who finds one broken ends that, and no later one.
    generation: u64,
    failed: Option<Failed>,
}

struct Failed {
    times: u32,
    next_try: Instant,
    error: StoreError,
}

/// Less than a call may take, so that what failed is told, and the connection is given up.
const CONNECT_LIMIT: Duration = Duration::from_millis(900);
const ANSWER_LIMIT: Duration = Duration::from_millis(900);
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// With a connection's own time less than 2 s, in which a server that is back is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(1_700);

impl Link {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            state: Mutex::default(),
        }
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let (generation, mut connection) = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if is_worth_another_connection(&error) {
                    self.give_up(generation).await;
                }
                Err(told(&error))
            }
        }
    }

    /// Returns the connection. One caller makes it, while the others wait.
    async fn connection(&self) -> Result<(u64, MultiplexedConnection), StoreError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            return Ok((state.generation, connection.clone()));
        }
        if let Some(failed) = &state.failed
            && Instant::now() < failed.next_try
        {
            return Err(failed.error.clone());
        }
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(ANSWER_LIMIT));
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&settings);
        match connecting.await {
            Ok(connection) => {
                state.connection = Some(connection.clone());
                state.generation += 1;
                state.failed = None;
                Ok((state.generation, connection))
            }
            Err(error) => {
                let error = told(&error);
                let times = state.failed.as_ref().map_or(0, |failed| failed.times + 1);
                let wait = FIRST_WAIT.saturating_mul(1 << times.min(5));
                state.failed = Some(Failed {
                    times,
                    next_try: Instant::now() + wait.min(LONGEST_WAIT),
                    error: error.clone(),
                });
                Err(error)
            }
        }
    }

    async fn give_up(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation {
            state.connection = None;
        }
    }
}

/// A connection that is broken, or does not answer, and one to a server that has become another: a standby, or one with
/// other passwords.
fn is_worth_another_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || error.is_timeout()
        || ["READONLY", "NOAUTH", "WRONGPASS"]
            .iter()
            .any(|code| says(error, code))
}

/// Tells whether the server says so. Redis 6 puts the code of what fails within a script into the text.
fn says(error: &RedisError, code: &str) -> bool {
    let within = || {
        error
            .detail()
            .is_some_and(|text| text.contains(&format!("{code} ")))
    };
    error.code() == Some(code) || error.code() == Some("ERR") && within()
}

const REFUSED: &str = "the server does not take the user or the password";

/// What is said of a failure: never what the server says, for that may quote a row.
fn told(error: &RedisError) -> StoreError {
    if says(error, "OOM") {
        return StoreError::new(StoreErrorKind::Full).with_detail("the server's memory is full");
    }
    for (codes, detail) in [
        (&["READONLY"][..], "the server is read-only: a replica"),
        (&["WRONGPASS", "NOAUTH"], REFUSED),
        (
            &["NOPERM"],
            "the user lacks rights on the commands or the keys",
        ),
        (&["MISCONF"], "the server cannot write to its disk"),
        (
            &["LOADING", "MASTERDOWN", "BUSY"],
            "the server is busy or starting",
        ),
    ] {
        if codes.iter().any(|code| says(error, code)) {
            return away(detail);
        }
    }
    if error.is_timeout() {
        return away("no answer within 1 s");
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => away(REFUSED),
        ErrorKind::Io => away("no connection"),
        _ => match error.code() {
            Some(code) => away(&format!("the server says {code}")),
            None => away("the answer has another form"),
        },
    }
}
