//! What stands between a browser and the application: it knows the requests, can hold answers back, and speaks TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A proxy that hands on bytes. It ends when dropped.
pub(crate) struct Front {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    tls: Option<TlsAcceptor>,
    application: watch::Sender<Option<SocketAddr>>,
    /// Where `evil.app.example` is.
    evil: watch::Sender<Option<SocketAddr>>,
    /// The heads of the requests so far.
    heads: watch::Sender<Vec<String>>,
    holds: watch::Sender<bool>,
    loses_session: AtomicBool,
}

/// Requests with this in them are answered when the front lets go.
pub(crate) const HELD: &str = "held=1";

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Front {
    pub(crate) async fn http() -> Self {
        Self::start(None).await
    }

    /// With a certificate for `*.app.example`.
    pub(crate) async fn tls() -> Self {
        let made = rcgen::generate_simple_self_signed(["*.app.example".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        Self::start(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            tls,
            application: watch::Sender::new(None),
            evil: watch::Sender::new(None),
            heads: watch::Sender::new(Vec::new()),
            holds: watch::Sender::new(true),
            loses_session: AtomicBool::new(false),
        });
        let for_task = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&for_task).serve(stream));
            }
        });
        Self { port, shared, task }
    }

    pub(crate) fn lead_to(&self, application: SocketAddr) {
        self.shared.application.send_replace(Some(application));
    }

    pub(crate) fn lead_evil_to(&self, site: SocketAddr) {
        self.shared.evil.send_replace(Some(site));
    }

    /// From now on the browser never gets the session cookie under its name.
    pub(crate) fn lose_session(&self) {
        self.shared.loses_session.store(true, Ordering::Relaxed);
    }

    /// Waits until a request with all of these in its head arrived.
    pub(crate) async fn until_asked(&self, parts: &[&str]) {
        let mut heads = self.shared.heads.subscribe();
        let is_it = |head: &String| parts.iter().all(|part| head.contains(part));
        let found = heads.wait_for(|heads| heads.iter().any(is_it));
        let found = tokio::time::timeout(std::time::Duration::from_secs(30), found).await;
        let seen = || self.shared.heads.borrow().join("\n");
        assert!(found.is_ok(), "nobody asked {parts:?} but\n{}", seen());
    }

    /// Lets go the answers that are held.
    pub(crate) fn let_go(&self) {
        self.shared.holds.send_replace(false);
    }

    pub(crate) fn hold(&self) {
        self.shared.holds.send_replace(true);
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let Some(tls) = &self.tls else {
            let to = *self.application.borrow();
            return self.pass(stream, to).await;
        };
        // A browser opens connections that it does not use.
        if let Ok(stream) = tls.accept(stream).await {
            let is_evil = stream.get_ref().1.server_name() == Some("evil.app.example");
            let to = if is_evil {
                &self.evil
            } else {
                &self.application
            };
            let to = *to.borrow();
            self.pass(stream, to).await;
        }
    }

    async fn pass(&self, browser: impl AsyncRead + AsyncWrite, to: Option<SocketAddr>) {
        let Some(to) = to else { return };
        let Ok(server) = TcpStream::connect(to).await else {
            return;
        };
        let (mut from_browser, mut to_browser) = split(browser);
        let (mut from_server, mut to_server) = server.into_split();
        let is_held = AtomicBool::new(false);
        let there = async {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from_browser.read(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..count]);
                if let Some((head, _)) = text.split_once("\r\n\r\n") {
                    let line = head.lines().next().unwrap_or_default();
                    is_held.store(line.contains(HELD), Ordering::Relaxed);
                    let head = head.to_ascii_lowercase();
                    self.heads.send_modify(|heads| heads.push(head));
                }
                if to_server.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        };
        let back = async {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
                if is_held.load(Ordering::Relaxed) {
                    let mut holds = self.holds.subscribe();
                    let _ = holds.wait_for(|holds| !holds).await;
                }
                let mut answer = buffer[..count].to_vec();
                if self.loses_session.load(Ordering::Relaxed) {
                    rename(&mut answer, b"__Host-session=", b"__Host-nothing=");
                }
                if to_browser.write_all(&answer).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = there => {}
            () = back => {}
        }
    }
}

/// Writes one name over another of its length.
fn rename(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let places = bytes.windows(from.len()).enumerate();
    let found = places.filter(|(_, window)| *window == from);
    let found: Vec<usize> = found.map(|(at, _)| at).collect();
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}
