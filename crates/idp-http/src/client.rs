//! The hardened client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use crate::error::{BuildError, FetchError, FetchErrorKind};
use crate::public_dns::PublicOnly;
use crate::reply::Reply;
use crate::url_rules::{self, UrlProblem};

/// HTTP/1 client for an identity provider. Clones share their connections.
///
/// Speaks https only (http to loopback addresses), follows no redirect (a 307 would send the form,
/// secret included, to wherever it points), takes no proxy from the environment, keeps no cookies and
/// asks for answers without compression. Names are resolved anew for every connection, and an idle connection is
/// closed after 30 s, so an address change at the provider is followed.
///
/// Dropping a request's future abandons the request and closes its connection.
#[derive(Clone, Debug)]
pub struct IdpClient {
    http: reqwest::Client,
    allow_http: bool,
    deny_private: bool,
    has_roots: bool,
}

/// Settings of an [`IdpClient`]. `Debug` shows no private key.
#[derive(Clone)]
pub struct IdpClientBuilder {
    connect_timeout: Duration,
    timeout: Duration,
    extra_roots: Option<Vec<u8>>,
    allow_http: bool,
    deny_private: bool,
    resolver: PublicOnly,
    proxy: Option<reqwest::Proxy>,
    identity: Option<reqwest::Identity>,
}

impl IdpClient {
    /// Returns the settings with their defaults.
    #[must_use]
    pub fn builder() -> IdpClientBuilder {
        IdpClientBuilder {
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            extra_roots: None,
            allow_http: false,
            deny_private: false,
            resolver: PublicOnly::new(),
            proxy: None,
            identity: None,
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
        url_rules::check(url, self.allow_http)?;
        if self.deny_private && url_rules::is_private(url) {
            return Err(UrlProblem::PrivateAddress);
        }
        if url.scheme() == "https" && !self.has_roots {
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
        self.check_url(url)
            .map_err(|problem| FetchError::from(&problem))?;
        self.send(self.http.get(url.clone()).headers(headers), max_body)
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
        headers: HeaderMap,
        form: Vec<u8>,
        max_body: usize,
    ) -> Result<Reply, FetchError> {
        self.check_url(url)
            .map_err(|problem| FetchError::from(&problem))?;
        let request = self
            .http
            .post(url.clone())
            .headers(headers)
            .body(form)
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            );
        self.send(request, max_body).await
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        max_body: usize,
    ) -> Result<Reply, FetchError> {
        let mut response = request
            .send()
            .await
            .map_err(|error| FetchError::from_reqwest(&error))?;
        // Grown as bytes arrive: `Content-Length` is the provider's claim, not a size to allocate.
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| FetchError::from_reqwest(&error))?
        {
            if body.len() + chunk.len() > max_body {
                return Err(FetchError::new(FetchErrorKind::TooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }

    pub(crate) fn allows_http(&self) -> bool {
        self.allow_http
    }
}

impl IdpClientBuilder {
    /// Sets how long connecting may take, TLS handshake included. Default 1 s.
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
        self.extra_roots = Some(pem.to_vec());
        self
    }

    /// Sends every request through this proxy. Default: none, whatever the environment says.
    #[must_use]
    pub fn proxy(mut self, proxy: reqwest::Proxy) -> Self {
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
        let identity = reqwest::Identity::from_pem(pem).map_err(|_| BuildError::Identity)?;
        self.identity = Some(identity);
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
        self.deny_private = deny;
        self
    }

    /// Builds the client.
    ///
    /// A system without root certificates is not an error here, so that a provider on loopback works
    /// in a bare container: [`IdpClient::check_url`] then refuses https URLs.
    ///
    /// # Errors
    ///
    /// Fails when the extra roots are not PEM certificates, when private addresses are denied and a
    /// proxy would resolve the names, or when the TLS library cannot be set up.
    pub fn build(self) -> Result<IdpClient, BuildError> {
        if self.deny_private && self.proxy.is_some() {
            return Err(BuildError::PrivateBehindProxy);
        }
        let roots = match &self.extra_roots {
            Some(pem) => match reqwest::Certificate::from_pem_bundle(pem) {
                Ok(roots) if !roots.is_empty() => roots,
                _ => return Err(BuildError::Roots),
            },
            None => Vec::new(),
        };
        let with_system_roots = self.client(|http| http.tls_certs_merge(roots.clone()));
        let (http, has_roots) = match with_system_roots {
            Ok(http) => (http, true),
            Err(error) if !roots.is_empty() => return Err(BuildError::Setup(error)),
            // The platform verifier refuses an empty trust store; an empty list of our own does not.
            Err(_) => (
                self.client(|http| http.tls_certs_only([]))
                    .map_err(BuildError::Setup)?,
                false,
            ),
        };
        Ok(IdpClient {
            http,
            allow_http: self.allow_http,
            deny_private: self.deny_private,
            has_roots,
        })
    }

    fn client(
        &self,
        roots: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> reqwest::Result<reqwest::Client> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(2)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("m2m-auth/", env!("CARGO_PKG_VERSION")))
            .default_headers(uncompressed());
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        if self.deny_private {
            builder = builder.dns_resolver(Arc::new(self.resolver.clone()));
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        roots(builder).build()
    }
}

/// A request that does not say which codings it takes takes all of them (RFC 9110 section 12.5.3).
fn uncompressed() -> HeaderMap {
    let identity = HeaderValue::from_static("identity");
    HeaderMap::from_iter([(header::ACCEPT_ENCODING, identity)])
}

impl fmt::Debug for IdpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdpClientBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("allow_http", &self.allow_http)
            .field("deny_private", &self.deny_private)
            .field("has_client_certificate", &self.identity.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use reqwest::dns::{Addrs, Name, Resolve, Resolving};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn resolving_to(addresses: &'static [&'static str]) -> IdpClient {
        let mut builder = IdpClient::builder()
            .dangerous_allow_http(true)
            .deny_private_addresses(true);
        builder.resolver = PublicOnly::with(move |_| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            Ok(addresses
                .map(|address| SocketAddr::new(address, 0))
                .collect())
        });
        builder.build().unwrap()
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
        let resolver = Arc::new(Moving(Arc::clone(&place)));
        let http = IdpClient::builder()
            .client(|http| http.tls_certs_only([]).dns_resolver(resolver))
            .unwrap();
        let client = IdpClient {
            http,
            allow_http: true,
            deny_private: false,
            has_roots: false,
        };
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

    /// A name server whose only answer changes.
    struct Moving(Arc<Mutex<SocketAddr>>);

    impl Resolve for Moving {
        fn resolve(&self, _: Name) -> Resolving {
            let address = *self.0.lock().unwrap();
            Box::pin(async move { Ok(Box::new(std::iter::once(address)) as Addrs) })
        }
    }

    #[test]
    fn private_addresses_cannot_be_denied_behind_a_proxy() {
        let proxy = reqwest::Proxy::all("http://proxy.example:3128").unwrap();
        let builder = IdpClient::builder().proxy(proxy);
        assert!(builder.clone().build().is_ok());
        let error = builder.deny_private_addresses(true).build().unwrap_err();
        assert!(matches!(error, BuildError::PrivateBehindProxy));
    }
}
