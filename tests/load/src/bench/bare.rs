//! protected-data's route on the same server, with nothing to guard it.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use service_kit::health::{self, Readiness};
use service_kit::problem;
use service_kit::server::Server;
use service_kit::shutdown::Shutdown;
use service_kit::telemetry::{self, LogFormat};

use crate::Failure;

/// The handler's work must not differ from the service's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProtectedData {
    protected_data: &'static str,
}

/// Serves until SIGTERM, with the log that the services have.
pub(crate) async fn serve() -> Result<(), Failure> {
    let _guard = telemetry::init(LogFormat::Json, "info", None)?;
    let shutdown = Shutdown::on_signals(Duration::from_secs(1))?;
    let data = || async {
        let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (
            no_store,
            Json(ProtectedData {
                protected_data: "here I am",
            }),
        )
    };
    let router = problem::fallbacks(Router::new().route("/api/protected/data", get(data)))
        .merge(health::routes(&shutdown, Readiness::ready));
    let server = Server::builder().bind(([127, 0, 0, 1], 0).into()).await?;
    server.serve(router, shutdown).await;
    Ok(())
}
