//! Seeds that once failed. They run first, always.

/// A seed, and what it showed. A change to what `plan` draws makes other scripts of all seeds: a defect
/// that must stay found deserves a test of its own as well.
pub(crate) const REGRESSIONS: &[(u64, &str)] = &[
    // The judge itself was wrong: a failed fetch does not put off one that is due a moment later.
    (
        282,
        "a fetch for an unknown key fails just before a retry is due",
    ),
];
