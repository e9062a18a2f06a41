//! The call to protected-data.

mod concurrency_limit;

use std::fmt;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::BytesMut;
use clock::{Clock, SystemClock};
use reqwest::redirect::Policy;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware};
use serde::Deserialize;
use service_kit::retry_budget::{RETRY_DELAY, RetryBudget};
use service_kit::trace;
use token_cache::{BearerTokenMiddleware, ConfigError, TokenCache, TokenError, TokenErrorKind};
use tokio::time::Instant;
use tracing::debug;
use url::Url;

use crate::call_stats::CallStats;
use crate::config::{Attaching, Config};
use crate::refusal::Refusal;
use crate::timing::{MarkExchange, mark};
use concurrency_limit::{ConcurrencyLimit, MAX_CALLS};

/// Time for one exchange with protected-data.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for everything: a token, the exchange, and the one repetition after a rejected token.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The answer is 30 bytes.
const MAX_BODY: usize = 64 * 1024;
/// Below the 10 s after which the server closes an idle connection, so that a request is not sent
/// into a closing one.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of protected-data. Carries nothing of the inbound request to it.
#[derive(Debug)]
pub struct Downstream {
    http: ClientWithMiddleware,
    url: Url,
    tokens: TokenCache,
    /// The statuses that reject a token.
    rejected_statuses: Vec<StatusCode>,
    retries: RetryBudget,
    calls: CallStats,
}

/// Why there is no answer from protected-data.
#[derive(Debug)]
#[non_exhaustive]
pub enum DownstreamError {
    /// There is no token to call it with.
    Token(TokenError),
    /// Too many calls wait for its answer already.
    Busy,
    /// It could not be reached.
    Connect,
    /// It did not answer in time.
    Timeout,
    /// It is overloaded, and said when to come back.
    Overloaded(Option<Duration>),
    /// It refused our token, after one repetition if that was with 401.
    Refused(StatusCode, Refusal),
    /// It answered with another status than 200.
    Status(StatusCode),
    /// Its answer is not the one agreed on.
    Answer,
}

impl Downstream {
    /// Returns a client that calls `/api/protected/data` of the configured protected-data with the cache's token.
    ///
    /// # Errors
    ///
    /// Fails when the token may not be sent to that origin, or TLS cannot be set up.
    pub fn new(config: &Config, tokens: TokenCache) -> Result<Self, DownstreamSetupError> {
        let (base, attaching) = (&config.protected_data, &config.attaching);
        let allow_insecure_http = config.provider.allow_insecure_http;
        let client = client(base, allow_insecure_http, tokens.clone(), attaching)?;
        Ok(Self::over(client.build(), base, tokens, attaching))
    }

    /// Returns a client that calls `base`'s `/api/protected/data` as [`new`](Self::new) does, whose requests go
    /// through `transport` last, with the token on them: for a simulated network.
    ///
    /// A transport that answers by itself uses no socket. The time limits of one exchange are then
    /// its business, those of the whole call are kept here. A [`DownstreamError`] that it fails with is
    /// the outcome of the exchange.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_transport(
        base: &Url,
        allow_insecure_http: bool,
        tokens: TokenCache,
        transport: impl Middleware,
    ) -> Result<Self, DownstreamSetupError> {
        let attaching = Attaching::default();
        let client = client(base, allow_insecure_http, tokens.clone(), &attaching)?;
        let http = client.with(transport).build();
        Ok(Self::over(http, base, tokens, &attaching))
    }

    fn over(
        http: ClientWithMiddleware,
        base: &Url,
        tokens: TokenCache,
        attaching: &Attaching,
    ) -> Self {
        let mut url = base.clone();
        url.set_path(&format!(
            "{}/api/protected/data",
            base.path().trim_end_matches('/')
        ));
        Self {
            http,
            url,
            tokens,
            rejected_statuses: attaching.rejected_statuses.clone(),
            retries: RetryBudget::new(),
            calls: CallStats::new(),
        }
    }

    pub(crate) fn calls(&self) -> &CallStats {
        &self.calls
    }

    /// Returns what protected-data says. Sends it these headers and no others of the caller's.
    ///
    /// At most 128 calls are under way at once; another one waits up to 2 s for one of them to end.
    ///
    /// Takes at most 5 s, the token and the repetitions included: one after a rejected token, and one
    /// after a connection that failed or a 5xx other than 503 and 504, as long as a tenth of the calls of the
    /// last ten seconds allows. Cancelling it ends the call and no token fetch.
    ///
    /// # Errors
    ///
    /// Fails when there is no token, and when protected-data gives no answer or another one than
    /// agreed on.
    pub async fn protected_data(&self, headers: HeaderMap) -> Result<String, DownstreamError> {
        mark(|| "handler reached".to_owned());
        let begun = Instant::now();
        self.retries.call();
        let exchange = |headers| trace::client("GET protected-data", self.exchange(headers));
        let call = async {
            match exchange(headers.clone()).await {
                Err(error) if error.may_be_repeated() && self.retries.take() => {
                    debug!("calling protected-data once more: {error}");
                    self.calls.repeated();
                    tokio::time::sleep(RETRY_DELAY).await;
                    exchange(headers).await
                }
                result => result,
            }
        };
        let result = match tokio::time::timeout(TOTAL_TIMEOUT, call).await {
            Ok(result) => result,
            Err(_) if self.tokens.health().is_ready() => Err(DownstreamError::Timeout),
            Err(_) => Err(DownstreamError::Token(TokenError::new(
                TokenErrorKind::Timeout,
            ))),
        };
        self.calls.note(begun.elapsed(), &result);
        result
    }

    async fn exchange(&self, mut headers: HeaderMap) -> Result<String, DownstreamError> {
        trace::inject(&mut headers);
        let request = self
            .http
            .get(self.url.clone())
            .headers(headers)
            .header(header::ACCEPT, "application/json");
        let mut response = request.send().await.map_err(from_client)?;
        let status = response.status();
        if self.rejected_statuses.contains(&status)
            && !self.tokens.health().is_ready()
            && let Err(error) = self.tokens.token().await
        {
            // The token was refused, and it is for the provider that there is no other one.
            return Err(DownstreamError::Token(error));
        }
        if status != StatusCode::OK {
            return Err(from_status(status, response.headers(), SystemClock.now()));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| from_reqwest(&error))?
        {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(DownstreamError::Answer);
            }
            body.extend_from_slice(&chunk);
        }
        let answer: ProtectedData =
            serde_json::from_slice(&body).map_err(|_| DownstreamError::Answer)?;
        Ok(answer.protected_data)
    }
}

/// The reqwest client under the middleware that attaches the token.
fn client(
    base: &Url,
    allow_insecure_http: bool,
    tokens: TokenCache,
    attaching: &Attaching,
) -> Result<ClientBuilder, DownstreamSetupError> {
    let origin = base.origin().ascii_serialization();
    let bearer = BearerTokenMiddleware::builder(tokens)
        .placement(attaching.placement.clone())
        .rejected_statuses(attaching.rejected_statuses.iter().copied());
    let bearer = if allow_insecure_http {
        bearer.dangerous_allow_http_origin(&origin)
    } else {
        bearer.allow_origin(&origin)
    };
    let mut http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(1))
        .timeout(EXCHANGE_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_CALLS)
        .tcp_nodelay(true)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy();
    if base.scheme() == "http" {
        // Root certificates that are never used take a hundred milliseconds to load, and a bare
        // container has none.
        http = http.tls_certs_only([]);
    }
    let http = http.build().map_err(DownstreamSetupError::Tls)?;
    let bearer = bearer.build().map_err(DownstreamSetupError::Origin)?;
    Ok(ClientBuilder::new(http)
        .with(bearer)
        .with(ConcurrencyLimit::default())
        .with(MarkExchange))
}

#[derive(Deserialize)]
struct ProtectedData {
    #[serde(rename = "protectedData")]
    protected_data: String,
}

fn from_client(error: Error) -> DownstreamError {
    match error {
        Error::Reqwest(error) => from_reqwest(&error),
        Error::Middleware(error) => match error.downcast::<TokenError>() {
            Ok(error) => DownstreamError::Token(error),
            // The other kind of error that a middleware here fails with is ours, or a transport's.
            Err(error) => error.downcast().unwrap_or(DownstreamError::Answer),
        },
    }
}

fn from_reqwest(error: &reqwest::Error) -> DownstreamError {
    if error.is_timeout() {
        // Not to get a connection in time says nothing of how long an answer would take.
        if error.is_connect() {
            DownstreamError::Connect
        } else {
            DownstreamError::Timeout
        }
    } else if error.is_connect() {
        DownstreamError::Connect
    } else if error.is_body() || error.is_decode() {
        DownstreamError::Answer
    } else {
        // Hung up before the answer began; a GET can be sent again.
        DownstreamError::Connect
    }
}

fn from_status(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> DownstreamError {
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            DownstreamError::Overloaded(idp_http::retry_after(headers, now))
        }
        StatusCode::GATEWAY_TIMEOUT => DownstreamError::Timeout,
        status => match Refusal::of(status, headers) {
            Some(refusal) => DownstreamError::Refused(status, refusal),
            None => DownstreamError::Status(status),
        },
    }
}

impl DownstreamError {
    /// Tells whether the same GET may succeed a moment later.
    fn may_be_repeated(&self) -> bool {
        match self {
            Self::Connect => true,
            Self::Status(status) => status.is_server_error(),
            _ => false,
        }
    }

    /// Returns the status that the caller gets.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Token(_) | Self::Busy | Self::Connect | Self::Overloaded(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Refused(..) | Self::Status(_) | Self::Answer => StatusCode::BAD_GATEWAY,
        }
    }

    /// Returns when the caller may come back, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Token(error) => Some(error.retry_after()),
            Self::Busy | Self::Connect => Some(Duration::from_secs(1)),
            Self::Overloaded(after) => Some(after.unwrap_or(Duration::from_secs(1))),
            _ => None,
        }
    }
}

impl fmt::Display for DownstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => write!(f, "{error}"),
            Self::Busy => f.write_str("too many calls wait for it"),
            Self::Connect => f.write_str("could not connect; check PROTECTED_DATA_URL"),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Overloaded(_) => f.write_str("it is overloaded or has no keys yet"),
            Self::Refused(status, refusal) => {
                let (status, text) = (status.as_u16(), refusal.text());
                write!(f, "it refused our token with {status}; {text}")
            }
            Self::Status(status) => write!(f, "it answered {}", status.as_u16()),
            Self::Answer => {
                f.write_str("its answer was cut off, too large or not the one agreed on")
            }
        }
    }
}

impl std::error::Error for DownstreamError {}

/// Why the client could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownstreamSetupError {
    /// The origin may not receive a token.
    #[error("PROTECTED_DATA_URL: the token may not be sent there")]
    Origin(#[source] ConfigError),
    /// The TLS library found no root certificates or refused to start.
    #[error("PROTECTED_DATA_URL: https cannot be set up; are root certificates installed?")]
    Tls(#[source] reqwest::Error),
}

#[cfg(test)]
mod tests;
