use dev_idp::{DevClient, DevIdp, Endpoint, Fault, StartErrorKind};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Reply, http, is_signed_by, jwks, provider, token};

/// H22, K130
#[tokio::test]
async fn an_address_that_is_not_loopback_is_refused() {
    for addr in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[2001:db8::1]:0"] {
        let addr = addr.parse().unwrap();
        let error = DevIdp::builder().addr(addr).start().await.unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::NotLoopback, "{addr}");
        assert_eq!((error.addr(), error.is_control()), (Some(addr), false));

        let error = DevIdp::builder().control_addr(addr).start().await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), StartErrorKind::NotLoopback, "{addr}");
        assert_eq!((error.addr(), error.is_control()), (Some(addr), true));
    }
}

#[tokio::test]
async fn an_address_in_use_is_told_apart() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = other.local_addr().unwrap();
    let error = DevIdp::builder().addr(addr).start().await.unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::AddressInUse);
    assert_eq!(error.to_string(), format!("the address is in use: {addr}"));
}

#[tokio::test]
async fn two_clients_with_one_id_are_refused() {
    let builder = DevIdp::builder().client(DevClient::new("id", "a"));
    let error = builder.client(DevClient::new("id", "b")).start().await;
    assert_eq!(error.unwrap_err().kind(), StartErrorKind::DuplicateClient);
}

#[tokio::test]
async fn a_paused_provider_refuses_connections_and_comes_back_as_it_was() {
    let idp = provider().await;
    let before = token(&idp).await;
    let idle = reqwest::Client::builder().no_proxy().build().unwrap();
    Reply::of(idle.get(idp.jwks_uri())).await;

    idp.pause().await;
    idp.pause().await;
    let error = http().get(idp.jwks_uri()).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    let error = idle.get(idp.jwks_uri()).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    idp.resume().await.unwrap();
    idp.resume().await.unwrap();
    assert!(is_signed_by(&before, &jwks(&idp).await));
    assert_eq!(Reply::of(idle.get(idp.jwks_uri())).await.status, 200);
    token(&idp).await;
    assert_eq!(idp.requests().token, 2);
}

#[tokio::test]
async fn a_paused_provider_keeps_its_port_to_itself() {
    let idp = provider().await;
    idp.pause().await;
    // As the system does for whoever asks for any free port: without `SO_REUSEADDR`.
    let other = TcpSocket::new_v4().unwrap();
    let error = other.bind(idp.addr()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    idp.resume().await.unwrap();
    token(&idp).await;
}

#[tokio::test]
async fn it_can_be_paused_and_resumed_again_and_again() {
    let idp = provider().await;
    for _ in 0..20 {
        token(&idp).await;
        idp.pause().await;
        idp.resume().await.unwrap();
    }
    token(&idp).await;
}

#[tokio::test]
async fn shutting_down_frees_the_ports_and_cuts_off_what_hangs() {
    let control = "127.0.0.1:0".parse().unwrap();
    let idp = DevIdp::builder().control_addr(control).start().await;
    let idp = idp.unwrap();
    idp.fault(Fault::on(Endpoint::Any).hang());
    let hanging = tokio::spawn(http().get(idp.jwks_uri()).send());
    idp.wait_for_requests(Endpoint::Jwks, 1).await;
    let addresses = [idp.addr(), idp.control_addr().unwrap()];
    idp.shutdown().await;
    hanging.await.unwrap().unwrap_err();
    for addr in addresses {
        TcpStream::connect(addr).await.unwrap_err();
        TcpListener::bind(addr).await.unwrap();
    }
}

#[tokio::test]
async fn dropping_it_ends_it() {
    let idp = provider().await;
    idp.fault(Fault::on(Endpoint::Any).hang());
    let hanging = tokio::spawn(http().get(idp.jwks_uri()).send());
    idp.wait_for_requests(Endpoint::Jwks, 1).await;
    drop(idp);
    hanging.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn it_listens_on_ipv6_loopback_too() {
    let addr = "[::1]:0".parse().unwrap();
    match DevIdp::builder().addr(addr).start().await {
        Ok(idp) => {
            assert_eq!(idp.issuer(), format!("http://[::1]:{}", idp.addr().port()));
            assert_eq!(jwks(&idp).await["keys"].as_array().unwrap().len(), 3);
        }
        // Some machines have no IPv6; then there is nothing to see.
        Err(error) => assert_eq!(error.kind(), StartErrorKind::Bind),
    }
}

#[tokio::test]
async fn without_configuration_it_knows_the_documented_client() {
    let idp = DevIdp::builder().start().await.unwrap();
    let form = "grant_type=client_credentials&client_id=dev-client&client_secret=dev-secret";
    let reply = super::post(&idp, form).await;
    assert_eq!(reply.json()["scope"], "data:read");
    let claims = super::claims_of(&reply.access_token());
    assert_eq!(claims["aud"], "https://protected-data.example");
}
