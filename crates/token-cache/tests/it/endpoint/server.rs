//! A token endpoint that answers as it is told.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A listener that gives every connection the same raw bytes and reports what it was sent.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) requests: mpsc::UnboundedReceiver<String>,
}

/// What happens after the raw bytes.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    Close,
    Hang,
    /// Zeros until the client goes away.
    Flood,
}

impl Endpoint {
    pub(crate) async fn start(raw: impl Into<Vec<u8>>, then: Then) -> Self {
        let raw: Arc<[u8]> = raw.into().into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&raw), then, sender.clone()));
            }
        });
        Self { url, requests }
    }

    pub(crate) async fn json(status: &str, body: &str) -> Self {
        let length = body.len();
        let raw = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Self::start(raw, Then::Close).await
    }

    pub(crate) fn count(&mut self) -> usize {
        let mut count = 0;
        while self.requests.try_recv().is_ok() {
            count += 1;
        }
        count
    }
}

pub(crate) async fn answer(
    mut stream: TcpStream,
    raw: Arc<[u8]>,
    then: Then,
    requests: mpsc::UnboundedSender<String>,
) {
    let request = read_request(&mut stream).await;
    let _ = requests.send(request);
    let _ = stream.write_all(&raw).await;
    match then {
        Then::Close => {}
        Then::Hang => {
            let _ = stream.read(&mut [0]).await;
        }
        Then::Flood => while stream.write_all(&[b'0'; 8_192]).await.is_ok() {},
    }
}

/// Reads headers and, by `Content-Length`, the body.
pub(crate) async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        let mut chunk = [0; 4_096];
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return text,
        }
    }
}
