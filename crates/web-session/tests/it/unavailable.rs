//! A store of sealed rows that fails, and whose secrets change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use web_session::store::{
    Body, Claim, Index, Key, Mark, NewRow, Owner, Row, SessionStore, StoreError, StoreErrorKind,
    Swap, Time,
};
use web_session::{MemoryStore, Secrets, SessionSecrets, Unready};

use crate::app::{App, OWNER, clock};

const WORKS: u8 = 0;
const FAILS: u8 = 1;
const HANGS: u8 = 2;
const LIES: u8 = 3;

#[derive(Clone, Debug)]
struct Flaky {
    store: Arc<MemoryStore>,
    mode: Arc<AtomicU8>,
}

impl Flaky {
    async fn pass(&self) -> Result<(), StoreError> {
        match self.mode.load(Ordering::SeqCst) {
            FAILS => Err(StoreError::new(StoreErrorKind::Unavailable)),
            HANGS => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

fn sealed(mut row: NewRow) -> Result<NewRow, StoreError> {
    row.body = Body::from_sealed(row.body.sealed()?);
    Ok(row)
}

#[async_trait]
impl SessionStore for Flaky {
    async fn create(&self, key: &Key, row: NewRow) -> Result<(), StoreError> {
        self.pass().await?;
        self.store.create(key, sealed(row)?).await
    }

    async fn load(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.pass().await?;
        let row = self.store.load(key).await?;
        Ok(row.map(|row| match self.mode.load(Ordering::SeqCst) {
            LIES => Row {
                body: Body::from_sealed(b"garbage".to_vec()),
                ..row
            },
            // Read anew, as from another place.
            _ => Row {
                body: Body::from_sealed(row.body.sealed().unwrap()),
                ..row
            },
        }))
    }

    async fn replace(&self, key: &Key, version: u64, row: NewRow) -> Result<Swap, StoreError> {
        self.pass().await?;
        self.store.replace(key, version, sealed(row)?).await
    }

    async fn claim(
        &self,
        key: &Key,
        version: u64,
        owner: Owner,
        lease: Duration,
    ) -> Result<Claim, StoreError> {
        self.pass().await?;
        self.store.claim(key, version, owner, lease).await
    }

    async fn touch(&self, key: &Key, idle_ends: Time) -> Result<(), StoreError> {
        self.pass().await?;
        self.store.touch(key, idle_ends).await
    }

    async fn remove(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.pass().await?;
        self.store.remove(key).await
    }

    async fn find(&self, index: &Index) -> Result<Vec<Key>, StoreError> {
        self.pass().await?;
        self.store.find(index).await
    }

    async fn mark(
        &self,
        mark: &Mark,
        at: Time,
        lifetime: Duration,
    ) -> Result<Option<Time>, StoreError> {
        self.pass().await?;
        self.store.mark(mark, at, lifetime).await
    }

    async fn marked(&self, mark: &Mark) -> Result<Option<Time>, StoreError> {
        self.pass().await?;
        self.store.marked(mark).await
    }

    async fn sweep(&self, at_most: usize) -> Result<usize, StoreError> {
        self.store.sweep(at_most).await
    }
}

async fn app(limit: usize) -> (App, Arc<AtomicU8>) {
    let (clock, mode) = (clock(), Arc::new(AtomicU8::new(WORKS)));
    let store = Flaky {
        store: Arc::new(MemoryStore::with_clock(limit, Arc::new(clock.clone()))),
        mode: Arc::clone(&mode),
    };
    (App::on(clock, store, |builder| builder).await, mode)
}

/// K67
#[tokio::test]
async fn while_the_store_is_away_nobody_is_sent_to_log_in() {
    let (app, mode) = app(10).await;
    let mut browser = app.signed_in(OWNER).await;
    let mut tab = app.browser();
    let callback = tab.until_callback("/", OWNER).await;
    for how in [FAILS, HANGS] {
        mode.store(how, Ordering::SeqCst);
        for path in ["/page", "/api/me", "/api/auth/session", "/api/auth/logout"] {
            let reply = browser.get(path).await;
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(reply.headers.contains_key("retry-after"));
            reply.assert_sets_nothing();
        }
        assert_eq!(browser.get("/open").await.text(), "anonymous");
        assert_eq!(app.sessions.ready().await, Err(Unready::Store));
    }
    assert_eq!(
        tab.get(&callback).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    mode.store(WORKS, Ordering::SeqCst);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

/// K62, K67
#[tokio::test]
async fn a_row_that_cannot_be_opened_is_not_there_and_counted() {
    let (app, mode) = app(10).await;
    let mut browser = app.signed_in(OWNER).await;
    mode.store(LIES, Ordering::SeqCst);
    let reply = browser.get("/page").await;
    assert_eq!(reply.status, StatusCode::FOUND);
    reply.assert_sets_nothing();
    assert_eq!(app.sessions.health().unreadable_rows, 1);
}

/// K67
#[tokio::test]
async fn a_full_store_refuses_logins_and_others_go_on() {
    let (app, _) = app(1).await;
    let mut browser = app.signed_in(OWNER).await;
    let mut tab = app.browser();
    let reply = tab.sign_in("/", OWNER).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(tab.handle().is_none());
    app.idp
        .wait_for_requests(dev_idp::Endpoint::Revocation, 1)
        .await;
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

/// K63
#[tokio::test]
async fn sessions_and_logins_live_as_long_as_the_secret_that_sealed_them() {
    let [old, new, other] = ["o", "n", "x"].map(|letter| letter.repeat(32));
    let secrets = SessionSecrets::from_text(&old).unwrap();
    let change = |list: &[&String]| {
        let text = list.iter().map(|it| it.as_str()).collect::<Vec<_>>();
        let newer = Secrets::from_text(&text.join(" ")).unwrap();
        assert!(secrets.secrets().replace(newer));
    };
    let clock = clock();
    let idp = crate::app::provider(&clock).await;
    let store = Flaky {
        store: Arc::new(MemoryStore::with_clock(10, Arc::new(clock.clone()))),
        mode: Arc::default(),
    };
    let sessions = crate::app::builder_with(&idp, &clock, secrets.clone()).store(store);
    let app = App::of(idp, clock, sessions.build().unwrap()).await;
    app.idp.set_token_lifetime(Duration::from_secs(300));
    let mut used = app.signed_in(OWNER).await;
    let mut unused = app.signed_in(OWNER).await;
    let mut tab = app.browser();
    let callback = tab.until_callback("/", OWNER).await;

    change(&[&new, &old]);
    assert_eq!(used.get("/page").await.status, StatusCode::OK);
    assert_eq!(used.post("/form", "").await.status, StatusCode::OK);
    assert_eq!(tab.get(&callback).await.status, StatusCode::SEE_OTHER);
    let mut late = app.browser();
    let late_callback = late.until_callback("/", OWNER).await;
    app.advance(301);
    assert_eq!(used.get("/page").await.status, StatusCode::OK);

    change(&[&new]);
    assert_eq!(used.get("/page").await.status, StatusCode::OK);
    let ended = unused.get("/page").await;
    assert_eq!(ended.status, StatusCode::FOUND);
    ended.assert_sets_nothing();

    change(&[&other]);
    assert_eq!(used.get("/page").await.status, StatusCode::FOUND);
    let restart = late.get(&late_callback).await;
    assert_eq!(restart.status, StatusCode::FOUND);
    assert!(
        restart.location().contains("retry=1"),
        "{}",
        restart.location()
    );
    assert_eq!(
        used.sign_in("/page", OWNER).await.status,
        StatusCode::SEE_OTHER
    );
}
