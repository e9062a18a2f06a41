//! The running pair.

use std::time::Duration;

use http::{HeaderMap, Request};
use idp_http::{FetchErrorKind, IdpClient, Reply};
use service_kit::server::reachable;
use tokio::time::Instant;
use url::Url;

use super::credentials::Obtained;
use super::validation::Verdict;
use super::{Examination, Findings};
use crate::report::Finding;

const PROTECTED: &str = "protected-data";
const PUBLIC: &str = "public-data";
/// Longer than public-data takes at most.
const LIMIT: Duration = Duration::from_secs(6);
const MAX_BODY: usize = 64 * 1024;

impl Examination {
    /// `verdict` tells whether the token was found to be in order.
    pub(super) async fn pair(
        &self,
        obtained: Option<&Obtained>,
        verdict: Option<Verdict>,
        findings: &mut Findings<'_>,
    ) {
        let protected = self.protected_data(obtained, verdict).await;
        findings.add(protected);
        let public = self.public_data(findings).await;
        findings.add(public);
    }

    async fn protected_data(
        &self,
        obtained: Option<&Obtained>,
        verdict: Option<Verdict>,
    ) -> Finding {
        let Some(obtained) = obtained else {
            return Finding::not_checked(PROTECTED, "there is no token to call it with");
        };
        let mut url = self.public.protected_data.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{path}/api/protected/data"));
        let mut request = Request::new(());
        let placement = &self.public.attaching.placement;
        if let Err(error) = placement.put(&obtained.issued, request.headers_mut()) {
            return Finding::failed(PROTECTED, error.to_string(), "correct TOKEN_PLACEMENT");
        }
        let finds_token = self.protected.token_from.token(&request).is_ok();
        let headers = std::mem::take(request.headers_mut());
        // The rule that public-data has for where the token may go: https, or loopback, or allowed.
        let allow_http = self.public.provider.allow_insecure_http;
        let (reply, took) = match get(&url, headers, allow_http).await {
            Ok(answered) => answered,
            Err(finding) => {
                return finding.of(PROTECTED, &url, "PROTECTED_DATA_URL");
            }
        };
        let status = reply.status.as_u16();
        // With clocks that differ, the one of its machine decides, and that may be another one.
        let accepts = verdict.map(|verdict| (verdict.here, verdict.elsewhere));
        match (status, accepts) {
            (200, Some((false, false))) => Finding::warning(
                PROTECTED,
                format!(
                    "{url} accepts the token: it runs with another configuration than this one"
                ),
            )
            .change("restart it with this configuration"),
            (200, Some((false, true))) => Finding::passed(
                PROTECTED,
                format!(
                    "{url} accepts the token, in {took}: its clock is nearer to the provider's"
                ),
            ),
            (200, _) => Finding::passed(PROTECTED, format!("{url} accepts the token, in {took}")),
            (400 | 401, _) if !finds_token => Finding::failed(
                PROTECTED,
                format!("{url} finds no token and answers {status}"),
                "let TOKEN_PLACEMENT, where public-data puts the token, and TOKEN_FROM, where protected-data \
                 looks for it, name the same place",
            ),
            (401 | 403, Some((false, _) | (_, false))) => Finding::not_checked(
                PROTECTED,
                format!("{url} refuses the token with {status}, see above"),
            ),
            (401 | 403, _) => Finding::failed(
                PROTECTED,
                format!("{url} refuses the token with {status}"),
                "restart it with this configuration: its ISSUER, API_AUDIENCE, REQUIRED_SCOPES or \
                 ALLOWED_ALGORITHMS are others",
            ),
            (503, _) => Finding::failed(
                PROTECTED,
                format!("{url} answers 503: it has no keys, or too much to do"),
                "its log says why; it needs ISSUER or JWKS_URI to reach the provider",
            ),
            (404, _) => Finding::failed(
                PROTECTED,
                format!("{url} answers 404: something else than protected-data is there"),
                "correct PROTECTED_DATA_URL",
            ),
            _ => Finding::failed(
                PROTECTED,
                format!("{url} answers {status}"),
                "check PROTECTED_DATA_URL, and its log",
            ),
        }
    }

    async fn public_data(&self, findings: &Findings<'_>) -> Finding {
        let address = reachable(self.public.address);
        let Ok(url) = Url::parse(&format!("http://{address}/api/public/data")) else {
            return Finding::not_checked(PUBLIC, "its address is no URL");
        };
        // Nothing secret is sent, so plain http to another host does no harm.
        let (reply, took) = match get(&url, HeaderMap::new(), true).await {
            Ok(answered) => answered,
            Err(finding) => return finding.of(PUBLIC, &url, "PUBLIC_DATA_ADDR"),
        };
        let status = reply.status.as_u16();
        if status == 200 {
            return Finding::passed(PUBLIC, format!("{url} answers through the pair, in {took}"));
        }
        if findings.any_failed() {
            let found = format!("{url} answers {status}; what failed above comes first");
            return Finding::not_checked(PUBLIC, found);
        }
        let change = match status {
            502 => {
                "protected-data refuses its token: restart both with this configuration (TOKEN_AUDIENCE, \
                    TOKEN_SCOPE, API_AUDIENCE, REQUIRED_SCOPES)"
            }
            503 => "it has no token, or does not reach PROTECTED_DATA_URL; its log says which",
            504 => "protected-data is too slow; see its log and PROTECTED_DATA_URL",
            _ => "something else than public-data may be there: check PUBLIC_DATA_ADDR",
        };
        Finding::failed(PUBLIC, format!("{url} answers {status}"), change)
    }
}

/// Why there is no answer.
pub(super) enum Unanswered {
    NotRunning,
    Problem(String),
}

impl Unanswered {
    pub(super) fn of(self, check: &'static str, url: &Url, variable: &str) -> Finding {
        match self {
            Self::NotRunning => Finding::not_checked(check, format!("nothing runs at {url}"))
                .change(format!("start it (`cargo up`), or correct {variable}")),
            Self::Problem(found) => Finding::failed(
                check,
                format!("{url}: {found}"),
                format!("correct {variable}"),
            ),
        }
    }
}

pub(super) async fn get(
    url: &Url,
    headers: HeaderMap,
    allow_http: bool,
) -> Result<(Reply, String), Unanswered> {
    let problem = |text: &dyn std::fmt::Display| Unanswered::Problem(text.to_string());
    let http = IdpClient::builder()
        .timeout(LIMIT)
        .dangerous_allow_http(allow_http)
        .build()
        .map_err(|error| problem(&error))?;
    let began = Instant::now();
    match http.get(url, headers, MAX_BODY).await {
        Ok(reply) => {
            let took = began.elapsed().as_micros();
            Ok((reply, format!("{}.{} ms", took / 1_000, took % 1_000 / 100)))
        }
        Err(error) if error.kind() == FetchErrorKind::Connect => Err(Unanswered::NotRunning),
        Err(error) => Err(problem(&error)),
    }
}
