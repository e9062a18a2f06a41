//! What a doctor says where people log in.

use dev_idp::{
    DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_WEB_CLIENT_ID, DEFAULT_WEB_CLIENT_SECRET,
    DevClient, DevIdp,
};
use m2m_cli::report::Status;

use crate::world::{Variables, examine, lines, of, status, variables, with};

const ORIGIN: &str = "http://localhost:6004";
const CHECKS: [&str; 6] = [
    "people",
    "session store",
    "login endpoints",
    "redirect URI",
    "login client",
    "invoices",
];

async fn idp() -> DevIdp {
    let idp = DevIdp::builder()
        .client(DevClient::new(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET))
        .client(DevClient::web().application_at(ORIGIN));
    idp.start().await.unwrap()
}

fn people(idp: &DevIdp, more: &[(&str, &str)]) -> Variables {
    let settings = [
        ("AUTHORIZATION_ENDPOINT", &*idp.authorization_endpoint()),
        ("TENANTS", "required"),
        ("DEFAULT_TENANT_NAME", "acme"),
        ("WEB_CLIENT_ID", DEFAULT_WEB_CLIENT_ID),
        ("WEB_CLIENT_SECRET", DEFAULT_WEB_CLIENT_SECRET),
        ("SESSION_SECRETS", "0123456789abcdef0123456789abcdef"),
        ("PUBLIC_URL", ORIGIN),
        // Nothing can be bound to port 1 without being root.
        ("INVOICES_ADDR", "127.0.0.1:1"),
        ("INVOICES_ADMIN_ADDR", "off"),
    ];
    with(with(variables(idp.issuer()), &settings), more)
}

#[tokio::test]
async fn a_provider_that_knows_the_application_passes_and_nobody_is_logged_in() {
    let idp = idp().await;
    let report = examine(&people(&idp, &[])).await;
    for check in &CHECKS[..5] {
        assert_eq!(
            status(&report, check),
            Status::Passed,
            "{:#?}",
            lines(&report)
        );
    }
    assert_eq!(status(&report, "invoices"), Status::NotChecked);
    let register = &of(&report, "people")[0].found;
    assert!(
        register.contains("http://localhost:6004/api/auth/callback"),
        "{register}"
    );
    assert_eq!(report.exit_code(), 0);
    assert_eq!(idp.requests().userinfo, 0);
}

#[tokio::test]
async fn a_login_that_was_pushed_has_been_checked_by_the_provider() {
    let idp = idp().await;
    idp.require_pushed_requests(true);
    let report = examine(&people(&idp, &[])).await;
    for check in ["redirect URI", "login client"] {
        let found = of(&report, check)[0];
        assert_eq!(found.status, Status::Passed, "{:#?}", lines(&report));
        assert!(found.found.contains("pushed"), "{}", found.found);
    }
    let wrong = people(&idp, &[("WEB_CLIENT_SECRET", "hunter2")]);
    let report = examine(&wrong).await;
    assert_eq!(status(&report, "login client"), Status::NotChecked);
}

#[tokio::test]
async fn where_nobody_logs_in_nothing_is_said_of_it() {
    let idp = idp().await;
    let report = examine(&variables(idp.issuer())).await;
    for check in CHECKS {
        assert!(of(&report, check).is_empty(), "{check}");
    }
}

#[tokio::test]
async fn what_the_provider_does_not_know_is_named_by_its_variable() {
    let idp = idp().await;
    for (setting, check, change) in [
        (
            ("WEB_CLIENT_SECRET", "hunter2"),
            "login client",
            "WEB_CLIENT_SECRET",
        ),
        (
            ("PUBLIC_URL", "http://localhost:6005"),
            "redirect URI",
            "register http://localhost:6005/api/auth/callback",
        ),
        (("WEB_CLIENT_ID", "nobody"), "redirect URI", "WEB_CLIENT_ID"),
        (
            ("LOGIN_SCOPES", "openid moon"),
            "redirect URI",
            "LOGIN_SCOPES",
        ),
        (
            ("SESSION_STORE", "redis://127.0.0.1:1/0"),
            "session store",
            "SESSION_STORE",
        ),
        (
            ("SESSION_SECRETS", "short"),
            "configuration",
            "SESSION_SECRETS",
        ),
    ] {
        let report = examine(&people(&idp, &[setting])).await;
        let found = of(&report, check);
        let failed = found.iter().find(|it| it.status == Status::Failed);
        let failed = failed.unwrap_or_else(|| panic!("{setting:?}: {:#?}", lines(&report)));
        let text = failed.change.clone().unwrap();
        assert!(text.contains(change), "{setting:?}: {text}");
        assert_ne!(report.exit_code(), 0, "{setting:?}");
        let all = lines(&report).join("\n");
        assert!(!all.contains("hunter2"), "{all}");
    }
}

#[tokio::test]
async fn without_a_tenant_there_is_no_login_to_try() {
    let idp = idp().await;
    let report = examine(&people(&idp, &[("DEFAULT_TENANT_NAME", "")])).await;
    assert_eq!(status(&report, "redirect URI"), Status::NotChecked);
    let change = of(&report, "redirect URI")[0].change.clone().unwrap();
    assert!(change.contains("DEFAULT_TENANT_NAME"), "{change}");
}
