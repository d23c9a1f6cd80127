//! Where `define` reads what it needs to know: what is wrong with a source, and what it does not say.
#![allow(clippy::unwrap_used, reason = "functions around the tests fail as the tests do")]

mod harness;

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::{BARE_DOMAIN, fail, program, succeed, text};
use rstest::rstest;

const ONE_NETWORK: &str = r#"{"kind":"VirtualMachineInstance","metadata":{"namespace":"ns"},"spec":{"domain":{"devices":{"interfaces":[{"name":"a","sriov":{}}]}},"networks":[{"name":"a","multus":{"networkName":"x"}}]}}"#;

/// One network, with the files of `files` in the folder in which the program runs.
fn define_in(folder: &Path, files: &[(&str, &str)], arguments: &[&str]) -> Command {
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    let mut command = program();
    command.current_dir(folder).args(["define", "--verify", "off", "--domain", BARE_DOMAIN]);
    command.args(["--network-info", "info", "--environ", "environ"]).args(arguments);
    command
}

/// A mistaken source is named, with what to do about it.
#[rstest]
#[case::output_of_ps(
    "107 1 /bin/launcher A=1 PCIDEVICE_A_B=0000:01:10.0",
    "",
    ONE_NETWORK,
    "--environ environ: no line of it"
)]
#[case::nothing(
    "",
    "",
    ONE_NETWORK,
    "Nothing was found in --environ environ (no PCIDEVICE_ variable), --network-info info (absent or empty)"
)]
#[case::empty_report("A=1", "{}", ONE_NETWORK, "--network-info info (no device)")]
#[case::virtual_machine(
    "PCIDEVICE_A_B=0000:01:10.0",
    "",
    r#"{"kind":"VirtualMachine"}"#,
    "it is a VirtualMachine; "
)]
fn what_says_nothing_is_named(
    #[case] environ: &str,
    #[case] network_info: &str,
    #[case] vmi: &str,
    #[case] message: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let files = [("environ", environ), ("info", network_info)];
    let said = fail(&mut define_in(folder.path(), &files, &["--vmi", vmi]));
    assert!(said.contains(message), "{said}");
}

/// Without --network-status nothing is proven, and nobody asked for a proof.
#[rstest]
#[case::unread(None, None)]
#[case::absent(Some(""), Some("whether Multus has attached a is not known: "))]
#[case::listed(Some(r#"[{"name":"ns/x","interface":"podca978112ca1"}]"#), None)]
#[case::not_listed(
    Some(r#"[{"name":"podnet","interface":"eth0","default":true}]"#),
    Some("Multus did not attach a: ")
)]
fn network_status_is_proof_if_it_is_read(#[case] status: Option<&str>, #[case] refusal: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut files = vec![("environ", "PCIDEVICE_A_B=0000:01:10.0")];
    files.extend(status.filter(|status| !status.is_empty()).map(|status| ("status", status)));
    let arguments = ["--vmi", ONE_NETWORK, "--network-status", "status"];
    let arguments = if status.is_some() { &arguments[..] } else { &arguments[..2] };
    let mut command = define_in(folder.path(), &files, arguments);
    match refusal {
        None => {
            let output = succeed(&mut command);
            let address = r#"<address domain="0x0000" bus="0x01" slot="0x10" function="0x0"/>"#;
            assert!(text(&output.stdout).contains(address), "{output:?}");
        }
        Some(refusal) => {
            let said = fail(&mut command);
            assert!(said.contains(refusal), "{said}");
        }
    }
}
