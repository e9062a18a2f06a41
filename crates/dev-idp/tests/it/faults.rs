use std::time::Duration;

use dev_idp::{Effect, Endpoint, Fault};

use super::{Reply, http, jwks, post, provider, token};

#[tokio::test]
async fn a_fault_answers_as_often_as_it_says_and_only_for_its_endpoint() {
    let idp = provider().await;
    let fault = Fault::on(Endpoint::Token).times(2).status(503);
    idp.fault(fault.header("retry-after", "7").body("not json"));
    jwks(&idp).await;
    for _ in 0..2 {
        let reply = post(&idp, "").await;
        assert_eq!((reply.status, reply.text.as_str()), (503, "not json"));
        assert_eq!(reply.header(http::header::RETRY_AFTER), "7");
    }
    token(&idp).await;
    assert_eq!((idp.requests().token, idp.requests().jwks), (3, 1));
}

#[tokio::test]
async fn faults_are_met_in_the_order_they_were_added() {
    let idp = provider().await;
    idp.fault(Fault::on(Endpoint::Jwks).times(1).status(500));
    idp.fault(Fault::on(Endpoint::Any).status(502));
    let status = async || Reply::of(http().get(idp.jwks_uri())).await.status;
    assert_eq!(status().await, 500);
    assert_eq!(status().await, 502);
    assert_eq!(status().await, 502);
    let unknown = Reply::of(http().get(format!("{}/nowhere", idp.issuer()))).await;
    assert_eq!(unknown.status, 502);
    idp.clear_faults();
    assert_eq!(status().await, 200);
}

#[tokio::test]
async fn a_fault_for_no_requests_is_none() {
    let idp = provider().await;
    idp.fault(Fault::on(Endpoint::Any).times(0).close());
    token(&idp).await;
}

#[tokio::test]
async fn a_closed_connection_gives_no_answer() {
    let idp = provider().await;
    idp.fault(Fault::on(Endpoint::Jwks).times(1).close());
    let error = http().get(idp.jwks_uri()).send().await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    jwks(&idp).await;
}

#[tokio::test]
async fn a_torn_body_breaks_off_after_good_headers() {
    let idp = provider().await;
    let whole = Reply::of(http().get(idp.jwks_uri())).await.text;
    idp.fault(Fault::on(Endpoint::Jwks).times(1).torn_body());
    let mut response = http().get(idp.jwks_uri()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.content_length(), Some(whole.len() as u64));
    let mut received = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received.extend_from_slice(&chunk),
            Ok(None) => panic!("the body is whole"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(received, &whole.as_bytes()[..whole.len() / 2]);
}

#[tokio::test]
async fn a_held_request_is_answered_once_the_faults_are_cleared() {
    let idp = provider().await;
    idp.fault(Fault::on(Endpoint::Token).hold());
    let request = tokio::spawn({
        let request = http().get(idp.token_endpoint());
        async move { Reply::of(request).await.status }
    });
    idp.wait_for_requests(Endpoint::Token, 1).await;
    assert!(!request.is_finished());
    idp.clear_faults();
    assert_eq!(request.await.unwrap(), 405);
}

#[tokio::test]
async fn a_hanging_request_is_not_answered_when_the_faults_are_cleared() {
    let idp = provider().await;
    idp.fault(Fault::on(Endpoint::Jwks).times(1).hang());
    let request = tokio::spawn(http().get(idp.jwks_uri()).send());
    idp.wait_for_requests(Endpoint::Jwks, 1).await;
    idp.clear_faults();
    // Later requests are answered, and the first one ends only with its connection.
    jwks(&idp).await;
    assert!(!request.is_finished());
    idp.pause().await;
    request.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_delay_passes_before_the_effect() {
    let idp = provider().await;
    let delay = Duration::from_millis(30);
    let fault = Fault::on(Endpoint::Jwks).delay(delay).times(1);
    idp.fault(fault.effect(Effect::PassThrough));
    let begun = tokio::time::Instant::now();
    jwks(&idp).await;
    assert!(begun.elapsed() >= delay);
}

#[tokio::test]
async fn requests_are_counted_by_endpoint_and_can_be_waited_for() {
    let idp = provider().await;
    idp.wait_for_requests(Endpoint::Any, 0).await;
    let calls = async {
        token(&idp).await;
        jwks(&idp).await;
        Reply::of(http().get(format!("{}/x", idp.issuer()))).await;
    };
    tokio::join!(calls, idp.wait_for_requests(Endpoint::Any, 3));
    let counts = idp.requests();
    assert_eq!((counts.token, counts.jwks, counts.other), (1, 1, 1));
    assert_eq!(counts.of(Endpoint::Any), 3);
}
