//! The hardened client.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tower::Service;
use url::Url;

use crate::addresses::Resolver;
use crate::connect::{Connector, Stream};
use crate::error::{BuildError, FetchError, FetchErrorKind, ProxyProblem};
use crate::proxy::Proxy;
use crate::reply::Reply;
use crate::trust::{ExtraRoots, Identity, Trust};
use crate::url_rules::{self, UrlProblem};

/// How often a file of the settings is looked at while exchanges succeed.
const LOOK: Duration = Duration::from_secs(30);
/// How often while they fail: a repair is to be seen soon.
const LOOK_WHILE_FAILING: Duration = Duration::from_secs(1);

/// HTTP/1 client for an identity provider. Clones share connections, root certificates and settings; one
/// is enough for any number of clients or issuers.
///
/// Speaks https only (http to loopback addresses), follows no redirect (a 307 would send the form,
/// secret included, to wherever it points), takes no proxy from the environment, keeps no cookies and
/// asks for no compression. Names are resolved anew for every connection, and an idle connection is
/// closed after 30 s, so an address change at the provider is followed.
///
/// Of several addresses the next is tried 250 ms after the one before, or as soon as that has failed
/// (RFC 8305), and the first connection is used. Each has the whole
/// [`connect_timeout`](IdpClientBuilder::connect_timeout).
///
/// Dropping a request's future abandons the request and closes its connection.
#[derive(Clone)]
pub struct IdpClient {
    shared: Arc<Shared>,
}

struct Shared {
    http: legacy::Client<Dial, Full<Bytes>>,
    connector: Arc<Connector>,
    timeout: Duration,
    allow_http: bool,
    is_failing: AtomicBool,
}

/// Settings of an [`IdpClient`]. `Debug` shows no private key.
#[derive(Clone)]
pub struct IdpClientBuilder {
    connect_timeout: Duration,
    timeout: Duration,
    extra_roots: ExtraRoots,
    allow_http: bool,
    resolver: Resolver,
    proxy: Option<Proxy>,
    identity: Option<Arc<Identity>>,
}

impl IdpClient {
    /// Returns the settings with their defaults.
    #[must_use]
    pub fn builder() -> IdpClientBuilder {
        IdpClientBuilder {
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            extra_roots: ExtraRoots::None,
            allow_http: false,
            resolver: Resolver::default(),
            proxy: None,
            identity: None,
        }
    }

    /// Returns a client with the same settings that presents this certificate to servers that ask for one
    /// (RFC 8705): PEM with the certificate, what else its chain needs, and the private key. It shares the
    /// root certificates with this one, and no connections.
    ///
    /// # Errors
    ///
    /// Fails when the text does not hold a certificate and its private key.
    pub fn with_client_certificate_pem(&self, pem: &[u8]) -> Result<Self, BuildError> {
        let connector = &self.shared.connector;
        let trust = connector.trust.with_identity(Identity::from_pem(pem)?)?;
        Ok(Self::new(
            Connector {
                resolver: connector.resolver.clone(),
                limit: connector.limit,
                trust: Arc::new(trust),
                proxy: connector.proxy.clone(),
            },
            self.shared.timeout,
            self.shared.allow_http,
        ))
    }

    fn new(connector: Connector, timeout: Duration, allow_http: bool) -> Self {
        let connector = Arc::new(connector);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(2)
            .pool_timer(TokioTimer::new())
            .build(Dial(Arc::clone(&connector)));
        Self {
            shared: Arc::new(Shared {
                http,
                connector,
                timeout,
                allow_http,
                is_failing: AtomicBool::new(false),
            }),
        }
    }

    /// Checks that a URL may be asked, without asking it.
    ///
    /// # Errors
    ///
    /// Fails on a scheme other than https (or http to a loopback address), on credentials or a
    /// fragment in the URL, on a private address if these are denied, and on https when the system
    /// has no root certificates.
    pub fn check_url(&self, url: &Url) -> Result<(), UrlProblem> {
        let connector = &self.shared.connector;
        url_rules::check(url, self.shared.allow_http)?;
        if connector.resolver.deny_private && url_rules::is_private(url) {
            return Err(UrlProblem::PrivateAddress);
        }
        if url.scheme() == "https" && !connector.trust.has_roots() {
            return Err(UrlProblem::NoTrustRoots);
        }
        Ok(())
    }

    /// Sends a GET and reads the whole answer, whatever its status.
    ///
    /// # Errors
    ///
    /// Fails when the URL may not be asked, when no complete answer came within the timeouts, and when
    /// the body is longer than `max_body` bytes; it stops reading there.
    pub async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        max_body: usize,
    ) -> Result<Reply, FetchError> {
        self.send(Method::GET, url, headers, Bytes::new(), max_body)
            .await
    }

    /// Sends a POST of an `application/x-www-form-urlencoded` body and reads the whole answer,
    /// whatever its status.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn post_form(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        form: Vec<u8>,
        max_body: usize,
    ) -> Result<Reply, FetchError> {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        self.send(Method::POST, url, headers, form.into(), max_body)
            .await
    }

    /// Returns how long a whole exchange may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.shared.timeout
    }

    /// Looks at the files that the settings name, if the last look is a second old, and returns a number
    /// that is another one when their content is: what failed may succeed then.
    pub async fn settings_version(&self) -> u64 {
        let connector = &self.shared.connector;
        connector.trust.look(LOOK_WHILE_FAILING).await;
        let proxy = match &connector.proxy {
            Some(proxy) => proxy.version().await,
            None => 0,
        };
        connector.trust.version().wrapping_add(proxy)
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        max_body: usize,
    ) -> Result<Reply, FetchError> {
        self.check_url(url)
            .map_err(|problem| FetchError::from(&problem))?;
        let shared = &*self.shared;
        let after = match shared.is_failing.load(Ordering::Relaxed) {
            true => LOOK_WHILE_FAILING,
            false => LOOK,
        };
        shared.connector.trust.look(after).await;
        let exchange = self.exchange(method, url, headers, body, max_body);
        let result = timeout(shared.timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(FetchError::new(FetchErrorKind::Timeout)));
        shared.is_failing.store(result.is_err(), Ordering::Relaxed);
        result
    }

    async fn exchange(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
        max_body: usize,
    ) -> Result<Reply, FetchError> {
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|_| FetchError::from(&UrlProblem::Syntax))?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers
            .entry(header::ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        // Left out, it means that every encoding will do (RFC 9110 section 12.5.3).
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("m2m-auth/", env!("CARGO_PKG_VERSION"))),
        );
        let whole_to = match (&self.shared.connector.proxy, url.scheme()) {
            (Some(proxy), "http") => Some(proxy),
            _ => None,
        };
        if let Some(proxy) = whole_to
            && let Some(value) = proxy.authorization().await?
        {
            headers.insert(header::PROXY_AUTHORIZATION, value);
        }
        let response = self
            .shared
            .http
            .request(request)
            .await
            .map_err(|error| FetchError::in_exchange(&error))?;
        let (head, mut incoming) = response.into_parts();
        if whole_to.is_some() && head.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let kind = FetchErrorKind::Proxy(ProxyProblem::Credentials);
            return Err(FetchError::new(kind));
        }
        // Grown as bytes arrive: `Content-Length` is the provider's claim, not a size to allocate.
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| FetchError::in_exchange(&error))?;
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            if body.len() + chunk.len() > max_body {
                return Err(FetchError::new(FetchErrorKind::TooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.freeze(),
        })
    }

    pub(crate) fn allows_http(&self) -> bool {
        self.shared.allow_http
    }
}

impl fmt::Debug for IdpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdpClient")
            .field("timeout", &self.shared.timeout)
            .field("allow_http", &self.shared.allow_http)
            .field("connector", &self.shared.connector)
            .finish_non_exhaustive()
    }
}

/// The connector in the form that the pool wants.
#[derive(Clone)]
struct Dial(Arc<Connector>);

impl Service<Uri> for Dial {
    type Response = TokioIo<Stream>;
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, FetchError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connector = Arc::clone(&self.0);
        Box::pin(async move { connector.connect(&to).await.map(TokioIo::new) })
    }
}

impl IdpClientBuilder {
    /// Sets how long connecting to an address may take: TCP and TLS together. Each address of a name has
    /// all of it. Default 1 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long a whole exchange may take, from connecting to the last byte. Default 3 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts these PEM certificates in addition to the system's.
    #[must_use]
    pub fn extra_roots_pem(mut self, pem: &[u8]) -> Self {
        self.extra_roots = ExtraRoots::Pem(pem.to_vec());
        self
    }

    /// Trusts the PEM certificates in this file in addition to the system's. It is looked at again before an
    /// exchange: each second while exchanges fail, else every 30 s. While what it holds then cannot be
    /// used, the certificates before stay, and a warning says so. It replaces
    /// [`extra_roots_pem`](Self::extra_roots_pem).
    #[must_use]
    pub fn extra_roots_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.extra_roots = ExtraRoots::File(path.into());
        self
    }

    /// Sends every request through this proxy, those to loopback addresses too. Default: none, whatever the
    /// environment says.
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Presents this certificate to servers that ask for one (RFC 8705): PEM with the certificate, what
    /// else its chain needs, and the private key.
    ///
    /// # Errors
    ///
    /// Fails when the text does not hold a certificate and its private key.
    pub fn client_certificate_pem(mut self, pem: &[u8]) -> Result<Self, BuildError> {
        self.identity = Some(Arc::new(Identity::from_pem(pem)?));
        Ok(self)
    }

    /// Accepts http to any host. Secrets and tokens then cross the network in the clear, and anyone
    /// on the way can replace the keys.
    #[must_use]
    pub fn dangerous_allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// Asks no private address, whether the URL has it or a name resolves to it: for addresses that
    /// strangers have a say in. Default: private addresses are asked like others.
    ///
    /// A connection goes to the very addresses that were looked at, so a name that resolves
    /// differently the next moment gains nothing.
    #[must_use]
    pub fn deny_private_addresses(mut self, deny: bool) -> Self {
        self.resolver.deny_private = deny;
        self
    }

    /// Builds the client.
    ///
    /// A system without root certificates is not an error here, so that a provider on loopback works
    /// in a bare container: [`IdpClient::check_url`] then refuses https URLs.
    ///
    /// # Errors
    ///
    /// Fails when the extra roots are not PEM certificates or their file cannot be read, when a client
    /// certificate and its key do not belong together, when private addresses are denied and a proxy
    /// would resolve the names, and when the TLS library cannot be set up.
    pub fn build(self) -> Result<IdpClient, BuildError> {
        if self.resolver.deny_private && self.proxy.is_some() {
            return Err(BuildError::PrivateBehindProxy);
        }
        let connector = Connector {
            resolver: self.resolver,
            limit: self.connect_timeout,
            trust: Arc::new(Trust::new(self.extra_roots, self.identity)?),
            proxy: self.proxy,
        };
        Ok(IdpClient::new(connector, self.timeout, self.allow_http))
    }
}

impl fmt::Debug for IdpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdpClientBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("allow_http", &self.allow_http)
            .field("resolver", &self.resolver)
            .field("proxy", &self.proxy)
            .field("has_client_certificate", &self.identity.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
