//! What changes while the pair runs: keys, tokens, secrets, and whether the provider is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clock::{Clock as _, ManualClock, SystemClock};
use dev_idp::{
    AuthMethod, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevClient, DevIdp, Endpoint, Fault,
    Rotation, TokenSpec,
};
use rcgen::PublicKeyData as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::world::{LIMIT, PUBLIC_BODY, Pair, client, header, variables};

/// D21
#[tokio::test]
async fn an_overlapping_rotation_refuses_nothing() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    let old = idp.mint(TokenSpec::new());
    idp.rotate(Rotation::Overlapping).await.unwrap();
    let new = idp.mint(TokenSpec::new());
    assert_eq!(pair.protected_data(&old).await.status(), 200);
    assert_eq!(pair.protected_data(&new).await.status(), 200);
    assert_eq!(pair.protected_data(&old).await.status(), 200);
    assert_eq!(idp.requests().jwks, 2);
}

/// D6, D22
#[tokio::test]
async fn a_hard_rotation_refuses_old_tokens_from_the_next_fetch_on_and_the_pair_goes_on() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    let old = idp.mint(TokenSpec::new());
    // Remembered as verified, which must not save it.
    assert_eq!(pair.protected_data(&old).await.status(), 200);
    idp.rotate(Rotation::Hard).await.unwrap();
    let new = idp.mint(TokenSpec::new());
    assert_eq!(pair.protected_data(&new).await.status(), 200);
    assert_eq!(pair.protected_data(&old).await.status(), 401);
    // public-data holds an old token too: it is replaced, and its caller notices nothing.
    let response = pair.public_data().await;
    assert_eq!(response.status(), 200);
    assert_eq!(idp.requests().token, 2);
}

/// D22
#[tokio::test]
async fn while_nobody_can_tell_whether_a_new_key_is_good_calls_are_503_and_its_token_is_kept() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    assert_eq!(pair.public_data().await.status(), 200);
    idp.rotate(Rotation::Hard).await.unwrap();
    idp.fault(Fault::on(Endpoint::Jwks).status(503));
    let old = pair.tokens.token().await.unwrap();
    assert!(pair.tokens.invalidate(&old));
    let new = pair.tokens.token().await.unwrap();
    assert_eq!(pair.protected_data(new.secret()).await.status(), 503);
    for _ in 0..3 {
        let response = pair.public_data().await;
        assert_eq!(response.status(), 503);
        assert!(header(&response, "retry-after").parse::<u64>().unwrap() >= 1);
    }
    assert!(pair.tokens.token().await.unwrap().is_same(&new));
    assert_eq!(idp.requests().token, 2);
}

/// D19
#[tokio::test]
async fn forged_key_ids_cost_two_fetches_and_no_good_request() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    for n in 0..500 {
        let forged = idp.mint(TokenSpec::new().kid(format!("forged-{n}")));
        assert_eq!(pair.protected_data(&forged).await.status(), 401, "{n}");
        if n % 50 == 0 {
            assert_eq!(pair.public_data().await.status(), 200);
        }
    }
    assert!(idp.requests().jwks <= 3, "{} fetches", idp.requests().jwks);
}

/// B2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_expire_under_load_and_no_request_fails() {
    let idp = DevIdp::builder()
        .token_lifetime(Duration::from_secs(2))
        .start()
        .await
        .unwrap();
    let pair = Arc::new(Pair::ready(&variables(&idp)).await);
    let done = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (pair, done, served) = (Arc::clone(&pair), Arc::clone(&done), Arc::clone(&served));
        callers.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let response = pair.public_data().await;
                assert_eq!(response.status(), 200);
                assert_eq!(response.text().await.unwrap(), PUBLIC_BODY);
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // Until several tokens have come and gone.
    timeout(LIMIT, idp.wait_for_requests(Endpoint::Token, 5))
        .await
        .unwrap();
    done.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert!(served.load(Ordering::Relaxed) > 100);
}

/// D1, H1, G26
#[tokio::test]
async fn the_pair_starts_without_the_provider_and_heals_when_it_comes() {
    let idp = DevIdp::builder().start().await.unwrap();
    idp.pause().await;
    let pair = Pair::start(&variables(&idp)).await;
    for response in [
        pair.get_public("/livez").await,
        pair.get_protected("/livez").await,
    ] {
        assert_eq!(response.status(), 200);
    }
    for response in [
        pair.get_public("/readyz").await,
        pair.get_protected("/readyz").await,
    ] {
        assert_eq!(response.status(), 503);
        assert!(response.text().await.unwrap().contains("unready"));
    }
    for response in [
        pair.public_data().await,
        pair.protected_data(&idp.mint(TokenSpec::new())).await,
    ] {
        assert_eq!(response.status(), 503);
        assert_eq!(
            header(&response, "content-type"),
            "application/problem+json"
        );
        assert!(header(&response, "retry-after").parse::<u64>().unwrap() >= 1);
        assert_eq!(header(&response, "www-authenticate"), "");
    }
    idp.resume().await.unwrap();
    let back = Instant::now();
    pair.wait_ready().await;
    // Two seconds by contract; the rest is for a busy machine.
    assert!(
        back.elapsed() < Duration::from_secs(5),
        "{:?}",
        back.elapsed()
    );
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
    for response in [
        pair.get_public("/readyz").await,
        pair.get_protected("/readyz").await,
    ] {
        assert_eq!(response.status(), 200);
    }
}

/// H2
#[tokio::test]
async fn a_provider_that_hangs_at_start_leaves_nobody_hanging() {
    let idp = DevIdp::builder().start().await.unwrap();
    idp.fault(Fault::on(Endpoint::Any).hang());
    let pair = Arc::new(Pair::start(&variables(&idp)).await);
    let token = idp.mint(TokenSpec::new());
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let (one, other, token) = (Arc::clone(&pair), Arc::clone(&pair), token.clone());
        callers.spawn(async move { one.public_data().await.status() });
        callers.spawn(async move { other.protected_data(&token).await.status() });
    }
    assert_eq!(pair.get_public("/livez").await.status(), 200);
    assert_eq!(pair.get_protected("/livez").await.status(), 200);
    while let Some(status) = callers.join_next().await {
        assert_eq!(status.unwrap(), 503);
    }
    idp.clear_faults();
    pair.wait_ready().await;
    assert_eq!(pair.public_data().await.status(), 200);
}

/// D2, B6
#[tokio::test]
async fn a_provider_that_goes_away_later_costs_nothing_while_token_and_keys_last() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    idp.pause().await;
    for _ in 0..200 {
        assert_eq!(pair.public_data().await.status(), 200);
    }
}

/// B7
#[tokio::test]
async fn without_provider_and_token_public_data_says_503_and_when_to_come_back() {
    let idp = DevIdp::builder()
        .token_lifetime(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    idp.fault(
        Fault::on(Endpoint::Token)
            .status(503)
            .header("retry-after", "7"),
    );
    let unserved = async {
        loop {
            let response = pair.public_data().await;
            if response.status() == 503 {
                return response;
            }
            assert_eq!(response.status(), 200);
        }
    };
    let response = timeout(LIMIT, unserved).await.unwrap();
    let retry_after: u64 = header(&response, "retry-after").parse().unwrap();
    assert!((1..=7).contains(&retry_after), "{retry_after}");
    assert_eq!(
        header(&response, "content-type"),
        "application/problem+json"
    );
}

/// D9
#[tokio::test]
async fn unusable_keys_beside_a_good_one_do_no_harm() {
    let idp = DevIdp::builder().start().await.unwrap();
    let good = client()
        .get(idp.jwks_uri())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let good: serde_json::Value = serde_json::from_str(&good).unwrap();
    let mut keys = good["keys"].as_array().unwrap().clone();
    for odd in [
        serde_json::json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "pq", "pub": "AAAA"}),
        serde_json::json!({"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}),
        serde_json::json!({"kty": "EC", "crv": "secp256k1", "kid": "k1", "x": "AA", "y": "AA"}),
        serde_json::json!({"kty": "RSA", "kid": 7, "n": "AQAB", "e": "AQAB"}),
        serde_json::json!("not an object"),
    ] {
        keys.insert(0, odd);
    }
    let body = serde_json::json!({ "keys": keys }).to_string();
    idp.fault(Fault::on(Endpoint::Jwks).body(body));
    let pair = Pair::ready(&variables(&idp)).await;
    assert_eq!(pair.public_data().await.status(), 200);
}

/// A12, B20
#[tokio::test]
async fn a_wrong_secret_is_503_until_the_file_is_corrected() {
    let idp = DevIdp::builder().start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "wrong\n").unwrap();
    let mut variables = variables(&idp);
    variables.remove("CLIENT_SECRET");
    variables.insert(
        "CLIENT_SECRET_FILE".to_owned(),
        file.path().to_str().unwrap().to_owned(),
    );
    let pair = Pair::start(&variables).await;
    let response = pair.public_data().await;
    assert_eq!(response.status(), 503);
    assert!(header(&response, "retry-after").parse::<u64>().unwrap() >= 1);
    let body = pair.get_public("/readyz").await.text().await.unwrap();
    assert!(body.contains("invalid_client"), "{body}");
    std::fs::write(file.path(), format!("{DEFAULT_CLIENT_SECRET}\n")).unwrap();
    pair.wait_ready().await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
}

/// M2
#[tokio::test]
async fn a_client_key_that_is_replaced_signs_the_next_request_and_a_torn_one_costs_no_token() {
    let keys = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
    let client = |key: &rcgen::KeyPair| {
        DevClient::new("keyed", "")
            .allow([AuthMethod::PrivateKeyJwt])
            .public_key(key.subject_public_key_info())
    };
    let idp = DevIdp::builder().client(client(&keys[0])).start().await;
    let idp = idp.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), keys[0].serialize_pem()).unwrap();
    let mut variables = variables(&idp);
    variables.remove("CLIENT_SECRET");
    for (name, value) in [
        ("CLIENT_ID", "keyed"),
        ("CLIENT_AUTH_METHOD", "private_key_jwt"),
        ("CLIENT_KEY_FILE", file.path().to_str().unwrap()),
    ] {
        variables.insert(name.to_owned(), value.to_owned());
    }
    let pair = Pair::ready(&variables).await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);

    std::fs::write(file.path(), &keys[1].serialize_pem()[..80]).unwrap();
    assert_eq!(pair.public_data().await.status(), 200);
    let token = pair.tokens.token().await.unwrap();
    assert!(pair.tokens.invalidate(&token));
    assert_eq!(pair.public_data().await.status(), 503);
    let body = pair.get_public("/readyz").await.text().await.unwrap();
    assert!(body.contains("no token: config"), "{body}");

    idp.set_client(client(&keys[1]));
    std::fs::write(file.path(), keys[1].serialize_pem()).unwrap();
    pair.wait_ready().await;
    assert_eq!(pair.public_data().await.text().await.unwrap(), PUBLIC_BODY);
}

/// A12
#[tokio::test]
async fn a_secret_that_becomes_right_at_the_provider_is_found_out() {
    let idp = DevIdp::builder().start().await.unwrap();
    idp.set_secret(DEFAULT_CLIENT_ID, "another").unwrap();
    let pair = Pair::start(&variables(&idp)).await;
    assert_eq!(pair.public_data().await.status(), 503);
    idp.set_secret(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)
        .unwrap();
    pair.wait_ready().await;
    assert_eq!(pair.public_data().await.status(), 200);
}

/// C1
#[tokio::test]
async fn a_token_that_is_rejected_is_replaced_once_within_the_request() {
    let idp = DevIdp::builder().start().await.unwrap();
    let pair = Pair::ready(&variables(&idp)).await;
    assert_eq!(pair.public_data().await.status(), 200);
    idp.rotate(Rotation::Hard).await.unwrap();
    // protected-data hears of the new keys from a token of somebody else.
    assert_eq!(
        pair.protected_data(&idp.mint(TokenSpec::new()))
            .await
            .status(),
        200
    );
    let mut callers = JoinSet::new();
    let pair = Arc::new(pair);
    for _ in 0..50 {
        let pair = Arc::clone(&pair);
        callers.spawn(async move { pair.public_data().await.status() });
    }
    while let Some(status) = callers.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(idp.requests().token, 2);
}

/// B15
#[tokio::test]
async fn tokens_of_a_provider_whose_clock_is_ahead_are_replaced_once_and_then_refused() {
    let now = SystemClock.now();
    let ahead = ManualClock::new(now + Duration::from_secs(300));
    let idp = DevIdp::builder()
        .clock(Arc::new(ahead))
        .start()
        .await
        .unwrap();
    for _ in 0..3 {
        let nbf = clock::unix_seconds(now) + 300;
        let token = idp.mint(TokenSpec::new().claim("nbf", nbf));
        let reply = serde_json::json!({
            "access_token": token, "token_type": "Bearer", "expires_in": 3_600,
        });
        idp.fault(Fault::on(Endpoint::Token).times(1).body(reply.to_string()));
    }
    let pair = Pair::ready(&variables(&idp)).await;
    assert_eq!(pair.public_data().await.status(), 502);
    assert_eq!(idp.requests().token, 2);
    let ahead_s = pair.tokens.health().provider_clock_ahead_s.unwrap();
    assert!((270..=300).contains(&ahead_s), "{ahead_s}");
}

/// C12, C16
#[tokio::test]
async fn nonsense_from_protected_data_is_502_and_a_missing_one_503() {
    let idp = DevIdp::builder().start().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Longer than any run of sevens in an id of ours.
    let foreign = "7".repeat(24);
    let body = format!(r#"{{"protectedData":{foreign}}}"#);
    let app = axum::Router::new().fallback(move || std::future::ready(body.clone()));
    let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    let mut variables = variables(&idp);
    variables.insert("PROTECTED_DATA_URL".to_owned(), format!("http://{address}"));
    let pair = Pair::ready(&variables).await;
    let response = pair.public_data().await;
    assert_eq!(response.status(), 502);
    assert!(
        !response.text().await.unwrap().contains(&foreign),
        "the foreign body is not echoed"
    );
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    // Connections of the aborted server may still be open; a new pair has none.
    let pair = Pair::ready(&variables).await;
    let response = pair.public_data().await;
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), "1");
}
