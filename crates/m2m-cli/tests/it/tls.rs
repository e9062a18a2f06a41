//! Providers behind TLS that is not as it should be, and behind none.

use std::sync::Arc;

use dev_idp::DevIdp;
use m2m_cli::report::Status;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::world::{Variables, examine, lines, of, variables, with};

/// What web servers say, in the clear, to who asks their TLS port without TLS.
const COMPLAINTS: [(&str, &str); 5] = [
    (
        "nginx",
        "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\n\r\n<html><body>\
         <h1>400 Bad Request</h1>The plain HTTP request was sent to HTTPS port</body></html>",
    ),
    (
        "Apache",
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<p>Reason: You're speaking plain HTTP to \
         an SSL-enabled server port.</p>",
    ),
    (
        "Go",
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    ),
    (
        "Traefik",
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\n404 page not found\n",
    ),
    (
        "a redirect",
        "HTTP/1.1 301 Moved Permanently\r\nLocation: https://idp.example/\r\nContent-Length: 0\r\n\r\n",
    ),
];

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, and the key that belongs to it.
type Pair = (CertificateDer<'static>, KeyPair);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }

    /// Sets `IDP_CA_FILE` to it.
    fn trusted(&self, variables: Variables) -> (Variables, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.0.pem()).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (with(variables, &[("IDP_CA_FILE", &path)]), file)
    }
}

/// A server that tells TLS from plain text by the first byte, as web servers do. Over TLS everything is
/// 404; in the clear it answers with this text and hangs up.
async fn server((certificate, key): Pair, in_the_clear: &'static str) -> u16 {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut first = [0; 1];
                if stream.peek(&mut first).await.is_ok_and(|read| read == 1) && first[0] == 22 {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\
                                    Connection: close\r\n\r\n";
                        answer(stream, text).await;
                    }
                } else {
                    answer(stream, in_the_clear).await;
                }
            });
        }
    });
    port
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn connection(variables: &Variables) -> String {
    let report = examine(variables).await;
    assert_eq!(report.failures(), 1, "{:#?}", lines(&report));
    let found = of(&report, "connection");
    assert_eq!(found[0].status, Status::Failed, "{:#?}", lines(&report));
    found[0].line(false)
}

/// A4, N72
#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_with_its_own_cure_and_never_leads_to_plain_http()
{
    let (authority, stranger) = (Authority::new(), Authority::new());
    let as_leaf = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    };
    let early = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2300, 1, 1);
        params.not_after = date_time_ymd(2301, 1, 1);
    };
    let mut seen = Vec::new();
    for (name, pair, found, cure) in [
        (
            "expired",
            authority.sign("localhost", expired),
            "has expired (on Sat, 01 Feb 2020 00:00:00 GMT)",
            "renew the provider's certificate",
        ),
        (
            "not yet valid",
            authority.sign("localhost", early),
            "is not valid yet (before ",
            "set the clock of this machine",
        ),
        (
            "another name",
            authority.sign("idp.example", |_| {}),
            "is for another host name (it has ",
            "write the host that the certificate names in ISSUER",
        ),
        (
            "an unknown authority",
            stranger.sign("localhost", |_| {}),
            "not signed by an authority that is trusted here",
            "set IDP_CA_FILE",
        ),
        (
            "an authority as a server",
            authority.sign("localhost", as_leaf),
            "the certificate of an authority in place of one of its own",
            "give the provider's server a certificate of its own",
        ),
    ] {
        let port = server(pair, COMPLAINTS[seen.len()].1).await;
        let (variables, _file) = authority.trusted(variables(&format!("https://localhost:{port}")));
        let line = connection(&variables).await;
        assert!(line.contains(found), "{name}: {line}");
        let (_, change) = line.split_once(" → ").unwrap();
        assert!(change.starts_with(cure), "{name}: {line}");
        assert!(!line.contains("http://"), "{name}: {line}");
        assert!(!line.contains("UNIX"), "{name}: {line}");
        assert!(!seen.contains(&change.to_owned()), "{name}: {line}");
        seen.push(change.to_owned());
    }
}

/// N72
#[tokio::test]
async fn a_tls_port_that_is_asked_without_tls_is_recognised_whatever_it_says() {
    let authority = Authority::new();
    for (name, text) in COMPLAINTS.into_iter().chain([("silence", "")]) {
        let port = server(authority.sign("localhost", |_| {}), text).await;
        let line = connection(&variables(&format!("http://localhost:{port}"))).await;
        assert!(line.contains("write https:// in ISSUER"), "{name}: {line}");
    }
}

/// N72
#[tokio::test]
async fn plain_http_is_advised_only_where_the_provider_itself_answers_in_the_clear() {
    let idp = DevIdp::builder().start().await.unwrap();
    let secure = |url: String| url.replacen("http:", "https:", 1);
    let tokens = secure(idp.token_endpoint());
    let keys = secure(idp.jwks_uri());
    for (variable, value) in [
        ("ISSUER", secure(idp.issuer().to_owned())),
        ("TOKEN_ENDPOINT", tokens.clone()),
        ("JWKS_URI", keys.clone()),
    ] {
        let variables = with(variables(idp.issuer()), &[(variable, &value)]);
        let report = examine(&variables).await;
        let found = of(&report, "connection");
        let failed = found.iter().find(|one| one.status == Status::Failed);
        let line = failed.unwrap().line(false);
        let advice = format!("write http:// in {variable}");
        assert!(line.contains("does not speak TLS"), "{line}");
        assert!(line.contains(&advice), "{line}");
    }
    for (name, text) in COMPLAINTS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, text).await;
            }
        });
        let line = connection(&variables(&format!("https://127.0.0.1:{port}"))).await;
        assert!(!line.contains("http://"), "{name}: {line}");
        assert!(line.contains("check the port in ISSUER"), "{name}: {line}");
    }
}
