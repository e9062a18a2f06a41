//! The details of an explanation, in words that are fit for a log.

use idp_http::{calendar, printable, span};

use super::wording::{listed, named, near_miss, quoted, seconds, shortened};
use super::{Check, CheckOutcome};
use crate::algorithm::Algorithm;
use crate::claims::is_scope_token;
use crate::history::KeyHistory;
use crate::json::{self, Item};
use crate::key_set::{KeySet, Selected};
use crate::policy::{Policy, TokenKind};
use crate::required::ClaimValue;

/// What is known about a token that was decided on.
pub(super) struct Facts<'t> {
    pub(super) token: &'t str,
    pub(super) now: i64,
    pub(super) policy: &'t Policy,
    pub(super) header: Members<'t>,
    pub(super) payload: Members<'t>,
    pub(super) keys: Option<&'t KeySet>,
    /// What the keys hold for the token.
    pub(super) selected: Option<Selected<'t>>,
    pub(super) issuers: &'t [&'t str],
    pub(super) history: Option<KeyHistory>,
}

/// The members of an object that are worth quoting.
pub(super) type Members<'t> = Vec<(String, Item<'t>)>;

/// Parameters that make a header unacceptable by being there.
const REFUSED_PARAMETERS: [&str; 5] = ["crit", "jwk", "b64", "zip", "enc"];

impl Facts<'_> {
    /// Tells what became of a check when `failed` is the one that gave the reason.
    pub(super) fn outcome(&self, check: Check, failed: Option<Check>) -> CheckOutcome {
        let Some(failed) = failed else {
            return CheckOutcome::Passed;
        };
        // Without a key the claims are looked at all the same: a token that no key could save must
        // not cost the issuer a request.
        let has_no_key = failed > Check::Key && matches!(self.selected, Some(Selected::Absent));
        if check == failed || (check == Check::Key && has_no_key) {
            CheckOutcome::Failed
        } else if check > failed || (check == Check::Signature && has_no_key) {
            CheckOutcome::NotReached
        } else {
            CheckOutcome::Passed
        }
    }

    pub(super) fn detail(&self, check: Check, failed: bool) -> Option<String> {
        match check {
            Check::Clock => Some(match calendar(self.now) {
                Some(date) => format!("ours shows {date}"),
                None => "ours shows no date from 1970 to 9999".to_owned(),
            }),
            Check::Size => {
                let max = self.policy.longest_token();
                Some(format!("{} bytes of {max}", self.token.len()))
            }
            Check::Segments => Some(format!(
                "{} parts",
                self.token.bytes().filter(|byte| *byte == b'.').count() + 1
            )),
            Check::Extensions => failed.then(|| self.refused_parameters()),
            Check::Algorithm => {
                let allowed = failed.then(|| {
                    let allowed = Algorithm::ALL
                        .iter()
                        .filter(|algorithm| self.policy.algorithms.contains(**algorithm))
                        .map(|algorithm| algorithm.as_str());
                    format!(", allowed are {}", allowed.collect::<Vec<_>>().join(" "))
                });
                let alg = shown(find(&self.header, "alg"));
                Some(format!("{alg}{}", allowed.unwrap_or_default()))
            }
            Check::Type => Some(self.type_detail(failed)),
            Check::KeyId => Some(shown(find(&self.header, "kid"))),
            Check::Issuer => Some(self.issuer_detail(failed)),
            Check::Keys => self.keys_detail(failed),
            Check::Key => self.key_detail(failed),
            Check::Dates if failed => {
                let dates = ["exp", "nbf", "iat"].map(|name| self.claim(name));
                Some(dates.join(", "))
            }
            Check::Expiry => self.date("exp").map(|exp| self.expiry_detail(exp)),
            Check::NotBefore => self.future_detail("nbf", failed),
            Check::IssuedAt => self.future_detail("iat", failed),
            Check::Lifetime => self.lifetime_detail(),
            Check::Audience => Some(self.audience_detail(failed)),
            Check::ClaimTypes if failed => {
                let claims = ["sub", "client_id", "jti"].map(|name| self.claim(name));
                Some(format!("{}, {}", claims.join(", "), self.scope_detail()))
            }
            Check::ClaimTypes => Some(self.scope_detail()),
            Check::Binding if failed => Some("the claim cnf is there".to_owned()),
            Check::Rfc9068 if self.policy.kind == TokenKind::Access => {
                Some("not asked for".to_owned())
            }
            Check::Client if !self.policy.clients_only => Some("not asked for".to_owned()),
            Check::Client => Some(["sub", "client_id"].map(|name| self.claim(name)).join(", ")),
            Check::IssuerClaims => self.required_detail(failed),
            Check::Revocation => Some("not asked for".to_owned()),
            Check::HeaderEncoding
            | Check::Header
            | Check::PayloadEncoding
            | Check::Payload
            | Check::SignatureForm
            | Check::Signature
            | Check::Dates
            | Check::Binding
            | Check::Rfc9068 => None,
        }
    }

    fn refused_parameters(&self) -> String {
        let present = REFUSED_PARAMETERS
            .iter()
            .filter(|name| find(&self.header, name).is_some());
        let present: Vec<&str> = present.copied().collect();
        format!("the header has {}", present.join(" "))
    }

    fn type_detail(&self, failed: bool) -> String {
        let typ = shown(find(&self.header, "typ"));
        if !failed {
            return typ;
        }
        let allowed = match self.policy.kind {
            TokenKind::Access => "are at+jwt, JWT, JOSE and none",
            TokenKind::Rfc9068 => "is at+jwt",
            TokenKind::Id => "are JWT and none",
            TokenKind::Logout => "are logout+jwt, JWT and none",
        };
        format!("{typ}, allowed {allowed}")
    }

    fn issuer_detail(&self, failed: bool) -> String {
        let Some(Item::Text(issuer)) = find(&self.payload, "iss") else {
            return shown(find(&self.payload, "iss"));
        };
        let ours = || self.issuers.iter().copied();
        match (failed, near_miss(issuer, ours())) {
            (false, _) => quoted(issuer),
            (true, Some(near)) => format!("{}, {near}", quoted(issuer)),
            (true, None) if self.issuers.is_empty() => quoted(issuer),
            (true, None) => format!("{}, known are {}", quoted(issuer), listed(ours())),
        }
    }

    fn keys_detail(&self, failed: bool) -> Option<String> {
        let confirmed = self
            .history
            .as_ref()
            .map(|history| match history.confirmed {
                None => "never fetched".to_owned(),
                Some(age) => format!("confirmed {} ago", seconds(age)),
            });
        match self.keys {
            Some(keys) if !failed => {
                let confirmed = confirmed
                    .map(|text| format!(", {text}"))
                    .unwrap_or_default();
                Some(format!("{} usable{confirmed}", keys.len()))
            }
            _ => confirmed,
        }
    }

    fn key_detail(&self, failed: bool) -> Option<String> {
        let history = self.history.as_ref();
        if !failed {
            let key = match &self.selected {
                Some(Selected::Key(key)) => key,
                Some(Selected::AnyOf(keys)) => {
                    let tried: Vec<String> = keys.iter().map(|key| named(&key.identity)).collect();
                    return Some(format!(
                        "the token names none, tried are {}",
                        shortened(&tried)
                    ));
                }
                _ => return None,
            };
            let since = history.and_then(|history| {
                let mut known = history.current.iter();
                let (_, age) = known.find(|(known, _)| **known == *key.identity)?;
                Some(format!(", known for {}", seconds(*age)))
            });
            return Some(format!(
                "{}{}",
                named(&key.identity),
                since.unwrap_or_default()
            ));
        }
        let keys = self.keys?;
        let published: Vec<String> = keys.identities().map(|key| named(key)).collect();
        let mut detail = format!("published are {}", shortened(&published));
        let kid = find(&self.header, "kid").and_then(Item::as_text);
        if let Some(kid) = kid {
            for skipped in keys.skipped() {
                if skipped.kid.as_deref() == Some(kid) {
                    detail = format!(
                        "{detail}; this one is published and not used: {}",
                        skipped.reason
                    );
                }
            }
            let withdrawn = history.and_then(|history| {
                let mut withdrawn = history.withdrawn.iter().rev();
                withdrawn.find(|(key, _)| key.kid.as_deref() == Some(kid))
            });
            if let Some((_, age)) = withdrawn {
                detail = format!("{detail}; this one was withdrawn {} ago", seconds(*age));
            }
        }
        if let Some(age) = history.and_then(|history| history.confirmed) {
            detail = format!("{detail}; as of {} ago", seconds(age));
        }
        Some(detail)
    }

    fn expiry_detail(&self, exp: i64) -> String {
        let leeway = self.policy.leeway_s();
        if exp > self.now {
            format!("in {}", span(exp.saturating_sub(self.now)))
        } else {
            format!(
                "{} ago by our clock, leeway {}",
                span(self.now.saturating_sub(exp)),
                span(leeway)
            )
        }
    }

    fn future_detail(&self, name: &str, failed: bool) -> Option<String> {
        let ahead = self.date(name)?.saturating_sub(self.now);
        let leeway = self.policy.leeway_s();
        if ahead <= 0 && !failed {
            return Some(format!("{} ago", span(ahead.saturating_neg())));
        }
        let ahead_of_us = format!(
            "{} ahead of our clock, leeway {}",
            span(ahead),
            span(leeway)
        );
        let off = span(ahead.saturating_sub(leeway));
        Some(if failed {
            format!("{ahead_of_us}: ours is slow or the issuer's fast by at least {off}")
        } else {
            ahead_of_us
        })
    }

    fn lifetime_detail(&self) -> Option<String> {
        let (exp, allowed) = (self.date("exp")?, span(self.policy.max_lifetime));
        Some(match self.date("iat") {
            Some(iat) => format!("{} of {allowed}", span(exp.saturating_sub(iat))),
            None => format!(
                "{} from now of {allowed}",
                span(exp.saturating_sub(self.now))
            ),
        })
    }

    fn audience_detail(&self, failed: bool) -> String {
        let name = self.policy.audience_claim.as_deref().unwrap_or("aud");
        let theirs: Vec<&str> = match find(&self.payload, name) {
            Some(Item::Text(audience)) => vec![audience],
            Some(Item::Texts(audiences)) => audiences.iter().map(|one| &**one).collect(),
            other => return shown(other),
        };
        if self.policy.any_audience {
            return format!("{}, any will do", listed(theirs.into_iter()));
        }
        if !failed {
            return listed(theirs.into_iter());
        }
        let ours = || self.policy.audiences.iter().map(|one| &**one);
        let near = theirs
            .iter()
            .find_map(|audience| near_miss(audience, ours()));
        let near = near.map(|near| format!("; {near}")).unwrap_or_default();
        format!(
            "the token has {}, ours are {}{near}",
            listed(theirs.iter().copied()),
            listed(ours())
        )
    }

    /// Names the first claim that is not as the policy requires it.
    fn required_detail(&self, failed: bool) -> Option<String> {
        let mut required = self.policy.required_claims.iter();
        let missed = required
            .find(|claim| find(&self.payload, &claim.name).is_none_or(|item| !claim.accepts(item)));
        let claim = missed.filter(|_| failed)?;
        let accepted: Vec<String> = claim
            .accepted
            .iter()
            .map(|value| match value {
                ClaimValue::Text(text) => quoted(text),
                ClaimValue::Bool(value) => value.to_string(),
            })
            .collect();
        Some(format!(
            "{} is {}, required is {}",
            printable(&claim.name),
            shown(find(&self.payload, &claim.name)),
            shortened(&accepted)
        ))
    }

    fn scope_detail(&self) -> String {
        let name = printable(&self.policy.scope_claim);
        let item = find(&self.payload, &self.policy.scope_claim);
        let said = match item {
            Some(Item::Text(scope)) => quoted(scope),
            Some(Item::Texts(_)) if !self.policy.scope_array => {
                "an array, and only a string is allowed".to_owned()
            }
            Some(Item::Texts(scopes)) => match scopes.iter().find(|scope| !is_scope_token(scope)) {
                Some(scope) => format!("an array with {}, which is no scope", quoted(scope)),
                None => format!(
                    "an array of {}",
                    listed(scopes.iter().map(|scope| &**scope))
                ),
            },
            other => kind(other).to_owned(),
        };
        format!("{name} is {said}")
    }

    fn claim(&self, name: &str) -> String {
        format!("{name} is {}", kind(find(&self.payload, name)))
    }

    fn date(&self, name: &str) -> Option<i64> {
        match find(&self.payload, name)? {
            Item::Integer(seconds) => Some(*seconds),
            Item::Float(seconds) => Some(seconds.floor() as i64),
            _ => None,
        }
    }
}

pub(super) fn members(json: &[u8]) -> Members<'_> {
    let mut found = Vec::new();
    let result = json::members(json, |name, item| found.push((name.to_owned(), item)));
    if result.is_err() {
        found.clear();
    }
    found
}

fn find<'m, 't>(members: &'m [(String, Item<'t>)], name: &str) -> Option<&'m Item<'t>> {
    let mut members = members.iter();
    members
        .find(|(known, _)| known == name)
        .map(|(_, item)| item)
}

/// Returns a text in quotes, or the kind of value that is there instead.
fn shown(item: Option<&Item<'_>>) -> String {
    match item {
        Some(Item::Text(text)) => quoted(text),
        other => kind(other).to_owned(),
    }
}

fn kind(item: Option<&Item<'_>>) -> &'static str {
    match item {
        None => "absent",
        Some(Item::Text(text)) if text.is_empty() => "an empty string",
        Some(Item::Text(_)) => "a string",
        Some(Item::Integer(_) | Item::Huge | Item::Float(_)) => "a number",
        Some(Item::Texts(texts)) if texts.is_empty() => "an empty array",
        Some(Item::Texts(_)) => "an array of strings",
        Some(Item::Bool(true)) => "true",
        Some(Item::Bool(false)) => "false",
        Some(Item::Null) => "null",
        Some(Item::Other) => "neither a string nor a number",
    }
}
