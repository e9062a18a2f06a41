//! The primitives through which the threads of a slot meet. `slot.rs` takes them from here alone, so that
//! the crate `token-cache-schedules` can compile the same file against primitives whose schedules it
//! explores.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use arc_swap::ArcSwapOption;
pub(crate) use tokio::sync::{Notify, watch};
