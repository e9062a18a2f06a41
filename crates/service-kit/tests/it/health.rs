use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::routing::get;
use service_kit::health::{self, Readiness};
use service_kit::shutdown::ShutdownKind;

use crate::peer::{Running, request, server};

async fn start(ready: Arc<AtomicBool>) -> Running {
    let shutdown = service_kit::shutdown::Shutdown::manual(std::time::Duration::from_secs(10));
    let readiness = move || {
        let token = if ready.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err("no token yet")
        };
        Readiness::ready()
            .check("token", token)
            .check("other", Ok::<(), &str>(()))
    };
    let router = Router::new()
        .route("/api", get(|| async { "here" }))
        .merge(health::routes(&shutdown, readiness));
    Running::start_with(server(), router, shutdown).await
}

#[tokio::test]
async fn readiness_follows_the_checks_and_liveness_does_not() {
    let ready = Arc::new(AtomicBool::new(false));
    let running = start(Arc::clone(&ready)).await;
    let mut peer = running.connect().await;

    let unready = peer.get("/readyz").await;
    assert_eq!(unready.status, 503);
    assert_eq!(
        unready.body,
        r#"{"status":"unready","reasons":[{"check":"token","reason":"no token yet"}]}"#
    );
    assert_eq!(unready.header("content-type"), Some("application/json"));
    let live = peer.get("/livez").await;
    assert_eq!(
        (live.status, live.body.as_str()),
        (200, r#"{"status":"ok"}"#)
    );

    ready.store(true, Ordering::Relaxed);
    let now_ready = peer.get("/readyz").await;
    assert_eq!(
        (now_ready.status, now_ready.body.as_str()),
        (200, r#"{"status":"ready"}"#)
    );
    for answer in [unready, live, now_ready] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

/// H6
#[tokio::test]
async fn a_draining_service_is_live_and_unready() {
    let running = start(Arc::new(AtomicBool::new(true))).await;
    running.shutdown.begin(ShutdownKind::Terminate);
    let unready = running.connect().await.get("/readyz").await;
    assert_eq!(unready.status, 503);
    assert_eq!(
        unready.body,
        r#"{"status":"unready","reasons":[{"check":"shutdown","reason":"draining"}]}"#
    );
    assert_eq!(running.connect().await.get("/livez").await.status, 200);
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body_and_other_methods_are_refused() {
    let running = start(Arc::new(AtomicBool::new(true))).await;
    let mut peer = running.connect().await;
    for path in ["/livez", "/readyz"] {
        peer.send(request("HEAD", path)).await;
        assert_eq!(peer.head_answer().await.status, 200, "{path}");
        peer.send(request("DELETE", path)).await;
        let refused = peer.answer().await;
        assert_eq!(
            refused.problem(405),
            "This path does not take this method; Allow lists those that it takes."
        );
        assert_eq!(refused.header("allow"), Some("GET,HEAD"));
    }
}

/// G17, G24
#[tokio::test]
async fn health_paths_are_whole_paths() {
    let running = start(Arc::new(AtomicBool::new(true))).await;
    let mut peer = running.connect().await;
    for path in [
        "/livez/",
        "/livez/../api",
        "/livez/x",
        "/livez;x",
        "//livez",
        "/./livez",
        "/LIVEZ",
        "/%6civez",
        "/livez%2f..%2fapi",
        "/readyz/%2e%2e/api",
        "/api/",
        "//api",
        "/",
        "/none",
    ] {
        let answer = peer.get(path).await;
        assert_eq!(
            answer.problem(404),
            "There is nothing at this path.",
            "{path}"
        );
    }
}
