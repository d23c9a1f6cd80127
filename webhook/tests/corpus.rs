//! Every file of the fuzz corpora, through the functions that the fuzz targets call.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by stopping there"
)]
#![allow(unreachable_pub, dead_code, missing_docs, reason = "the fuzz targets call these from another crate")]

#[path = "../../tests/fuzz/src/replay.rs"]
mod replay;
#[path = "../../tests/fuzz/src/webhook.rs"]
mod targets;

use replay::replay;
use rstest::rstest;

const NADS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/nads.yaml");

#[rstest]
#[case::network_annotation("network_annotation", targets::network_annotation)]
#[case::review("review", targets::review)]
#[case::nad_yaml("nad_yaml", targets::nad_yaml)]
fn corpora(#[case] target: &str, #[case] run: fn(&[u8])) {
    replay(target, run);
}
