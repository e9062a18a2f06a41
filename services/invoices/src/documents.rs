//! The invoices as JSON.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use web_session::Session;

use crate::api::AppState;
use crate::book::Unchanged;
use crate::invoice::{FieldErrors, Invoice, Status, Terms, Typed};
use crate::page::{FINAL, FULL, NO_INVOICE, rfc3339};
use crate::{json, pages};

/// An invoice.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Invoice)]
pub(crate) struct InvoiceDocument {
    /// 26 characters.
    #[schema(pattern = "^[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    /// Per tenant, from 1001.
    #[schema(minimum = 1001)]
    number: u32,
    #[schema(min_length = 1, max_length = 100)]
    customer_name: String,
    #[schema(min_length = 3, max_length = 100)]
    customer_email: String,
    terms: Terms,
    #[schema(format = Date)]
    due_date: String,
    #[schema(min_length = 1, max_length = 500)]
    message: String,
    /// Decimal text with two places.
    #[schema(pattern = "^[0-9]{1,7}\\.[0-9]{2}$", example = "250.00")]
    total_due: String,
    status: Status,
    /// The `sub` of who wrote it.
    created_by: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// The invoices of the tenant, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invoices)]
pub(crate) struct ListDocument {
    items: Vec<InvoiceDocument>,
}

impl From<Invoice> for InvoiceDocument {
    fn from(invoice: Invoice) -> Self {
        let details = invoice.details;
        Self {
            id: invoice.id.to_string(),
            number: invoice.number,
            customer_name: details.customer_name,
            customer_email: details.customer_email,
            terms: details.terms,
            due_date: details.due_date.to_string(),
            message: details.message,
            total_due: details.total_due.to_string(),
            status: invoice.status,
            created_by: invoice.created_by,
            created_at: rfc3339(invoice.created_at),
        }
    }
}

pub(crate) async fn list(State(state): State<AppState>, session: Session) -> Json<ListDocument> {
    let invoices = state.book.all(session.tenant_id());
    let items = invoices.into_iter().map(InvoiceDocument::from).collect();
    Json(ListDocument { items })
}

pub(crate) async fn show(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
) -> Response {
    match state.book.find(session.tenant_id(), &id) {
        Some(invoice) => Json(InvoiceDocument::from(invoice)).into_response(),
        None => NO_INVOICE.problem().into_response(),
    }
}

pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let members = match json::object(&headers, &body) {
        Ok(members) => members,
        Err(problem) => return problem.into_response(),
    };
    let details = match typed(&members).and_then(|typed| typed.check()) {
        Ok(details) => details,
        Err(errors) => return json::refused(&errors),
    };
    match state
        .book
        .add(&pages::author(&state, &session), details, None)
    {
        Ok(invoice) => {
            let location = format!("/api/v1/invoices/{}", invoice.id);
            let document = Json(InvoiceDocument::from(invoice));
            (
                StatusCode::CREATED,
                [(header::LOCATION, location)],
                document,
            )
                .into_response()
        }
        Err(_) => FULL.problem().into_response(),
    }
}

/// Takes the members of an object, each of which must be text.
fn typed(members: &Map<String, Value>) -> Result<Typed, FieldErrors> {
    let mut typed = Typed::default();
    let mut errors = FieldErrors::new();
    for (name, place) in [
        ("customerName", &mut typed.customer_name),
        ("customerEmail", &mut typed.customer_email),
        ("terms", &mut typed.terms),
        ("dueDate", &mut typed.due_date),
        ("message", &mut typed.message),
        ("totalDue", &mut typed.total_due),
    ] {
        match members.get(name) {
            Some(Value::String(text)) => place.clone_from(text),
            Some(_) => drop(errors.insert(name, "Must be text.")),
            // Told by the check.
            None => {}
        }
    }
    if errors.is_empty() {
        return Ok(typed);
    }
    // What else is wrong is told at once.
    let mut all = typed.check().err().unwrap_or_default();
    all.extend(errors);
    Err(all)
}

pub(crate) async fn change(
    State(state): State<AppState>,
    session: Session,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let members = match json::object(&headers, &body) {
        Ok(members) => members,
        Err(problem) => return problem.into_response(),
    };
    let status = members.get("status").and_then(Value::as_str);
    let all = [Status::Paid, Status::Cancelled];
    let Some(next) = all.into_iter().find(|it| status == Some(it.as_str())) else {
        let text = "Must be PAID or CANCELLED.";
        return json::refused(&FieldErrors::from([("status", text)]));
    };
    match state.book.change(session.tenant_id(), &id, next) {
        Ok(invoice) => Json(InvoiceDocument::from(invoice)).into_response(),
        Err(Unchanged::Unknown) => NO_INVOICE.problem().into_response(),
        Err(Unchanged::Final) => FINAL.problem().into_response(),
    }
}
