//! `check` and the look at a single VF, over machines made of files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "functions around the tests fail as the tests do"
)]

mod container;
#[path = "../harness/mod.rs"]
mod harness;
mod host;
#[path = "../tree/mod.rs"]
mod tree;
mod vf;

use harness::{program, text};
use launcher_hook::check::facts::Given;
use launcher_hook::check::{Report, State, facts, judge};
use launcher_hook::given_nodes::GivenNodes;
use tree::Machine;

const FIRST: &str = "0000:01:10.0";

fn report(machine: &Machine, given: &[&str]) -> Report {
    report_with_nodes(machine, given, &[])
}

/// `nodes` are the nodes that the device plugin named for the first of the devices given.
fn report_with_nodes(machine: &Machine, given: &[&str], nodes: &[&str]) -> Report {
    let addresses = given.iter().map(|address| address.parse().unwrap()).collect();
    let nodes = given_nodes(given.iter().copied().zip(nodes.iter().copied()));
    judge::judge(&facts::look(&machine.roots(), &Given { addresses, nodes, guest: None }), None)
}

fn given_nodes<'a>(nodes: impl Iterator<Item = (&'a str, &'a str)>) -> GivenNodes {
    let info: serde_json::Map<_, _> = nodes
        .map(|(address, node)| {
            (address.to_owned(), serde_json::json!({"vfio": {"dev-mount": node, "mount": "/dev/vfio/vfio"}}))
        })
        .collect();
    let info = serde_json::Value::Object(info).to_string();
    GivenNodes::read(&[("PCIDEVICE_EXAMPLE_COM_VFS_INFO".to_owned(), info)])
}

/// What is not well, as `check: found`, and the remedies.
fn complaints(report: &Report, state: State) -> Vec<(String, String)> {
    report
        .findings
        .iter()
        .filter(|finding| finding.state == state)
        .map(|finding| {
            (format!("{}: {}", finding.check, finding.found), finding.remedy.clone().unwrap_or_default())
        })
        .collect()
}

#[test]
fn nothing_at_all_is_reported_and_not_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let output = program()
        .arg("check")
        .args(
            ["--sysfs", "--procfs", "--dev"]
                .into_iter()
                .flat_map(|option| [option.into(), folder.path().as_os_str().to_owned()]),
        )
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).ends_with("Not fit for VFIO: 4 things are missing.\n"), "{output:?}");
}

#[test]
fn the_table() {
    let machine = Machine::with_card();
    machine.driver(FIRST, Some("igbvf"));
    machine.remove("dev/vfio/15");
    let output = program().arg("check").args(machine.options()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let table = text(&output.stdout).replace(machine.root().to_str().unwrap(), "");
    insta::assert_snapshot!(table);
}

#[test]
fn the_json() {
    let machine = Machine::with_card();
    let output = harness::succeed(program().args(["check", "--output", "json"]).args(machine.options()));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["fit"], &json["place"]), (&true.into(), &"host".into()));
    assert_eq!(
        json["findings"][0],
        serde_json::json!({"check": "iommu", "state": "ok", "found": "on (dmar0), 2 groups"})
    );
}
