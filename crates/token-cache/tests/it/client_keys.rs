//! Clients that prove themselves with a key: assertions and certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use idp_http::IdpClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use token_cache::{
    AssertionAlgorithm, AssertionSigner, ClientAuth, ClientCredentials, EndpointError,
    SecretProvider, SecretSource, SecretString, SignerError, TokenErrorKind, TokenRequest,
    TokenSource, async_trait,
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
    ClientCredentials::builder("client", SecretString::from(pem))
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

/// M8
#[cfg(unix)]
#[tokio::test]
async fn an_assertion_behind_a_link_is_followed_when_the_link_is_replaced() {
    let (url, mut seen) = plain_endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let source = ClientCredentials::builder("client", SecretSource::File(path("token")))
        .token_endpoint(&url)
        .auth(ClientAuth::ClientAssertion)
        .client_assertion_type(token_cache::AssertionType::JwtSpiffe)
        .client_id_in_form(false)
        .build()
        .unwrap();
    let mut versions = Vec::new();
    for name in ["one", "two"] {
        std::fs::write(path(name), name).unwrap();
        // As the kubelet does it: a new link takes the place of the old one.
        std::os::unix::fs::symlink(path(name), path("next")).unwrap();
        std::fs::rename(path("next"), path("token")).unwrap();
        source.fetch(&TokenRequest::new()).await.unwrap();
        let (_, form) = seen.recv().await.unwrap();
        let kind = TYPE.replace("jwt-bearer", "jwt-spiffe");
        let expected = format!("grant_type=client_credentials&{kind}&client_assertion={name}");
        assert_eq!(form, expected);
        versions.push(source.credentials_version().await);
    }
    assert_ne!(versions[0], versions[1]);
}

/// A secret that is elsewhere, and a signer that is away.
#[derive(Debug, Default)]
struct Elsewhere {
    asked: AtomicU64,
}

#[async_trait]
impl SecretProvider for Elsewhere {
    async fn secret(&self) -> Result<SecretString, EndpointError> {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(SecretString::from("canary-0")),
            _ => Err(EndpointError::new(TokenErrorKind::Connect).with_detail("the vault is away")),
        }
    }

    async fn version(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl AssertionSigner for Elsewhere {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        assert_eq!(message.iter().filter(|&&byte| byte == b'.').count(), 1);
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(vec![1; 64]),
            _ => Err(SignerError::transient("the vault is sealed")),
        }
    }

    fn algorithm(&self) -> AssertionAlgorithm {
        AssertionAlgorithm::EdDsa
    }

    fn key_id(&self) -> Option<String> {
        Some("k1".to_owned())
    }
}

/// M5
#[tokio::test]
async fn a_secret_or_a_signer_that_is_elsewhere_is_asked_for_every_request() {
    let (url, mut seen) = plain_endpoint().await;
    let elsewhere = Arc::new(Elsewhere::default());
    let provided = SecretSource::Provided(Arc::clone(&elsewhere) as _);
    let source = ClientCredentials::builder("client", provided)
        .token_endpoint(&url)
        .auth(ClientAuth::SecretPost)
        .build()
        .unwrap();
    let version = source.credentials_version().await;
    source.fetch(&TokenRequest::new()).await.unwrap();
    let (_, form) = seen.recv().await.unwrap();
    assert!(form.ends_with("&client_secret=canary-0"), "{form}");
    assert_ne!(source.credentials_version().await, version);
    let error = source.fetch(&TokenRequest::new()).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Connect);
    assert!(error.to_string().contains("the vault is away"), "{error}");

    let signer = || SecretSource::Signer(Arc::new(Elsewhere::default()));
    let builder = |secret| ClientCredentials::builder("client", secret).token_endpoint(&url);
    assert_eq!(builder(signer()).build().unwrap_err().setting(), "secret");
    let signs = builder(signer())
        .auth(ClientAuth::PrivateKeyJwt)
        .assertion_audience("https://idp.example");
    let no_certificate = signs.clone().assertion_certificate(signer(), []);
    let error = no_certificate.build().unwrap_err();
    assert_eq!(error.setting(), "assertion_certificate");
    let source = signs.build().unwrap();
    source.fetch(&TokenRequest::new()).await.unwrap();
    let (_, form) = seen.recv().await.unwrap();
    assert!(form.contains("client_assertion=ey"), "{form}");
    let error = source.fetch(&TokenRequest::new()).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Signer);
    assert!(
        error.is_transient() && error.to_string().contains("sealed"),
        "{error}"
    );
    assert!(
        seen.try_recv().is_err(),
        "an assertion without a signature was sent"
    );
}

/// A34
#[tokio::test]
async fn a_private_key_signs_another_assertion_for_every_request() {
    let (url, mut seen) = plain_endpoint().await;
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let builder = || {
        ClientCredentials::builder("client", SecretString::from(pem.clone()))
            .token_endpoint(&url)
            .auth(ClientAuth::PrivateKeyJwt)
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
