//! Connections that are not made, and connections that went stale.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderMap;
use idp_http::{FetchErrorKind, IdpClient, Proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use url::Url;

fn url(address: SocketAddr) -> Url {
    format!("http://{address}/").parse().unwrap()
}

/// Reads up to the end of a request's header block and returns it in lower case.
pub(crate) async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap().to_lowercase()
}

/// A2
#[tokio::test]
async fn a_host_that_answers_no_handshake_costs_the_connect_timeout() {
    // A listener whose backlog is full drops what else comes, as a black hole does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = JoinSet::new();
    loop {
        let connect = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address));
        match connect.await {
            Ok(stream) => {
                held.spawn(async move {
                    let _open = stream.unwrap();
                    std::future::pending::<()>().await;
                });
            }
            Err(_) => break,
        }
    }
    let client = IdpClient::builder()
        .connect_timeout(Duration::from_millis(100))
        .timeout(Duration::from_secs(3_600))
        .build()
        .unwrap();
    let error = client
        .get(&url(address), HeaderMap::new(), 1_000)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Timeout);
}

/// A6
#[tokio::test]
async fn a_body_that_drips_ends_with_the_total_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // Never still for long: a limit between two bytes would not end it.
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        while stream.write_all(b" ").await.is_ok() {
            pace.tick().await;
        }
    });
    let client = IdpClient::builder()
        .timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    let error = client
        .get(&url(address), HeaderMap::new(), 2_000_000)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Timeout);
    // The connection is closed and not kept for another exchange.
    server.await.unwrap();
}

/// A31
#[tokio::test]
async fn a_proxy_is_used_when_asked_for() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = proxy.accept().await.unwrap();
        read_request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nproxied")
            .await
            .unwrap();
    });
    let client = IdpClient::builder()
        .proxy(Proxy::new(url(address)).unwrap())
        .dangerous_allow_http(true)
        .build()
        .unwrap();
    let elsewhere = "http://idp.invalid/".parse().unwrap();
    let reply = client
        .get(&elsewhere, HeaderMap::new(), 1_000)
        .await
        .unwrap();
    assert_eq!(&reply.body[..], b"proxied");
    server.await.unwrap();
}

/// A36
#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced_without_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            // Keep-alive by HTTP's rules, and closed all the same.
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let client = IdpClient::builder().build().unwrap();
    for _ in 0..3 {
        let reply = client
            .get(&url(address), HeaderMap::new(), 1_000)
            .await
            .unwrap();
        assert_eq!(reply.status, 200);
    }
    server.await.unwrap();
}

/// A36
#[tokio::test]
async fn a_server_that_says_goaway_is_not_understood_and_the_next_connection_is_a_new_one() {
    // SETTINGS and GOAWAY (RFC 9113 sections 6.5 and 6.8): this client speaks HTTP/1 only.
    const GO_AWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        for answer in [GO_AWAY, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        }
    });
    let client = IdpClient::builder().build().unwrap();
    let url = url(address);
    let error = client.get(&url, HeaderMap::new(), 1_000).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::NotHttp);
    let reply = client.get(&url, HeaderMap::new(), 1_000).await.unwrap();
    assert_eq!(reply.status, 200);
    server.await.unwrap();
}

/// A37
#[tokio::test]
async fn interim_answers_are_skipped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        let answer =
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    });
    let client = IdpClient::builder().build().unwrap();
    let reply = client
        .get(&url(address), HeaderMap::new(), 1_000)
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    server.await.unwrap();
}

/// J3
#[tokio::test]
async fn no_error_shows_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Hangs up in the head, in the body, and at once.
    let server = tokio::spawn(async move {
        for answer in [
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1",
            "",
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let client = IdpClient::builder().build().unwrap();
    let torn = format!("http://{address}/canary?access_token=canary");
    for url in [
        torn.as_str(),
        &torn,
        &torn,
        // Nobody listens any more.
        &torn,
        "http://user:canary@127.0.0.1:1/",
        "http://127.0.0.1:1/#canary",
        "http://canary.example/",
    ] {
        let url = url.parse().unwrap();
        let error = client.get(&url, HeaderMap::new(), 100).await.unwrap_err();
        let mut text = format!("{error} {error:?}");
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text = format!("{text} {inner} {inner:?}");
            source = inner.source();
        }
        assert!(!text.contains("canary"), "{text}");
    }
    server.await.unwrap();
}

/// J15
#[tokio::test]
async fn neither_a_redirect_nor_a_referrer_carries_a_url_elsewhere() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let location = format!("http://{}/", other.local_addr().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        for status in [302, 307, 200] {
            seen.push(read_request(&mut stream).await);
            let answer =
                format!("HTTP/1.1 {status} -\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        seen
    });
    let client = IdpClient::builder().build().unwrap();
    let url: Url = format!("http://{address}/?code=canary").parse().unwrap();
    let asked = async {
        for status in [302, 307, 200] {
            let reply = client.get(&url, HeaderMap::new(), 100).await.unwrap();
            assert_eq!(reply.status, status);
        }
    };
    tokio::select! {
        () = asked => {}
        _ = other.accept() => panic!("the redirect was followed"),
    }
    let seen = server.await.unwrap();
    assert!(
        seen.iter().all(|head| !head.contains("referer")),
        "{seen:?}"
    );
}
