//! Issuers that are not configured: a function admits them as tokens name them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use idp_http::{Outage, Supervisor};
use tokio::time::Instant;

use crate::budget::{AbsentNames, Bucket};
use crate::issuer::{Issuer, IssuerSettings};
use crate::reason::Reason;
use crate::source::IssuerKeys;

/// Decides on the name of an issuer that no key vouches for.
pub(crate) struct AdmissionPolicy {
    pub(crate) max: usize,
    pub(crate) admit: Box<Admit>,
}

type Admit = dyn Fn(&str) -> Option<IssuerKeys> + Send + Sync;

/// The issuers that the function has admitted, apart from the configured ones: whatever tokens name,
/// those keep their places.
pub(crate) struct AdmittedIssuers {
    policy: AdmissionPolicy,
    settings: IssuerSettings,
    table: ArcSwap<Table>,
    gate: Mutex<Gate>,
}

/// What readers see.
#[derive(Clone, Default)]
struct Table {
    ids: HashMap<Box<str>, usize>,
    issuers: BTreeMap<usize, Arc<Issuer>>,
}

/// What only those see who ask for an issuer that is not in the table.
struct Gate {
    /// Never used again, so that a cached token cannot come to mean another issuer.
    next_id: usize,
    refused: AbsentNames,
    bucket: Bucket,
    /// Which tokens that find no room are logged.
    full: Outage,
}

/// Admissions at once, and the time in which one more becomes possible. Each costs its issuer's host
/// up to four requests, and a function that admits too much must not turn the validator into a
/// source of requests to wherever tokens say.
const ADMISSIONS: u32 = 16;
const ADMISSION_REFILL: Duration = Duration::from_secs(1);
/// For so long the function is not asked again about a name that it refused.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// An issuer that no token has named for so long is not fetched any more, and has to be admitted again.
const IDLE_AFTER: Duration = Duration::from_secs(60 * 60);
/// What all admitted issuers are called in metrics.
const METRICS_LABEL: &str = "admitted";

impl AdmittedIssuers {
    /// Ids begin at `first_id`.
    pub(crate) fn new(policy: AdmissionPolicy, first_id: usize, settings: IssuerSettings) -> Self {
        Self {
            policy,
            settings,
            table: ArcSwap::default(),
            gate: Mutex::new(Gate {
                next_id: first_id,
                refused: AbsentNames::for_at_most(REFUSED_FOR),
                bucket: Bucket::new(ADMISSIONS, ADMISSION_REFILL, Instant::now()),
                full: Outage::settling(REFUSED_FOR),
            }),
        }
    }

    /// Returns an issuer that has been admitted and is not idle, for a token that names it.
    pub(crate) fn find(&self, name: &str) -> Option<(usize, Arc<Issuer>)> {
        let found = self.table.load().find(name)?;
        found.1.note_use().then_some(found)
    }

    pub(crate) fn get(&self, id: usize) -> Option<Arc<Issuer>> {
        let table = self.table.load();
        let issuer = Arc::clone(table.issuers.get(&id)?);
        issuer.note_use().then_some(issuer)
    }

    /// Returns all of them, the longest admitted first.
    pub(crate) fn all(&self) -> Vec<Arc<Issuer>> {
        let table = self.table.load();
        let issuers = table.issuers.values().map(Arc::clone);
        issuers.filter(|issuer| !issuer.is_idle()).collect()
    }

    /// Asks the function about a name. The refresher of an admitted issuer starts when its keys are needed.
    /// `check_token` fails where the token could not pass with any keys.
    pub(crate) fn admit(
        &self,
        name: &str,
        supervisor: &Supervisor,
        check_token: impl FnOnce() -> Result<(), Reason>,
    ) -> Result<(usize, Arc<Issuer>), Reason> {
        // Held while the function runs, so that it is asked once about a name. Tokens of known
        // issuers do not come by here.
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        let now = Instant::now();
        if gate.refused.contains(Some(name), now) {
            return Err(Reason::UnknownIssuer);
        }
        // The limit comes last: a token that would be refused anyway gets the same answer at any time.
        let Some(keys) = (self.policy.admit)(name) else {
            gate.refused.insert(Some(name), now);
            return Err(Reason::UnknownIssuer);
        };
        // A token that no key could save must not cause a fetch.
        check_token()?;
        if gate.bucket.is_empty(now) {
            return Err(Reason::IssuerLimit);
        }
        let mut table = Table::clone(&self.table.load());
        table.drop_idle();
        if table.issuers.len() >= self.policy.max && !table.make_room() {
            if let Some(left_out) = gate.full.failed("the limit of admitted issuers is reached") {
                tracing::warn!(
                    jwks.admitted_issuers = table.issuers.len(),
                    "the limit of admitted issuers is reached{left_out}"
                );
            }
            return Err(Reason::IssuerLimit);
        }
        gate.bucket.take(now);
        let _ = gate.full.succeeded();
        let id = gate.next_id;
        gate.next_id += 1;
        let settings = IssuerSettings {
            idle_after: Some(IDLE_AFTER),
            ..self.settings.clone()
        };
        let refresher = supervisor.task();
        let issuer = Issuer::new(name, METRICS_LABEL, keys, settings, refresher);
        let issuer = Arc::new(issuer);
        table.ids.insert(name.into(), id);
        table.issuers.insert(id, Arc::clone(&issuer));
        self.table.store(Arc::new(table));
        tracing::info!(
            jwks.issuer = idp_http::printable(name),
            "an issuer has been admitted"
        );
        Ok((id, issuer))
    }
}

impl Table {
    fn find(&self, name: &str) -> Option<(usize, Arc<Issuer>)> {
        let id = *self.ids.get(name)?;
        Some((id, Arc::clone(self.issuers.get(&id)?)))
    }

    fn drop_idle(&mut self) {
        let ids = &mut self.ids;
        self.issuers.retain(|_, issuer| {
            let is_idle = issuer.is_idle();
            if is_idle {
                issuer.refresher.end();
                ids.remove(&issuer.name);
            }
            !is_idle
        });
    }

    /// Drops the issuer that has gone without keys for longest. One that has had keys exists, and
    /// keeps its place.
    fn make_room(&mut self) -> bool {
        let mut admitted = self.issuers.iter();
        let Some((&id, dropped)) = admitted.find(|(_, issuer)| issuer.is_barren()) else {
            return false;
        };
        dropped.refresher.end();
        self.ids.remove(&dropped.name);
        self.issuers.remove(&id);
        true
    }
}

impl fmt::Debug for AdmissionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionPolicy")
            .field("max", &self.max)
            .finish_non_exhaustive()
    }
}
