//! Calls to protected-data: as the person, and as the service itself.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::BytesMut;
use clock::{Clock, SystemClock};
use idp_http::Outage;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde::Deserialize;
use service_kit::admin::Failures;
use service_kit::request_id::{REQUEST_ID, is_request_id};
use service_kit::retry_budget::{RETRY_DELAY, RetryBudget};
use service_kit::trace;
use token_cache::{BearerTokenMiddleware, ConfigError, TokenCache, TokenError, TokenErrorKind};
use tokio::sync::Semaphore;
use tracing::{debug, warn};
use url::Url;
use web_session::{UserCallError, UserCalls, UserToken};

use crate::call_counts::CallCounts;

/// Time for one exchange with protected-data.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for everything: the service's own token, the exchange, and one repetition.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 64 * 1024;
/// Calls at once, and so connections.
const MAX_CALLS: usize = 128;
/// How long a call waits for one of the others to end.
const MAX_WAIT: Duration = TOTAL_TIMEOUT.saturating_sub(EXCHANGE_TIMEOUT);
/// Below the 10 s after which the server closes an idle connection.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls run beside each other: where some succeed, the failures of the others go on for so long.
const SETTLE: Duration = Duration::from_secs(10);

/// A client of protected-data. Of a request it passes the id on, and nothing else.
#[derive(Debug)]
pub struct Downstream {
    url: Url,
    person: UserCalls,
    machine: Option<Machine>,
    permits: Semaphore,
    retries: RetryBudget,
    counts: CallCounts,
    failures: Failures<String>,
    /// Which failures are logged.
    outage: Outage,
}

/// The service's own token, and the client that attaches it.
#[derive(Debug)]
struct Machine {
    tokens: TokenCache,
    http: ClientWithMiddleware,
}

/// As whom protected-data is called.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The person of a session.
    Person(UserToken),
    /// The service.
    Machine,
}

/// Why there is no answer from protected-data.
#[derive(Debug)]
#[non_exhaustive]
pub enum DownstreamError {
    /// The service has no client of its own.
    NoMachine,
    /// The person's session has ended.
    Ended,
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
    /// It answered with another status than 200, such as 401 to a token that it refuses twice.
    Status(StatusCode),
    /// Its answer is not the one agreed on.
    Answer,
}

/// Why the client could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownstreamSetupError {
    /// It is http, and not of this machine: everybody on the way could read tokens.
    #[error("PROTECTED_DATA_URL: must be https")]
    Insecure,
    /// The origin may not receive a token.
    #[error("PROTECTED_DATA_URL: the token may not be sent there")]
    Origin(#[source] ConfigError),
    /// The TLS library found no root certificates or refused to start.
    #[error("PROTECTED_DATA_URL: https cannot be set up; are root certificates installed?")]
    Tls(#[source] reqwest::Error),
}

#[derive(Deserialize)]
struct ProtectedData {
    #[serde(rename = "protectedData")]
    protected_data: String,
}

impl Downstream {
    /// Returns a client that calls `base`'s `/api/protected/data`, and nothing else: that is the origin that tokens may
    /// go to.
    ///
    /// # Errors
    ///
    /// Fails when a token may not be sent to that origin, or TLS cannot be set up.
    pub fn new(
        base: &Url,
        allow_insecure_http: bool,
        tokens: Option<TokenCache>,
    ) -> Result<Self, DownstreamSetupError> {
        if base.scheme() != "https" && !allow_insecure_http && !idp_http::is_loopback(base) {
            return Err(DownstreamSetupError::Insecure);
        }
        let origin = base.origin().ascii_serialization();
        let person = UserCalls::builder(settings(base));
        let person = if allow_insecure_http {
            person.dangerous_allow_http_origin(&origin)
        } else {
            person.allow_origin(&origin)
        };
        let person = person.build().map_err(DownstreamSetupError::Origin)?;
        let machine = |tokens: TokenCache| {
            let bearer = BearerTokenMiddleware::builder(tokens.clone());
            let bearer = if allow_insecure_http {
                bearer.dangerous_allow_http_origin(&origin)
            } else {
                bearer.allow_origin(&origin)
            };
            let bearer = bearer.build().map_err(DownstreamSetupError::Origin)?;
            let http = settings(base).build().map_err(DownstreamSetupError::Tls)?;
            let http = ClientBuilder::new(http).with(bearer).build();
            Ok(Machine { tokens, http })
        };
        let machine = tokens.map(machine).transpose()?;
        let mut url = base.clone();
        let path = base.path().trim_end_matches('/');
        url.set_path(&format!("{path}/api/protected/data"));
        Ok(Self {
            url,
            person,
            machine,
            permits: Semaphore::new(MAX_CALLS),
            retries: RetryBudget::new(),
            counts: CallCounts::default(),
            failures: Failures::default(),
            outage: Outage::settling(SETTLE),
        })
    }

    /// Tells whether the service can call as itself.
    #[must_use]
    pub fn has_machine(&self) -> bool {
        self.machine.is_some()
    }

    pub(crate) fn counts(&self) -> &CallCounts {
        &self.counts
    }

    pub(crate) fn failures(&self) -> &Failures<String> {
        &self.failures
    }

    /// Returns what protected-data says. `request_id` is the header of the request that it is for.
    ///
    /// At most 128 calls are under way at once; another one waits up to 2 s for one of them to end. Takes at most 5 s,
    /// the service's own token, another one in place of a token that is refused, and the repetitions included: one after a
    /// refused token, and one after a connection that failed or a 5xx other than 503 and 504, as long as a tenth of the calls
    /// of the last ten seconds allows. Cancelling it ends the call.
    ///
    /// # Errors
    ///
    /// Fails when there is no token, and when protected-data gives no answer or another one than agreed on.
    pub async fn protected_data(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<String, DownstreamError> {
        if matches!(caller, Caller::Machine) && self.machine.is_none() {
            return Err(DownstreamError::NoMachine);
        }
        let request_id = headers
            .get(REQUEST_ID)
            .filter(|value| is_request_id(value.as_bytes()));
        self.retries.call();
        let call = async {
            match self.exchange(caller, request_id).await {
                Err(error) if error.may_be_repeated() && self.retries.take() => {
                    self.counts.repeated();
                    tokio::time::sleep(RETRY_DELAY).await;
                    self.exchange(caller, request_id).await
                }
                result => result,
            }
        };
        let result = match tokio::time::timeout(TOTAL_TIMEOUT, call).await {
            Ok(result) => result,
            Err(_) if self.waits_for_token(caller) => Err(DownstreamError::Token(TokenError::new(
                TokenErrorKind::Timeout,
            ))),
            Err(_) => Err(DownstreamError::Timeout),
        };
        self.counts.note(caller, &result);
        match &result {
            Ok(_) => {
                self.failures.succeeded();
                if let Some(end) = self.outage.succeeded() {
                    warn!("protected-data gives data again, {end}");
                }
            }
            // The cache, or the session, has logged why.
            Err(DownstreamError::Token(_) | DownstreamError::Ended) => {}
            Err(error) => {
                self.failures.failed(error.to_string());
                let caller = caller.as_str();
                match self.outage.failed(error) {
                    Some(left_out) => {
                        warn!(caller, "protected-data gave no data: {error}{left_out}");
                    }
                    None => debug!(caller, "protected-data gave no data: {error}"),
                }
            }
        }
        result
    }

    fn waits_for_token(&self, caller: &Caller) -> bool {
        let machine = self.machine.as_ref();
        matches!(caller, Caller::Machine)
            && machine.is_some_and(|it| !it.tokens.health().is_ready())
    }

    async fn exchange(
        &self,
        caller: &Caller,
        request_id: Option<&HeaderValue>,
    ) -> Result<String, DownstreamError> {
        if let (Caller::Machine, Some(machine)) = (caller, &self.machine) {
            // A caller that waits for a token keeps nobody from calling.
            machine
                .tokens
                .token()
                .await
                .map_err(DownstreamError::Token)?;
        }
        let permit = tokio::time::timeout(MAX_WAIT, self.permits.acquire()).await;
        // The semaphore is never closed.
        let Ok(Ok(_permit)) = permit else {
            return Err(DownstreamError::Busy);
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(id) = request_id {
            headers.insert(REQUEST_ID, id.clone());
        }
        trace::inject(&mut headers);
        let mut response = trace::client("GET protected-data", self.send(caller, headers)).await?;
        if response.status() != StatusCode::OK {
            return Err(from_status(&response));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|it| from_reqwest(&it))? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(DownstreamError::Answer);
            }
            body.extend_from_slice(&chunk);
        }
        let answer: ProtectedData =
            serde_json::from_slice(&body).map_err(|_| DownstreamError::Answer)?;
        Ok(answer.protected_data)
    }

    async fn send(&self, caller: &Caller, headers: HeaderMap) -> Result<Response, DownstreamError> {
        match (caller, &self.machine) {
            (Caller::Machine, Some(machine)) => {
                let request = machine.http.get(self.url.clone()).headers(headers);
                request.send().await.map_err(from_client)
            }
            (Caller::Machine, None) => Err(DownstreamError::NoMachine),
            (Caller::Person(token), _) => {
                let mut request = Request::new(Method::GET, self.url.clone());
                *request.headers_mut() = headers;
                let sent = self.person.send(token, request).await;
                sent.map_err(|error| match error {
                    UserCallError::Exchange(error) => from_reqwest(&error),
                    UserCallError::Ended => DownstreamError::Ended,
                    // The origin is the one that was allowed.
                    _ => DownstreamError::Connect,
                })
            }
        }
    }
}

impl Caller {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Machine => "machine",
        }
    }
}

fn settings(base: &Url) -> reqwest::ClientBuilder {
    let http = Client::builder()
        .connect_timeout(Duration::from_secs(1))
        .timeout(EXCHANGE_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_CALLS)
        .tcp_nodelay(true)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy();
    if base.scheme() == "http" {
        // Root certificates that are never used take a hundred milliseconds to load.
        return http.tls_certs_only([]);
    }
    http
}

fn from_client(error: reqwest_middleware::Error) -> DownstreamError {
    match error {
        reqwest_middleware::Error::Reqwest(error) => from_reqwest(&error),
        reqwest_middleware::Error::Middleware(error) => match error.downcast::<TokenError>() {
            Ok(error) => DownstreamError::Token(error),
            Err(_) => DownstreamError::Answer,
        },
    }
}

fn from_reqwest(error: &reqwest::Error) -> DownstreamError {
    if error.is_timeout() && !error.is_connect() {
        DownstreamError::Timeout
    } else if error.is_body() || error.is_decode() {
        DownstreamError::Answer
    } else {
        // Not reached, or hung up before the answer began; a GET can be sent again.
        DownstreamError::Connect
    }
}

fn from_status(response: &Response) -> DownstreamError {
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let after = idp_http::retry_after(response.headers(), SystemClock.now());
            DownstreamError::Overloaded(after)
        }
        StatusCode::GATEWAY_TIMEOUT => DownstreamError::Timeout,
        status => DownstreamError::Status(status),
    }
}

impl DownstreamError {
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
            Self::NoMachine => StatusCode::NOT_FOUND,
            Self::Ended => StatusCode::UNAUTHORIZED,
            Self::Token(_) | Self::Busy | Self::Connect | Self::Overloaded(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Status(_) | Self::Answer => StatusCode::BAD_GATEWAY,
        }
    }

    /// Returns a sentence for the caller.
    #[must_use]
    pub fn detail(&self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "Your session has ended.",
            StatusCode::NOT_FOUND => "This service has no client of its own.",
            StatusCode::SERVICE_UNAVAILABLE => "protected-data cannot be called at present.",
            StatusCode::GATEWAY_TIMEOUT => "protected-data did not answer in time.",
            _ => "protected-data refused the call or gave no usable answer.",
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
            Self::NoMachine => f.write_str("there is no client; set CLIENT_ID"),
            Self::Ended => f.write_str("the person's session has ended"),
            Self::Token(error) => write!(f, "{error}"),
            Self::Busy => f.write_str("too many calls wait for it"),
            Self::Connect => f.write_str("could not connect; check PROTECTED_DATA_URL"),
            Self::Timeout => f.write_str("it did not answer in time"),
            Self::Overloaded(_) => f.write_str("it is overloaded or has no keys yet"),
            Self::Status(StatusCode::UNAUTHORIZED) => f.write_str(
                "it refused the token with 401; check that LOGIN_AUDIENCE, or TOKEN_AUDIENCE, is its API_AUDIENCE",
            ),
            Self::Status(status) => write!(f, "it answered {}", status.as_u16()),
            Self::Answer => {
                f.write_str("its answer was cut off, too large or not the one agreed on")
            }
        }
    }
}

impl std::error::Error for DownstreamError {}
