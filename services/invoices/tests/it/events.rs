//! Streams of events.

use reqwest::{Method, Response};
use tokio::time::timeout;

use crate::browser::{Browser, LIMIT};
use crate::world::World;

struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(browser: &Browser) -> Self {
        let request = browser.request(Method::GET, "/api/v1/events");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let text = String::new();
        Self { response, text }
    }

    /// The next block; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = timeout(LIMIT, self.response.chunk()).await.unwrap();
            // A connection that is cut is an end too, and not the one that is wanted.
            let chunk = chunk.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn event(&mut self) -> String {
        loop {
            let block = self.next().await.unwrap();
            if block.starts_with("event:") {
                return block;
            }
        }
    }

    async fn ends(&mut self) {
        while self.next().await.is_some() {}
    }
}

const BODY: &str = r#"{"customerName":"Anna","customerEmail":"a@b","terms":"NET_7","dueDate":"2026-12-15",
    "message":"Thanks","totalDue":"5"}"#;

#[tokio::test]
async fn what_happens_to_a_tenants_invoices_is_told_to_its_people() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let mut globex = world.signed_in("owner@globex.example", "globex").await;
    let mut stream = Stream::open(&world.viewer().await).await;
    globex.json(Method::POST, "/api/v1/invoices", BODY).await;
    let added = owner.json(Method::POST, "/api/v1/invoices", BODY).await;
    let path = added.header("location").to_owned();
    owner.json(Method::PUT, &path, r#"{"status":"PAID"}"#).await;
    let created = stream.event().await;
    let id = added.json()["id"].as_str().unwrap().to_owned();
    assert!(
        created.starts_with("event: invoice.created\ndata: {"),
        "{created}"
    );
    assert!(created.contains(&id), "{created}");
    let changed = stream.event().await;
    assert!(changed.starts_with("event: invoice.changed\n"), "{changed}");
    assert!(changed.contains("\"status\":\"PAID\""), "{changed}");
}

#[tokio::test]
async fn a_quiet_stream_has_a_heartbeat() {
    let world = World::start().await;
    let mut stream = Stream::open(&world.owner().await).await;
    let block = stream.next().await.unwrap();
    assert_eq!(block, ": heartbeat");
}

/// K113
#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let world = World::start().await;
    let mut owner = world.owner().await;
    let mut other = world.owner().await;
    let (mut ended, mut stays) = (Stream::open(&owner).await, Stream::open(&other).await);
    owner.post("/api/auth/logout", &[]).await;
    ended.ends().await;
    other.json(Method::POST, "/api/v1/invoices", BODY).await;
    assert!(stays.event().await.starts_with("event: invoice.created"));
}

#[tokio::test]
async fn a_stream_ends_with_the_drain() {
    let world = World::start().await;
    let mut stream = Stream::open(&world.owner().await).await;
    world.begin_drain();
    stream.ends().await;
    timeout(LIMIT, world.stop()).await.unwrap();
}

/// K57
#[tokio::test]
async fn a_session_ends_although_a_page_polls_and_listens() {
    let world = World::with(&[("SESSION_IDLE_TIMEOUT", "2s")]).await;
    let owner = world.owner().await;
    let mut stream = Stream::open(&owner).await;
    let poll = async |path: &str| {
        let mut browser = owner.clone();
        loop {
            let request = browser.request(Method::GET, path);
            let request = request.header("x-session-activity", "none");
            if browser.send(request).await.status == 401 {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let all = async {
        tokio::join!(
            poll("/api/auth/session"),
            poll("/api/v1/invoices"),
            stream.ends()
        )
    };
    timeout(LIMIT, all).await.unwrap();
}
