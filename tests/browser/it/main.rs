//! The application in a browser: what people, tenants, tabs and other sites' pages come to.
//!
//! `M2M_CHROMEDRIVER` names the driver; without it each test says on standard error that it did not run.

mod browser;
mod elsewhere;
mod ends;
mod flow;
mod forms;
mod front;
mod logins;
mod pages;
mod pictures;
mod strangers;
mod world;
