use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use dev_idp::{DEFAULT_PASSWORD, DevClient, DevIdp};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use url::form_urlencoded::parse;

use super::person::{
    Asked, OWNER, exchange, form, get, get_with, parameter, provider, refresh, sign_in, submit,
};
use super::{FORM, Reply, claims_of, header_of, http, is_signed_by, jwks};

const AFTER: &str = "http://localhost:6004/api/auth/logged-out";

/// A person who is signed in: their browser's cookie, and what the client got.
struct SignedIn {
    cookie: String,
    reply: Value,
}

impl SignedIn {
    async fn at(idp: &DevIdp, asked: &Asked) -> Self {
        let reply = sign_in(&asked.page(idp, "acme"), OWNER).await;
        let code = parameter(&reply.location(), "code").unwrap();
        Self {
            cookie: reply.cookie(),
            reply: super::person::post(&idp.token_endpoint(), &exchange(&code))
                .await
                .json(),
        }
    }

    fn id_token(&self) -> &str {
        self.reply["id_token"].as_str().unwrap()
    }

    async fn is_signed_in(&self, idp: &DevIdp) -> bool {
        let asked = Asked::new().with("prompt", "none");
        let reply = get_with(&asked.at(idp, "acme"), &self.cookie).await;
        parameter(&reply.location(), "code").is_some()
    }
}

fn url(idp: &DevIdp, tenant: &str, parameters: &[(&str, &str)]) -> String {
    let endpoint = idp.end_session_endpoint().replace("{tenant_name}", tenant);
    format!("{endpoint}?{}", form(parameters))
}

#[tokio::test]
async fn with_a_hint_the_session_ends_and_the_browser_goes_back_with_its_state() {
    let idp = provider().await;
    let person = SignedIn::at(&idp, &Asked::new()).await;
    let url = url(
        &idp,
        "acme",
        &[
            ("id_token_hint", person.id_token()),
            ("post_logout_redirect_uri", AFTER),
            ("state", "a state"),
        ],
    );
    // The hint is enough: the cookie may be another browser's.
    let reply = get(&url).await;
    assert_eq!(reply.location().as_str(), format!("{AFTER}?state=a+state"));
    assert_eq!(reply.header(http::header::CACHE_CONTROL), "no-store");
    assert!(!person.is_signed_in(&idp).await);
    assert_eq!(get(&url).await.status, 302);
    // `offline_access` is what it says.
    let token = person.reply["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&idp, token).await.status, 200);
    assert_eq!(idp.requests().logout, 2);
}

#[tokio::test]
async fn without_a_hint_the_person_is_asked() {
    let idp = provider().await;
    let person = SignedIn::at(&idp, &Asked::new()).await;
    let asked = [
        ("client_id", "dev-web"),
        ("post_logout_redirect_uri", AFTER),
        ("state", "a\"b"),
    ];
    let page = format!("{}/api/v1/logout", idp.issuer());
    let question = get_with(&format!("{page}?{}", form(&asked)), &person.cookie).await;
    question.assert_page(200, "<h1>Sign out?</h1>");
    assert!(
        question.text.contains(r#"name="state" value="a&#34;b""#),
        "{}",
        question.text
    );
    let mut fields = asked.to_vec();
    let unconfirmed = submit(&page, &fields).header("cookie", &person.cookie);
    Reply::of(unconfirmed)
        .await
        .assert_page(200, "<h1>Sign out?</h1>");
    fields.push(("confirmed", "yes"));
    let foreign = http()
        .post(&page)
        .header("content-type", FORM)
        .body(form(&fields));
    let foreign = foreign.header("origin", "https://evil.example");
    let foreign = Reply::of(foreign.header("cookie", &person.cookie)).await;
    foreign.assert_page(403, "another site");
    assert!(person.is_signed_in(&idp).await);

    let reply = Reply::of(submit(&page, &fields).header("cookie", &person.cookie)).await;
    assert_eq!(reply.status, 303);
    assert_eq!(reply.location().as_str(), format!("{AFTER}?state=a%22b"));
    assert!(!person.is_signed_in(&idp).await);
}

#[tokio::test]
async fn a_hint_that_no_key_has_signed_is_none() {
    let idp = provider().await;
    let person = SignedIn::at(&idp, &Asked::new()).await;
    let foreign = provider().await;
    let other = SignedIn::at(&foreign, &Asked::new()).await;
    let bit = format!("{}AAAA", &person.id_token()[..person.id_token().len() - 4]);
    for hint in [other.id_token(), &*bit, "x", "a.b.c"] {
        let url = url(&idp, "acme", &[("id_token_hint", hint)]);
        get_with(&url, &person.cookie)
            .await
            .assert_page(200, "Sign out?");
    }
    assert!(person.is_signed_in(&idp).await);
}

#[tokio::test]
async fn wristbands_form_asks_nobody_and_ends_the_session_at_the_tenant() {
    let idp = provider().await;
    let person = SignedIn::at(&idp, &Asked::new()).await;
    let asked = [
        ("client_id", "dev-web"),
        ("redirect_url", AFTER),
        ("state", "s"),
    ];
    let elsewhere = get_with(&url(&idp, "globex", &asked), &person.cookie).await;
    assert_eq!(elsewhere.status, 302);
    assert!(person.is_signed_in(&idp).await);
    let reply = get_with(&url(&idp, "acme", &asked), &person.cookie).await;
    assert_eq!(reply.location().as_str(), format!("{AFTER}?state=s"));
    assert!(!person.is_signed_in(&idp).await);
}

#[tokio::test]
async fn nobody_is_sent_where_the_client_did_not_say_and_nothing_ends() {
    let idp = provider().await;
    let person = SignedIn::at(&idp, &Asked::new()).await;
    let hint = ("id_token_hint", person.id_token());
    for (case, fields) in [
        (
            "elsewhere",
            vec![hint, ("post_logout_redirect_uri", "https://evil.example/")],
        ),
        (
            "suffix",
            vec![hint, ("post_logout_redirect_uri", &*format!("{AFTER}/x"))],
        ),
        ("no client", vec![("post_logout_redirect_uri", AFTER)]),
        (
            "other client",
            vec![
                hint,
                ("client_id", "other"),
                ("post_logout_redirect_uri", AFTER),
            ],
        ),
        (
            "unknown client",
            vec![("client_id", "nobody"), ("redirect_url", AFTER)],
        ),
        (
            "Wristband's form",
            vec![
                ("client_id", "dev-web"),
                ("redirect_url", "https://evil.example/"),
            ],
        ),
        (
            "both",
            vec![
                hint,
                ("redirect_url", AFTER),
                ("post_logout_redirect_uri", AFTER),
            ],
        ),
        ("twice", vec![hint, ("state", "a"), ("state", "b")]),
    ] {
        let reply = get_with(&url(&idp, "acme", &fields), &person.cookie).await;
        assert_eq!(reply.status, 400, "{case}");
        reply.assert_page(400, "This link is broken");
    }
    assert!(person.is_signed_in(&idp).await);
    get_with(&url(&idp, "acme", &[hint]), &person.cookie)
        .await
        .assert_page(200, "Signed out");
}

/// An application that takes logout tokens.
struct Application {
    addr: SocketAddr,
    tokens: UnboundedReceiver<String>,
}

impl Application {
    async fn start() -> Self {
        async fn take(State(tokens): State<UnboundedSender<String>>, body: String) -> StatusCode {
            let mut fields = parse(body.as_bytes());
            let (name, token) = fields.next().unwrap();
            assert_eq!((&*name, fields.count()), ("logout_token", 0));
            tokens.send(token.into_owned()).unwrap();
            StatusCode::NO_CONTENT
        }
        let (sender, tokens) = unbounded_channel();
        let routes = Router::new().route("/backchannel-logout", post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let serve = axum::serve(listener, routes.with_state(sender));
        tokio::spawn(serve.into_future());
        Self { addr, tokens }
    }

    fn client(&self, host: &str) -> DevClient {
        let port = self.addr.port();
        DevClient::web().back_channel_logout_uri(format!("http://{host}:{port}/backchannel-logout"))
    }
}

#[tokio::test]
async fn a_logout_token_goes_to_every_client_of_the_session_before_the_browser_goes_on() {
    let mut application = Application::start().await;
    let idp = DevIdp::builder().client(application.client("app.localhost"));
    let idp = idp.start().await.unwrap();
    let person = SignedIn::at(&idp, &Asked::new()).await;
    let other = SignedIn::at(&idp, &Asked::new()).await;
    get(&url(&idp, "acme", &[("id_token_hint", person.id_token())])).await;
    let token = application.tokens.try_recv().unwrap();
    assert!(
        application.tokens.try_recv().is_err(),
        "one session has ended"
    );
    assert!(other.is_signed_in(&idp).await);

    assert!(is_signed_by(&token, &jwks(&idp).await));
    assert_eq!(header_of(&token)["typ"], "logout+jwt");
    let mut claims = claims_of(&token);
    let id_token = claims_of(person.id_token());
    let times = ["iat", "exp"].map(|name| claims[name].take().as_i64().unwrap());
    assert_eq!(times[1] - times[0], 120);
    assert_eq!(claims["jti"].take().as_str().unwrap().len(), 22);
    let expected = json!({
        "iss": idp.issuer(),
        "aud": "dev-web",
        "sub": id_token["sub"],
        "sid": id_token["sid"],
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        "iat": null,
        "exp": null,
        "jti": null,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn a_test_ends_a_persons_sessions_and_learns_what_clients_said() {
    let application = Application::start().await;
    let idp = DevIdp::builder().client(application.client("127.0.0.1"));
    let idp = idp.start().await.unwrap();
    let person = SignedIn::at(&idp, &Asked::new()).await;
    let page = Asked::new().page(&idp, "acme");
    let fields = [("email", OWNER), ("password", DEFAULT_PASSWORD)];
    // The same browser again is the same person anew, not one more session.
    let again = submit(&page, &fields).header("cookie", &person.cookie);
    let cookie = Reply::of(again).await.cookie();
    let sessions = idp.sessions("OWNER@acme.example");
    assert_eq!(sessions.len(), 1);
    let told = idp.end_session(&sessions[0]).await;
    let told: Vec<_> = told
        .iter()
        .map(|one| (&*one.client_id, one.status))
        .collect();
    assert_eq!(told, [("dev-web", Some(204))]);
    assert!(idp.sessions(OWNER).is_empty());
    assert!(!SignedIn { cookie, ..person }.is_signed_in(&idp).await);
    assert!(idp.end_session(&sessions[0]).await.is_empty());
}

#[tokio::test]
async fn a_client_that_cannot_be_told_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone_port = gone.local_addr().unwrap().port();
    drop(gone);
    for uri in [
        format!("http://127.0.0.1:{gone_port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        "http://192.0.2.1/".to_owned(),
        "http://localhost.evil.example/".to_owned(),
        "nonsense".to_owned(),
    ] {
        let client = DevClient::web().back_channel_logout_uri(&uri);
        let idp = DevIdp::builder().client(client).start().await.unwrap();
        let _ = idp.sign_in(&Asked::new().at(&idp, "acme"), OWNER);
        let [sid] = &idp.sessions(OWNER)[..] else {
            panic!("one session")
        };
        let told = idp.end_session(sid).await;
        assert_eq!((told.len(), told[0].status), (1, None), "{uri}");
    }
}
