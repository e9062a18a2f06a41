//! Servers that are away, or not what they should be.

use std::time::Duration;

use stores::StoreUrl;
use tokio::net::TcpListener;
use tokio::time::Instant;
use web_session::store::{Key, StoreErrorKind};

/// K67
#[tokio::test]
async fn a_server_that_is_away_or_silent_is_told_within_its_second_and_shows_nothing() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [&gone, &silent].map(|it| it.local_addr().unwrap().port());
    drop(gone);
    for port in ports {
        for place in [
            format!("redis://user:canary@127.0.0.1:{port}"),
            format!("rediss://user:canary@127.0.0.1:{port}"),
            format!("postgres://user:canary@127.0.0.1:{port}/name"),
        ] {
            let store = place.parse::<StoreUrl>().unwrap().open().unwrap();
            let began = Instant::now();
            let error = store.load(&Key::new([1; 32])).await.unwrap_err();
            assert!(began.elapsed() < Duration::from_millis(1_500), "{place}");
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{place}");
            let shown = format!("{error} {error:?} {store:?}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}

/// K67
#[tokio::test]
async fn a_damaged_file_is_told_and_shows_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    std::fs::write(&path, b"canary ".repeat(1_000)).unwrap();
    let place = format!("sqlite:{}", path.display());
    let store = place.parse::<StoreUrl>().unwrap().open().unwrap();
    let error = store.load(&Key::new([1; 32])).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("damaged") && !text.contains("canary"),
        "{text}"
    );
}
