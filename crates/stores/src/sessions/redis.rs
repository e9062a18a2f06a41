//! Sessions in Redis and Valkey.

mod link;
mod scripts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clock::Clock;
use redis::{Cmd, FromRedisValue, Value};
use url::Url;
use web_session::store::{
    Body, Claim, ForwardClock, Index, Key, Lease, Mark, NewRow, Owner, Row, SessionStore,
    StoreError, StoreErrorKind, Swap, Time,
};

use self::link::Link;
use super::{away, bounded};

/// Keeps sessions in Redis 6 or later, or in Valkey; not in a cluster.
///
/// Rows and marks go by themselves when they expire. One connection serves all calls; while it cannot be had, one call in
/// 0.1 s, later in 1.7 s, tries anew, and the others fail at once.
pub(super) struct RedisStore {
    link: Link,
    prefix: String,
    /// Whose time rows expire by; without it the server's.
    clock: Option<ForwardClock>,
}

/// The last moment that a script can tell, in milliseconds since 1970, and the longest lease: Lua counts in doubles.
const LAST: u64 = (1 << 53) - 1;

impl RedisStore {
    /// `prefix` is what the names of all keys begin with.
    pub(super) fn open(
        url: &Url,
        prefix: &str,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, redis::RedisError> {
        Ok(Self {
            link: Link::new(redis::Client::open(url.as_str())?),
            prefix: prefix.to_owned(),
            clock: clock.map(ForwardClock::new),
        })
    }

    fn row_name(&self, key: &Key) -> String {
        format!("{}row:{}", self.prefix, hex(key.as_bytes()))
    }

    fn mark_name(&self, mark: &Mark) -> String {
        format!("{}mark:{}", self.prefix, hex(&mark.to_bytes()))
    }

    /// Begins a script on one name. Its arguments begin with the time, where that is not the server's, and with what the
    /// names of indexes and of rows begin with.
    fn script(&self, script: &str, name: &str) -> Cmd {
        let now = self.clock.as_ref().map(|clock| millis(clock.now()));
        let mut command = redis::cmd("EVAL");
        command
            .arg(script)
            .arg(1)
            .arg(name)
            .arg(now.map(|now| now.to_string()).unwrap_or_default())
            .arg(format!("{}index:", self.prefix))
            .arg(format!("{}row:", self.prefix));
        command
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        bounded(self.link.ask(command)).await
    }

    fn is_past(&self, ends: Time) -> bool {
        let clock = self.clock.as_ref();
        clock.is_some_and(|clock| clock.now() >= ends)
    }
}

/// What a script says of a row: the state, and the row where that is of use.
fn outcome(values: &[Value]) -> Result<(i64, Option<Row>), StoreError> {
    let (state, row) = values.split_first().ok_or_else(not_ours)?;
    let state = i64::from_redis_value_ref(state).map_err(|_| not_ours())?;
    Ok((state, decoded(row)?))
}

const DONE: i64 = 1;
const GONE: i64 = 0;

#[async_trait]
impl SessionStore for RedisStore {
    async fn create(&self, key: &Key, row: NewRow) -> Result<(), StoreError> {
        let mut command = self.script(scripts::CREATE, &self.row_name(key));
        written(&mut command, key, &row)?;
        match self.ask(&command).await? {
            DONE => Ok(()),
            _ => Err(StoreError::new(StoreErrorKind::Exists)),
        }
    }

    async fn load(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        // Without a script: this is what each request asks, and the server itself lets rows expire.
        let mut command = redis::cmd("HMGET");
        command.arg(self.row_name(key)).arg(scripts::FIELDS);
        let values: Vec<Value> = self.ask(&command).await?;
        let row = decoded(&values)?;
        Ok(row.filter(|row| !self.is_past(row.idle_ends.min(row.ends))))
    }

    async fn replace(&self, key: &Key, version: u64, row: NewRow) -> Result<Swap, StoreError> {
        let mut command = self.script(scripts::REPLACE, &self.row_name(key));
        written(&mut command, key, &row)?;
        command.arg(version).arg(u8::from(row.keeps_lease));
        let values: Vec<Value> = self.ask(&command).await?;
        match outcome(&values)? {
            (DONE, _) => Ok(Swap::Swapped),
            (GONE, _) => Ok(Swap::Gone),
            (_, Some(row)) => Ok(Swap::Changed(Box::new(row))),
            (_, None) => Err(not_ours()),
        }
    }

    async fn claim(
        &self,
        key: &Key,
        version: u64,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        let mut command = self.script(scripts::CLAIM, &self.row_name(key));
        command
            .arg(version)
            .arg(owner.0.as_slice())
            .arg(span(lease));
        let values: Vec<Value> = self.ask(&command).await?;
        match outcome(&values)? {
            (GONE, _) => Ok(Claim::Gone),
            (DONE, Some(row)) => Ok(Claim::Claimed(Box::new(row))),
            (_, Some(row)) => Ok(Claim::Changed(Box::new(row))),
            (_, None) => Err(not_ours()),
        }
    }

    async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError> {
        let mut command = self.script(scripts::TOUCH, &self.row_name(key));
        command.arg(hex(key.as_bytes())).arg(millis(idle_ends));
        self.ask(&command).await
    }

    async fn remove(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let mut command = self.script(scripts::REMOVE, &self.row_name(key));
        command.arg(hex(key.as_bytes()));
        let values: Vec<Value> = self.ask(&command).await?;
        outcome(&values).map(|(_, row)| row)
    }

    async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError> {
        let name = format!("{}index:{}", self.prefix, hex(index.as_bytes()));
        let command = self.script(scripts::FIND, &name);
        let keys: Vec<String> = self.ask(&command).await?;
        let key = |text: &String| unhex(text).map(Key::new).ok_or_else(not_ours);
        keys.iter().map(key).collect()
    }

    async fn mark(
        &self,
        mark: &Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError> {
        let mut command = self.script(scripts::MARK, &self.mark_name(mark));
        let stays = matches!(mark, Mark::Used(_));
        command
            .arg(millis(at))
            .arg(span(lifetime))
            .arg(u8::from(stays));
        let before: Option<u64> = self.ask(&command).await?;
        Ok(before.map(Time::from_unix_millis))
    }

    async fn marked(&self, mark: &Mark) -> Result<Option<Time>, StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.mark_name(mark)).arg(&["at", "ends"]);
        let (at, ends): (Option<u64>, Option<u64>) = self.ask(&command).await?;
        let ends = Time::from_unix_millis(ends.unwrap_or(LAST));
        Ok(at
            .map(Time::from_unix_millis)
            .filter(|_| !self.is_past(ends)))
    }

    /// The server does so by itself.
    async fn sweep(&self, _at_most: usize) -> Result<usize, StoreError> {
        Ok(0)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

fn not_ours() -> StoreError {
    away("a row has another form")
}

/// Adds what is written of a row, in the order of the scripts.
fn written(command: &mut Cmd, key: &Key, row: &NewRow) -> Result<(), StoreError> {
    command
        .arg(hex(key.as_bytes()))
        .arg(row.body.sealed()?)
        .arg(hex(row.subject.as_bytes()))
        .arg(hex(row.tenant.as_bytes()))
        .arg(row.session.map(|it| hex(it.as_bytes())).unwrap_or_default())
        .arg(millis(row.idle_ends))
        .arg(millis(row.ends));
    Ok(())
}

/// Reads the fields of a row, in the order of [`scripts::FIELDS`].
fn decoded(values: &[Value]) -> Result<Option<Row>, StoreError> {
    let [
        version,
        body,
        subject,
        tenant,
        session,
        idle_ends,
        ends,
        owner,
        lease_ends,
    ] = values
    else {
        return match values {
            [] => Ok(None),
            _ => Err(not_ours()),
        };
    };
    let Some(version) = read::<Option<u64>>(version)? else {
        return Ok(None);
    };
    let index = |value: &Value| {
        let text: String = read(value)?;
        unhex(&text).map(Index::new).ok_or_else(not_ours)
    };
    let has_session = !read::<String>(session)?.is_empty();
    let time = |value: &Value| read(value).map(Time::from_unix_millis);
    let owner: Option<Vec<u8>> = read(owner)?;
    let lease = match owner {
        Some(owner) => Some(Lease {
            owner: Owner(owner.try_into().map_err(|_| not_ours())?),
            ends: time(lease_ends)?,
        }),
        None => None,
    };
    Ok(Some(Row {
        version,
        body: Body::from_sealed(read(body)?),
        subject: index(subject)?,
        tenant: index(tenant)?,
        session: has_session.then(|| index(session)).transpose()?,
        idle_ends: time(idle_ends)?,
        ends: time(ends)?,
        lease,
    }))
}

fn read<T: FromRedisValue>(value: &Value) -> Result<T, StoreError> {
    T::from_redis_value_ref(value).map_err(|_| not_ours())
}

fn millis(time: Time) -> u64 {
    time.unix_millis().min(LAST)
}

fn span(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(LAST).min(LAST)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    let both = |byte: &u8| [digit(byte >> 4), digit(*byte)];
    bytes.iter().flat_map(both).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}
