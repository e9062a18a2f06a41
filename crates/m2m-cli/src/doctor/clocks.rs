//! Our clock against the provider's.

use std::time::{Duration, SystemTime};

use clock::unix_seconds;

use super::credentials::Obtained;
use super::keys::Published;
use super::{Examination, Findings};
use crate::report::Finding;

const CHECK: &str = "clock";
/// `Date` has whole seconds, and the answer was on its way for up to 3 s.
const NEGLIGIBLE_S: u64 = 5;

/// How the provider's time differs from ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skew {
    /// Positive when the provider is ahead.
    pub(super) provider_ahead_s: i64,
}

impl Skew {
    /// Returns what the provider's clock shows at our `now`.
    pub(super) fn at_provider(self, now: SystemTime) -> SystemTime {
        let by = Duration::from_secs(self.provider_ahead_s.unsigned_abs());
        let moved = if self.provider_ahead_s < 0 {
            now.checked_sub(by)
        } else {
            now.checked_add(by)
        };
        moved.unwrap_or(now)
    }
}

impl Examination {
    /// Returns the difference if it is too large.
    pub(super) fn clocks(
        &self,
        obtained: Option<&Obtained>,
        keys: Option<&Published>,
        findings: &mut Findings<'_>,
    ) -> Option<Skew> {
        let of_token = obtained.and_then(|obtained| Some((obtained.date?, obtained.received)));
        let of_keys = || keys.and_then(|keys| Some((keys.date?, keys.received)));
        let header = of_token
            .or_else(of_keys)
            .map(|(date, received)| unix_seconds(date).saturating_sub(unix_seconds(received)));
        let leeway_s = self.protected.leeway.as_secs();
        let issued = obtained.and_then(|obtained| dates(obtained, leeway_s));
        if obtained.is_none() && keys.is_none() {
            findings.add(Finding::not_checked(
                CHECK,
                "the provider gave no answer to compare with",
            ));
            return None;
        }
        let (finding, skew) = judge(header, issued, leeway_s);
        findings.add(finding);
        skew
    }
}

/// Returns how far the dates of a fresh token are ahead of our clock.
fn dates(obtained: &Obtained, leeway_s: u64) -> Option<i64> {
    let tolerated_s = i64::try_from(tolerated_s(leeway_s)).unwrap_or(i64::MAX);
    let received = unix_seconds(obtained.received);
    let date = |name| obtained.unverified.date(name);
    let ahead = date("iat").max(date("nbf"))?.saturating_sub(received);
    if ahead >= -tolerated_s {
        return Some(ahead);
    }
    // Some providers date tokens back on purpose (Entra by 5 min), and some hand out older ones: then
    // the expiry is where `expires_in` says, and it is no matter of clocks.
    let promised = obtained.issued.lifetime().unwrap_or_default().as_secs();
    let promised = i64::try_from(promised).unwrap_or(i64::MAX);
    let short_by = date("exp")?
        .saturating_sub(received)
        .saturating_sub(promised);
    Some(if short_by < -tolerated_s {
        ahead.max(short_by)
    } else {
        0
    })
}

/// What protected-data forgives, or what cannot be told apart.
fn tolerated_s(leeway_s: u64) -> u64 {
    leeway_s.max(NEGLIGIBLE_S)
}

/// `header` and `issued` are how far the `Date` header and the fresh token's `iat` or `nbf` are ahead
/// of our clock.
fn judge(header: Option<i64>, issued: Option<i64>, leeway_s: u64) -> (Finding, Option<Skew>) {
    let tolerated_s = tolerated_s(leeway_s);
    let skewed = |ahead: i64, found: String, change: &str| {
        let skew = Skew {
            provider_ahead_s: ahead,
        };
        let change = format!("{change}; protected-data forgives {leeway_s} s (LEEWAY)");
        (Finding::failed(CHECK, found, change), Some(skew))
    };
    match (header, issued) {
        (Some(header), _) if header.unsigned_abs() > tolerated_s => {
            let way = if header < 0 { "ahead of" } else { "behind" };
            let off = header.unsigned_abs();
            skewed(
                header,
                format!("this machine's clock is {off} s {way} the provider's (its Date header)"),
                "set the clock of this machine (or the provider's, if that is the wrong one), and keep it \
                 with NTP",
            )
        }
        (_, Some(issued)) if issued.unsigned_abs() > tolerated_s => {
            let way = if issued < 0 { "behind" } else { "ahead of" };
            let off = issued.unsigned_abs();
            let header = match header {
                Some(_) => "although its Date header is right",
                None => "and it sends no Date header",
            };
            skewed(
                issued,
                format!("the fresh token's dates are {off} s {way} this machine's clock, {header}"),
                "set the clock of the provider's host that signs tokens, or this machine's",
            )
        }
        (Some(header), _) if header.unsigned_abs() > NEGLIGIBLE_S => {
            let off = header.unsigned_abs();
            let finding = Finding::warning(CHECK, format!("{off} s off the provider's"));
            (finding.change("keep this machine's clock with NTP"), None)
        }
        (Some(_), _) => {
            let found = "as the provider's, to a few seconds";
            (Finding::passed(CHECK, found), None)
        }
        (None, Some(_)) => {
            let found = "the fresh token's dates fit; the provider sends no Date header";
            (Finding::passed(CHECK, found), None)
        }
        (None, None) => {
            let found = "neither a Date header nor a date in a token to compare with";
            (Finding::not_checked(CHECK, found), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Status;

    #[test]
    fn a_clock_is_judged_by_the_leeway() {
        for (header, issued, status, word) in [
            (Some(0), Some(0), Status::Passed, "few seconds"),
            (Some(5), Some(5), Status::Passed, "few seconds"),
            (Some(-6), Some(0), Status::Warning, "6 s off"),
            (Some(60), Some(60), Status::Warning, "60 s off"),
            (
                Some(61),
                Some(61),
                Status::Failed,
                "61 s behind the provider's",
            ),
            (
                Some(-300),
                Some(-300),
                Status::Failed,
                "300 s ahead of the provider's",
            ),
            (
                Some(0),
                Some(300),
                Status::Failed,
                "300 s ahead of this machine's",
            ),
            (
                Some(0),
                Some(-300),
                Status::Failed,
                "300 s behind this machine's",
            ),
            (None, Some(300), Status::Failed, "no Date header"),
            (None, Some(3), Status::Passed, "no Date header"),
            (None, None, Status::NotChecked, "neither"),
            (
                Some(i64::MIN),
                Some(i64::MAX),
                Status::Failed,
                "ahead of the provider's",
            ),
        ] {
            let (finding, skew) = judge(header, issued, 60);
            assert_eq!(finding.status, status, "{header:?} {issued:?}");
            assert!(finding.found.contains(word), "{}", finding.found);
            assert_eq!(skew.is_some(), status == Status::Failed);
        }
    }

    /// N79
    #[test]
    fn the_leeway_is_the_configured_one_and_named() {
        for (leeway_s, off, status) in [
            (300, 300, Status::Warning),
            (300, -301, Status::Failed),
            (10, 11, Status::Failed),
            // What a date in seconds cannot tell is no fault of a clock.
            (0, 5, Status::Passed),
            (0, 6, Status::Failed),
        ] {
            for (header, issued) in [(Some(off), None), (Some(off), Some(off))] {
                let (finding, skew) = judge(header, issued, leeway_s);
                assert_eq!(finding.status, status, "{leeway_s} {off}");
                assert_eq!(skew.is_some(), status == Status::Failed);
                if status == Status::Failed {
                    let named = format!("protected-data forgives {leeway_s} s (LEEWAY)");
                    assert!(finding.change.unwrap().ends_with(&named), "{leeway_s}");
                }
            }
        }
    }

    #[test]
    fn the_providers_time_is_ours_and_the_difference() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        for (ahead, expected) in [(300, 1_300), (-300, 700), (i64::MAX, 1_000)] {
            let skew = Skew {
                provider_ahead_s: ahead,
            };
            let shown = skew.at_provider(now).duration_since(SystemTime::UNIX_EPOCH);
            assert_eq!(shown.unwrap().as_secs(), expected, "{ahead}");
        }
    }
}
