//! Certificates that must be refused, and the one that must not.

use std::sync::Arc;

use http::HeaderMap;
use idp_http::{
    CertificateProblem, FetchError, FetchErrorKind, IdpClient, Proxy, ProxyProblem, UrlProblem,
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs};
use url::Url;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// SETTINGS and GOAWAY with HTTP_1_1_REQUIRED (RFC 9113 sections 6.5 and 6.8).
const GO_AWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0d";

/// A TLS server for `name` with a certificate of this authority that is valid from the one year to the
/// other. It offers HTTP/2, and wants to be rid of whoever takes that.
async fn server(authority: &Authority, name: &str, years: (i32, i32)) -> Url {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 2, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority.0).unwrap();
    serve(&certificate, &key).await
}

/// A TLS server whose certificate nobody but its own key vouches for, as an authority or as none.
async fn self_signed_server(is_ca: IsCa) -> Url {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = is_ca;
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    serve(&certificate, &key).await
}

async fn serve(certificate: &Certificate, key: &KeyPair) -> Url {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let answer = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => GO_AWAY,
                    _ => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                };
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    format!("https://localhost:{port}/").parse().unwrap()
}

async fn failure(client: &IdpClient, url: &Url) -> Option<FetchError> {
    client.get(url, HeaderMap::new(), 1_000).await.err()
}

async fn kind(client: &IdpClient, url: &Url) -> Option<FetchErrorKind> {
    failure(client, url).await.map(|error| error.kind())
}

const VALID: (i32, i32) = (2020, 2090);

/// A4, N20
#[tokio::test]
async fn only_a_valid_certificate_of_a_trusted_authority_for_this_host_is_accepted() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let client = IdpClient::builder()
        .extra_roots_pem(authority.pem().as_bytes())
        .build()
        .unwrap();
    let refused = FetchErrorKind::Certificate;
    for (name, url, expected) in [
        (
            "trusted",
            server(&authority, "localhost", VALID).await,
            None,
        ),
        (
            "another host",
            server(&authority, "idp.example", VALID).await,
            Some((
                refused(CertificateProblem::WrongName),
                "the server's certificate is for another host name (it has idp.example)",
            )),
        ),
        (
            "expired",
            server(&authority, "localhost", (2020, 2021)).await,
            Some((
                refused(CertificateProblem::Expired),
                "the server's certificate has expired (on Mon, 01 Feb 2021 00:00:00 GMT)",
            )),
        ),
        (
            "not yet valid",
            server(&authority, "localhost", (2080, 2090)).await,
            Some((
                refused(CertificateProblem::NotYetValid),
                "the server's certificate is not valid yet (before Mon, 01 Jan 2080 00:00:00 GMT)",
            )),
        ),
        (
            "an unknown authority",
            server(&stranger, "localhost", VALID).await,
            Some((
                refused(CertificateProblem::UnknownAuthority),
                "the server's certificate is not signed by an authority that is trusted here",
            )),
        ),
        (
            "no authority",
            self_signed_server(IsCa::NoCa).await,
            Some((
                refused(CertificateProblem::UnknownAuthority),
                "the server's certificate is not signed by an authority that is trusted here",
            )),
        ),
        (
            "the authority itself",
            self_signed_server(IsCa::Ca(BasicConstraints::Unconstrained)).await,
            Some((
                refused(CertificateProblem::IsAuthority),
                "the server shows the certificate of an authority in place of one of its own",
            )),
        ),
    ] {
        let found = failure(&client, &url).await;
        let found = found.map(|error| (error.kind(), error.to_string()));
        let expected = expected.map(|(kind, text)| (kind, text.to_owned()));
        assert_eq!(found, expected, "{name}");
    }
}

/// A server that answers whatever comes first with these bytes.
async fn answering(bytes: &'static [u8], scheme: &str) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 4_096];
        assert!(stream.read(&mut first).await.unwrap() > 0);
        let _ = stream.write_all(bytes).await;
        // Until the client goes away: what it reads is the answer and no reset.
        let _ = stream.read(&mut first).await;
    });
    format!("{scheme}://{address}/").parse().unwrap()
}

/// N20
#[tokio::test]
async fn what_answers_without_a_certificate_is_told_apart() {
    let client = IdpClient::builder()
        .extra_roots_pem(Authority::new().pem().as_bytes())
        .build()
        .unwrap();
    for (name, url, kind, text) in [
        (
            "an alert: handshake failure",
            answering(b"\x15\x03\x03\0\x02\x02\x28", "https").await,
            FetchErrorKind::TlsAlert,
            "the server broke off TLS with an alert (HandshakeFailure)",
        ),
        (
            "an alert: unrecognised name",
            answering(b"\x15\x03\x03\0\x02\x02\x70", "https").await,
            FetchErrorKind::TlsAlert,
            "the server broke off TLS with an alert (UnrecognisedName)",
        ),
        (
            "plain http where TLS is expected",
            answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", "https").await,
            FetchErrorKind::NotTls,
            "what answers does not speak TLS",
        ),
        (
            "TLS where http is expected",
            answering(b"\x15\x03\x03\0\x02\x02\x0a", "http").await,
            FetchErrorKind::NotHttp,
            "what answers does not speak HTTP/1",
        ),
        (
            "a mail server",
            answering(b"220 mail.example ESMTP\r\n", "http").await,
            FetchErrorKind::NotHttp,
            "what answers does not speak HTTP/1",
        ),
    ] {
        let error = failure(&client, &url).await.unwrap();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (kind, text),
            "{name}"
        );
    }
}

/// A4
#[tokio::test]
async fn a_server_that_speaks_no_tls_is_not_spoken_to_in_the_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
        first[0]
    });
    let authority = Authority::new();
    let client = IdpClient::builder()
        .extra_roots_pem(authority.pem().as_bytes())
        .build()
        .unwrap();
    assert_eq!(kind(&client, &url).await, Some(FetchErrorKind::NotTls));
    // A TLS handshake record, not the `G` of a GET.
    assert_eq!(server.await.unwrap(), 22);
}

/// A4
#[tokio::test]
async fn a_server_that_speaks_only_tls_1_1_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 4_096];
        assert!(stream.read(&mut hello).await.unwrap() > 0);
        // A ServerHello of 3.2 (RFC 4346 section 7.4.1.3) with TLS_RSA_WITH_AES_128_CBC_SHA.
        let body = [&[3, 2][..], &[7; 32], &[0, 0x00, 0x2f, 0]].concat();
        let length = u8::try_from(body.len()).unwrap();
        let handshake = [&[2, 0, 0, length][..], &body].concat();
        let record = [&[22, 3, 2, 0, length + 4][..], &handshake].concat();
        stream.write_all(&record).await.unwrap();
        // An alert comes back, and no more of a handshake.
        stream.read_u8().await.unwrap()
    });
    let authority = Authority::new();
    let client = IdpClient::builder()
        .extra_roots_pem(authority.pem().as_bytes())
        .build()
        .unwrap();
    assert_eq!(kind(&client, &url).await, Some(FetchErrorKind::Tls));
    assert_eq!(server.await.unwrap(), 21);
}

#[test]
fn extra_roots_must_be_certificates() {
    for pem in [
        "",
        "junk",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(
            IdpClient::builder()
                .extra_roots_pem(pem.as_bytes())
                .build()
                .is_err(),
            "{pem:?}"
        );
    }
}

#[test]
fn plain_http_needs_loopback_or_the_dangerous_switch() {
    let url: Url = "http://idp.example/".parse().unwrap();
    let client = IdpClient::builder().build().unwrap();
    assert_eq!(client.check_url(&url), Err(UrlProblem::Scheme));
    let client = IdpClient::builder()
        .dangerous_allow_http(true)
        .build()
        .unwrap();
    assert_eq!(client.check_url(&url), Ok(()));
}

/// N25
#[tokio::test]
async fn a_renewed_authority_is_trusted_without_a_restart() {
    let (former, renewed) = (Authority::new(), Authority::new());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), former.pem()).unwrap();
    let client = IdpClient::builder()
        .extra_roots_file(file.path())
        .build()
        .unwrap();
    let url = server(&renewed, "localhost", VALID).await;
    let unknown = FetchErrorKind::Certificate(CertificateProblem::UnknownAuthority);
    assert_eq!(kind(&client, &url).await, Some(unknown));
    let before = client.settings_version().await;
    std::fs::write(file.path(), renewed.pem()).unwrap();
    // As a refresher does that waits for its next attempt, only more often.
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(50));
    while client.settings_version().await == before {
        pace.tick().await;
    }
    assert_eq!(kind(&client, &url).await, None);
}

/// A proxy that answers `CONNECT` with this, and connects to `target` if that is a yes. Returns the requests
/// that it got.
async fn proxy(
    target: &Url,
    answer: &'static str,
) -> (Url, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = target.port().unwrap();
    let (heads, seen) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            heads
                .send(crate::tcp::read_request(&mut stream).await)
                .unwrap();
            let head = format!("HTTP/1.1 {answer}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            if answer.starts_with('2') {
                let mut to = tokio::net::TcpStream::connect(("127.0.0.1", port))
                    .await
                    .unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut to).await;
            }
        }
    });
    (format!("http://{address}/").parse().unwrap(), seen)
}

/// N23
#[tokio::test]
async fn a_tunnel_of_a_proxy_leads_to_the_provider_or_tells_who_refused() {
    let authority = Authority::new();
    let url = server(&authority, "localhost", VALID).await;
    let refused = FetchErrorKind::Proxy;
    for (answer, expected) in [
        ("200 Connection established", None),
        (
            "407 Proxy Authentication Required",
            Some(refused(ProxyProblem::Credentials)),
        ),
        ("403 Forbidden", Some(refused(ProxyProblem::Refused))),
        ("502 Bad Gateway", Some(FetchErrorKind::Connect)),
    ] {
        let (at, mut seen) = proxy(&url, answer).await;
        let at = Proxy::new(at).unwrap();
        let client = IdpClient::builder()
            .extra_roots_pem(authority.pem().as_bytes())
            .proxy(at.credentials(SecretString::from("user:password")))
            .build()
            .unwrap();
        assert_eq!(kind(&client, &url).await, expected, "{answer}");
        let head = seen.recv().await.unwrap();
        let port = url.port().unwrap();
        let expected = format!("connect localhost:{port} http/1.1\r\n");
        assert!(head.starts_with(&expected), "{head}");
        assert!(
            head.contains("proxy-authorization: basic dxnlcjpwyxnzd29yza=="),
            "{head}"
        );
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    let client = IdpClient::builder()
        .extra_roots_pem(authority.pem().as_bytes())
        .proxy(Proxy::new(at.parse().unwrap()).unwrap())
        .build()
        .unwrap();
    let unreachable = refused(ProxyProblem::Unreachable);
    assert_eq!(kind(&client, &url).await, Some(unreachable));
}
