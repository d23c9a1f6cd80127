//! Every file of the fuzz corpora, through the functions that the fuzz targets call.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]
#![allow(unreachable_pub, missing_docs, reason = "the fuzz targets call these from another crate")]

#[path = "../../tests/fuzz/src/replay.rs"]
mod replay;
#[path = "../../tests/fuzz/src/launcher_hook.rs"]
mod targets;

use replay::replay;
use rstest::rstest;

const VMI: &str = include_str!("fixtures/vmi.json");
const DOMAIN: &str = include_str!("fixtures/domain.no-hostdev.xml");
const NETWORK_INFO: &str = include_str!("fixtures/network-info.json");

#[rstest]
#[case::domain_xml("domain_xml", targets::domain_xml)]
#[case::variables("variables", targets::variables)]
#[case::claim_metadata("claim_metadata", targets::claim_metadata)]
#[case::network_info("network_info", targets::network_info)]
fn corpora(#[case] target: &str, #[case] run: fn(&[u8])) {
    replay(target, run);
}
