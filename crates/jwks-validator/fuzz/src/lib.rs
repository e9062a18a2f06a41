//! The fuzz targets as functions of bytes. They panic where the crate breaks a promise.

#[path = "../../tests/it/reference.rs"]
mod reference;
#[expect(dead_code, reason = "the tests use the rest")]
mod targets;

macro_rules! entries {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("Runs the target `", stringify!($name), "`.")]
            pub fn $name(bytes: &[u8]) {
                targets::$name(bytes);
            }
        )*
    };
}

entries! { authorization compact discovery header jwks payload token_with_keys }
