//! Connections to a provider: addresses, TCP, a proxy, TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::{Connected, Connection};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::addresses::Resolver;
use crate::error::{FetchError, FetchErrorKind, ProxyProblem};
use crate::proxy::{self, Proxy};
use crate::race;
use crate::trust::Trust;

/// Makes connections. Every address of a name has the whole `limit` for TCP and TLS together.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) resolver: Resolver,
    pub(crate) limit: Duration,
    pub(crate) trust: Arc<Trust>,
    pub(crate) proxy: Option<Proxy>,
}

/// One end of a URL: whom to call, and whether by TLS.
struct Peer<'u> {
    host: &'u str,
    port: u16,
    is_https: bool,
}

impl<'u> Peer<'u> {
    fn new(scheme: Option<&str>, host: Option<&'u str>, port: Option<u16>) -> Self {
        let is_https = scheme == Some("https");
        let bare = host.unwrap_or_default();
        // Of an IPv6 address the brackets are the URL's.
        let bare = bare
            .strip_prefix('[')
            .and_then(|bare| bare.strip_suffix(']'))
            .unwrap_or(bare);
        Self {
            host: bare,
            port: port.unwrap_or(if is_https { 443 } else { 80 }),
            is_https,
        }
    }

    /// As `CONNECT` names it.
    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl Connector {
    pub(crate) async fn connect(&self, to: &Uri) -> Result<Stream, FetchError> {
        let peer = Peer::new(to.scheme_str(), to.host(), to.port_u16());
        let Some(proxy) = &self.proxy else {
            return self
                .dial(&peer, |error| error, |tcp| self.secured(tcp, &peer))
                .await;
        };
        let url = proxy.url();
        let at = Peer::new(Some(url.scheme()), url.host_str(), url.port());
        let authorization = match peer.is_https {
            true => proxy.authorization().await?,
            // It goes with the request.
            false => None,
        };
        let authorization = authorization.as_ref();
        self.dial(&at, unreachable_proxy, |tcp| {
            self.proxied(tcp, &at, &peer, authorization)
        })
        .await
    }

    /// `unreached` says what a failure to get there means.
    async fn dial<F>(
        &self,
        peer: &Peer<'_>,
        unreached: fn(FetchError) -> FetchError,
        then: impl Fn(Box<dyn Io>) -> F,
    ) -> Result<Stream, FetchError>
    where
        F: Future<Output = Result<Stream, FetchError>>,
    {
        let addresses = self.resolver.resolve(peer.host, peer.port);
        let addresses = addresses.await.map_err(unreached)?;
        let then = &then;
        race::first(addresses, |address| async move {
            let attempt = async { then(tcp(address).await.map_err(unreached)?).await };
            timeout(self.limit, attempt)
                .await
                .unwrap_or_else(|_| Err(FetchError::new(FetchErrorKind::Timeout)))
        })
        .await
    }

    async fn secured(&self, io: Box<dyn Io>, peer: &Peer<'_>) -> Result<Stream, FetchError> {
        let io = match peer.is_https {
            true => self.handshake(io, peer.host).await?,
            false => io,
        };
        Ok(Stream {
            io,
            is_proxied: false,
        })
    }

    async fn proxied(
        &self,
        io: Box<dyn Io>,
        at: &Peer<'_>,
        peer: &Peer<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Stream, FetchError> {
        let mut io = match at.is_https {
            true => {
                let handshake = self.handshake(io, at.host).await;
                // Its certificate is another matter than the provider's.
                handshake.map_err(unreachable_proxy)?
            }
            false => io,
        };
        if !peer.is_https {
            return Ok(Stream {
                io,
                is_proxied: true,
            });
        }
        proxy::tunnel(&mut io, &peer.authority(), authorization).await?;
        self.secured(io, peer).await
    }

    async fn handshake(&self, io: Box<dyn Io>, host: &str) -> Result<Box<dyn Io>, FetchError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| FetchError::told(FetchErrorKind::Tls, &error))?;
        let connector = TlsConnector::from(self.trust.tls());
        match connector.connect(name, io).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(FetchError::in_handshake(&error)),
        }
    }
}

fn unreachable_proxy(error: FetchError) -> FetchError {
    error.with_kind(FetchErrorKind::Proxy(ProxyProblem::Unreachable))
}

async fn tcp(address: SocketAddr) -> Result<Box<dyn Io>, FetchError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => FetchError::new(FetchErrorKind::Timeout),
            _ => FetchError::told(FetchErrorKind::Connect, &error),
        })?;
    // A request is one write; it is not to wait for another.
    let _ = stream.set_nodelay(true);
    Ok(Box::new(stream))
}

/// What bytes go over.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that a request can be sent over.
pub(crate) struct Stream {
    io: Box<dyn Io>,
    /// The other end is a proxy that takes whole requests.
    is_proxied: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
