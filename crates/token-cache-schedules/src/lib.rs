//! Explores the thread schedules of `token-cache`'s slots.
//!
//! A slot is where callers, rejections, shutdown and the refresher of one token request meet. Its
//! source file takes its synchronisation primitives from `crate::sync`; here that is a module of
//! stand-ins on [shuttle], which runs a test under thousands of thread schedules and reports a wait
//! that nobody ends as a deadlock. The file itself, and what it needs, is compiled a second time from
//! `token-cache`, so what is explored is what runs.
//!
//! It is a crate of its own so that neither shuttle nor the stand-ins reach a build of the cache. Atomics
//! are explored as if every access were sequentially consistent.
//!
//! A failing test prints its schedule; `SHUTTLE_RANDOM_SEED=n cargo test` explores other schedules than
//! the usual ones.
//!
//! [shuttle]: https://docs.rs/shuttle

#[cfg(test)]
#[expect(dead_code, reason = "the cache needs the rest")]
#[path = "../../token-cache/src/error.rs"]
pub mod error;
#[cfg(test)]
#[path = "../../token-cache/src/freshness.rs"]
pub mod freshness;
#[cfg(test)]
#[path = "../../token-cache/src/health.rs"]
pub mod health;
#[cfg(test)]
#[path = "../../token-cache/src/need.rs"]
pub mod need;
#[cfg(test)]
#[expect(dead_code, reason = "the cache needs the rest")]
#[path = "../../token-cache/src/policy.rs"]
pub mod policy;
#[cfg(test)]
#[path = "../../token-cache/src/request.rs"]
pub mod request;
#[cfg(test)]
#[expect(dead_code, reason = "the cache needs the rest")]
#[path = "../../token-cache/src/slot.rs"]
mod slot;
#[cfg(test)]
#[expect(dead_code, reason = "the cache needs the rest")]
#[path = "../../token-cache/src/token.rs"]
pub mod token;

#[cfg(test)]
mod sync;

#[cfg(test)]
mod refresher;
#[cfg(test)]
mod tests;
