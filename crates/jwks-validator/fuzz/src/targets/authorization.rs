//! The target that asks the layer.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use clock::ManualClock;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response};
use jwks_validator::{EntityTag, Fetched, JwtLayer, JwtValidator, KeySet, KeySource, SourceError};
use tokio::runtime::Runtime;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::world::{AUDIENCE, ISSUER, NOW, compare, published};

#[derive(Debug)]
struct Published;

#[async_trait]
impl KeySource for Published {
    async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        Ok(Fetched::keys(KeySet::from_jwks_json(
            published().as_bytes(),
        )?))
    }
}

/// The keys are there; the time stands still.
static GUARD: LazyLock<(Runtime, JwtLayer)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let validator = JwtValidator::builder()
        .issuer(ISSUER, Published)
        .audience(AUDIENCE)
        .verified_cache(64)
        .clock(Arc::new(ManualClock::at_unix(NOW)))
        .build()
        .unwrap();
    runtime.block_on(async {
        validator.start();
        assert!(validator.wait_ready().await);
    });
    (runtime, JwtLayer::new(validator))
});

/// Each line is the value of an `Authorization` header.
pub(crate) fn authorization(bytes: &[u8]) {
    let values: Result<Vec<_>, _> = bytes
        .split(|byte| *byte == b'\n')
        .map(HeaderValue::from_bytes)
        .collect();
    let Ok(values) = values else {
        return;
    };
    let status = ask(&values);
    match &values[..] {
        [value] => {
            // A second time, the token may be in the cache. A key id that was asked about
            // may then be one that nobody can be asked about.
            let again = ask(&values);
            assert!(
                status == again || (status, again) == (401, 503),
                "{status}, {again}"
            );
            let accepted = bearer(value.as_bytes()).is_some_and(compare);
            assert_eq!(status == 200, accepted, "{status}");
        }
        _ => assert_eq!(status, 400),
    }
}

fn ask(values: &[HeaderValue]) -> u16 {
    let (runtime, layer) = &*GUARD;
    let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let mut request = Request::new(());
    for value in values {
        request.headers_mut().append(AUTHORIZATION, value.clone());
    }
    let response = runtime.block_on(layer.layer(inner).oneshot(request));
    let Ok(response) = response;
    let status = response.status().as_u16();
    let headers = response.headers();
    match status {
        200 => {}
        400 | 401 => {
            let challenge = headers[WWW_AUTHENTICATE].to_str().unwrap();
            assert!(challenge.starts_with("Bearer "), "{challenge}");
        }
        503 => assert!(headers.contains_key(RETRY_AFTER)),
        _ => panic!("{status}"),
    }
    status
}

/// The token of a value in the form of RFC 6750 section 2.1, read without regard to its characters.
fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_at_checked(7)?;
    let token = std::str::from_utf8(token).ok()?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}
