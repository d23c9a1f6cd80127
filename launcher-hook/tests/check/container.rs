//! What a container was given, and what happened to it since.

use launcher_hook::check::{Place, State};
use launcher_hook::verify::verify;
use rstest::rstest;

use super::harness::{fixture, program, text};
use super::tree::Machine;
use super::vf::not_usable;
use super::{FIRST, complaints, given_nodes, report, report_with_nodes};

#[test]
fn a_container_answers_for_what_it_was_given() {
    let machine = Machine::with_card();
    machine.container();
    // Another pod's VF: on another driver, and its node is not here.
    machine.driver("0000:01:10.2", Some("igbvf"));
    machine.remove("dev/vfio/15");
    let given = report(&machine, &[FIRST]);
    assert!(given.fit && given.place == Place::Container, "{given:?}");
    assert!(!given.findings.iter().any(|finding| finding.found.contains("0000:01:10.2")));

    machine.remove("dev/vfio/14");
    machine.memlock("65536", "65536");
    let given = report(&machine, &[FIRST, "0000:09:00.1"]);
    let missing = complaints(&given, State::Missing);
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert_eq!(missing[0].0, "vf: 0000:09:00.1: given to this container, and does not exist");
    assert!(missing[1].1.contains("limits of this container"), "{missing:?}");
    let warnings = complaints(&given, State::Warning);
    assert!(warnings[0].1.contains("virt-handler raises virtqemud's limit"), "{warnings:?}");
}

#[test]
fn a_container_that_was_given_nothing_needs_no_nodes() {
    let machine = Machine::with_card();
    machine.container();
    machine.remove("dev/vfio");
    assert!(report(&machine, &[]).fit);
}

#[test]
fn the_variables_tell_a_container_what_it_was_given() {
    let machine = Machine::with_card();
    machine.container();
    let output = program()
        .args(["check", "--environ"])
        .arg(fixture("compute.env"))
        .args(machine.options())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let table = text(&output.stdout);
    for address in ["0000:65:02.1", "0000:65:02.3"] {
        assert!(
            table.contains(&format!("VF {address} no longer exists, and the pod was given /dev/vfio/")),
            "{table}"
        );
    }
}

/// A resource may be called `…_info`; and a variable that is broken and names no devices keeps nothing back.
#[test]
fn what_counts_as_given_is_what_define_would_take() {
    let machine = Machine::with_card();
    machine.container();
    machine.write(
        "environ",
        "PCIDEVICE_A_C_INFO=0000:65:02.2\nPCIDEVICE_A_B_INFO={\"0000:65:02.4\":{}}\nSRIOV_NETWORK_RESOURCES=[]\n",
    );
    let output = program()
        .args(["check", "--environ"])
        .arg(machine.path("environ"))
        .args(machine.options())
        .output()
        .unwrap();
    let table = text(&output.stdout);
    assert!(table.contains("0000:65:02.2: given to this container, and does not exist"), "{output:?}");
    assert!(!table.contains("0000:65:02.4"), "{table}");
}

/// What happens to a pod's VF behind its back: `check` and the refusal of a start say the same.
#[rstest]
#[case::group_has_another_number(
    |machine: &Machine| {
        machine.remove("dev/vfio/14");
        machine.write("dev/vfio/9", "");
    },
    "/dev/vfio/9",
    "VF 0000:01:10.0 is in IOMMU group 14 now, and the pod was given /dev/vfio/9 (PCIDEVICE_EXAMPLE_COM_VFS_INFO): the node was restarted, and the group has another number",
    "delete the pod; a new one gets the right node"
)]
#[case::another_vf_has_the_old_number(
    |_: &Machine| {},
    "/dev/vfio/15",
    "VF 0000:01:10.0 is in IOMMU group 14 now, and the pod was given /dev/vfio/15",
    "delete the pod"
)]
#[case::vf_is_gone(
    |machine: &Machine| machine.remove("sys/bus/pci/devices/0000:01:10.0"),
    "/dev/vfio/14",
    "VF 0000:01:10.0 no longer exists, and the pod was given /dev/vfio/14",
    "delete the pod; a new one gets a VF that exists"
)]
#[case::vf_is_on_its_network_driver(
    |machine: &Machine| machine.driver(FIRST, Some("igbvf")),
    "/dev/vfio/14",
    "VF 0000:01:10.0 is on igbvf now, and the pod was given /dev/vfio/14",
    "/sys/bus/pci/drivers_probe; then delete the pod"
)]
#[case::vf_is_on_no_driver(
    |machine: &Machine| machine.driver(FIRST, None),
    "/dev/vfio/14",
    "VF 0000:01:10.0 is on no driver now",
    "then delete the pod"
)]
#[case::own_node_has_another_number(
    |machine: &Machine| machine.write("sys/bus/pci/devices/0000:01:10.0/vfio-dev/vfio4/dev", "511:4\n"),
    "/dev/vfio/devices/vfio1",
    "VF 0000:01:10.0 is /dev/vfio/devices/vfio4 now, and the pod was given /dev/vfio/devices/vfio1",
    "delete the pod"
)]
fn stale_devices(
    #[case] change: fn(&Machine),
    #[case] node: &str,
    #[case] found: &str,
    #[case] remedy: &str,
) {
    let machine = Machine::with_card();
    machine.container();
    change(&machine);
    let missing = complaints(&report_with_nodes(&machine, &[FIRST], &[node]), State::Missing);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].0.starts_with(&format!("stale: {found}")), "{missing:?}");
    assert!(missing[0].1.contains(remedy), "{missing:?}");

    let nodes = given_nodes([(FIRST, node)].into_iter());
    let refusal = verify(&machine.roots(), &nodes, None, FIRST.parse().unwrap()).unwrap_err().to_string();
    assert!(
        refusal.starts_with(found) && refusal.contains("The devices of this pod are stale: "),
        "{refusal}"
    );
    assert!(refusal.ends_with(&missing[0].1), "{refusal}");
}

#[rstest]
#[case::group("/dev/vfio/14")]
#[case::own_node("/dev/vfio/devices/vfio0")]
#[case::without_an_iommu("/dev/vfio/noiommu-14")]
#[case::of_an_unknown_form("/dev/something")]
fn devices_that_are_not_stale(#[case] node: &str) {
    let machine = Machine::with_card();
    machine.container();
    machine.write(&format!("sys/bus/pci/devices/{FIRST}/vfio-dev/vfio0/dev"), "511:0\n");
    let report = report_with_nodes(&machine, &[FIRST], &[node]);
    assert!(report.fit, "{report:?}");
}

/// Where no variable names the node, those that the pod has are a hint.
#[test]
fn a_node_of_another_group_may_be_stale() {
    let machine = Machine::with_card();
    machine.container();
    machine.remove("dev/vfio/14");
    let missing = complaints(&report(&machine, &[FIRST]), State::Missing);
    assert!(
        missing[0].1.starts_with(
            "if the node was restarted since the pod was created, delete the pod: it has /dev/vfio/15"
        ),
        "{missing:?}"
    );
    let refusal = not_usable(&machine).to_string();
    assert!(
        refusal.contains(
            "/dev/vfio has 15 instead: if the node was restarted since the pod was created, delete the pod"
        ),
        "{refusal}"
    );
}
