use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use clock::Clock;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::client::{DevClient, SecretDigest};
use crate::faults::{self, Effect, Faults};
use crate::grants::{Grants, RefreshTokens};
use crate::keyring::KeyRing;
use crate::keys::{Algorithm, SigningKey};
use crate::limiter::Limiter;
use crate::logins::Logins;
use crate::people::Directory;
use crate::pushed::PushedRequests;
use crate::requests::{Endpoint, RequestCounts};
use crate::server::HangUp;
use crate::tamper::Tampering;

/// The member `expires_in` of token replies (RFC 6749 section 5.1).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ExpiresIn {
    /// The token's real lifetime in seconds. The default.
    #[default]
    Lifetime,
    /// Nothing: the member is left out, as the RFC allows.
    Omitted,
    /// This value, of any JSON type.
    Value(Value),
}

/// Everything that the endpoints, the handle and the control API share.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    /// `http://ADDR`, where the endpoints are, whatever the issuer is called.
    pub(crate) base: String,
    pub(crate) default_audience: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) faults: Faults,
    pub(crate) tampering: Tampering,
    pub(crate) requests: watch::Sender<RequestCounts>,
    /// The digest of a secret that nobody has.
    pub(crate) nobodys_secret: SecretDigest,
    pub(crate) clients: Guarded<HashMap<String, DevClient>>,
    pub(crate) keys: Guarded<KeyRing>,
    pub(crate) settings: Guarded<Settings>,
    pub(crate) people: Guarded<Directory>,
    pub(crate) logins: Guarded<Logins>,
    pub(crate) grants: Guarded<Grants>,
    pub(crate) passwords: Guarded<Limiter>,
    pub(crate) pushed_requests: Guarded<PushedRequests>,
}

/// The settings that can be changed while the provider runs.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) lifetime: Duration,
    pub(crate) expires_in: ExpiresIn,
    pub(crate) algorithm: Algorithm,
    pub(crate) refresh_tokens: RefreshTokens,
    pub(crate) pushed_requests_required: bool,
}

impl Provider {
    /// Returns the newest key of `algorithm`, or of the algorithm that the provider signs with.
    pub(crate) fn signing_key(&self, algorithm: Option<Algorithm>) -> SigningKey {
        let algorithm = algorithm.unwrap_or_else(|| self.settings.lock().algorithm);
        let keys = self.keys.lock();
        let newest = keys.newest(algorithm);
        newest
            .expect("a key ring starts with, and keeps, a key of each algorithm")
            .clone()
    }

    /// Answers one request: meets a fault if one waits for it, and is counted.
    pub(crate) async fn answer(
        self: Arc<Self>,
        routes: Router,
        request: Request,
    ) -> Result<Response, HangUp> {
        let endpoint = Endpoint::of_path(request.uri().path());
        // The fault is taken before the request is counted: a test that waited for the count may clear
        // the faults, and this request must have met its own by then.
        let met = self.faults.take(endpoint);
        self.requests.send_modify(|counts| counts.add(endpoint));
        let Some(met) = met else {
            return Ok(route(routes, request).await);
        };
        if !met.delay.is_zero() {
            tokio::time::sleep(met.delay).await;
        }
        match met.effect.clone() {
            Effect::PassThrough => Ok(route(routes, request).await),
            Effect::Answer {
                status,
                headers,
                body,
            } => Ok(faults::answer(status, headers, body)),
            Effect::Hold => {
                met.cleared().await;
                Ok(route(routes, request).await)
            }
            Effect::Hang => std::future::pending().await,
            Effect::Close => Err(HangUp),
            Effect::LoseAnswer => {
                route(routes, request).await;
                Err(HangUp)
            }
            Effect::TornBody => Ok(faults::tear(route(routes, request).await).await),
        }
    }
}

pub(crate) async fn route(routes: Router, request: Request) -> Response {
    let answered: Result<Response, Infallible> = routes.oneshot(request).await;
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// A mutex that is never held across an `await`, and whose value is whole after a panic.
pub(crate) struct Guarded<T>(Mutex<T>);

impl<T> Guarded<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
