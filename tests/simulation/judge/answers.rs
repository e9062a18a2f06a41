//! The answers of both services.

use std::time::Duration;

use axum::http::{StatusCode, header};

use super::{Judge, State, shown};
use crate::capture::secret_in;
use crate::faults::{Host, Issuer, JWKS_PATH, PROTECTED_PATH, PUBLIC_PATH, TOKEN_PATH};
use crate::hosts::issuers;
use crate::network::{Id, Request, Response};
use crate::plan::PAIRS;
use crate::reference::{Broken, Key};

/// A request that a service works on.
#[derive(Debug)]
pub(super) struct Seen {
    path: String,
    arrived: Duration,
    /// Whether public-data had a token then.
    had_token: bool,
    /// The one bearer token that it came with.
    token: Option<Token>,
}

#[derive(Debug)]
struct Token {
    text: String,
    /// Its issuer, as far as the service knows it.
    issuer: Option<Issuer>,
    /// What the reference says with the keys that the service had when it came.
    known: Option<Result<(), Broken>>,
    /// What it says with those that the issuer publishes.
    published: Result<(), Broken>,
    /// Whether the service could surely ask the issuer for other keys.
    can_ask: bool,
}

type Verdict = Result<(), String>;

const SLACK: Duration = Duration::from_millis(50);
const PUBLIC_DEADLINE: Duration = Duration::from_secs(5);
const PROTECTED_DEADLINE: Duration = Duration::from_secs(1);
const PUBLIC_BODY: &[u8] = br#"{"publicData":"hello world","protectedData":"here I am"}"#;
const UNKNOWN_KEY: Broken = "a published key";

impl Judge {
    /// A request has come to a service that runs.
    pub(crate) fn arrived(&self, id: Id, request: &Request, had_token: bool) {
        let now = self.now();
        let path = request.uri().path().to_owned();
        let mut state = self.state();
        if let Host::Public(index) = id.to
            && path == PUBLIC_PATH
            && request.method() == axum::http::Method::GET
        {
            state.calls[index].inbound(id.number, now);
            if state.stepped[index].take().is_some() {
                state.troubled[index] = now;
            }
        }
        let token = match id.to {
            Host::Protected(index) => bearer(request)
                .filter(|_| path == PROTECTED_PATH)
                .map(|token| self.judge_token(&state, index, token, now)),
            _ => None,
        };
        let seen = Seen {
            path,
            arrived: now,
            had_token,
            token,
        };
        state.seen.insert(id, seen);
    }

    fn judge_token(&self, state: &State, host: usize, text: String, now: Duration) -> Token {
        let unix = self.0.clocks[&Host::Protected(host)].unix();
        let of = |issuer: &Issuer| {
            let keys = self.published(*issuer);
            let verdict = self.reference(&text, *issuer, unix, &keys);
            (verdict != Err("iss is ours")).then_some((*issuer, keys, verdict))
        };
        let Some((issuer, keys, published)) = issuers(host).iter().find_map(of) else {
            return Token {
                text,
                issuer: None,
                known: None,
                published: Err("iss is ours"),
                can_ask: false,
            };
        };
        let watch = state.keys.get(&(host, issuer));
        let moment = self.moment(Host::Protected(host));
        let known = watch.and_then(|watch| watch.usable(moment, self.0.settings.max_stale));
        // Most of the time they are the same, and signatures are slow to verify.
        let known = known.map(|known| match same(&known, &keys) {
            true => published,
            false => self.reference(&text, issuer, unix, &known),
        });
        let pair = (Host::Protected(host), Host::Idp(issuer));
        let is_calm = !self.0.network.is_disturbed(pair.0, pair.1);
        Token {
            text,
            issuer: Some(issuer),
            known,
            published,
            can_ask: is_calm && watch.is_some_and(|watch| watch.can_surely_ask(now)),
        }
    }

    /// A service has an answer.
    pub(crate) fn answered(&self, id: Id, response: &Response) {
        let mut state = self.state();
        let Some(seen) = state.seen.remove(&id) else {
            return;
        };
        let verdict = match secret_in(&shown(response)) {
            Some(line) => Err(format!("secrets: in an answer: {line}")),
            None => Ok(()),
        };
        let now = self.now();
        let verdict = verdict
            .and_then(|()| in_time(id.to, &seen.path, now - seen.arrived))
            .and_then(|()| match (id.to, &*seen.path) {
                (_, "/livez") => is_one_of(response, &[200]),
                (_, "/readyz") => is_one_of(response, &[200, 503]),
                (Host::Protected(host), PROTECTED_PATH) => {
                    self.protected_answer(&mut state, host, id, &seen, response)
                }
                (Host::Public(host), PUBLIC_PATH) => {
                    self.public_answer(&mut state, host, id, &seen, response)
                }
                _ => is_one_of(response, &[404, 405]),
            });
        drop(state);
        self.hold(
            id.to,
            verdict.map_err(|promise| format!("{promise} ({id:?})")),
        );
    }

    fn protected_answer(
        &self,
        state: &mut State,
        host: usize,
        id: Id,
        seen: &Seen,
        response: &Response,
    ) -> Verdict {
        let now = self.now();
        let status = response.status();
        let Some(token) = &seen.token else {
            return is_one_of(response, &[400, 401]);
        };
        if token.issuer == Some(Issuer::B) {
            state.of_b.push((id.number, status.as_u16()));
        }
        if status == StatusCode::OK {
            return match self.judge_again(state, host, seen, token) {
                Some(Ok(())) => Ok(()),
                Some(Err(UNKNOWN_KEY)) => Err("removed keys: one of them is alive".into()),
                Some(Err(rule)) => Err(format!("accepted: against the reference's rule: {rule}")),
                None => Err("accepted: without usable keys of its issuer".into()),
            };
        }
        let Some(issuer) = token.issuer else {
            return is_one_of(response, &[401]);
        };
        let pair = (Host::Protected(host), Host::Idp(issuer));
        let calm = || self.0.faults.calm(pair, JWKS_PATH, (seen.arrived, now));
        match token.known {
            Some(Ok(())) => Err(format!("refused: a good token of {issuer:?} got {status}")),
            Some(Err(UNKNOWN_KEY)) if token.published.is_ok() => {
                if token.can_ask && calm() {
                    return Err(format!("refused: a new key of {issuer:?} got {status}"));
                }
                is_one_of(response, &[401, 503])
            }
            // Nobody can tell.
            None if token.published.is_ok() => is_one_of(response, &[503]),
            Some(Err(_)) | None => is_one_of(response, &[401, 503]),
        }
    }

    /// What the reference says at the end, when keys may have come and time has passed.
    fn judge_again(
        &self,
        state: &State,
        host: usize,
        seen: &Seen,
        token: &Token,
    ) -> Option<Result<(), Broken>> {
        let now = self.now();
        if now == seen.arrived {
            return token.known;
        }
        let issuer = token.issuer?;
        let watch = state.keys.get(&(host, issuer))?;
        let moment = self.moment(Host::Protected(host));
        let keys = watch.usable(moment, self.0.settings.max_stale)?;
        let unix = self.0.clocks[&Host::Protected(host)].unix();
        Some(self.reference(&token.text, issuer, unix, &keys))
    }

    fn public_answer(
        &self,
        state: &mut State,
        host: usize,
        id: Id,
        seen: &Seen,
        response: &Response,
    ) -> Verdict {
        let attempts = state.calls[host].of(id.number);
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            return Ok(());
        }
        is_one_of(response, &[200, 502, 503, 504])?;
        if response.headers().contains_key(header::WWW_AUTHENTICATE) {
            return Err("answers: protected-data's challenge is passed on".into());
        }
        if response.status() == StatusCode::OK {
            return match &response.body()[..] == PUBLIC_BODY {
                true => Ok(()),
                false => Err("answers: 200 with another body".into()),
            };
        }
        let now = self.now();
        let calm = |to: Host, path: &str, before: u64| {
            let from = seen.arrived.saturating_sub(Duration::from_secs(before));
            self.0.faults.calm((id.to, to), path, (from, now))
        };
        let has_no_failure = state.tokens[host].failures == 0;
        let gets_tokens = has_no_failure && calm(Host::Idp(Issuer::A), TOKEN_PATH, 4);
        let reaches =
            (0..PAIRS).all(|protected| calm(Host::Protected(protected), PROTECTED_PATH, 0));
        let status = response.status();
        match attempts.ended.last() {
            Some(Some(StatusCode::OK)) if reaches => Err(format!(
                "refused: protected-data said 200, public-data {status}"
            )),
            Some(_) if attempts.must_repeat && attempts.tokens.len() == 1 && gets_tokens => {
                Err("refused: no second try with another token".into())
            }
            None if attempts.tokens.is_empty() && seen.had_token => {
                Err("refused: not even tried, although there was a token".into())
            }
            None if attempts.tokens.is_empty() && gets_tokens => {
                Err("refused: no token, although the issuer gives some".into())
            }
            _ => Ok(()),
        }
    }

    /// Whether a request has been worked on for too long.
    pub(super) fn nothing_is_overdue(&self, state: &State, host: Host, now: Duration) -> Verdict {
        let mut seen = state.seen.iter().filter(|(id, _)| id.to == host);
        seen.try_for_each(|(id, seen)| {
            in_time(host, &seen.path, now - seen.arrived).map_err(|late| format!("{late} ({id:?})"))
        })
    }

    /// The caller has gone, and with it the request.
    pub(crate) fn forget(&self, id: Id) {
        let mut state = self.state();
        if let (Host::Public(host), Some(_)) = (id.to, state.seen.remove(&id)) {
            state.calls[host].of(id.number);
        }
    }
}

/// The token, if there is one header and nothing else that could be one.
fn bearer(request: &Request) -> Option<String> {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else {
        return None;
    };
    Some(value.strip_prefix("Bearer ")?.to_owned())
}

fn same(one: &[Key], other: &[Key]) -> bool {
    let kids = |keys: &[Key]| keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
    kids(one) == kids(other)
}

fn in_time(host: Host, path: &str, took: Duration) -> Verdict {
    let deadline = match (host, path) {
        (Host::Public(_), PUBLIC_PATH) => PUBLIC_DEADLINE,
        (Host::Protected(_), PROTECTED_PATH) => PROTECTED_DEADLINE,
        _ => Duration::ZERO,
    };
    match took <= deadline + SLACK {
        true => Ok(()),
        false => Err(format!("deadlines: {path} took {took:?}")),
    }
}

fn is_one_of(response: &Response, allowed: &[u16]) -> Verdict {
    let status = response.status().as_u16();
    match allowed.contains(&status) {
        true => Ok(()),
        false => Err(format!("answers: {status} is none of {allowed:?}")),
    }
}
