//! Tells clients that a session has ended (OpenID Connect Back-Channel Logout 1.0).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use axum::body::Body;
use clock::unix_seconds;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use url::form_urlencoded::Serializer;
use url::{Host, Url};

use crate::keys::random_id;
use crate::logins::Login;
use crate::people::DevPerson;
use crate::provider::Provider;
use crate::tamper::Target;

/// How long a client has to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a logout token is good (section 2.4 recommends two minutes at most), in seconds.
const LIFETIME: i64 = 120;

/// A logout token that was sent to a client.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LogoutDelivery {
    /// The client.
    pub client_id: String,
    /// The status that it answered with; none if it did not answer within 2 s.
    pub status: Option<u16>,
}

/// Ends a session, and returns when the clients that were told of it have been told of its end.
pub(crate) async fn end(provider: &Provider, sid: &str) -> Vec<LogoutDelivery> {
    let ended = provider.logins.lock().end(sid);
    let Some(login) = ended else {
        return Vec::new();
    };
    let mut deliveries = Vec::new();
    for client_id in &login.clients {
        let uri = {
            let clients = provider.clients.lock();
            let client = clients.get(client_id);
            client.and_then(|client| client.back_channel().map(str::to_owned))
        };
        let Some(uri) = uri else {
            continue;
        };
        let status = match logout_token(provider, client_id, &login) {
            Ok(token) => post(&uri, &token).await,
            Err(Unspecified) => None,
        };
        let status = status.map(|status| status.as_u16());
        tracing::info!(
            oauth.client_id = client_id,
            http.response.status_code = status,
            "sent a logout token"
        );
        deliveries.push(LogoutDelivery {
            client_id: client_id.clone(),
            status,
        });
    }
    deliveries
}

/// Section 2.4.
fn logout_token(
    provider: &Provider,
    client_id: &str,
    login: &Login,
) -> Result<String, Unspecified> {
    let now = unix_seconds(provider.clock.now());
    let claims = json!({
        "iss": provider.issuer,
        "aud": client_id,
        "iat": now,
        "exp": now.saturating_add(LIFETIME),
        "jti": random_id()?,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        "sub": DevPerson::new(&login.email, "").subject(),
        "sid": login.sid,
    });
    let spec = provider.next_spec(Target::LogoutToken);
    spec.sign_claims(provider, "logout+jwt", claims)
}

async fn post(uri: &str, token: &str) -> Option<StatusCode> {
    let sent = tokio::time::timeout(TIMEOUT, send(uri, token)).await;
    match sent {
        Ok(Ok(status)) => Some(status),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a logout token could not be delivered");
            None
        }
        Err(_) => None,
    }
}

async fn send(uri: &str, token: &str) -> io::Result<StatusCode> {
    let url = Url::parse(uri).map_err(io::Error::other)?;
    let addr = loopback(&url).ok_or_else(|| {
        io::Error::other("the address for logout tokens is not plain HTTP on loopback")
    })?;
    let form = Serializer::new(String::new())
        .append_pair("logout_token", token)
        .finish();
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let request = Request::post(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(HOST, authority)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .map_err(io::Error::other)?;
    let stream = TcpStream::connect(addr).await?;
    let connection = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connection.map_err(io::Error::other)?;
    let answer = async {
        let answer = sender.send_request(request).await;
        answer
            .map(|answer| answer.status())
            .map_err(io::Error::other)
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end with the answer.
        _ = connection => answer.await,
    }
}

/// RFC 6761 section 6.3: `localhost` and all names below it are loopback, whatever a resolver says.
fn loopback(url: &Url) -> Option<SocketAddr> {
    if url.scheme() != "http" {
        return None;
    }
    let ip: IpAddr = match url.host()? {
        Host::Ipv4(ip) => ip.into(),
        Host::Ipv6(ip) => ip.into(),
        Host::Domain(name) if name == "localhost" || name.ends_with(".localhost") => {
            Ipv4Addr::LOCALHOST.into()
        }
        Host::Domain(_) => return None,
    };
    let port = url.port_or_known_default()?;
    ip.is_loopback().then_some(SocketAddr::new(ip, port))
}
