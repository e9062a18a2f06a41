//! Nothing but the README's code, so that it is compiled with the tests.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
