//! A provider that knows its clients by the certificates that they present (RFC 8705 section 2).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use dev_idp::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::world::{PUBLIC_BODY, Pair, client, variables};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a client's certificate with its key.
fn write_client(authority: &Authority, path: &Path) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().signed_by(&key, authority);
    let pem = certificate.unwrap().pem() + &key.serialize_pem();
    std::fs::write(path, pem).unwrap();
}

/// Takes connections that present a certificate of the authority.
struct TlsListener(TcpListener, TlsAcceptor);

impl TlsListener {
    async fn bind(authority: &Authority) -> Self {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, authority)
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self(listener, TlsAcceptor::from(Arc::new(config.unwrap())))
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Starts a token endpoint that vouches for clients with a certificate, and returns its port.
async fn token_endpoint(idp: &DevIdp, authority: &Authority) -> u16 {
    let url = idp.token_endpoint();
    let token = async move |form: String| {
        assert!(!form.contains("secret"), "{form}");
        let named = format!("client_id={DEFAULT_CLIENT_ID}");
        assert!(form.split('&').any(|pair| pair == named), "{form}");
        let request = client()
            .post(url)
            .body(form + "&client_secret=" + DEFAULT_CLIENT_SECRET);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.send().await.unwrap();
        let kind = [("content-type", "application/json")];
        (response.status(), kind, response.text().await.unwrap())
    };
    let listener = TlsListener::bind(authority).await;
    let port = listener.0.local_addr().unwrap().port();
    let app = Router::new().route("/token", post(token));
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    port
}

#[tokio::test]
async fn the_pair_gets_its_tokens_with_a_client_certificate_and_none_with_that_of_a_stranger() {
    let idp = DevIdp::builder().start().await.unwrap();
    let ours = authority();
    let port = token_endpoint(&idp, &ours).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("ca.pem"), ours.pem()).unwrap();
    write_client(&ours, path("client.pem").as_ref());
    let mut variables = variables(&idp);
    variables.remove("CLIENT_SECRET");
    for (name, value) in [
        ("TOKEN_ENDPOINT", format!("https://localhost:{port}/token")),
        ("IDP_CA_FILE", path("ca.pem")),
        ("CLIENT_AUTH_METHOD", "tls_client_auth".to_owned()),
        ("CLIENT_CERTIFICATE_FILE", path("client.pem")),
    ] {
        variables.insert(name.to_owned(), value);
    }
    let pair = Pair::ready(&variables).await;
    let body = pair.public_data().await.text().await.unwrap();
    assert_eq!(body, PUBLIC_BODY);
    pair.stop().await;

    write_client(&authority(), path("client.pem").as_ref());
    let pair = Pair::start(&variables).await;
    assert_eq!(pair.public_data().await.status(), 503);
    assert_eq!(idp.requests().token, 1);
    pair.stop().await;
}
