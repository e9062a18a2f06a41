//! Seeds that once failed. They run first, always.

/// A seed, and what it showed. A change to what `plan` draws makes other scripts of all seeds: a defect
/// that must stay found deserves a test of its own as well.
pub(crate) const REGRESSIONS: &[(u64, &str)] = &[
    // In all of them the judge was wrong about when a fetch is followed by the next one.
    (
        282,
        "a fetch for an unknown key fails just before a retry is due",
    ),
    (447, "a retry fails when keys are about to become too old"),
    (
        1041,
        "a wall clock is stepped past the expiry of a token that is on its way",
    ),
];
