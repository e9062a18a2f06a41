use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
#[cfg(target_os = "linux")]
use tokio::net::{TcpSocket, TcpStream};

use super::*;

fn resolving_to(addresses: &'static [&'static str]) -> IdpClient {
    let mut builder = IdpClient::builder().dangerous_allow_http(true);
    builder.resolver = Resolver::with(move |_, port| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        Ok(addresses
            .map(|address| SocketAddr::new(address, port))
            .collect())
    });
    builder.deny_private_addresses(true).build().unwrap()
}

async fn failure(client: &IdpClient, url: &str) -> FetchErrorKind {
    let url = url.parse().unwrap();
    let result = client.get(&url, HeaderMap::new(), 1).await;
    result.unwrap_err().kind()
}

/// D25
#[tokio::test]
async fn a_name_that_leads_to_private_addresses_is_not_asked() {
    let client = resolving_to(&["127.0.0.1", "169.254.169.254", "::1", "fd00::1"]);
    for url in ["http://idp.example/jwks", "https://idp.example/jwks"] {
        assert_eq!(
            failure(&client, url).await,
            FetchErrorKind::PrivateAddress,
            "{url}"
        );
    }
    for url in [
        "http://127.0.0.1:1/",
        "https://169.254.169.254/latest",
        "http://localhost:1/",
        "https://[::ffff:10.0.0.1]/",
    ] {
        assert_eq!(
            client.check_url(&url.parse().unwrap()),
            Err(UrlProblem::PrivateAddress),
            "{url}"
        );
        assert_eq!(failure(&client, url).await, FetchErrorKind::Url, "{url}");
    }
}

/// D25
#[tokio::test]
async fn a_name_is_resolved_by_the_system_and_looked_at() {
    let client = IdpClient::builder()
        .dangerous_allow_http(true)
        .deny_private_addresses(true)
        .build()
        .unwrap();
    // Below `localhost`, every name is loopback (RFC 6761 section 6.3), if it resolves at all.
    let kind = failure(&client, "http://idp.localhost:1/").await;
    assert!(
        matches!(kind, FetchErrorKind::PrivateAddress | FetchErrorKind::Dns),
        "{kind:?}"
    );
}

/// H16
#[tokio::test]
async fn a_provider_that_moved_is_found_at_its_new_address() {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Arc::new(Mutex::new(first.local_addr().unwrap()));
    let mut builder = IdpClient::builder().dangerous_allow_http(true);
    let known = Arc::clone(&place);
    builder.resolver = Resolver::with(move |_, _| Ok(vec![*known.lock().unwrap()]));
    let client = builder.build().unwrap();
    let url = "http://idp.example/".parse().unwrap();
    for (listener, body) in [(&first, "1"), (&second, "2")] {
        *place.lock().unwrap() = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A request without a body this short comes in one piece.
            let mut request = [0; 1_024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let (reply, ()) = tokio::join!(client.get(&url, HeaderMap::new(), 10), server);
        assert_eq!(&reply.unwrap().body[..], body.as_bytes());
    }
}

/// A listener that answers no handshake: its backlog is full, and what else comes is dropped, as by a
/// black hole. Port 0 takes any.
#[cfg(target_os = "linux")]
async fn black_hole(address: &str, port: u16) -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket
        .bind(SocketAddr::new(address.parse().unwrap(), port))
        .unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        held.push(stream.unwrap());
    }
    (listener, held)
}

/// Waits until a connection to this address is under way that nobody has answered, by Linux's list of them.
#[cfg(target_os = "linux")]
async fn knocks_at(address: SocketAddr) {
    const SYN_SENT: &str = "02";
    let std::net::IpAddr::V4(ip) = address.ip() else {
        unreachable!("the test's addresses are of version 4");
    };
    let remote = format!(
        "{:08X}:{:04X}",
        u32::from_le_bytes(ip.octets()),
        address.port()
    );
    let is_it = |line: &str| {
        let mut columns = line.split_whitespace().skip(2);
        columns.next() == Some(&remote) && columns.next() == Some(SYN_SENT)
    };
    while !std::fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .lines()
        .any(is_it)
    {
        tokio::task::yield_now().await;
    }
}

#[cfg(target_os = "linux")]
async fn answer(listener: &TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1_024];
        // Those that filled the backlog send nothing.
        if matches!(
            timeout(Duration::from_millis(50), stream.read(&mut request)).await,
            Ok(Ok(1..))
        ) {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            return;
        }
    }
}

/// N21
#[cfg(target_os = "linux")]
#[tokio::test]
async fn every_address_of_a_name_has_the_whole_connect_limit() {
    let (slow, held) = black_hole("127.0.0.2", 0).await;
    let port = slow.local_addr().unwrap().port();
    let (dead, others) =
        tokio::join!(black_hole("127.0.0.3", port), black_hole("127.0.0.4", port),);
    let mut builder = IdpClient::builder()
        .dangerous_allow_http(true)
        .connect_timeout(Duration::from_millis(2_900));
    let (begun, mut begins) = tokio::sync::watch::channel(());
    builder.resolver = Resolver::with(move |_, port| {
        begun.send_replace(());
        let hosts = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
        let addresses = hosts.map(|host| SocketAddr::new(host.parse().unwrap(), port));
        Ok(addresses.to_vec())
    });
    let client = builder.build().unwrap();
    let url = format!("http://idp.example:{port}/").parse().unwrap();
    let server = async {
        begins.changed().await.unwrap();
        knocks_at(slow.local_addr().unwrap()).await;
        // It knocks again a second later: more than a third of its limit.
        drop(held);
        answer(&slow).await;
    };
    let (reply, ()) = tokio::join!(client.get(&url, HeaderMap::new(), 10), server);
    assert_eq!(reply.unwrap().status, 200);
    drop((dead, others));
}

/// N21
#[cfg(target_os = "linux")]
#[tokio::test]
async fn addresses_that_never_answer_delay_the_next_by_a_moment_each() {
    let last = TcpListener::bind("127.0.0.9:0").await.unwrap();
    let port = last.local_addr().unwrap().port();
    let dead = tokio::join!(
        black_hole("127.0.0.5", port),
        black_hole("127.0.0.6", port),
        black_hole("127.0.0.7", port),
    );
    let mut builder = IdpClient::builder().dangerous_allow_http(true);
    builder.resolver = Resolver::with(move |_, port| {
        let hosts = ["127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.9"];
        let addresses = hosts.map(|host| SocketAddr::new(host.parse().unwrap(), port));
        Ok(addresses.to_vec())
    });
    let client = builder.build().unwrap();
    let url = format!("http://idp.example:{port}/").parse().unwrap();
    let (reply, ()) = tokio::join!(client.get(&url, HeaderMap::new(), 10), answer(&last));
    assert_eq!(reply.unwrap().status, 200);
    drop(dead);
}

#[test]
fn private_addresses_cannot_be_denied_behind_a_proxy() {
    let proxy = Proxy::new("http://proxy.example:3128".parse().unwrap()).unwrap();
    let builder = IdpClient::builder().proxy(proxy);
    assert!(builder.clone().build().is_ok());
    let error = builder.deny_private_addresses(true).build().unwrap_err();
    assert!(matches!(error, BuildError::PrivateBehindProxy));
}
