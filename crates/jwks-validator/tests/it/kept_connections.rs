//! Connections that a provider closes between two fetches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use idp_http::FetchErrorKind;
use jwks_validator::{Fetched, KeySource as _, RemoteJwks, SourceErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::remote::client;
use crate::signer::{Signer, jwks};

/// Answers the requests whose numbers `answers` takes, and hangs up on the others. Returns its source and the
/// number of requests.
async fn server(answers: fn(usize) -> bool) -> (RemoteJwks, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let body = jwks(&[Signer::es256("k").jwk()]);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, body.clone(), Arc::clone(&count), answers));
        }
    });
    (RemoteJwks::new(client(), url.parse().unwrap()), requests)
}

async fn serve(
    mut stream: TcpStream,
    body: Vec<u8>,
    count: Arc<AtomicUsize>,
    answers: fn(usize) -> bool,
) {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        request.extend(&chunk[..read]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        request.clear();
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        if !answers(number) {
            return;
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let answer = [head.as_bytes(), &body].concat();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// N45
#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_replaced_at_once() {
    let (source, requests) = server(|number| number != 2).await;
    for fetch in 1..=3 {
        let fetched = source.fetch(None).await;
        let is_set = matches!(&fetched, Ok(Fetched::Modified { keys, .. }) if keys.len() == 1);
        assert!(is_set, "{fetch}: {fetched:?}");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_provider_that_hangs_up_every_time_is_asked_once_more_and_then_once_a_fetch() {
    let (source, requests) = server(|number| number == 1).await;
    assert!(source.fetch(None).await.is_ok());
    for asked in [3, 4, 5] {
        let error = source.fetch(None).await.unwrap_err();
        let hung_up = SourceErrorKind::Fetch(FetchErrorKind::Truncated);
        assert_eq!(error.kind(), hung_up);
        assert_eq!(requests.load(Ordering::SeqCst), asked);
    }
}
