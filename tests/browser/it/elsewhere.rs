//! Somebody else's pages.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server of pages, under whatever name of this machine. It ends when dropped.
pub(crate) struct Elsewhere {
    pub(crate) address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, String>>>,
    task: JoinHandle<()>,
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Elsewhere {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages = Arc::<Mutex<HashMap<String, String>>>::default();
        let for_task = Arc::clone(&pages);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&for_task)));
            }
        });
        Self {
            address,
            pages,
            task,
        }
    }

    pub(crate) fn show(&self, path: &str, body: &str) {
        let page =
            format!("<!doctype html><meta charset=utf-8><title>Elsewhere</title><body>{body}");
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// The address of a page under a name of this machine.
    pub(crate) fn at(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }
}

async fn serve(mut stream: TcpStream, pages: Arc<Mutex<HashMap<String, String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let page = pages.lock().unwrap().get(path).cloned();
    let (status, page) = match page {
        Some(page) => ("200 OK", page),
        None => ("404 Not Found", String::new()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
        page.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
