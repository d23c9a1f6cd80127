#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::launcher_hook::claim_metadata(bytes));
