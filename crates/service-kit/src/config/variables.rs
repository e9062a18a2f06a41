//! The names of all variables.

/// Every variable that a binary of this workspace reads.
///
/// The binaries share one `.env`, so each of them knows the names of all. `.env.example` explains
/// them, and a test compares it with this list.
pub const VARIABLES: [&str; 34] = [
    "ISSUER",
    "APPLICATION_VANITY_DOMAIN",
    "TOKEN_ENDPOINT",
    "JWKS_URI",
    "IDP_CA_FILE",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "CLIENT_SECRET_FILE",
    "CLIENT_AUTH_METHOD",
    "TOKEN_SCOPE",
    "TOKEN_AUDIENCE",
    "TOKEN_RESOURCE",
    "PUBLIC_DATA_ADDR",
    "PROTECTED_DATA_ADDR",
    "PUBLIC_DATA_ADMIN_ADDR",
    "PROTECTED_DATA_ADMIN_ADDR",
    "ADMIN_ALLOWED_HOSTS",
    "DEV_IDP_ADDR",
    "DEV_IDP_CONTROL_ADDR",
    "PROTECTED_DATA_URL",
    "API_AUDIENCE",
    "DANGEROUS_SKIP_AUDIENCE",
    "REQUIRED_SCOPES",
    "SCOPE_CLAIM",
    "ALLOW_SCOPE_ARRAY",
    "ALLOWED_ALGORITHMS",
    "MAX_TOKEN_LIFETIME",
    "TOKEN_CACHE_ENTRIES",
    "ALLOW_INSECURE_HTTP",
    "SHUTDOWN_GRACE",
    "LOG_FORMAT",
    "RUST_LOG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
];
