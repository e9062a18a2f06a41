//! Redis, where `M2M_TEST_REDIS` names a server.

use std::sync::Arc;

use stores::StoreUrl;
use web_session::SessionStore;

/// Names of its own for each test, so that they run at once.
pub(crate) fn place() -> Option<StoreUrl> {
    let prefix = fastrand::u64(..);
    let url = format!(
        "{}?prefix=test-{prefix:016x}:",
        crate::server("M2M_TEST_REDIS")?
    );
    Some(url.parse().unwrap())
}

async fn fresh() -> Option<(Arc<dyn SessionStore>, ())> {
    let store = place()?.open().unwrap();
    Some((crate::answering(store).await, ()))
}

web_session::store_suite!(fresh);
