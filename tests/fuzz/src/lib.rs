//! What each fuzz target calls.

pub mod launcher_hook;
pub mod webhook;

const NADS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../webhook/tests/fixtures/nads.yaml");
const VMI: &str = include_str!("../../../launcher-hook/tests/fixtures/vmi.json");
const DOMAIN: &str = include_str!("../../../launcher-hook/tests/fixtures/domain.no-hostdev.xml");
const NETWORK_INFO: &str = include_str!("../../../launcher-hook/tests/fixtures/network-info.json");
