//! What the log says of the file that is kept filled for KubeVirt.

use std::fs::{self, File};
use std::path::Path;

use rstest::rstest;

use crate::harness::{Process, SOCKET, answers, program, wait_until};

/// A server that logs warnings only, into a file: empty is what it says at first.
#[rstest]
#[case::nothing_is_known_yet(|_: &Path| (), "")]
#[case::kubevirt_names_no_device(
    |source: &Path| fs::write(source, r#"{"interfaces":[{"network":"a"}]}"#).unwrap(),
    " WARN network-info: incomplete: "
)]
#[case::a_source_can_no_longer_be_read(
    |source: &Path| fs::create_dir(source).unwrap(),
    " WARN network-info: --network-info: cannot read "
)]
fn what_keeps_a_machine_from_starting_is_a_warning(#[case] change: fn(&Path), #[case] says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let _server = Process::start(
        program()
            .args(["serve", "--log-level", "warn", "--socket-dir"])
            .arg(folder.path())
            .arg("--network-info")
            .arg(path("source"))
            .arg("--fill-network-info")
            .arg(path("filled"))
            .stderr(File::create(path("log")).unwrap()),
    );
    wait_until("the socket answers", || answers(&path(SOCKET)));
    let log = || fs::read_to_string(path("log")).unwrap();
    assert_eq!(log(), "");
    change(&path("source"));
    wait_until("the log says it", || log().contains(says));
}
