//! Seeds that once failed. They run first, always.

/// A seed, and what it showed. A change to what `plan` draws makes other scripts of all seeds: a defect
/// that must stay found deserves a test of its own as well.
pub(crate) const REGRESSIONS: &[(u64, &str)] = &[
    // In these the judge was wrong about when a fetch is followed by the next one.
    (
        282,
        "a fetch for an unknown key fails just before a retry is due",
    ),
    (447, "a retry fails when keys are about to become too old"),
    (
        1041,
        "a wall clock is stepped past the expiry of a token that is on its way",
    ),
    // It looked at a host before the host had taken up what it had just got.
    (
        1505,
        "a delayed token comes after the fault that delayed it",
    ),
    // It did not know that a rejected token is kept while the one before it is accepted.
    (
        21,
        "a young token is rejected while the one before it is still accepted",
    ),
    (1114, "an answer that is torn counts as an acceptance"),
    (
        9636,
        "an accepted token expires by one clock and not by the other",
    ),
];
