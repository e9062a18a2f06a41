//! One id for a request in both services' logs, in the answer and in a problem document.

use std::cell::{Cell, RefCell};

use dev_idp::DevIdp;
use serde_json::Value;

use crate::program::Program;
use crate::world::{LIMIT, client, variables};

/// The id on the first line with this message.
async fn logged_id(program: &mut Program, message: &str) -> String {
    program
        .line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["message"]
                .as_str()?
                .starts_with(message)
                .then_some(())?;
            Some(line["request.id"].as_str()?.to_owned())
        })
        .await
}

/// The address of a protected-data that has its keys; either line may come first.
async fn address_with_keys(protected: &mut Program) -> String {
    let (address, has_keys) = (RefCell::new(None), Cell::new(false));
    protected
        .line(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            match line["message"].as_str()? {
                "listening" => *address.borrow_mut() = Some(line["server.address"].clone()),
                "new keys are in use" => has_keys.set(true),
                _ => {}
            }
            let address = address.borrow();
            let address = address.as_ref().filter(|_| has_keys.get())?;
            Some(address.as_str()?.to_owned())
        })
        .await
}

/// C11
#[tokio::test]
async fn the_id_of_a_request_stands_in_the_logs_of_both_services_and_in_the_problem() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut variables = variables(&idp);
    let log = [
        ("LOG_FORMAT", "json"),
        // The second failure like the first is no warning.
        ("RUST_LOG", "info,public_data=debug"),
        ("REQUIRED_SCOPES", "not:granted"),
    ];
    variables.extend(log.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut protected = Program::start("protected-data", &[], &variables);
    let address = address_with_keys(&mut protected).await;
    variables.insert("PROTECTED_DATA_URL".to_owned(), format!("http://{address}"));
    let mut public = Program::start("public-data", &[], &variables);
    let url = format!("http://{}/api/public/data", public.address().await);

    for id in [Some("caller-1"), None] {
        let mut request = client().get(&url).timeout(LIMIT);
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 502);
        let answered = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.text().await.unwrap();
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["request_id"], answered);
        assert_eq!(
            logged_id(&mut protected, "refused a request").await,
            answered
        );
        assert_eq!(
            logged_id(&mut public, "protected-data gave no data").await,
            answered
        );
        assert!(id.is_none_or(|id| id == answered));
    }
}
