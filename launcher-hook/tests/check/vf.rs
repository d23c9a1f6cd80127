//! Whether one VF can be given to a virtual machine.

use std::io::ErrorKind;

use launcher_hook::check::State;
use launcher_hook::given_nodes::GivenNodes;
use launcher_hook::verify::{NotUsable, verify};
use rstest::rstest;

use super::tree::Machine;
use super::{FIRST, report};

pub(crate) fn not_usable(machine: &Machine) -> NotUsable {
    verify(&machine.roots(), &GivenNodes::default(), None, FIRST.parse().unwrap()).unwrap_err()
}

/// The kernel says it by a folder; older kernels only by the driver's name.
#[rstest]
#[case::with_its_folder("acme_passthrough", true)]
#[case::by_its_name("acme_vfio_pci", false)]
#[case::by_its_name_with_dashes("acme-vfio-pci", false)]
fn a_vf_on_its_vendors_vfio_driver_is_well(#[case] driver: &str, #[case] folder: bool) {
    let machine = Machine::with_card();
    machine.driver(FIRST, Some(driver));
    if folder {
        machine.write(&format!("sys/bus/pci/devices/{FIRST}/vfio-dev/vfio0/dev"), "511:0\n");
    }
    let report = report(&machine, &[]);
    assert!(report.findings.iter().all(|finding| finding.state == State::Ok), "{report:?}");
    let found = format!("{FIRST}: {driver} (a VFIO driver of its vendor)");
    assert!(report.findings.iter().any(|finding| finding.found == found), "{report:?}");
    assert_eq!(verify(&machine.roots(), &GivenNodes::default(), None, FIRST.parse().unwrap()), Ok(()));
}

#[test]
fn a_vf_that_can_be_used() {
    let machine = Machine::with_card();
    assert_eq!(verify(&machine.roots(), &GivenNodes::default(), None, FIRST.parse().unwrap()), Ok(()));
}

/// The device plugin shows `noiommu-N` to containers as `N`.
#[rstest]
#[case::on_the_host("noiommu-14")]
#[case::in_a_container("14")]
fn a_vf_without_an_iommu_can_be_used(#[case] node: &str) {
    let machine = Machine::with_card();
    machine.write("sys/kernel/iommu_groups/14/name", "vfio-noiommu\n");
    machine.remove("dev/vfio/14");
    let error = not_usable(&machine);
    assert!(matches!(&error, NotUsable::Node { node, .. } if node.ends_with("noiommu-14")), "{error}");
    machine.write(&format!("dev/vfio/{node}"), "");
    assert_eq!(verify(&machine.roots(), &GivenNodes::default(), None, FIRST.parse().unwrap()), Ok(()));
}

#[rstest]
#[case::missing(|machine: &Machine| machine.remove("sys/bus/pci/devices/0000:01:10.0"), "VF 0000:01:10.0 does not exist (")]
#[case::other_driver(|machine: &Machine| machine.driver(FIRST, Some("igbvf")), "VF 0000:01:10.0 is bound to igbvf, not to vfio-pci or another VFIO driver: on the node, echo vfio-pci > /sys/bus/pci/devices/0000:01:10.0/driver_override")]
#[case::no_driver(|machine: &Machine| machine.driver(FIRST, None), "VF 0000:01:10.0 is bound to no driver, not to vfio-pci")]
#[case::no_group(|machine: &Machine| machine.remove("sys/bus/pci/devices/0000:01:10.0/iommu_group"), "VF 0000:01:10.0 is in no IOMMU group: enable the IOMMU")]
#[case::no_container_node(|machine: &Machine| machine.remove("dev/vfio/vfio"), "/dev/vfio/vfio: the device node does not exist")]
#[case::no_group_node(|machine: &Machine| machine.remove("dev/vfio/14"), "/dev/vfio/14: the device node does not exist")]
fn a_vf_that_cannot_be_used(#[case] change: fn(&Machine), #[case] message: &str) {
    let machine = Machine::with_card();
    change(&machine);
    let shown = not_usable(&machine).to_string();
    assert!(shown.contains(message), "{shown}");
}

#[test]
fn a_node_that_cannot_be_opened_says_what_the_kernel_says() {
    let machine = Machine::with_card();
    machine.remove("dev/vfio/14");
    machine.write("dev/vfio/14/file", "");
    let error = not_usable(&machine);
    assert!(matches!(error, NotUsable::Node { kind: ErrorKind::IsADirectory, .. }), "{error}");
}
