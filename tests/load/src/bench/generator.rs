//! Sends requests over kept connections, as fast as they are answered or at a given rate.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::Failure;

const PATIENCE: Duration = Duration::from_secs(15);

/// The requests of one case, used in turn.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    address: String,
    texts: Arc<[Box<[u8]>]>,
    next: Arc<AtomicUsize>,
    /// Whether 401 is an answer beside 200.
    refused_too: bool,
    overload: bool,
    /// Between two requests of one client.
    pace: Option<Duration>,
}

/// What was sent in one turn.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) requests: u64,
    /// Answered with 503 and `Retry-After`.
    pub(crate) shed: u64,
    /// Not answered: the connection ended, or 15 s went by.
    pub(crate) lost: u64,
    /// Sent again because a kept connection had been closed.
    pub(crate) reopened: u64,
    /// In µs, of what was neither shed nor lost.
    pub(crate) latency: Histogram<u64>,
}

impl Requests {
    pub(crate) fn new(address: &str, path: &str) -> Self {
        Self::with_headers(address, path, [String::new()])
    }

    /// The path with each of these tokens.
    pub(crate) fn with_tokens(
        address: &str,
        path: &str,
        tokens: impl IntoIterator<Item = String>,
    ) -> Self {
        let header = |token| format!("Authorization: Bearer {token}\r\n");
        Self::with_headers(address, path, tokens.into_iter().map(header))
    }

    fn with_headers(address: &str, path: &str, headers: impl IntoIterator<Item = String>) -> Self {
        let text = |header| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{header}\r\n");
        let texts = headers.into_iter().map(text);
        Self {
            address: address.to_owned(),
            texts: texts.map(|text| text.into_bytes().into()).collect(),
            next: Arc::default(),
            refused_too: false,
            overload: false,
            pace: None,
        }
    }

    pub(crate) fn refused_too(mut self) -> Self {
        self.refused_too = true;
        self
    }

    /// Counts what is shed or lost, where it would be a failure else.
    pub(crate) fn overload(mut self) -> Self {
        self.overload = true;
        self
    }

    /// Has each client send at this pace instead of as soon as it is answered.
    pub(crate) fn pace(mut self, pace: Duration) -> Self {
        self.pace = Some(pace);
        self
    }

    pub(crate) async fn send_for(&self, clients: usize, time: Duration) -> Result<Sent, Failure> {
        let end = Instant::now() + time;
        self.send(clients, move || Instant::now() < end).await
    }

    /// Sends at least `count` requests; returns how many.
    pub(crate) async fn send_count(&self, clients: usize, count: u64) -> Result<u64, Failure> {
        let begun = AtomicU64::new(0);
        let more = move || begun.fetch_add(1, Ordering::Relaxed) < count;
        Ok(self.send(clients, more).await?.requests)
    }

    async fn send(
        &self,
        clients: usize,
        more: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Sent, Failure> {
        // One for all: a histogram takes more memory than a client.
        let sent = Arc::new(Mutex::new(Sent::none()?));
        let more = Arc::new(more);
        let mut running = JoinSet::new();
        for client in 0..clients {
            let (this, more, sent) = (self.clone(), Arc::clone(&more), Arc::clone(&sent));
            // The first requests of paced clients are spread over one pace.
            let share = f64::from(u32::try_from(client)?) / f64::from(u32::try_from(clients)?);
            let begin = Instant::now() + this.pace.unwrap_or_default().mul_f64(share);
            running.spawn(async move { this.client(begin, &*more, &sent).await });
        }
        while let Some(client) = running.join_next().await {
            client??;
        }
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *sent, Sent::none()?))
    }

    async fn client(
        &self,
        mut due: Instant,
        more: &(dyn Fn() -> bool + Send + Sync),
        sent: &Mutex<Sent>,
    ) -> Result<(), Failure> {
        let mut connection = None;
        let mut buffer = vec![0; 4_096];
        while more() {
            if let Some(pace) = self.pace {
                sleep_until(due).await;
                due += pace;
            }
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let text = &self.texts[n % self.texts.len()];
            let begun = Instant::now();
            let kept = connection.is_some();
            let limit = begun + PATIENCE;
            let exchange = self.exchange(&mut connection, text, &mut buffer);
            let mut head = timeout_at(limit, exchange).await;
            let reopened = kept && matches!(head, Ok(Err(_)));
            if reopened {
                // As every HTTP client does (RFC 9112 section 9.3.1): the server may have closed it
                // before it saw the request.
                connection = None;
                let exchange = self.exchange(&mut connection, text, &mut buffer);
                head = timeout_at(limit, exchange).await;
            }
            let head = head.unwrap_or(Err("no answer in time".into()));
            let us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.requests += 1;
            sent.reopened += u64::from(reopened);
            match head {
                Ok(head) if head.status == 200 || (head.status == 401 && self.refused_too) => {
                    sent.latency.saturating_record(us);
                }
                Ok(head) if head.status == 503 && head.retry_after && self.overload => {
                    sent.shed += 1;
                }
                Ok(head) => return Err(format!("{}: {}", self.address, head.status).into()),
                Err(_) if self.overload => {
                    connection = None;
                    sent.lost += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn exchange(
        &self,
        connection: &mut Option<TcpStream>,
        text: &[u8],
        buffer: &mut [u8],
    ) -> Result<Head, Failure> {
        let stream = match connection {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                connection.insert(stream)
            }
        };
        stream.write_all(text).await?;
        let head = read_answer(stream, buffer).await?;
        if head.close {
            *connection = None;
        }
        Ok(head)
    }
}

impl Sent {
    fn none() -> Result<Self, Failure> {
        Ok(Self {
            requests: 0,
            shed: 0,
            lost: 0,
            reopened: 0,
            latency: Histogram::new_with_bounds(1, 60_000_000, 3)?,
        })
    }
}

/// Reads one answer with a `Content-Length`, to its end.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Head, Failure> {
    let mut filled = 0;
    loop {
        if let Some(head) = head(&buffer[..filled])
            && filled >= head.length
        {
            return Ok(head);
        }
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err("the connection ended before its answer".into()),
            read => filled += read,
        }
    }
}

/// What matters of an answer.
#[derive(Debug, PartialEq)]
struct Head {
    status: u16,
    /// Of the whole answer.
    length: usize,
    retry_after: bool,
    close: bool,
}

fn head(bytes: &[u8]) -> Option<Head> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut head = Head {
        status: text.get(9..12)?.parse().ok()?,
        length: end,
        retry_after: false,
        close: false,
    };
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            head.length = end + value.parse::<usize>().ok()?;
        } else if name.eq_ignore_ascii_case("retry-after") {
            head.retry_after = true;
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let found = head(whole).unwrap();
        assert_eq!((found.status, found.length), (200, whole.len()));
        assert_eq!(head(&whole[..30]), None);
        let shed = b"HTTP/1.1 503 x\r\nretry-after: 1\r\nconnection: close\r\n\r\n";
        let found = head(shed).unwrap();
        assert!(found.retry_after && found.close);
        assert_eq!((found.status, found.length), (503, shed.len()));
    }
}
