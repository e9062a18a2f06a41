//! The relying-party tests of the OpenID conformance suite that concern what we do, by their names: basic,
//! configuration and comprehensive plans, refresh, logout, and of FAPI 2 what is about the answer of the provider.
//!
//! Where the suite lets a client choose, we refuse: unsigned ID tokens, and tokens without `kid` among several keys.

use std::sync::Arc;
use std::time::Duration;

use dev_idp::{
    Algorithm, AuthMethod, DevClient, DevIdp, Endpoint, Fault, Members, RefreshTokens, Rotation,
    Tamper, TokenSpec,
};
use http::StatusCode;
use serde_json::{Value, json};
use web_session::{Provider, SecretString, Unready, WebSessions, WebSessionsBuilder};

use crate::app::{App, ORIGIN, OWNER, path_of, query_of, with_parameter};
use crate::backchannel;

const TAKEN: StatusCode = StatusCode::SEE_OTHER;
const REFUSED: StatusCode = StatusCode::BAD_REQUEST;

async fn sign_in(app: &App) -> StatusCode {
    let mut browser = app.browser();
    let status = browser.sign_in("/", OWNER).await.status;
    assert_eq!(browser.handle().is_some(), status == TAKEN);
    status
}

/// Signs in where the provider tells this lie.
async fn with(tamper: Tamper) -> StatusCode {
    let app = App::start().await;
    app.idp.tamper(tamper);
    sign_in(&app).await
}

async fn with_id_token(spec: TokenSpec) -> StatusCode {
    with(Tamper::id_token(spec)).await
}

/// Signs in where the token endpoint signs with this algorithm.
async fn signed_with(algorithm: Algorithm, spec: TokenSpec) -> StatusCode {
    let app = App::start().await;
    app.idp.set_signing_algorithm(algorithm);
    app.idp.tamper(Tamper::id_token(spec));
    sign_in(&app).await
}

fn spec() -> TokenSpec {
    TokenSpec::new()
}

// Basic plan.

#[tokio::test]
async fn oidcc_client_test() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn oidcc_client_test_client_secret_basic() {
    let app = App::start().await;
    let client = DevClient::web().application_at(ORIGIN);
    let client = client.allow([AuthMethod::ClientSecretBasic]);
    app.idp.set_client(client);
    assert_eq!(sign_in(&app).await, TAKEN);
}

/// K42
#[tokio::test]
async fn oidcc_client_test_idtoken_sig_none() {
    assert_eq!(with_id_token(spec().unsigned()).await, REFUSED);
}

#[tokio::test]
async fn oidcc_client_test_idtoken_sig_rs256() {
    assert_eq!(signed_with(Algorithm::Rs256, spec()).await, TAKEN);
}

/// K44
#[tokio::test]
async fn oidcc_client_test_invalid_aud() {
    let other = spec().claim("aud", "other");
    assert_eq!(with_id_token(other).await, REFUSED);
}

/// K44
#[tokio::test]
async fn oidcc_client_test_invalid_iss() {
    let other = spec().claim("iss", "https://evil.example");
    assert_eq!(with_id_token(other).await, REFUSED);
}

/// K43
#[tokio::test]
async fn oidcc_client_test_invalid_sig_rs256() {
    let bad = spec().bad_signature();
    assert_eq!(signed_with(Algorithm::Rs256, bad).await, REFUSED);
}

/// K43
#[tokio::test]
async fn oidcc_client_test_kid_absent_single_jwks() {
    let nameless = spec().without_header("kid");
    assert_eq!(with_id_token(nameless).await, TAKEN);
}

/// K43
#[tokio::test]
async fn oidcc_client_test_kid_absent_multiple_jwks() {
    let app = App::start().await;
    app.idp.rotate(Rotation::Overlapping).await.unwrap();
    // Has both keys fetched.
    assert_eq!(sign_in(&app).await, TAKEN);
    app.idp
        .tamper(Tamper::id_token(spec().without_header("kid")));
    assert_eq!(sign_in(&app).await, REFUSED);
}

/// K46
#[tokio::test]
async fn oidcc_client_test_missing_iat() {
    assert_eq!(with_id_token(spec().without_claim("iat")).await, REFUSED);
}

/// K46
#[tokio::test]
async fn oidcc_client_test_missing_sub() {
    assert_eq!(with_id_token(spec().without_claim("sub")).await, REFUSED);
}

/// K45
#[tokio::test]
async fn oidcc_client_test_nonce_invalid() {
    let other = spec().claim("nonce", "other");
    assert_eq!(with_id_token(other).await, REFUSED);
}

#[tokio::test]
async fn oidcc_client_test_scope_userinfo_claims() {
    let app = App::start().await;
    let named = Members::new()
        .set("name", "Olive Owner")
        .set("email", "olive@acme.example");
    app.idp.tamper(Tamper::userinfo(named));
    let mut browser = app.signed_in(OWNER).await;
    let metadata = browser.get("/api/auth/session").await.json()["metadata"].clone();
    assert_eq!(metadata["displayName"], "Olive Owner");
    assert_eq!(metadata["email"], "olive@acme.example");
}

#[tokio::test]
async fn oidcc_client_test_userinfo_bearer_header() {
    let app = App::start().await;
    assert_eq!(sign_in(&app).await, TAKEN);
    assert_eq!(app.idp.requests().of(Endpoint::Userinfo), 1);
}

/// K36
#[tokio::test]
async fn oidcc_client_test_userinfo_invalid_sub() {
    let other = Tamper::userinfo(Members::new().set("sub", "other"));
    assert_eq!(with(other).await, StatusCode::BAD_GATEWAY);
}

// Configuration plan.

/// Settings of an application that knows the issuer of its provider, and nothing else of it.
fn discovering(issuer: &str, clock: &clock::ManualClock) -> WebSessionsBuilder {
    let provider = Provider::builder("dev-web", SecretString::from("dev-web-secret"))
        .issuer(issuer)
        .clock(Arc::new(clock.clone()));
    WebSessions::builder(provider.build().unwrap(), crate::app::secrets())
        .public_url(ORIGIN)
        .clock(Arc::new(clock.clone()))
}

#[tokio::test]
async fn oidcc_client_test_discovery_openid_config() {
    let clock = crate::app::clock();
    let idp = crate::app::provider(&clock).await;
    let sessions = discovering(idp.issuer(), &clock).build().unwrap();
    let app = App::of(idp, clock, sessions).await;
    let there = app.browser().get("/api/auth/login").await.location();
    let expected = format!("{}/api/v1/oauth2/authorize?", app.idp.issuer());
    assert!(there.starts_with(&expected), "{there}");
}

#[tokio::test]
async fn oidcc_client_test_discovery_jwks_uri_keys() {
    let app = App::start().await;
    assert!(app.idp.requests().of(Endpoint::Jwks) > 0);
    assert_eq!(sign_in(&app).await, TAKEN);
}

/// K14
#[tokio::test]
async fn oidcc_client_test_discovery_issuer_mismatch() {
    let clock = crate::app::clock();
    let builder = DevIdp::builder().client(DevClient::web().application_at(ORIGIN));
    let idp = builder.issuer("https://other.example").start().await;
    let idp = idp.unwrap();
    let issuer = format!("http://{}", idp.addr());
    let sessions = discovering(&issuer, &clock).build().unwrap();
    assert_eq!(sessions.ready().await, Err(Unready::Keys));
    let router: axum::Router = sessions.routes();
    let request = http::Request::get("/api/auth/login").header("host", "localhost:6004");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let reply = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// K43
#[tokio::test]
async fn oidcc_client_test_signing_key_rotation() {
    let app = App::start().await;
    assert_eq!(sign_in(&app).await, TAKEN);
    app.idp.rotate(Rotation::Overlapping).await.unwrap();
    assert_eq!(sign_in(&app).await, TAKEN);
}

/// K43
#[tokio::test]
async fn oidcc_client_test_signing_key_rotation_just_before_signing() {
    let app = App::start().await;
    app.idp.rotate(Rotation::Hard).await.unwrap();
    assert_eq!(sign_in(&app).await, TAKEN);
}

// Comprehensive plan.

/// K43
#[tokio::test]
async fn oidcc_client_test_invalid_sig_es256() {
    let bad = spec().bad_signature();
    assert_eq!(signed_with(Algorithm::Es256, bad).await, REFUSED);
}

/// K42
#[tokio::test]
async fn oidcc_client_test_invalid_sig_hs256() {
    let by_secret = spec().hs256("dev-web-secret");
    assert_eq!(with_id_token(by_secret).await, REFUSED);
}

/// K44
#[tokio::test]
async fn oidcc_client_test_missing_aud() {
    assert_eq!(with_id_token(spec().without_claim("aud")).await, REFUSED);
}

/// K47
#[tokio::test]
async fn oidcc_client_test_invalid_athash() {
    let other = spec().claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(with_id_token(other).await, REFUSED);
}

// Refresh.

/// Refreshes the tokens of a session where the provider tells this lie, and returns what a page answers then.
async fn refreshed_with(tamper: Option<Tamper>) -> StatusCode {
    let app = App::start().await;
    app.idp.set_token_lifetime(Duration::from_secs(300));
    app.idp.set_refresh_tokens(RefreshTokens::Rotate);
    let mut browser = app.signed_in(OWNER).await;
    app.advance(301);
    if let Some(tamper) = tamper {
        app.idp.tamper(tamper);
    }
    let before = app.token_requests();
    let status = browser.get("/page").await.status;
    assert_eq!(app.token_requests(), before + 1);
    status
}

#[tokio::test]
async fn oidcc_client_test_refresh_token() {
    assert_eq!(refreshed_with(None).await, StatusCode::OK);
}

/// K82
#[tokio::test]
async fn oidcc_client_test_refresh_token_invalid_issuer() {
    let other = spec().claim("iss", "https://evil.example");
    let status = refreshed_with(Some(Tamper::id_token(other))).await;
    assert_eq!(status, StatusCode::FOUND);
}

/// K82
#[tokio::test]
async fn oidcc_client_test_refresh_token_invalid_sub() {
    let other = spec().claim("sub", "other");
    let status = refreshed_with(Some(Tamper::id_token(other))).await;
    assert_eq!(status, StatusCode::FOUND);
}

// Logout.

#[tokio::test]
async fn oidcc_client_test_rp_init_logout() {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    let there = browser.post("/api/auth/logout", "").await.location();
    assert!(there.starts_with(app.idp.issuer()), "{there}");
    let query = query_of(&there);
    assert!(query.contains_key("id_token_hint") && query.contains_key("state"));
    let back = format!("{ORIGIN}/api/auth/logged-out");
    assert_eq!(query["post_logout_redirect_uri"], back);
    let back = format!("/api/auth/logged-out?state={}", query["state"]);
    assert_eq!(browser.get(&back).await.status, StatusCode::SEE_OTHER);
}

/// Logs out, comes back with this state, and returns what the page says.
async fn back_from_logout(state: Option<&str>) -> StatusCode {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    browser.post("/api/auth/logout", "").await;
    let back = with_parameter("/api/auth/logged-out", "state", state);
    browser.get(&back).await.status
}

/// K114
#[tokio::test]
async fn oidcc_client_test_rp_init_logout_other_state() {
    assert_eq!(back_from_logout(Some("other")).await, REFUSED);
}

/// K114
#[tokio::test]
async fn oidcc_client_test_rp_init_logout_no_state() {
    assert_eq!(back_from_logout(None).await, REFUSED);
}

/// Sends a logout token with changes, and tells whether that ended the session.
async fn ended_by(change: impl FnOnce(&mut Value, &mut Value)) -> bool {
    let app = App::start().await;
    let mut browser = app.signed_in(OWNER).await;
    app.advance(1);
    let (mut header, mut claims) = (backchannel::header(&app), backchannel::claims(&app));
    change(&mut header, &mut claims);
    let status = backchannel::send(&app, &header, &claims).await;
    let page = browser.get("/page").await.status;
    assert_eq!(status == StatusCode::OK, page == StatusCode::FOUND);
    page == StatusCode::FOUND
}

/// K118
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout() {
    assert!(ended_by(|_, _| {}).await);
}

/// K119
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_alg_none() {
    assert!(!ended_by(|header, _| header["alg"] = json!("none")).await);
}

/// K119
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_no_event() {
    let without = |_: &mut Value, claims: &mut Value| {
        claims.as_object_mut().unwrap().remove("events");
    };
    assert!(!ended_by(without).await);
}

/// K119
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_with_nonce() {
    assert!(!ended_by(|_, claims| claims["nonce"] = json!("n")).await);
}

/// K119
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_alg() {
    assert!(!ended_by(|header, _| header["alg"] = json!("HS256")).await);
}

/// K119
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_aud() {
    assert!(!ended_by(|_, claims| claims["aud"] = json!("other")).await);
}

/// K119
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_event() {
    assert!(!ended_by(|_, claims| claims["events"] = json!({"other": {}})).await);
}

/// K119
#[tokio::test]
async fn oidcc_client_test_rp_backchannel_rpinitlogout_wrong_iss() {
    assert!(!ended_by(|_, claims| claims["iss"] = json!("https://evil.example")).await);
}

/// K17
#[tokio::test]
async fn oidcc_client_test_3rd_party_init_login() {
    let app = App::start().await;
    let login = |iss: &str, target: &str| {
        format!("/api/auth/login?tenant_name=acme&iss={iss}&target_link_uri={target}")
    };
    let mut browser = app.browser();
    let reply = browser.get(&login("https://evil.example", "/page")).await;
    assert_eq!(reply.status, REFUSED);
    for (target, expected) in [("/page", "/page"), ("https://evil.example/", "/")] {
        let mut browser = app.browser();
        let there = browser
            .get(&login(app.idp.issuer(), target))
            .await
            .location();
        let callback = path_of(&app.idp.sign_in(&there, OWNER));
        let landed = browser.get(&callback).await.location();
        assert_eq!(landed, format!("{ORIGIN}{expected}"));
    }
}

// FAPI 2.

/// Signs in by an answer with these changes; no token is asked for then.
async fn answered_with(members: Members) -> StatusCode {
    let app = App::start().await;
    app.idp.tamper(Tamper::answer(members));
    let before = app.token_requests();
    let status = sign_in(&app).await;
    assert_eq!(app.token_requests(), before);
    status
}

/// K28
#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_authorization_response_iss() {
    let other = Members::new().set("iss", "https://evil.example");
    assert_eq!(answered_with(other).await, REFUSED);
}

/// K28
#[tokio::test]
async fn fapi2_security_profile_final_client_test_remove_authorization_response_iss() {
    assert_eq!(answered_with(Members::new().without("iss")).await, REFUSED);
}

/// K21, K25
#[tokio::test]
async fn fapi2_security_profile_final_client_test_ensure_authorization_response_with_invalid_state_fails()
 {
    let other = format!("{}.0", "A".repeat(43));
    let other = Members::new().set("state", other);
    // The login begins once more.
    assert_eq!(answered_with(other).await, StatusCode::FOUND);
}

/// K25
#[tokio::test]
async fn fapi2_security_profile_final_client_test_ensure_authorization_response_with_invalid_missing_state_fails()
 {
    assert_eq!(
        answered_with(Members::new().without("state")).await,
        REFUSED
    );
}

/// K45
#[tokio::test]
async fn fapi2_security_profile_final_client_test_invalid_missing_nonce() {
    assert_eq!(with_id_token(spec().without_claim("nonce")).await, REFUSED);
}

/// K92
#[tokio::test]
async fn fapi2_security_profile_final_client_test_token_endpoint_response_without_expires_in() {
    let app = App::start().await;
    let without = Tamper::token_reply(Members::new().without("expires_in"));
    app.idp.tamper(without);
    let mut browser = app.signed_in(OWNER).await;
    // It is good for 5 min then.
    assert_eq!(browser.get("/token").await.text(), "generation 1");
    app.idp.fault(Fault::on(Endpoint::Token).status(503));
    app.advance(301);
    let expired = browser.get("/token").await;
    assert_eq!(expired.status, StatusCode::SERVICE_UNAVAILABLE);
}
