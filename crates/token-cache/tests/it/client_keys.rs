//! Clients that prove themselves with a key: assertions and certificates.

use std::sync::Arc;

use http::HeaderMap;
use idp_http::IdpClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use token_cache::{
    ClientAuth, ClientCredentials, SecretSource, TokenErrorKind, TokenRequest, TokenSource,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 44\r\n\r\n{\"access_token\":\"abc\",\"token_type\":\"Bearer\"}";

/// An authority, and a token endpoint that wants a certificate of it and reports which one it saw.
struct Endpoint {
    authority: CertifiedIssuer<'static, KeyPair>,
    url: String,
    seen: mpsc::UnboundedReceiver<(Vec<u8>, String)>,
}

impl Endpoint {
    async fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                .build()
                .unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}/token",
            listener.local_addr().unwrap().port()
        );
        let (sender, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let certificates = stream.get_ref().1.peer_certificates().unwrap();
                let certificate = certificates[0].to_vec();
                let mut request = String::new();
                while !request.contains("client_id=") {
                    let mut chunk = [0; 4_096];
                    let read = stream.read(&mut chunk).await.unwrap();
                    request.push_str(&String::from_utf8_lossy(&chunk[..read]));
                }
                sender.send((certificate, request)).unwrap();
                stream.write_all(ANSWER).await.unwrap();
                let _ = stream.shutdown().await;
            }
        });
        Self {
            authority,
            url,
            seen,
        }
    }

    /// A client certificate with its key as PEM, and its DER form.
    fn certificate(&self) -> (String, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default()
            .signed_by(&key, &self.authority)
            .unwrap();
        (
            format!("{}{}", certificate.pem(), key.serialize_pem()),
            certificate.der().to_vec(),
        )
    }
}

/// A35
#[tokio::test]
async fn a_client_certificate_is_presented_and_followed_when_its_file_changes() {
    let mut endpoint = Endpoint::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let source = ClientCredentials::builder("client", SecretSource::File(file.path().to_owned()))
        .token_endpoint(&endpoint.url)
        .http(IdpClient::builder().extra_roots_pem(endpoint.authority.pem().as_bytes()))
        .auth(ClientAuth::TlsClientCertificate)
        .build()
        .unwrap();
    for _ in 0..2 {
        let (pem, der) = endpoint.certificate();
        std::fs::write(file.path(), pem).unwrap();
        source.fetch(&TokenRequest::new()).await.unwrap();
        let (seen, request) = endpoint.seen.recv().await.unwrap();
        assert_eq!(seen, der);
        let request = request.to_ascii_lowercase();
        assert!(
            !request.contains("authorization:") && !request.contains("secret"),
            "{request}"
        );
    }
    std::fs::write(file.path(), "canary").unwrap();
    let error = source.fetch(&TokenRequest::new()).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Config);
    assert!(!format!("{error} {error:?} {source:?}").contains("canary"));
}

/// RFC 8705 section 5.
#[tokio::test]
async fn a_client_certificate_is_presented_to_the_alias_that_the_metadata_name_for_it() {
    let mut endpoint = Endpoint::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    // Nobody listens at the other endpoint, and the keys are nothing to a client.
    let metadata = serde_json::json!({
        "issuer": issuer,
        "token_endpoint": "http://127.0.0.1:1/token",
        "jwks_uri": null,
        "mtls_endpoint_aliases": {"token_endpoint": endpoint.url},
    });
    let app = axum::Router::new().fallback(move || async move { metadata.to_string() });
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let (pem, der) = endpoint.certificate();
    ClientCredentials::builder("client", token_cache::SecretString::from(pem))
        .issuer(&issuer)
        .http(IdpClient::builder().extra_roots_pem(endpoint.authority.pem().as_bytes()))
        .auth(ClientAuth::TlsClientCertificate)
        .build()
        .unwrap()
        .fetch(&TokenRequest::new())
        .await
        .unwrap();
    let (seen, _) = endpoint.seen.recv().await.unwrap();
    assert_eq!(seen, der);
}

/// A token endpoint without TLS that reports the forms it gets.
async fn plain_endpoint() -> (String, mpsc::UnboundedReceiver<(Option<String>, String)>) {
    let (sender, seen) = mpsc::unbounded_channel();
    let app = axum::Router::new().fallback(move |headers: HeaderMap, body: String| async move {
        let authorization = headers
            .get("authorization")
            .map(|v| v.to_str().unwrap().to_owned());
        sender.send((authorization, body)).unwrap();
        r#"{"access_token":"abc","token_type":"Bearer"}"#
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    (url, seen)
}

const TYPE: &str =
    "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

#[tokio::test]
async fn an_assertion_file_is_read_for_every_exchange() {
    let (url, mut seen) = plain_endpoint().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let source = ClientCredentials::builder("client", SecretSource::File(file.path().to_owned()))
        .token_endpoint(&url)
        .auth(ClientAuth::ClientAssertion)
        .build()
        .unwrap();
    for assertion in ["one.two.three", "four.five.six"] {
        std::fs::write(file.path(), assertion).unwrap();
        source.fetch(&TokenRequest::new()).await.unwrap();
        let (authorization, form) = seen.recv().await.unwrap();
        assert_eq!(authorization, None);
        let expected = format!(
            "grant_type=client_credentials&client_id=client&{TYPE}&client_assertion={assertion}"
        );
        assert_eq!(form, expected);
    }
}

/// A34
#[cfg(feature = "private-key-jwt")]
#[tokio::test]
async fn a_private_key_signs_another_assertion_for_every_request() {
    let (url, mut seen) = plain_endpoint().await;
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let builder = || {
        ClientCredentials::builder("client", token_cache::SecretString::from(pem.clone()))
            .token_endpoint(&url)
            .auth(ClientAuth::PrivateKeyJwt(
                token_cache::AssertionAlgorithm::Es256,
            ))
    };
    assert_eq!(
        builder().build().unwrap_err().setting(),
        "assertion_audience"
    );
    let source = builder()
        .assertion_audience("https://idp.example")
        .build()
        .unwrap();
    let mut forms = Vec::new();
    for _ in 0..2 {
        source.fetch(&TokenRequest::new()).await.unwrap();
        let (authorization, form) = seen.recv().await.unwrap();
        assert_eq!(authorization, None);
        assert!(
            form.contains(TYPE) && form.contains("client_id=client"),
            "{form}"
        );
        forms.push(form);
    }
    assert_ne!(forms[0], forms[1]);
}
