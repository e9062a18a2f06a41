//! Settings that are missing or make no sense.

use std::time::Duration;

use jwks_validator::{
    Algorithm, BuildErrorKind, JwtLayer, JwtValidator, JwtValidatorBuilder, RequireScopes,
    TokenFrom,
};

use crate::fake_source::{FakeSource, Script, builder};
use crate::signer::{AUDIENCE, ISSUER};

#[test]
fn every_bad_setting_is_refused_by_its_kind() {
    let source = || FakeSource::new(Script::Hang);
    let good = || builder(&source());
    let none = || JwtValidator::builder();
    let cases: [(&str, JwtValidatorBuilder, BuildErrorKind); 22] = [
        (
            "no issuer",
            none().audience(AUDIENCE),
            BuildErrorKind::Issuer,
        ),
        (
            "empty issuer",
            good().issuer("", source()),
            BuildErrorKind::Issuer,
        ),
        (
            "issuer twice",
            good().issuer(ISSUER, source()),
            BuildErrorKind::RepeatedIssuer,
        ),
        (
            "no audience",
            none().issuer(ISSUER, source()),
            BuildErrorKind::Audience,
        ),
        (
            "empty audience",
            good().audience(""),
            BuildErrorKind::Audience,
        ),
        (
            "audience with a space",
            good().audience("https://a.example https://b.example"),
            BuildErrorKind::Audience,
        ),
        (
            "audience claim without a name",
            good().audience_claim(""),
            BuildErrorKind::AudienceClaim,
        ),
        (
            "audience claim that is the issuer",
            good().audience_claim("iss"),
            BuildErrorKind::AudienceClaim,
        ),
        (
            "audience claim that is the scopes'",
            good().scope_claim("scp").audience_claim("scp"),
            BuildErrorKind::AudienceClaim,
        ),
        (
            "required claim without a name",
            good().require_claim("", true),
            BuildErrorKind::RequiredClaim,
        ),
        (
            "required claim without a value",
            good().require_claim_in("role", Vec::<&str>::new()),
            BuildErrorKind::RequiredClaim,
        ),
        (
            "no token size",
            good().max_token_size(0),
            BuildErrorKind::MaxTokenSize,
        ),
        (
            "token size",
            good().max_token_size((32 << 10) + 1),
            BuildErrorKind::MaxTokenSize,
        ),
        (
            "audience and skip",
            good().dangerous_skip_audience(true),
            BuildErrorKind::Audience,
        ),
        (
            "no algorithm",
            good().algorithms([]),
            BuildErrorKind::Algorithms,
        ),
        (
            "leeway",
            good().leeway(Duration::from_secs(301)),
            BuildErrorKind::Leeway,
        ),
        (
            "lifetime",
            good().max_lifetime(Duration::ZERO),
            BuildErrorKind::MaxLifetime,
        ),
        (
            "scope claim without a name",
            good().scope_claim(""),
            BuildErrorKind::ScopeClaim,
        ),
        (
            "scope claim that is the audience",
            good().scope_claim("aud"),
            BuildErrorKind::ScopeClaim,
        ),
        (
            "stale",
            good().max_stale(Duration::from_millis(999)),
            BuildErrorKind::MaxStale,
        ),
        (
            "endless lifetime and stale",
            good().max_lifetime(Duration::MAX).max_stale(Duration::ZERO),
            BuildErrorKind::MaxStale,
        ),
        (
            "entries",
            good().verified_cache(usize::MAX),
            BuildErrorKind::VerifiedCache,
        ),
    ];
    for (name, builder, kind) in cases {
        assert_eq!(builder.build().unwrap_err().kind(), kind, "{name}");
    }
    assert!(good().leeway(Duration::from_secs(300)).build().is_ok());
    let skip = none()
        .issuer(ISSUER, source())
        .dangerous_skip_audience(true);
    assert!(skip.max_lifetime(Duration::MAX).build().is_ok());
}

/// G20
#[test]
fn realms_and_scopes_that_would_break_a_header_are_refused() {
    let layer = JwtLayer::new(builder(&FakeSource::new(Script::Hang)).build().unwrap());
    for realm in ["", "a\"b", "a\\b", "a\r\nb", "é"] {
        let error = layer.clone().realm(realm).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Realm, "{realm:?}");
    }
    for scope in ["", "a b", "a\"", "a\\", "a\n", "é"] {
        let error = RequireScopes::all([scope]).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::Scope, "{scope:?}");
    }
    assert!(RequireScopes::any(Vec::<String>::new()).is_err());
}

/// N53
#[test]
fn a_token_is_not_looked_for_under_what_is_no_name() {
    for name in ["", "a b", "a:b", "é", "Authorization", "cookie"] {
        let error = TokenFrom::header(name).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::TokenFrom, "{name:?}");
    }
    for name in ["", "a b", "a=b", "a;b", "é", "a\"b"] {
        let error = TokenFrom::cookie(name).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::TokenFrom, "{name:?}");
    }
}

#[test]
fn algorithms_are_parsed_in_their_exact_spelling() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    assert_eq!("Ed25519".parse(), Ok(Algorithm::EdDsa));
    for name in ["", "none", "HS256", "rs256", "RS256 ", "eddsa"] {
        assert!(name.parse::<Algorithm>().is_err(), "{name:?}");
    }
}
