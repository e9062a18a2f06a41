//! Tokens on demand, and lies in those to come.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::{BadRequest, Object};
use crate::keys::Algorithm;
use crate::mint::TokenSpec;
use crate::provider::Provider;
use crate::tamper::{Members, Tamper};

/// The longest token that is padded on request.
const MAX_SIZE: usize = 1024 * 1024;

pub(super) async fn mint(
    State(provider): State<Arc<Provider>>,
    Object(asked): Object,
) -> Result<Json<Value>, BadRequest> {
    let token = spec(asked)?.sign(&provider);
    let token = token.map_err(|_| BadRequest("The token could not be signed."))?;
    Ok(Json(json!({ "access_token": token })))
}

pub(super) async fn tamper(
    State(provider): State<Arc<Provider>>,
    Object(asked): Object,
) -> Result<Json<Value>, BadRequest> {
    let tampers: Result<Vec<Tamper>, BadRequest> = asked.into_iter().map(lie).collect();
    for tamper in tampers? {
        provider.tampering.add(tamper);
    }
    Ok(Json(json!({})))
}

fn lie((target, value): (String, Value)) -> Result<Tamper, BadRequest> {
    let Value::Object(asked) = value else {
        return Err(UNKNOWN_MEMBER);
    };
    Ok(match target.as_str() {
        "id_token" => Tamper::id_token(spec(asked)?),
        "user_token" => Tamper::user_token(spec(asked)?),
        "logout_token" => Tamper::logout_token(spec(asked)?),
        "answer" => Tamper::answer(members(asked)?),
        "logout_answer" => Tamper::logout_answer(members(asked)?),
        "token_reply" => Tamper::token_reply(members(asked)?),
        "userinfo" => Tamper::userinfo(members(asked)?),
        _ => return Err(UNKNOWN_MEMBER),
    })
}

fn members(asked: Map<String, Value>) -> Result<Members, BadRequest> {
    let mut members = Members::new();
    for (member, value) in asked {
        match (member.as_str(), value) {
            ("set", Value::Object(set)) => {
                for (name, value) in set {
                    members = members.set(name, value);
                }
            }
            ("without", Value::Array(names)) => {
                for name in names {
                    members = members.without(text(name)?);
                }
            }
            ("repeat", Value::Object(repeated)) => {
                for (name, value) in repeated {
                    members = members.repeat(name, value);
                }
            }
            _ => return Err(UNKNOWN_MEMBER),
        }
    }
    Ok(members)
}

const UNKNOWN_MEMBER: BadRequest = BadRequest("A member is unknown or has the wrong type.");

fn spec(asked: Map<String, Value>) -> Result<TokenSpec, BadRequest> {
    let mut spec = TokenSpec::new();
    for (member, value) in asked {
        match (member.as_str(), value) {
            ("claims", Value::Object(claims)) => {
                for (name, value) in claims {
                    spec = spec.claim(name, value);
                }
            }
            ("header", Value::Object(header)) => {
                for (name, value) in header {
                    spec = spec.header(name, value);
                }
            }
            ("without", Value::Array(names)) => {
                for name in names {
                    spec = spec.without_claim(text(name)?);
                }
            }
            ("without_header", Value::Array(names)) => {
                for name in names {
                    spec = spec.without_header(text(name)?);
                }
            }
            ("algorithm", Value::String(name)) => {
                let algorithm = Algorithm::from_name(&name);
                let algorithm =
                    algorithm.ok_or(BadRequest("`algorithm` is RS256, ES256 or EdDSA."))?;
                spec = spec.algorithm(algorithm);
            }
            ("lifetime_s", value) => {
                let seconds = value.as_u64();
                let seconds = seconds.ok_or(BadRequest("`lifetime_s` is not a whole number."))?;
                spec = spec.lifetime(Duration::from_secs(seconds));
            }
            ("unsigned", Value::Bool(true)) => spec = spec.unsigned(),
            ("hs256", Value::String(secret)) => spec = spec.hs256(secret),
            ("bad_signature", Value::Bool(true)) => spec = spec.bad_signature(),
            ("size", value) => {
                let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
                let size = size.filter(|size| *size <= MAX_SIZE);
                spec = spec.size(size.ok_or(BadRequest("`size` is no number up to 1 MiB."))?);
            }
            _ => return Err(UNKNOWN_MEMBER),
        }
    }
    Ok(spec)
}

fn text(value: Value) -> Result<String, BadRequest> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(BadRequest("A name is not a string.")),
    }
}
