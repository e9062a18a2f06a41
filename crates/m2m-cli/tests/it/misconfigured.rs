//! Each common mistake is named by the first line that speaks of it, with its variable and its fix.

use m2m_cli::report::Status;
use service_kit::config::Reader;

use crate::scenario::all;
use crate::world::{Pair, examine, examine_with, lines, variables, with};

/// H3
#[tokio::test]
async fn the_first_line_about_a_mistake_names_the_variable_and_the_fix() {
    for scenario in all().await {
        let name = scenario.name;
        let report = examine_with(&scenario.variables, scenario.clock).await;
        let lines = lines(&report);
        let first = lines.iter().find(|line| !line.starts_with('✓'));
        let first = first.unwrap_or_else(|| panic!("{name}: nothing is wrong with {lines:#?}"));
        assert!(first.starts_with('✗'), "{name}: {lines:#?}");
        for part in &scenario.doctor_says {
            assert!(first.contains(part), "{name}: no {part:?} in {first}");
        }
        let code = if scenario.is_config { 64 } else { 1 };
        assert_eq!(report.exit_code(), code, "{name}: {lines:#?}");
        // One mistake is one failure.
        assert_eq!(report.failures(), 1, "{name}: {lines:#?}");
        assert!(!lines.concat().contains("hunter2"), "{name}: {lines:#?}");
    }
}

/// The services run with the mistake too: what follows from it is not a failure of its own.
#[tokio::test]
async fn a_mistake_that_the_running_pair_shares_is_counted_once() {
    for scenario in all().await {
        if scenario.is_config || scenario.log_says.is_empty() {
            continue;
        }
        let name = scenario.name;
        let mut reader = Reader::new(&scenario.variables);
        let _ = public_data::Config::read(&mut reader);
        reader.finish().unwrap();
        let pair = Pair::start(&scenario.variables).await;
        let report = examine_with(&pair.variables, scenario.clock).await;
        let lines = lines(&report);
        let failed: Vec<&str> = report
            .findings()
            .iter()
            .filter(|finding| finding.status == Status::Failed)
            .map(|finding| finding.check)
            .collect();
        assert_eq!(failed.len(), 1, "{name}: {lines:#?}");
        pair.stop().await;
    }
}

/// H3
#[tokio::test]
async fn allowing_http_is_the_advice_where_http_is_the_reason_and_nowhere_else() {
    let advice = "or set ALLOW_INSECURE_HTTP=true";
    for (name, value, is_advised) in [
        ("ISSUER", "http://idp.example", true),
        ("PROTECTED_DATA_URL", "http://data.example/", true),
        ("ISSUER", "idp.example", false),
        ("ISSUER", "https://user@idp.example", false),
        ("ISSUER", "http://idp.example?x=1", false),
        ("TOKEN_ENDPOINT", "https://idp.example/#x", false),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector/?x", false),
    ] {
        let variables = with(variables("https://idp.example"), &[(name, value)]);
        let lines = lines(&examine(&variables).await);
        let line = lines.iter().find(|line| line.contains(name)).unwrap();
        assert!(line.starts_with('✗'), "{line}");
        assert_eq!(line.contains(advice), is_advised, "{value}: {line}");
    }
}
