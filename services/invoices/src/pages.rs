//! The pages of invoices.

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use web_session::Session;
use web_session::store::Time;

use crate::api::AppState;
use crate::book::{Author, Unchanged};
use crate::form::{KEY_FIELD, Sent};
use crate::invoice::{FieldErrors, Id, Invoice, Status, Terms, Typed};
use crate::money;
use crate::page::{FINAL, FULL, Moment, NO_INVOICE, Visitor, page};

/// An invoice as people read it.
struct View {
    id: String,
    number: u32,
    customer_name: String,
    customer_email: String,
    terms: &'static str,
    due: String,
    due_exact: String,
    message: String,
    total: String,
    status: Status,
    created: Moment,
}

impl From<Invoice> for View {
    fn from(invoice: Invoice) -> Self {
        let details = invoice.details;
        Self {
            id: invoice.id.to_string(),
            number: invoice.number,
            customer_name: details.customer_name,
            customer_email: details.customer_email,
            terms: details.terms.in_words(),
            due: details.due_date.in_words(),
            due_exact: details.due_date.to_string(),
            message: details.message,
            total: details.total_due.grouped(),
            status: invoice.status,
            created: Moment::at(invoice.created_at),
        }
    }
}

impl View {
    fn is_open(&self) -> bool {
        self.status == Status::Sent
    }

    /// The class of the badge.
    fn tone(&self) -> &'static str {
        match self.status {
            Status::Sent => "sent",
            Status::Paid => "paid",
            Status::Cancelled => "cancelled",
        }
    }
}

#[derive(Template)]
#[template(path = "invoices.html")]
struct ListPage<'a> {
    visitor: Option<&'a Visitor>,
    current: &'static str,
    may_write: bool,
    invoices: Vec<View>,
    open: usize,
    open_total: String,
}

#[derive(Template)]
#[template(path = "invoice.html")]
struct InvoicePage<'a> {
    visitor: Option<&'a Visitor>,
    current: &'static str,
    may_write: bool,
    csrf: &'a str,
    invoice: View,
}

#[derive(Template)]
#[template(path = "new.html")]
struct NewPage<'a> {
    visitor: Option<&'a Visitor>,
    current: &'static str,
    csrf: &'a str,
    key_field: &'static str,
    key: String,
    typed: &'a Typed,
    errors: &'a FieldErrors,
}

impl NewPage<'_> {
    fn error(&self, field: &str) -> Option<&'static str> {
        self.errors.get(field).copied()
    }

    fn terms(&self) -> [Terms; 4] {
        Terms::ALL
    }
}

pub(crate) async fn list(
    State(state): State<AppState>,
    session: Session,
    visitor: Visitor,
) -> Response {
    let invoices = state.book.all(session.tenant_id());
    let open = invoices.iter().filter(|it| it.status == Status::Sent);
    let (count, cents) = open.fold((0, 0), |(count, cents), invoice| {
        let total = u64::from(invoice.details.total_due.cents());
        (count + 1, cents + total)
    });
    let template = ListPage {
        visitor: Some(&visitor),
        current: "invoices",
        may_write: visitor.may_write,
        invoices: invoices.into_iter().map(View::from).collect(),
        open: count,
        open_total: money::grouped(cents),
    };
    page(StatusCode::OK, &template)
}

pub(crate) async fn show(
    State(state): State<AppState>,
    session: Session,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Response {
    match state.book.find(session.tenant_id(), &id) {
        Some(invoice) => invoice_page(StatusCode::OK, &visitor, invoice),
        None => NO_INVOICE.page(Some(&visitor)),
    }
}

fn invoice_page(status: StatusCode, visitor: &Visitor, invoice: Invoice) -> Response {
    let template = InvoicePage {
        visitor: Some(visitor),
        current: "invoices",
        may_write: visitor.may_write,
        csrf: &visitor.csrf,
        invoice: invoice.into(),
    };
    page(status, &template)
}

pub(crate) async fn new(visitor: Visitor) -> Response {
    form(
        StatusCode::OK,
        &visitor,
        Id::new(),
        &Typed::default(),
        &FieldErrors::new(),
    )
}

fn form(
    status: StatusCode,
    visitor: &Visitor,
    key: Id,
    typed: &Typed,
    errors: &FieldErrors,
) -> Response {
    let template = NewPage {
        visitor: Some(visitor),
        current: "new",
        csrf: &visitor.csrf,
        key_field: KEY_FIELD,
        key: key.to_string(),
        typed,
        errors,
    };
    page(status, &template)
}

pub(crate) async fn create(
    State(state): State<AppState>,
    session: Session,
    visitor: Visitor,
    body: Bytes,
) -> Response {
    let sent = Sent::read(&body);
    let again = |key: Option<Id>, errors: &FieldErrors| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        form(
            status,
            &visitor,
            key.unwrap_or_default(),
            &sent.typed,
            errors,
        )
    };
    let details = match sent.typed.check() {
        Ok(details) => details,
        Err(errors) => return again(sent.key.clone(), &errors),
    };
    let Some(key) = sent.key.clone() else {
        let text = "This form was sent without its key. Please check it, and send it again.";
        return again(None, &FieldErrors::from([("form", text)]));
    };
    let author = author(&state, &session);
    match state.book.add(&author, details, Some(key)) {
        Ok(invoice) => to(&invoice.id),
        Err(_) => FULL.page(Some(&visitor)),
    }
}

/// Who writes an invoice now, and for whom.
pub(crate) fn author<'s>(state: &AppState, session: &'s Session) -> Author<'s> {
    Author {
        tenant: session.tenant_id(),
        person: session.user_id(),
        now: Time::from(state.clock.now()).unix_millis(),
    }
}

fn to(id: &Id) -> Response {
    Redirect::to(&format!("/invoices/{id}")).into_response()
}

pub(crate) async fn cancel(
    state: State<AppState>,
    session: Session,
    visitor: Visitor,
    id: Path<String>,
) -> Response {
    change(&state, &session, &visitor, &id, Status::Cancelled)
}

pub(crate) async fn pay(
    state: State<AppState>,
    session: Session,
    visitor: Visitor,
    id: Path<String>,
) -> Response {
    change(&state, &session, &visitor, &id, Status::Paid)
}

fn change(
    state: &AppState,
    session: &Session,
    visitor: &Visitor,
    id: &str,
    next: Status,
) -> Response {
    match state.book.change(session.tenant_id(), id, next) {
        Ok(invoice) => to(&invoice.id),
        Err(Unchanged::Unknown) => NO_INVOICE.page(Some(visitor)),
        Err(Unchanged::Final) => FINAL.page(Some(visitor)),
    }
}
