//! A running server and a client that writes bytes, not requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::StatusCode;
use service_kit::problem;
use service_kit::server::{Builder, Counters, Drained, Server};
use service_kit::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes; a test that reaches it fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) shutdown: Shutdown,
    task: JoinHandle<Drained>,
}

impl Running {
    pub(crate) async fn start(builder: Builder, router: Router) -> Self {
        let shutdown = Shutdown::manual(Duration::from_secs(10));
        Self::start_with(builder, router, shutdown).await
    }

    pub(crate) async fn start_with(builder: Builder, router: Router, shutdown: Shutdown) -> Self {
        let server = builder.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, counters) = (server.local_addr(), server.counters());
        let task = tokio::spawn(server.serve(problem::fallbacks(router), shutdown.clone()));
        Self {
            address,
            counters,
            shutdown,
            task,
        }
    }

    pub(crate) async fn connect(&self) -> Peer {
        Peer {
            stream: TcpStream::connect(self.address).await.unwrap(),
            input: Vec::new(),
        }
    }

    pub(crate) async fn drained(self) -> Drained {
        timeout(PATIENCE, self.task).await.unwrap().unwrap()
    }
}

pub(crate) fn server() -> Builder {
    Server::builder()
}

pub(crate) struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
}

/// One answer with its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Asserts a problem answer in the one form that they have, with the id of its header, and returns its
    /// detail.
    pub(crate) fn problem(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let id = self.header("x-request-id").unwrap();
        let title = StatusCode::from_u16(status).unwrap();
        let title = title.canonical_reason().unwrap();
        let begin =
            format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":""#);
        let end = format!(r#"","request_id":"{id}"}}"#);
        let detail = self.body.strip_prefix(&begin);
        let detail = detail.and_then(|rest| rest.strip_suffix(&end));
        assert!(detail.is_some(), "{self:?}");
        detail.unwrap()
    }
}

impl Peer {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(request("GET", path)).await;
        self.answer().await
    }

    /// Reads one answer, whose body is as long as `Content-Length` says.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.try_answer(false)
            .await
            .expect("the connection closed before an answer")
    }

    /// Reads an answer that has no body whatever its `Content-Length` says (to `HEAD`).
    pub(crate) async fn head_answer(&mut self) -> Answer {
        self.try_answer(true)
            .await
            .expect("the connection closed before an answer")
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) async fn close_sending(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads answers until the server closes.
    pub(crate) async fn answers_until_close(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.try_answer(false).await {
            answers.push(answer);
        }
        answers
    }

    /// Waits until the server closes; anything it still sends fails the test.
    pub(crate) async fn closed(&mut self) {
        let rest = self.answers_until_close().await;
        assert!(rest.is_empty(), "{rest:?}");
    }

    async fn try_answer(&mut self, bodiless: bool) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self
                .input
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at + 4;
            }
            if !self.fill().await {
                assert!(self.input.is_empty(), "torn answer: {:?}", self.input);
                return None;
            }
        };
        let head = String::from_utf8(self.input.drain(..head_end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: String::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |value| value.parse().unwrap());
        let length: usize = if bodiless { 0 } else { length };
        while self.input.len() < length {
            assert!(self.fill().await, "torn body of {answer:?}");
        }
        answer.body = String::from_utf8(self.input.drain(..length).collect()).unwrap();
        Some(answer)
    }

    /// Reads more; `false` at the end of the stream. A reset is an end too.
    async fn fill(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await;
        let count = read.expect("neither an answer nor a close").unwrap_or(0);
        self.input.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

pub(crate) fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}
