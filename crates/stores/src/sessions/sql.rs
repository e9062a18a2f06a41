//! Sessions in SQLite and Postgres.

mod error;
mod open;
mod statements;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::any::{AnyArguments, AnyConnectOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, Row as _};
use tokio::sync::OnceCell;
use web_session::store::{
    Body, Claim, ForwardClock, Index, Key, Lease, Mark, NewRow, Owner, Row, SessionStore,
    StoreError, StoreErrorKind, Swap, Time,
};

use self::error::store_error;
use self::open::Engine;
use self::statements::Statements;
use super::{away, bounded};

/// Keeps sessions in SQLite or Postgres.
///
/// Makes its tables with the first call that reaches the database. A call that is dropped has had its effect or not.
pub(super) struct SqlStore {
    engine: Engine,
    statements: &'static Statements,
    options: AnyConnectOptions,
    /// Of SQLite many connections read and one writes; of Postgres all do both.
    readers: AnyPool,
    writers: AnyPool,
    /// Whose time rows expire by; without it the server's.
    clock: Option<ForwardClock>,
    tables: OnceCell<()>,
}

type AnyQuery = Query<'static, Any, AnyArguments>;

/// The last moment that every engine can tell, in milliseconds since 1970, and the longest lease.
const LAST: u64 = (1 << 53) - 1;

impl SqlStore {
    /// Begins a statement; its first parameter is the time, where that is not the server's.
    fn query(&self, statement: &'static str) -> AnyQuery {
        let now = self.clock.as_ref().map(|clock| millis(clock.now()));
        sqlx::query(statement).bind(now)
    }

    async fn rows(&self, pool: &AnyPool, query: AnyQuery) -> Result<Vec<AnyRow>, StoreError> {
        bounded(async {
            self.tables().await?;
            query
                .fetch_all(pool)
                .await
                .map_err(|error| store_error(&error))
        })
        .await
    }

    async fn row(&self, pool: &AnyPool, query: AnyQuery) -> Result<Option<Row>, StoreError> {
        let rows = self.rows(pool, query).await?;
        rows.first().map(decoded).transpose()
    }

    /// Returns how many rows a statement changed.
    async fn changed(&self, query: AnyQuery) -> Result<u64, StoreError> {
        bounded(async {
            self.tables().await?;
            let done = query.execute(&self.writers).await;
            done.map(|done| done.rows_affected())
                .map_err(|error| store_error(&error))
        })
        .await
    }

    /// Makes the tables, once. In a task of its own: nobody who goes away stops it half way.
    async fn tables(&self) -> Result<(), StoreError> {
        let make = || async {
            let making = tokio::spawn(open::make_tables(self.engine, self.options.clone()));
            match making.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(away("the tables were not made")),
            }
        };
        self.tables.get_or_try_init(make).await.copied()
    }

    async fn load_row(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let query = self.query(self.statements.load).bind(bytes(key.as_bytes()));
        self.row(&self.readers, query).await
    }
}

#[async_trait]
impl SessionStore for SqlStore {
    async fn create(&self, key: &Key, row: NewRow) -> Result<(), StoreError> {
        let query = self
            .query(self.statements.create)
            .bind(bytes(key.as_bytes()))
            .bind(row.body.sealed()?)
            .bind(bytes(row.subject.as_bytes()))
            .bind(bytes(row.tenant.as_bytes()))
            .bind(row.session.map(|it| bytes(it.as_bytes())))
            .bind(millis(row.idle_ends))
            .bind(millis(row.ends));
        match self.changed(query).await? {
            0 => Err(StoreError::new(StoreErrorKind::Exists)),
            _ => Ok(()),
        }
    }

    async fn load(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.load_row(key).await
    }

    async fn replace(&self, key: &Key, version: u64, row: NewRow) -> Result<Swap, StoreError> {
        let query = self
            .query(self.statements.replace)
            .bind(bytes(key.as_bytes()))
            .bind(number(version))
            .bind(row.body.sealed()?)
            .bind(bytes(row.subject.as_bytes()))
            .bind(bytes(row.tenant.as_bytes()))
            .bind(row.session.map(|it| bytes(it.as_bytes())))
            .bind(millis(row.idle_ends))
            .bind(millis(row.ends))
            .bind(i64::from(row.keeps_lease));
        if self.changed(query).await? > 0 {
            return Ok(Swap::Swapped);
        }
        let current = self.load_row(key).await?;
        Ok(current.map_or(Swap::Gone, |row| Swap::Changed(Box::new(row))))
    }

    async fn claim(
        &self,
        key: &Key,
        version: u64,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        let query = self
            .query(self.statements.claim)
            .bind(bytes(key.as_bytes()))
            .bind(number(version))
            .bind(bytes(&owner.0))
            .bind(span(lease));
        if let Some(row) = self.row(&self.writers, query).await? {
            return Ok(Claim::Claimed(Box::new(row)));
        }
        let current = self.load_row(key).await?;
        Ok(current.map_or(Claim::Gone, |row| Claim::Changed(Box::new(row))))
    }

    async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError> {
        let query = self.query(self.statements.touch);
        let query = query.bind(bytes(key.as_bytes())).bind(millis(idle_ends));
        self.changed(query).await?;
        Ok(())
    }

    async fn remove(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        let query = self.query(self.statements.remove);
        self.row(&self.writers, query.bind(bytes(key.as_bytes())))
            .await
    }

    async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError> {
        let query = self.query(self.statements.find);
        let query = query.bind(bytes(index.as_bytes()));
        let rows = self.rows(&self.readers, query).await?;
        let key = |row: &AnyRow| array(row, 0).map(Key::new);
        rows.iter().map(key).collect()
    }

    async fn mark(
        &self,
        mark: &Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError> {
        let query = self
            .query(self.statements.mark)
            .bind(bytes(&mark.to_bytes()))
            .bind(millis(at))
            .bind(span(lifetime))
            .bind(i64::from(matches!(mark, Mark::Used(_))));
        let rows = self.rows(&self.writers, query).await?;
        let before: Option<Option<i64>> = rows.first().map(|row| get(row, 0)).transpose()?;
        Ok(before.flatten().map(time))
    }

    async fn marked(&self, mark: &Mark) -> Result<Option<Time>, StoreError> {
        let query = self.query(self.statements.marked);
        let query = query.bind(bytes(&mark.to_bytes()));
        let rows = self.rows(&self.readers, query).await?;
        rows.first().map(|row| get(row, 0).map(time)).transpose()
    }

    async fn sweep(&self, at_most: usize) -> Result<usize, StoreError> {
        let mut swept = 0;
        for statement in [self.statements.sweep_rows, self.statements.sweep_marks] {
            let left = i64::try_from(at_most - swept).unwrap_or(i64::MAX);
            let query = self.query(statement).bind(left);
            let done = self.changed(query).await?;
            swept += usize::try_from(done).unwrap_or(0).min(at_most - swept);
        }
        Ok(swept)
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(time: Time) -> i64 {
    number(time.unix_millis().min(LAST))
}

fn span(span: Duration) -> i64 {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    number(millis.min(LAST))
}

fn time(millis: i64) -> Time {
    Time::from_unix_millis(u64::try_from(millis).unwrap_or(0))
}

fn get<'r, T>(row: &'r AnyRow, column: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
{
    row.try_get(column).map_err(|error| store_error(&error))
}

fn array<const N: usize>(row: &AnyRow, column: usize) -> Result<[u8; N], StoreError> {
    let bytes: Vec<u8> = get(row, column)?;
    exact(bytes)
}

fn exact<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| error::not_ours())
}

fn decoded(row: &AnyRow) -> Result<Row, StoreError> {
    let session: Option<Vec<u8>> = get(row, 4)?;
    let owner: Option<Vec<u8>> = get(row, 7)?;
    let lease_ends: Option<i64> = get(row, 8)?;
    let lease = match (owner, lease_ends) {
        (Some(owner), Some(ends)) => Some(Lease {
            owner: Owner(exact(owner)?),
            ends: time(ends),
        }),
        _ => None,
    };
    let version: i64 = get(row, 0)?;
    Ok(Row {
        version: u64::try_from(version).map_err(|_| error::not_ours())?,
        body: Body::from_sealed(get(row, 1)?),
        subject: Index::new(array(row, 2)?),
        tenant: Index::new(array(row, 3)?),
        session: session.map(exact).transpose()?.map(Index::new),
        idle_ends: time(get(row, 5)?),
        ends: time(get(row, 6)?),
        lease,
    })
}
