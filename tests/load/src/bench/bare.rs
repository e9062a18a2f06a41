//! protected-data's route on the same server with nothing to guard it, and with the least that a memory of
//! tokens takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use service_kit::health::{self, Readiness};
use service_kit::problem;
use service_kit::server::Server;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::{self, LogFormat};

use super::PROTECTED;
use crate::Failure;

/// Where the token's hash is looked up.
pub(crate) const HASHED: &str = "/api/protected/hash";

/// The handler's work must not differ from the service's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProtectedData {
    protected_data: &'static str,
}

async fn data() -> impl IntoResponse {
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (
        no_store,
        Json(ProtectedData {
            protected_data: "here I am",
        }),
    )
}

/// Serves until SIGTERM, with the log that the services have.
pub(crate) async fn serve() -> Result<(), Failure> {
    let _guard = telemetry::init(LogFormat::Json, "info", None)?;
    let shutdown = Shutdown::on_signals(Duration::from_secs(1))?;
    let known = Arc::new(Mutex::new(HashMap::<[u8; 32], Arc<()>>::new()));
    let hashed = async move |headers: HeaderMap| {
        let token = headers.get(header::AUTHORIZATION);
        let digest = digest(&SHA256, token.map_or(b"", HeaderValue::as_bytes));
        let Ok(digest) = digest.as_ref().try_into() else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let _claims = {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(digest).or_default())
        };
        data().await.into_response()
    };
    let routes = Router::new()
        .route(PROTECTED, get(data))
        .route(HASHED, get(hashed));
    let router = problem::fallbacks(routes).merge(health::routes(&shutdown, Readiness::ready));
    let server = Server::builder().bind(([127, 0, 0, 1], 0).into()).await?;
    server.serve(router, shutdown).await;
    Ok(())
}
