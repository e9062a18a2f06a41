//! The way from public-data to protected-data, below the middleware that attaches the token: one address, with
//! every protected-data behind it.

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{Extensions, header};
use http_body_util::{Full, Limited};
use public_data::DownstreamError;
use reqwest_middleware::{Error, Middleware, Next, Result};

use crate::faults::Host;
use crate::judge::Judge;
use crate::network::{Failure, Id, Network};

/// The transport of one public-data.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) network: Network,
    pub(crate) judge: Judge,
    pub(crate) host: usize,
}

/// Attempts of one request are told apart by this much of their number.
pub(crate) const ATTEMPTS: u64 = 16;

#[async_trait]
impl Middleware for Transport {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> Result<reqwest::Response> {
        let mut plain = axum::http::Request::new(Bytes::new());
        *plain.method_mut() = request.method().clone();
        *plain.uri_mut() = request.url().path().parse().unwrap();
        *plain.headers_mut() = request.headers().clone();
        let number = plain.headers()["x-request-id"].to_str().unwrap();
        let number: u64 = number.trim_start_matches("r-").parse().unwrap();
        let token = plain.headers()[header::AUTHORIZATION].to_str().unwrap();
        let token = token.trim_start_matches("Bearer ").to_owned();
        let attempt = self.judge.call_began(self.host, number, &plain, token);
        let (from, sending) = (Host::Public(self.host), number * ATTEMPTS + attempt);
        let id = Id {
            from,
            to: self.network.behind_the_address(from, sending),
            number: sending,
        };
        let outcome = self.network.exchange(id, plain).await;
        self.judge.call_ended(self.host, number, &outcome);
        match outcome {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let response = axum::http::Response::from_parts(parts, reqwest::Body::from(body));
                Ok(response.into())
            }
            Err(Failure::Torn) => {
                // A body that fails before its end.
                let body = Limited::new(Full::new(Bytes::from_static(b"{}")), 1);
                let body = reqwest::Body::wrap(body);
                Ok(axum::http::Response::new(body).into())
            }
            Err(Failure::Timeout) => Err(Error::middleware(DownstreamError::Timeout)),
            Err(Failure::Refused | Failure::Unreachable | Failure::Reset) => {
                Err(Error::middleware(DownstreamError::Connect))
            }
        }
    }
}
