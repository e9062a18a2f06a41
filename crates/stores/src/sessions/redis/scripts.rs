//! What the server runs: each script is one step, and nobody comes between.
//!
//! A row is a hash that expires when its session does. An index is a sorted set of keys by the time that their rows
//! end, which expires with the last of them; what has ended goes out of it with the next that comes in or looks.

/// The fields of a row, in the order in which they are read.
pub(super) const FIELDS: &[&str] = &[
    "version", "body", "subject", "tenant", "session", "idle", "ends", "owner", "lease",
];

macro_rules! script {
    ($($part:literal),+) => {
        concat!(include_str!("common.lua"), $(include_str!($part)),+)
    };
}

pub(super) const CREATE: &str = script!("create.lua");
pub(super) const REPLACE: &str = script!("replace.lua");
pub(super) const CLAIM: &str = script!("claim.lua");
pub(super) const TOUCH: &str = script!("touch.lua");
pub(super) const REMOVE: &str = script!("remove.lua");
pub(super) const FIND: &str = script!("find.lua");
pub(super) const MARK: &str = script!("mark.lua");
