//! The HTTP client that spans are posted with.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use opentelemetry_http::HttpClient;
use reqwest::redirect::Policy;
use tokio::runtime::{Builder, Runtime};
use url::Url;

type HttpError = Box<dyn Error + Send + Sync>;

/// Time for one post. A collector that takes longer loses the batch, not the service its memory.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A collector's answer says which spans it refused, in few words.
const MAX_BODY: usize = 64 * 1024;

/// A client with a runtime of its own: the SDK exports on a plain thread, and the service's runtime is not
/// there yet when the log is set up, nor any more when the last spans are sent.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    runtime: Runtime,
}

impl Client {
    pub(super) fn new(endpoint: &Url) -> Result<Self, HttpError> {
        let mut http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // The runtime sleeps between two batches, so it would not notice that a connection was closed.
            .pool_max_idle_per_host(0)
            .redirect(Policy::none())
            .no_proxy();
        if endpoint.scheme() == "http" {
            // Root certificates that are never used take a hundred milliseconds to load.
            http = http.tls_certs_only([]);
        }
        Ok(Self {
            http: http.build()?,
            runtime: Builder::new_current_thread().enable_all().build()?,
        })
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let response = self.http.execute(request).await;
        let mut response = response.map_err(reqwest::Error::without_url)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err("the answer is too large".into());
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = Response::new(body.freeze());
        *answer.status_mut() = response.status();
        std::mem::swap(answer.headers_mut(), response.headers_mut());
        Ok(answer)
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.block_on(self.post(request))
    }
}
