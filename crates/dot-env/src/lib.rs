//! The rules for `.env` that the services and `dev-idp` share: which file counts, and which of its lines dotenvy
//! would not take as written. The reading itself is dotenvy's.

mod dollars;
mod nearest;

pub use dollars::dollar_problems;
pub use nearest::Nearest;
