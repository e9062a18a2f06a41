//! Providers over TLS and in odd places.

use std::sync::Arc;

use m2m_cli::report::Status;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::world::{examine, lines, of, status, variables, with};

/// A server for `localhost` that answers every request with 404, and the certificate to trust.
async fn tls_server() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
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
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream
                    .write_all(
                        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    )
                    .await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, made.cert.pem())
}

/// A4
#[tokio::test]
async fn a_certificate_that_is_not_trusted_leads_to_the_file_of_authorities() {
    let (port, pem) = tls_server().await;
    let untrusted = variables(&format!("https://localhost:{port}"));
    let report = examine(&untrusted).await;
    let line = of(&report, "connection")[0].line(false);
    assert!(
        line.starts_with('✗') && line.contains("set IDP_CA_FILE"),
        "{line}"
    );
    assert_eq!(report.failures(), 1, "{:#?}", lines(&report));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let trusted = [("IDP_CA_FILE", file.path().to_str().unwrap())];
    let report = examine(&with(untrusted, &trusted)).await;
    let line = of(&report, "connection")[0].line(false);
    assert!(line.contains("TLS is in order"), "{line}");
    let line = of(&report, "discovery")[0].line(false);
    assert!(line.contains("check the path of ISSUER"), "{line}");
}

#[tokio::test]
async fn a_tls_server_that_is_asked_with_http_is_recognised() {
    let (port, _) = tls_server().await;
    let report = examine(&variables(&format!("http://localhost:{port}"))).await;
    let line = of(&report, "connection")[0].line(false);
    assert!(
        line.contains("it speaks TLS: write https:// in ISSUER"),
        "{line}"
    );
}

/// A3
#[tokio::test]
async fn a_host_that_does_not_exist_is_named_once() {
    // RFC 6761 section 6.4: never resolves.
    let report = examine(&variables("https://idp.invalid")).await;
    let line = of(&report, "names")[0].line(false);
    assert!(
        line.starts_with('✗') && line.contains("idp.invalid"),
        "{line}"
    );
    assert!(line.contains("correct the host in ISSUER"), "{line}");
    assert_eq!(report.failures(), 1, "{:#?}", lines(&report));
    for check in [
        "connection",
        "discovery",
        "token endpoint",
        "keys",
        "clock",
        "validation",
    ] {
        assert_eq!(status(&report, check), Status::NotChecked, "{check}");
    }
}

#[tokio::test]
async fn endpoints_that_are_configured_need_no_metadata() {
    let idp = crate::world::idp().await;
    let fixed = [
        ("TOKEN_ENDPOINT", &*idp.token_endpoint()),
        ("JWKS_URI", &*idp.jwks_uri()),
    ];
    idp.fault(dev_idp::Fault::on(dev_idp::Endpoint::Metadata).status(404));
    let report = examine(&with(variables(idp.issuer()), &fixed)).await;
    assert_eq!(status(&report, "discovery"), Status::Passed);
    assert_eq!(status(&report, "validation"), Status::Passed);
    assert_eq!(report.exit_code(), 0, "{:#?}", lines(&report));
}
