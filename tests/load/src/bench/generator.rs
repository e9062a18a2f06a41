//! Sends requests over kept connections, as fast as they are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::Failure;

const PATIENCE: Duration = Duration::from_secs(15);

/// The requests of one case, used in turn.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    address: String,
    texts: Arc<[Box<[u8]>]>,
    next: Arc<AtomicUsize>,
    /// Whether 401, or 503, is an answer beside 200.
    refused_too: bool,
    shed_too: bool,
}

/// What was sent in one turn.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) requests: u64,
    pub(crate) shed: u64,
    /// In µs.
    pub(crate) latency: Histogram<u64>,
}

impl Requests {
    pub(crate) fn protected(address: &str, tokens: impl IntoIterator<Item = String>) -> Self {
        let texts = tokens.into_iter().map(|token| {
            let text = format!(
                "GET /api/protected/data HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            text.into_bytes().into_boxed_slice()
        });
        Self::new(address, texts.collect())
    }

    pub(crate) fn public(address: &str) -> Self {
        let text = format!("GET /api/public/data HTTP/1.1\r\nHost: {address}\r\n\r\n");
        Self::new(address, Arc::from([text.into_bytes().into_boxed_slice()]))
    }

    fn new(address: &str, texts: Arc<[Box<[u8]>]>) -> Self {
        Self {
            address: address.to_owned(),
            texts,
            next: Arc::default(),
            refused_too: false,
            shed_too: false,
        }
    }

    pub(crate) fn refused_too(self) -> Self {
        Self {
            refused_too: true,
            ..self
        }
    }

    pub(crate) fn shed_too(self) -> Self {
        Self {
            shed_too: true,
            ..self
        }
    }

    pub(crate) async fn send_for(
        &mut self,
        clients: usize,
        time: Duration,
    ) -> Result<Sent, Failure> {
        let end = Instant::now() + time;
        self.send(clients, move || Instant::now() < end).await
    }

    /// Sends at least `count` requests; returns how many.
    pub(crate) async fn send_count(&mut self, clients: usize, count: u64) -> Result<u64, Failure> {
        let begun = AtomicU64::new(0);
        let more = move || begun.fetch_add(1, Ordering::Relaxed) < count;
        Ok(self.send(clients, more).await?.requests)
    }

    async fn send(
        &self,
        clients: usize,
        more: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Sent, Failure> {
        let more = Arc::new(more);
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let (this, more) = (self.clone(), Arc::clone(&more));
            running.spawn(async move { this.client(&*more).await });
        }
        let mut all = Sent::none()?;
        while let Some(client) = running.join_next().await {
            let sent = client??;
            all.requests += sent.requests;
            all.shed += sent.shed;
            all.latency.add(&sent.latency)?;
        }
        Ok(all)
    }

    async fn client(&self, more: &(dyn Fn() -> bool + Send + Sync)) -> Result<Sent, Failure> {
        let mut sent = Sent::none()?;
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; 4_096];
        while more() {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let text = &self.texts[n % self.texts.len()];
            let begun = Instant::now();
            stream.write_all(text).await?;
            let status = timeout(PATIENCE, read_answer(&mut stream, &mut buffer)).await??;
            let us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            sent.latency.saturating_record(us);
            sent.requests += 1;
            match status {
                200 => {}
                401 if self.refused_too => {}
                503 if self.shed_too => sent.shed += 1,
                status => return Err(format!("{}: {status}", self.address).into()),
            }
        }
        Ok(sent)
    }
}

impl Sent {
    pub(crate) fn none() -> Result<Self, Failure> {
        Ok(Self {
            requests: 0,
            shed: 0,
            latency: Histogram::new_with_bounds(1, 60_000_000, 3)?,
        })
    }
}

/// Reads one answer with a `Content-Length`, to its end, and returns its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<u16, Failure> {
    let mut filled = 0;
    loop {
        if let Some((status, length)) = head(&buffer[..filled])
            && filled >= length
        {
            return Ok(status);
        }
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err("the connection ended before its answer".into()),
            read => filled += read,
        }
    }
}

/// The status, and how long the whole answer is.
fn head(bytes: &[u8]) -> Option<(u16, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    Some((status, end + length.unwrap_or(0)))
}

/// Passes connections on and counts them.
#[derive(Debug)]
pub(crate) struct Forwarder {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
}

impl Forwarder {
    pub(crate) async fn start(to: &str) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicU64::new(0));
        let (to, count) = (to.to_owned(), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let to = to.clone();
                tokio::spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(to).await {
                        let _ = copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Ok(Self {
            address,
            connections,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(head(whole), Some((200, whole.len())));
        assert_eq!(head(&whole[..30]), None);
        assert_eq!(head(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, 27)));
    }
}
