//! What the benchmarks share: ratios inside one run, a table, and the same as JSON and SVG.
//!
//! A figure in nanoseconds belongs to one machine on one day. A ratio of two things that took turns in one
//! run can be compared between machines, so that is what the tables are about.

pub mod plot;
mod ratio;
mod table;

pub use ratio::{allocations, median, now, ratio, repeats, turn};
pub use table::{Row, Table, folder};
