//! Roles in a claim of their own, a claim that every token must have, and claims as a type of the program.

use axum::Router;
use axum::routing::get;
use dev_idp::{DEFAULT_AUDIENCE, DevIdp, TokenSpec};
use jwks_validator::{
    ClaimValue, IdpClient, Jwt, JwtLayer, JwtValidator, RemoteJwks, RequireScopes,
};
use serde::Deserialize;
use serde_json::json;

use crate::{serve, status};

#[derive(Deserialize)]
struct Caller {
    tenant: String,
    roles: Vec<String>,
}

async fn who(caller: Jwt<Caller>) -> String {
    format!("{} {}", caller.tenant, caller.roles.join(" "))
}

#[tokio::test]
async fn a_route_asks_for_a_role_and_the_service_for_a_tenant() {
    let idp = DevIdp::builder().start().await.unwrap();
    let keys = IdpClient::builder().build().unwrap();
    let keys = RemoteJwks::new(keys, idp.jwks_uri().parse().unwrap());
    let tenants = ["north", "south"].map(ClaimValue::from);
    let validator = JwtValidator::builder()
        .issuer(idp.issuer(), keys)
        .audience(DEFAULT_AUDIENCE)
        .scope_claim("roles")
        .allow_scope_array(true)
        .require_claim_in("tenant", tenants)
        .build()
        .unwrap();
    let readers = RequireScopes::any(["reader", "admin"]).unwrap();
    let app = Router::new()
        .route("/who", get(who).layer(readers))
        .layer(JwtLayer::new(validator));
    let url = format!("{}/who", serve(app).await);

    let token = |tenant: &str, roles: serde_json::Value| {
        let claims = TokenSpec::new().claim("tenant", tenant);
        idp.mint(claims.claim("roles", roles))
    };
    let admin = token("north", json!(["admin", "auditor"]));
    let answer = reqwest::Client::new().get(&url).bearer_auth(&admin);
    let answer = answer.send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, "north admin auditor");
    let without_role = token("north", json!(["auditor"]));
    assert_eq!(status(&url, Some(&without_role)).await, 403);
    let elsewhere = token("west", json!(["admin"]));
    assert_eq!(status(&url, Some(&elsewhere)).await, 401);
}
