//! Stand-ins for what `token-cache`'s own `sync` module names.

mod arc_swap;
mod notify;
pub(crate) mod watch;

pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::arc_swap::ArcSwapOption;
pub(crate) use self::notify::Notify;
