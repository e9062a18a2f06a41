//! The HTTP side: the layer, what stands behind it, and the answers of RFC 6750.

mod authorization;
mod body;
mod challenge;
mod context;
#[cfg(feature = "axum")]
mod extract;
mod future;
mod grpc;
mod layer;
mod resource;
mod scopes;
mod token_from;

pub use body::GuardBody;
pub(crate) use challenge::Challenges;
pub use context::{RequestContext, TokenScheme};
#[cfg(feature = "axum")]
pub use extract::{FromClaims, Jwt};
pub use future::GuardFuture;
pub(crate) use grpc::is_grpc;
pub use layer::{JwtLayer, JwtService};
pub use resource::ProtectedResource;
pub use scopes::{RequireScopes, RequireScopesService};
pub use token_from::TokenFrom;
