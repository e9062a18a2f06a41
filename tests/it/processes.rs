//! The binaries from outside: signals, exit codes, what they print and what they do not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dev_idp::{DEFAULT_CLIENT_ID, DevClient, DevIdp, TokenSpec};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};

use crate::program::Program;
use crate::world::{PUBLIC_BODY, client, variables, variables_for};

pub(crate) fn with(
    mut variables: BTreeMap<String, String>,
    more: &[(&str, &str)],
) -> BTreeMap<String, String> {
    variables.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    variables
}

pub(crate) fn just(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    with(BTreeMap::new(), variables)
}

/// H6
#[tokio::test]
async fn sigterm_turns_unready_drains_and_loses_no_request() {
    let idp = DevIdp::builder().start().await.unwrap();
    // A protected-data that answers when it is let.
    let (arrived, release) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = {
        let (arrived, release) = (Arc::clone(&arrived), Arc::clone(&release));
        axum::Router::new().fallback(move || {
            let (arrived, release) = (Arc::clone(&arrived), Arc::clone(&release));
            async move {
                let released = release.notified();
                arrived.add_permits(1);
                released.await;
                r#"{"protectedData":"here I am"}"#
            }
        })
    };
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let more = [("PROTECTED_DATA_URL", url.as_str()), ("LOG_FORMAT", "json")];
    let mut public = Program::start("public-data", &[], &with(variables(&idp), &more));
    let address = public.address().await;

    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let url = format!("http://{address}/api/public/data");
        requests.spawn(async move {
            client()
                .get(url)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        });
    }
    arrived.acquire_many(20).await.unwrap().forget();
    public.signal("TERM");
    public
        .line(|line| line.contains("draining").then_some(()))
        .await;
    // It still accepts, and says that it is going away.
    let response = client()
        .get(format!("http://{address}/readyz"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["connection"], "close");
    assert!(response.text().await.unwrap().contains("shutdown"));
    release.notify_waiters();
    while let Some(body) = requests.join_next().await {
        assert_eq!(body.unwrap(), PUBLIC_BODY);
    }
    let ended = public.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(TcpStream::connect(&address).await.is_err());
}

/// H7
#[tokio::test]
async fn sigterm_during_a_hanging_token_request_and_key_fetch_ends_with_0() {
    let idp = DevIdp::builder().start().await.unwrap();
    idp.fault(dev_idp::Fault::on(dev_idp::Endpoint::Any).hang());
    for binary in ["public-data", "protected-data"] {
        let before = idp.requests().of(dev_idp::Endpoint::Any);
        let mut program = Program::start(
            binary,
            &[],
            &with(variables(&idp), &[("LOG_FORMAT", "json")]),
        );
        program.address().await;
        idp.wait_for_requests(dev_idp::Endpoint::Any, before + 1)
            .await;
        program.signal("TERM");
        assert_eq!(program.ended().await.status.code(), Some(0), "{binary}");
    }
}

/// N92
#[tokio::test]
async fn every_program_that_goes_on_until_it_is_told_to_end_ends_with_0() {
    let json = [("LOG_FORMAT", "json")];
    let idp = DevIdp::builder().start().await.unwrap();
    let admin = [("PROTECTED_DATA_ADMIN_ADDR", "127.0.0.1:0")];
    let protected = with(with(variables(&idp), &json), &admin);
    let mut protected = Program::start("protected-data", &[], &protected);
    protected.address().await;
    let status = protected.admin_address().await;
    let mut public = Program::start("public-data", &[], &with(variables(&idp), &json));
    public.address().await;
    let mut watch = Program::start("m2m", &["watch", &status], &just(&[]));
    watch.answer("").await;
    let mut bare = Program::start("load", &["bare"], &just(&[]));
    bare.address().await;
    let mut provider = Program::start("dev-idp", &[], &just(&[("DEV_IDP_ADDR", "127.0.0.1:0")]));
    provider
        .line(|line| line.contains("dev-idp is ready").then_some(()))
        .await;
    let mut up = Program::start("up", &[], &just(&crate::launcher::FREE_PORTS));
    up.answer("Repeat it:").await;
    for (name, program) in [
        ("m2m watch", watch),
        ("public-data", public),
        ("protected-data", protected),
        ("load bare", bare),
        ("dev-idp", provider),
        ("up", up),
    ] {
        program.signal("TERM");
        let ended = program.ended().await;
        assert_eq!(ended.status.code(), Some(0), "{name}: {}", ended.stderr);
    }
}

/// H8, H9
#[tokio::test]
async fn a_stuck_request_is_cut_at_the_grace_and_a_second_signal_ends_at_once() {
    let idp = DevIdp::builder().start().await.unwrap();
    // It accepts connections into its backlog and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for (grace, signals, code) in [("300ms", 1, 0), ("1h", 2, 143)] {
        let more = [
            ("PROTECTED_DATA_URL", url.as_str()),
            ("LOG_FORMAT", "json"),
            ("SHUTDOWN_GRACE", grace),
        ];
        let mut public = Program::start("public-data", &[], &with(variables(&idp), &more));
        let address = public.address().await;
        let request = tokio::spawn(
            client()
                .get(format!("http://{address}/api/public/data"))
                .send(),
        );
        let _accepted = silent.accept().await.unwrap();
        public.signal("TERM");
        if signals == 2 {
            public
                .line(|line| line.contains("draining").then_some(()))
                .await;
            public.signal("TERM");
        }
        assert_eq!(public.ended().await.status.code(), Some(code), "{grace}");
        assert!(request.await.unwrap().is_err());
    }
}

/// J1, J2
#[tokio::test]
async fn no_secret_and_no_token_is_in_the_logs_at_trace() {
    const SECRET: &str = "canary-0-secret";
    const BASIC: &str = "ZGV2LWNsaWVudDpjYW5hcnktMC1zZWNyZXQ";
    let idp = DevIdp::builder()
        .client(DevClient::new(DEFAULT_CLIENT_ID, SECRET).scopes(["data:read"]))
        .start()
        .await
        .unwrap();
    for (format, method) in [
        ("json", "client_secret_basic"),
        ("pretty", "client_secret_post"),
    ] {
        let more = [
            ("RUST_LOG", "trace"),
            ("LOG_FORMAT", format),
            ("CLIENT_SECRET", SECRET),
            ("CLIENT_AUTH_METHOD", method),
        ];
        let mut protected = Program::start("protected-data", &[], &with(variables(&idp), &more));
        let protected_url = format!("http://{}", listening(&mut protected).await);
        let more = with(variables(&idp), &more);
        let more = with(more, &[("PROTECTED_DATA_URL", &protected_url)]);
        let mut public = Program::start("public-data", &[], &more);
        let public_url = format!("http://{}/api/public/data", listening(&mut public).await);
        let http = client();
        let protected_url = format!("{protected_url}/api/protected/data");
        let forged = idp.mint(TokenSpec::new().kid("canary-kid"));
        let expired = idp.mint(TokenSpec::new().claim("exp", 1));
        for token in [forged, expired, idp.mint(TokenSpec::new())] {
            http.get(&protected_url)
                .bearer_auth(token)
                .send()
                .await
                .unwrap();
        }
        // The token of public-data is rejected, replaced and rejected again.
        for _ in 0..3 {
            http.get(&public_url).send().await.unwrap();
            idp.rotate(dev_idp::Rotation::Hard).await.unwrap();
            http.get(&protected_url)
                .bearer_auth(idp.mint(TokenSpec::new()))
                .send()
                .await
                .unwrap();
        }
        for (program, explains) in [(public, false), (protected, true)] {
            program.signal("TERM");
            let ended = program.ended().await;
            assert_eq!(ended.status.code(), Some(0));
            assert!(ended.stderr.contains("TRACE"), "the log is not at trace");
            let explained = ended.stderr.contains("refused, key failed")
                && ended.stderr.contains("refused, expiry failed");
            assert_eq!(explained, explains, "{format}");
            // Every JWT begins with these characters: `{"` in base64url.
            for canary in [SECRET, BASIC, "eyJ"] {
                let line = ended.stderr.lines().find(|line| line.contains(canary));
                assert_eq!(line, None, "{canary}");
            }
        }
    }
}

/// Waits until a service listens, in either log format, and returns its address.
async fn listening(program: &mut Program) -> String {
    program
        .line(|line| {
            line.contains("listening").then_some(())?;
            let address = line.split("127.0.0.1:").nth(1)?;
            let port: String = address.chars().take_while(char::is_ascii_digit).collect();
            Some(format!("127.0.0.1:{port}"))
        })
        .await
}

/// H1
#[tokio::test]
async fn a_service_is_live_without_its_provider() {
    for binary in ["public-data", "protected-data"] {
        let variables = with(
            variables_for("http://127.0.0.1:1"),
            &[("LOG_FORMAT", "json")],
        );
        let mut program = Program::start(binary, &[], &variables);
        let address = program.address().await;
        let get = |path: &str| client().get(format!("http://{address}{path}")).send();
        assert_eq!(get("/livez").await.unwrap().status(), 200);
        assert_eq!(get("/readyz").await.unwrap().status(), 503);
    }
}

/// G11, G13
#[tokio::test]
async fn a_header_block_that_is_too_large_is_refused_by_the_running_service() {
    let idp = DevIdp::builder().start().await.unwrap();
    let variables = with(variables(&idp), &[("LOG_FORMAT", "json")]);
    let mut program = Program::start("protected-data", &[], &variables);
    let url = format!("http://{}/api/protected/data", program.address().await);
    // 8 KiB more than the longest token.
    let large = "x".repeat(21 * 1024);
    let response = client()
        .get(url)
        .header("x-large", large)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 431);
}

/// The grace is for others: without work, the end is quick.
#[tokio::test]
async fn an_idle_service_needs_little_of_its_grace() {
    let idp = DevIdp::builder().start().await.unwrap();
    let more = [("LOG_FORMAT", "json"), ("SHUTDOWN_GRACE", "1h")];
    let mut program = Program::start("protected-data", &[], &with(variables(&idp), &more));
    program.address().await;
    program.signal("INT");
    let ended = tokio::time::timeout(Duration::from_secs(20), program.ended())
        .await
        .unwrap();
    assert_eq!(ended.status.code(), Some(0));
}

/// A31
#[tokio::test]
async fn proxies_of_the_environment_get_neither_secret_nor_token() {
    let idp = DevIdp::builder().start().await.unwrap();
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", trap.local_addr().unwrap());
    let mut variables = variables(&idp);
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        variables.insert(name.to_owned(), proxy.clone());
    }
    tokio::select! {
        ended = Program::start("up", &["--check"], &variables).ended() => {
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
            assert!(ended.stdout.contains(PUBLIC_BODY));
        }
        _ = trap.accept() => panic!("the proxy was asked"),
    }
}
