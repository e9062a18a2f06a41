//! The published keys, and whether the fresh token's is among them.

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use idp_http::{IdpClient, Reply, printable};
use jwks_validator::{
    EntityTag, Fetched, KeySet, KeySetErrorKind, KeySource, SkipReason, SkippedKey, SourceError,
};
use url::Url;

use super::credentials::{Obtained, date};
use super::discovery::Endpoints;
use super::{Examination, Findings, Reach};
use crate::report::Finding;

const CHECK: &str = "keys";
/// As protected-data reads them.
const MAX_BODY: usize = 512 * 1024;
/// More would not be read.
const MAX_LISTED: usize = 8;

/// A key set with a usable key.
pub(crate) struct Published {
    pub(crate) keys: KeySet,
    body: Bytes,
    /// The reply's `Date`.
    pub(super) date: Option<SystemTime>,
    /// When the reply came, by our clock.
    pub(super) received: SystemTime,
}

/// Keys that were fetched before.
#[derive(Debug)]
pub(crate) struct Fixed(Bytes);

impl Published {
    pub(crate) fn source(&self) -> Fixed {
        Fixed(self.body.clone())
    }
}

#[async_trait]
impl KeySource for Fixed {
    async fn fetch(&self, _: Option<&EntityTag>) -> Result<Fetched, SourceError> {
        Ok(Fetched::keys(KeySet::from_jwks_json(&self.0)?))
    }
}

/// Why there are no usable keys.
pub(crate) struct KeysProblem {
    pub(crate) found: String,
    skipped: Vec<SkippedKey>,
}

impl From<String> for KeysProblem {
    fn from(found: String) -> Self {
        Self {
            found,
            skipped: Vec::new(),
        }
    }
}

/// Fetches a key set once.
pub(crate) async fn fetch(
    http: &IdpClient,
    url: &Url,
    clock: &dyn clock::Clock,
) -> Result<Published, KeysProblem> {
    let accept = HeaderValue::from_static("application/jwk-set+json, application/json");
    let headers = HeaderMap::from_iter([(ACCEPT, accept)]);
    let reply: Reply = http
        .get(url, headers, MAX_BODY)
        .await
        .map_err(|error| error.to_string())?;
    if reply.status != StatusCode::OK {
        return Err(format!("status {}", reply.status.as_u16()).into());
    }
    match KeySet::from_jwks_json(&reply.body) {
        Ok(keys) => Ok(Published {
            keys,
            date: date(&reply),
            received: clock.now(),
            body: reply.body,
        }),
        Err(error) => Err(KeysProblem {
            found: match error.kind() {
                KeySetErrorKind::NotJwks if reply.is_html() => "an HTML page".to_owned(),
                KeySetErrorKind::NoUsableKey => "there is no usable key in it".to_owned(),
                _ => error.to_string(),
            },
            skipped: error.skipped().to_vec(),
        }),
    }
}

impl Examination {
    pub(super) async fn keys(
        &self,
        reach: &Reach,
        endpoints: &Endpoints,
        obtained: Option<&Obtained>,
        findings: &mut Findings<'_>,
    ) -> Option<Published> {
        let published = self.published_keys(reach, endpoints, findings).await;
        let finding = match (&published, obtained) {
            (None, _) => Finding::not_checked(SIGNING, "there are no keys"),
            (_, None) => Finding::not_checked(SIGNING, "there is no token"),
            (Some(published), Some(obtained)) => self.signing_key(&published.keys, obtained),
        };
        findings.add(finding);
        published
    }

    async fn published_keys(
        &self,
        reach: &Reach,
        endpoints: &Endpoints,
        findings: &mut Findings<'_>,
    ) -> Option<Published> {
        let unknown = "their address is not known, see discovery";
        let url = match reach.endpoint(endpoints.keys.as_ref(), unknown) {
            Ok(url) => url,
            Err(why) => {
                findings.add(Finding::not_checked(CHECK, why));
                return None;
            }
        };
        match fetch(&self.http, url, &*self.clock).await {
            Ok(published) => {
                unusable(published.keys.skipped(), findings);
                let (count, other) = (published.keys.len(), others(published.keys.skipped()));
                let usable = listed(&published.keys);
                let found = format!("{count} usable at {url}: {usable}{other}");
                findings.add(Finding::passed(CHECK, found));
                Some(published)
            }
            Err(problem) => {
                let change = match self.origins.jwks_uri {
                    Some(variable) => format!("{variable} leads to no usable keys; correct it"),
                    None => {
                        let issuer = self.origins.issuer;
                        format!("the provider at {issuer} has to publish them; or set JWKS_URI")
                    }
                };
                let found = format!("{url}: {}", problem.found);
                findings.add(Finding::failed(CHECK, found, change));
                unusable(&problem.skipped, findings);
                None
            }
        }
    }

    fn signing_key(&self, keys: &KeySet, obtained: &Obtained) -> Finding {
        if obtained.unverified.header.is_none() {
            return Finding::not_checked(SIGNING, "the token is not a JWT");
        }
        let Some(kid) = obtained.unverified.kid() else {
            return Finding::not_checked(SIGNING, "the token names no key, see validation");
        };
        if let Some((_, algorithm)) = keys.usable().find(|(known, _)| *known == Some(kid)) {
            let kid = printable(kid);
            return Finding::passed(SIGNING, format!("\"{kid}\" ({algorithm}) is published"));
        }
        let mut usable = keys.usable();
        if let (Some((None, algorithm)), None) = (usable.next(), usable.next()) {
            let found = format!("the only key ({algorithm}) has no id, so it is meant by any");
            return Finding::passed(SIGNING, found);
        }
        let mut skipped = keys.skipped().iter();
        let reason = skipped.find(|key| key.kid.as_deref() == Some(kid));
        let how = match reason {
            Some(key) => format!("published and not usable ({})", key.reason),
            None => format!("not published; published are {}", listed(keys)),
        };
        let change = match self.origins.jwks_uri {
            Some(variable) => format!(
                "{variable} leads to the keys of another provider or an old copy: correct it, or take it \
                 out where discovery can find them"
            ),
            None => format!(
                "the provider at {} has to publish the key that it signs with; if it publishes it \
                 elsewhere, set JWKS_URI",
                self.origins.issuer
            ),
        };
        let kid = printable(kid);
        Finding::failed(
            SIGNING,
            format!("the token is signed with \"{kid}\", which is {how}"),
            change,
        )
    }
}

const SIGNING: &str = "signing key";

/// A key that is published for something else is as it should be; any other that is not usable may
/// surprise somebody.
fn is_for_others(reason: SkipReason) -> bool {
    matches!(reason, SkipReason::Use | SkipReason::Unsupported)
}

fn unusable(skipped: &[SkippedKey], findings: &mut Findings<'_>) {
    for key in skipped.iter().filter(|key| !is_for_others(key.reason)) {
        let name = match &key.kid {
            Some(kid) => format!("\"{kid}\""),
            None => format!("number {}", key.index + 1),
        };
        let finding = Finding::warning(CHECK, format!("{name} is not usable: {}", key.reason));
        findings.add(finding.change("correct or remove it at the provider"));
    }
}

fn others(skipped: &[SkippedKey]) -> String {
    let count = skipped
        .iter()
        .filter(|key| is_for_others(key.reason))
        .count();
    if count == 0 {
        return String::new();
    }
    format!("; {count} for other uses or of other kinds")
}

fn listed(keys: &KeySet) -> String {
    let names = keys.usable().map(|(kid, algorithm)| match kid {
        Some(kid) => format!("\"{}\" ({algorithm})", printable(kid)),
        None => format!("one without id ({algorithm})"),
    });
    let mut names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(MAX_LISTED);
    names.truncate(MAX_LISTED);
    let listed = names.join(", ");
    match more {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}
