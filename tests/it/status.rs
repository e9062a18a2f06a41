//! The status address of both services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use dev_idp::{DEFAULT_CLIENT_SECRET, DevIdp, Endpoint, Fault, Rotation};
use reqwest::{Client, Response};
use serde_json::Value;

use crate::program::Program;
use crate::tree;
use crate::world::{LIMIT, Pair, client, header, variables};

/// Variables for a pair with status addresses on free ports.
pub(crate) fn open(idp: &DevIdp) -> BTreeMap<String, String> {
    let mut variables = variables(idp);
    for name in ["PUBLIC_DATA_ADMIN_ADDR", "PROTECTED_DATA_ADMIN_ADDR"] {
        variables.insert(name.to_owned(), "127.0.0.1:0".to_owned());
    }
    variables
}

pub(crate) async fn document(client: &Client, admin: SocketAddr) -> Value {
    let url = format!("http://{admin}/status");
    let body = client.get(url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&body).unwrap()
}

/// An open stream of events.
pub(crate) struct Events {
    response: Response,
    text: String,
}

impl Events {
    pub(crate) async fn open(client: &Client, admin: SocketAddr) -> Self {
        let url = format!("http://{admin}/events");
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-type"), "text/event-stream");
        let text = String::new();
        Self { response, text }
    }

    /// The next document; `None` when the server has ended the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let document = serde_json::from_str(data.unwrap()).unwrap();
                self.text = rest.to_owned();
                return Some(document);
            }
            let chunk = tokio::time::timeout(LIMIT, self.response.chunk()).await;
            let chunk = chunk.unwrap().unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads until there is a document like that.
    pub(crate) async fn until(&mut self, found: impl Fn(&Value) -> bool) -> Value {
        let search = async {
            loop {
                let document = self.next().await.unwrap();
                if found(&document) {
                    return document;
                }
            }
        };
        tokio::time::timeout(LIMIT, search).await.unwrap()
    }
}

#[tokio::test]
async fn the_documents_tell_how_the_token_and_the_keys_are() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    for _ in 0..3 {
        assert_eq!(pair.public_data().await.status(), 200);
    }
    assert_eq!(pair.protected_data("a.b.c").await.status(), 401);
    assert_eq!(pair.public_data().await.status(), 200);

    let public = document(&pair.client, pair.public_admin.unwrap()).await;
    assert_eq!(public["service"], "public-data");
    assert_eq!(public["state"], "green", "{public:#}");
    assert_eq!(public["http"]["answers"]["2xx"], 4);
    let token = &public["token"];
    assert_eq!(token["freshness"], "fresh");
    assert_eq!(token["lifetime_ms"], 300_000);
    let times = [
        "age_ms",
        "refresh_after_ms",
        "leeway_after_ms",
        "lifetime_ms",
    ];
    let times = times.map(|name| token[name].as_u64().unwrap());
    assert!(times.is_sorted() && times[1] > 200_000, "{token:#}");
    assert_eq!(token["requests"]["ok"], 1);
    assert_eq!(token["history"][0]["outcome"], "ok");
    assert_eq!(public["downstream"]["outcomes"]["ok"], 4);

    let protected = document(&pair.client, pair.protected_admin.unwrap()).await;
    assert_eq!(protected["service"], "protected-data");
    assert_eq!(protected["state"], "green", "{protected:#}");
    let issuer = &protected["issuers"][0];
    assert_eq!(issuer["issuer"], idp.issuer());
    let kids: Vec<&str> = issuer["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["kid"].as_str().unwrap())
        .collect();
    assert_eq!(kids, idp.published_kids());
    assert_eq!(issuer["keys"][0]["alg"], "RS256");
    assert_eq!(issuer["history"][0]["outcome"], "changed");
    assert_eq!(issuer["fetches_left"], 2);
    assert_eq!(protected["validations"]["accepted"], 4);
    assert_eq!(protected["validations"]["refused"], 1);
    assert_eq!(protected["validations"]["reasons"]["encoding"], 1);
    assert_eq!(protected["verified_cache"]["looked_up"], 5);
    assert_eq!(protected["verified_cache"]["found"], 3);
    pair.stop().await;
}

/// The names of all members, but those that are counted by a name.
fn members(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                if name != "reasons" && name != "answers" {
                    members(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_member_of_the_documents_is_explained() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    // So that failures are in the histories too.
    idp.fault(Fault::on(Endpoint::Jwks).times(1).status(500));
    pair.validator.refresh().await;
    let mut names = BTreeSet::new();
    for admin in [pair.public_admin.unwrap(), pair.protected_admin.unwrap()] {
        members(&document(&pair.client, admin).await, &mut names);
    }
    let url = format!("http://{}/trial", pair.public_admin.unwrap());
    let trial = pair.client.post(url).send().await.unwrap();
    let trial = serde_json::from_str(&trial.text().await.unwrap()).unwrap();
    members(&trial, &mut names);
    assert!(names.len() > 50, "{names:?}");
    let page = tree::read("docs/STATUS.md");
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    pair.stop().await;
}

#[tokio::test]
async fn a_trial_shows_each_hop_with_its_time() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    let admin = pair.public_admin.unwrap();
    let url = format!("http://{admin}/trial");
    let trial = async || -> Value {
        let own_page = ("origin", format!("http://{admin}"));
        let request = pair.client.post(&url).header(own_page.0, own_page.1);
        let body = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&body).unwrap()
    };
    let hops = |trial: &Value| -> Vec<String> {
        let hops = trial["hops"].as_array().unwrap().iter();
        hops.map(|hop| hop["to"].as_str().unwrap().to_owned())
            .collect()
    };
    let good = trial().await;
    assert_eq!(good["status"], 200);
    assert_eq!(
        hops(&good),
        [
            "handler reached",
            "token attached",
            "protected-data answered 200",
            "public-data answered 200",
        ]
    );
    let sum: u64 = good["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["took_us"].as_u64().unwrap())
        .sum();
    assert!(sum <= good["total_us"].as_u64().unwrap(), "{good:#}");

    // The token is dropped and replaced on the way.
    idp.rotate(Rotation::Hard).await.unwrap();
    pair.validator.refresh().await;
    let replaced = trial().await;
    assert_eq!(replaced["status"], 200);
    assert_eq!(
        hops(&replaced)[1..5],
        [
            "token attached",
            "protected-data answered 401",
            "token attached",
            "protected-data answered 200",
        ]
    );
    // Protected-data has no such button.
    let url = format!("http://{}/trial", pair.protected_admin.unwrap());
    assert_eq!(pair.client.post(url).send().await.unwrap().status(), 404);
    pair.stop().await;
}

#[tokio::test]
async fn pages_and_names_of_others_get_nothing() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    for admin in [pair.public_admin.unwrap(), pair.protected_admin.unwrap()] {
        for path in ["/", "/status", "/events", "/metrics", "/trial", "/x"] {
            let url = format!("http://{admin}{path}");
            for (name, value) in [
                ("host", "rebound.example"),
                ("origin", "https://evil.example"),
                ("origin", "null"),
            ] {
                for request in [pair.client.get(&url), pair.client.post(&url)] {
                    let answer = request.header(name, value).send().await.unwrap();
                    assert_eq!(answer.status(), 403, "{path} {name}: {value}");
                    assert_eq!(header(&answer, "access-control-allow-origin"), "");
                }
            }
        }
        let page = pair.client.get(format!("http://{admin}/")).send().await;
        let page = page.unwrap();
        assert_eq!(page.status(), 200);
        let policy = header(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(header(&page, "x-content-type-options"), "nosniff");
        let text = page.text().await.unwrap();
        // A namespace is no address; there is none here either.
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("src="));
    }
    let outcomes = document(&pair.client, pair.public_admin.unwrap()).await;
    assert_eq!(outcomes["downstream"]["outcomes"]["ok"], 0, "a trial ran");
    pair.stop().await;
}

/// N86
#[tokio::test]
async fn a_scraper_may_use_the_name_that_is_allowed_and_no_other() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut variables = open(&idp);
    variables.insert(
        "ADMIN_ALLOWED_HOSTS".to_owned(),
        "m2m.example Other.Example.".to_owned(),
    );
    let pair = Pair::ready(&variables).await;
    for admin in [pair.public_admin.unwrap(), pair.protected_admin.unwrap()] {
        for (host, status) in [
            ("m2m.example:6011", 200),
            ("M2M.EXAMPLE", 200),
            ("other.example", 200),
            ("evil.example", 403),
            ("x.m2m.example", 403),
        ] {
            let request = pair.client.get(format!("http://{admin}/status"));
            let answer = request.header("host", host).send().await.unwrap();
            assert_eq!(answer.status(), status, "{host}");
        }
    }
    pair.stop().await;
}

#[tokio::test]
async fn listeners_are_bounded_and_hold_up_no_drain() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&open(&idp)).await;
    let admin = pair.public_admin.unwrap();
    let mut listeners = Vec::new();
    for _ in 0..16 {
        let mut events = Events::open(&pair.client, admin).await;
        assert_eq!(events.next().await.unwrap()["state"], "green");
        listeners.push(events);
    }
    let url = format!("http://{admin}/events");
    let refused = pair.client.get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(header(&refused, "retry-after"), "5");
    // Others are served beside them.
    assert_eq!(document(&pair.client, admin).await["state"], "green");
    pair.stop().await;
    for mut events in listeners {
        let mut last = None;
        // A connection that was aborted would fail here.
        while let Some(document) = events.next().await {
            last = Some(document);
        }
        let reason = last.unwrap()["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("draining: "), "{reason}");
    }
}

/// J1
#[tokio::test]
async fn the_binaries_count_for_prometheus_and_show_no_secret() {
    let idp = DevIdp::builder().start().await.unwrap();
    let mut variables = open(&idp);
    variables.insert("LOG_FORMAT".to_owned(), "json".to_owned());
    let mut protected = Program::start("protected-data", &[], &variables);
    let url = format!("http://{}", protected.address().await);
    let protected_admin = protected.admin_address().await;
    variables.insert("PROTECTED_DATA_URL".to_owned(), url);
    let mut public = Program::start("public-data", &[], &variables);
    let url = format!("http://{}/api/public/data", public.address().await);
    let public_admin = public.admin_address().await;
    let client = client();
    for _ in 0..2 {
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    }
    let read = async |admin: &str, path: &str| -> String {
        let url = format!("http://{admin}{path}");
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    for (admin, lines) in [
        (
            &public_admin,
            &[
                r#"token_cache_requests_total{cache="default",outcome="ok"} 1"#,
                // What alerts wait for is there before it happens.
                r#"token_cache_requests_total{cache="default",outcome="invalid_client"} 0"#,
                r#"token_cache_replays_total{cache="default",outcome="rejected"} 0"#,
                r#"public_data_downstream_calls_total{outcome="ok"} 2"#,
                r#"public_data_downstream_duration_seconds_count 2"#,
                r#"http_server_answers_total{service="public-data",class="2xx"} 2"#,
                r#"service_state{service="public-data"} 0"#,
            ][..],
        ),
        (
            &protected_admin,
            &[
                r#"jwks_validator_validations_total{outcome="accepted",reason=""} 2"#,
                r#"jwks_validator_validations_total{outcome="undecided",reason="keys_unavailable"} 0"#,
                r#"jwks_validator_cache_hits_total 1"#,
                r#"http_server_answers_total{service="protected-data",class="2xx"} 2"#,
                r#"service_state{service="protected-data"} 0"#,
            ],
        ),
    ] {
        let text = read(admin, "/metrics").await;
        for line in lines {
            assert!(text.lines().any(|it| it == *line), "{line} not in\n{text}");
        }
        assert!(text.contains("process_start_time_seconds "), "{text}");
        let page = tree::read("docs/STATUS.md");
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = name.split(' ').next().unwrap();
            let is_librarys =
                name.starts_with("token_cache_") || name.starts_with("jwks_validator_");
            assert!(is_librarys || page.contains(&format!("`{name}`")), "{name}");
        }
        for path in ["/", "/status", "/metrics"] {
            let text = read(admin, path).await;
            assert!(!text.contains(DEFAULT_CLIENT_SECRET), "{path}");
            assert!(!text.contains("eyJ"), "{path}");
        }
    }
    public.signal("TERM");
    protected.signal("TERM");
    assert_eq!(public.ended().await.status.code(), Some(0));
    assert_eq!(protected.ended().await.status.code(), Some(0));
}
