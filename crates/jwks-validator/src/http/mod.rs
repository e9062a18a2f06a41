//! The HTTP side: the layer, what stands behind it, and the answers of RFC 6750.

mod authorization;
mod challenge;
mod context;
mod extract;
mod grpc;
mod layer;
mod resource;
mod scopes;
mod token_from;

pub(crate) use challenge::Challenges;
pub use context::{RequestContext, TokenScheme};
pub use extract::{FromClaims, Jwt};
pub(crate) use grpc::is_grpc;
pub use layer::{GuardFuture, JwtLayer, JwtService};
pub use resource::ProtectedResource;
pub use scopes::{RequireScopes, RequireScopesService};
pub use token_from::TokenFrom;
