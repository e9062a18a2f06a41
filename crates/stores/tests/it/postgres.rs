//! Postgres, where `M2M_TEST_POSTGRES` names a database to which the user may add schemas.

use std::sync::Arc;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};
use stores::StoreUrl;
use web_session::SessionStore;

/// A schema of its own for each test, so that they run at once.
pub(crate) async fn schema() -> Option<StoreUrl> {
    let server = crate::server("M2M_TEST_POSTGRES")?;
    let name = format!("test_{:016x}", fastrand::u64(..));
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&server).await.unwrap();
    let statement = AssertSqlSafe(format!("CREATE SCHEMA {name}"));
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
    let mark = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{mark}options[search_path]={name}");
    Some(url.parse().unwrap())
}

async fn fresh() -> Option<(Arc<dyn SessionStore>, ())> {
    let store = schema().await?.open().unwrap();
    Some((crate::answering(store).await, ()))
}

web_session::store_suite!(fresh);
