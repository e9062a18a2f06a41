#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jwks_validator_fuzz::token_with_keys(bytes));
