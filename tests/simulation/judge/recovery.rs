//! What holds at every moment: hosts are ready again soon after a fault, and nothing grows.

use std::time::Duration;

use super::{Judge, State};
use crate::faults::{Host, Issuer, JWKS_PATH, TOKEN_PATH};
use crate::hosts::issuers;

/// How a running host looks from inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) host: Host,
    pub(crate) started: Duration,
    /// Whether there is a token, or keys of each issuer.
    pub(crate) is_ready: [bool; 2],
    /// How many keys there are, at most, for one issuer.
    pub(crate) keys: usize,
}

/// A provider that is back is noticed within this.
const RECOVERY: Duration = Duration::from_secs(2);
/// For what an exchange takes besides the wait before it.
const SLACK: Duration = Duration::from_millis(250);
/// More keys than any document here has.
const MAX_KEYS: usize = 8;

impl Judge {
    /// Looks at a host that runs.
    pub(crate) fn look(&self, look: Look) {
        let now = self.now();
        let state = self.state();
        let verdict = match look.host {
            Host::Public(index) => self.public_is_well(&state, index, look, now),
            Host::Protected(index) => self.protected_is_well(&state, index, look, now),
            Host::Idp(_) | Host::Outside => Ok(()),
        };
        let verdict = verdict.and_then(|()| self.nothing_is_overdue(&state, look.host, now));
        drop(state);
        self.hold(look.host, verdict);
    }

    fn public_is_well(
        &self,
        state: &State,
        index: usize,
        look: Look,
        now: Duration,
    ) -> Result<(), String> {
        let watch = &state.tokens[index];
        if look.is_ready[0] || state.stepped[index].is_some() {
            return Ok(());
        }
        let pair = (look.host, Host::Idp(Issuer::A));
        let failed = watch.failed.map(|failed| failed.at + failed.longest);
        let since = look.started.max(state.troubled[index]);
        let since = since.max(watch.forced().unwrap_or_default());
        self.has_recovered(pair, TOKEN_PATH, since, failed, now)
    }

    fn protected_is_well(
        &self,
        state: &State,
        index: usize,
        look: Look,
        now: Duration,
    ) -> Result<(), String> {
        if look.keys > MAX_KEYS {
            return Err(format!("bounds: {} keys of one issuer", look.keys));
        }
        for (issuer, is_ready) in issuers(index).iter().zip(look.is_ready) {
            let Some(watch) = state.keys.get(&(index, *issuer)) else {
                continue;
            };
            if *issuer == Issuer::B && watch.failures > 0 {
                return Err("issuer B: a fetch of its keys failed".into());
            }
            if !is_ready {
                let pair = (look.host, Host::Idp(*issuer));
                let due = Some(watch.due_by);
                self.has_recovered(pair, JWKS_PATH, look.started, due, now)?;
            }
        }
        Ok(())
    }

    /// Called while a host is not ready: whether it has an excuse.
    fn has_recovered(
        &self,
        pair: (Host, Host),
        path: &str,
        since: Duration,
        retried_by: Option<Duration>,
        now: Duration,
    ) -> Result<(), String> {
        let Some(over) = self.0.faults.over(pair, path, now) else {
            return Ok(());
        };
        let by = (over.max(since) + RECOVERY).max(retried_by.unwrap_or_default() + SLACK);
        if now <= by || self.0.network.is_disturbed(pair.0, pair.1) {
            return Ok(());
        }
        Err(format!("recovery: not ready, but should be since {by:?}"))
    }
}
