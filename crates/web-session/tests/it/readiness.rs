//! Whether people could log in, and by which metadata.

use std::sync::Arc;

use clock::ManualClock;
use dev_idp::{DevClient, DevIdp, Endpoint, Fault};
use http::StatusCode;
use web_session::{Provider, ProviderBuilder, SecretString, Unready, VanityDomain, WebSessions};

use crate::app::{App, ORIGIN};

/// K14
#[tokio::test]
async fn it_is_told_what_is_missing_for_a_login() {
    let clock = crate::app::clock();
    let idp = crate::app::provider(&clock).await;
    let provider = |idp: &DevIdp| {
        Provider::builder("dev-web", SecretString::from("dev-web-secret"))
            .issuer(idp.issuer())
            .jwks_uri(idp.jwks_uri().parse().unwrap())
    };
    let sessions = |provider: ProviderBuilder, clock: &ManualClock| {
        WebSessions::builder(provider.build().unwrap(), crate::app::secrets())
            .public_url(ORIGIN)
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap()
    };
    idp.fault(Fault::on(Endpoint::Metadata).status(503));
    idp.fault(Fault::on(Endpoint::Jwks).status(503));
    let incomplete = sessions(provider(&idp), &clock);
    assert_eq!(incomplete.ready().await, Err(Unready::Keys));
    let unset = sessions(provider(&idp), &ManualClock::at_unix(0));
    assert_eq!(unset.ready().await, Err(Unready::Clock));
    idp.clear_faults();
    idp.fault(Fault::on(Endpoint::Metadata).status(503));
    while incomplete.ready().await == Err(Unready::Keys) {
        tokio::task::yield_now().await;
    }
    assert_eq!(incomplete.ready().await, Err(Unready::Metadata));
    idp.clear_faults();
    assert_eq!(incomplete.ready().await, Ok(()));
}

#[tokio::test]
async fn an_issuer_may_be_any_name_where_the_metadata_have_an_address() {
    let clock = crate::app::clock();
    let builder = DevIdp::builder().client(DevClient::web());
    let builder = builder.clock(Arc::new(clock.clone()));
    let idp = builder.issuer("urn:example:ours").start().await.unwrap();
    let metadata = format!("http://{}/.well-known/openid-configuration", idp.addr());
    let provider = || {
        Provider::builder("dev-web", SecretString::from("dev-web-secret"))
            .issuer("urn:example:ours")
            .metadata_url(metadata.parse().unwrap())
            .clock(Arc::new(clock.clone()))
    };
    let sessions = WebSessions::builder(provider().build().unwrap(), crate::app::secrets())
        .public_url(ORIGIN)
        .clock(Arc::new(clock.clone()));
    let app = App::of(idp, clock.clone(), sessions.build().unwrap()).await;
    app.idp.set_client(DevClient::web().application_at(ORIGIN));
    let reply = app.browser().get("/api/auth/login").await;
    assert_eq!(reply.status, StatusCode::FOUND, "{}", reply.text());
    let vanity = VanityDomain {
        domain: "idp.example".to_owned(),
        is_custom: false,
    };
    let both = provider().vanity_domain(vanity).build().unwrap_err();
    assert_eq!(both.setting(), "METADATA_URL");
}
