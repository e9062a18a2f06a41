//! Runs invoices with the configuration of the environment and `.env`.

use std::process::ExitCode;

use invoices::{Config, Service};

fn main() -> ExitCode {
    service_kit::run_main(
        &service_kit::config::VARIABLES,
        Config::read,
        |config, shutdown| async move {
            if config.admin_address.is_some() {
                service_kit::metrics::install();
            }
            Service::bind(&config).await?.run(shutdown).await;
            Ok(())
        },
    )
}
