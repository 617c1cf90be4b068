//! Runs the target of this name on what the fuzzer makes up.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| esp_fuzzing::run("dtls_server", data));

#[cfg(not(fuzzing))]
fn main() {}
