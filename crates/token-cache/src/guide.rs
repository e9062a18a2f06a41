//! Pages to read; there is no code here.

#[doc = include_str!("guide/choosing_settings.md")]
pub mod choosing_settings {}

#[doc = include_str!("guide/metrics.md")]
pub mod metrics {}
