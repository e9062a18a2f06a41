//! The application: people of several tenants write invoices, in pages that need no scripts and over a JSON API.
//!
//! [`app`] is the router, [`Service`] puts it on a socket with its sessions, [`Config`] reads the variables.

mod account;
mod api;
mod assets;
mod book;
mod call_counts;
mod calls;
mod config;
mod date;
mod documents;
mod downstream;
mod events;
mod form;
mod hello;
mod home;
mod invoice;
mod json;
mod money;
mod openapi;
mod page;
mod pages;
mod people;
mod secrets_file;
mod service;
mod status;

pub use api::{AppState, app};
pub use book::{Author, Book, Event, Full, MAX_INVOICES, Unchanged};
pub use config::{
    Client, Clients, Config, DomainFormat, LoginEndpoints, PeopleSettings, SessionSettings,
    StoreSetting,
};
pub use date::Date;
pub use downstream::{Caller, Downstream, DownstreamError, DownstreamSetupError};
pub use invoice::{Details, FieldErrors, Id, Invoice, Status, Terms, Typed};
pub use money::Amount;
pub use openapi::openapi;
pub use service::{Service, StartError};
