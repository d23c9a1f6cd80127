//! `check` and the look at a single VF, over machines made of files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "functions around the tests fail as the tests do"
)]

mod harness;
mod tree;

use std::io::ErrorKind;

use harness::{fixture, program, text};
use launcher_hook::check::facts::Given;
use launcher_hook::check::{Place, Report, State, facts, judge};
use launcher_hook::given_nodes::GivenNodes;
use launcher_hook::verify::{NotUsable, verify};
use rstest::rstest;
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

/// What a case is called, and how it changes a good machine.
type Case = (&'static str, fn(&Machine));

/// The one complaint of a case, with its remedy.
fn one(name: &str, machine: &Machine, complaints: &[(String, String)]) -> String {
    let [(found, remedy)] = complaints else { panic!("{name}: {complaints:?}") };
    let text = format!("{name}\n  {found}\n  -> {remedy}");
    text.replace(machine.root().to_str().unwrap(), "{root}")
}

#[test]
fn a_host_with_everything_is_fit() {
    let report = report(&Machine::with_card(), &[]);
    assert!(report.fit && report.place == Place::Host, "{report:?}");
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            assert_eq!((finding.state, &finding.remedy), (State::Ok, &None), "{finding:?}");
            format!("{}: {}", finding.check, finding.found)
        })
        .collect();
    assert_eq!(found[..2], ["iommu: on (dmar0), 2 groups", "vfio-pci: loaded"]);
    assert_eq!(found[2], "pf: 0000:01:00.0 (enp1s0): 2 of 7 VFs created");
    assert_eq!(found[3..5], ["vf: 0000:01:10.0: vfio-pci", "vf: 0000:01:10.2: vfio-pci"]);
    assert_eq!(found[5..7], ["group: 14: 0000:01:10.0 alone", "group: 15: 0000:01:10.2 alone"]);
    assert!(found[7..10].iter().all(|found| found.starts_with("node: ") && found.ends_with(": opens")));
    assert_eq!(
        found[10..],
        ["interrupts: unsafe ones are refused", "memlock: unlimited (hard limit: unlimited)"]
    );
}

/// A change to the good machine, and the one thing that is then missing with its remedy.
#[test]
fn what_is_missing_on_a_host() {
    let cases: &[Case] = &[
        ("iommu not asked for", |machine: &Machine| {
            machine.write("proc/cmdline", "ro quiet\n");
            machine.remove("sys/kernel");
        }),
        ("iommu off in the firmware", |machine: &Machine| machine.remove("sys/kernel")),
        ("iommu in a list of options", |machine: &Machine| {
            machine.write("proc/cmdline", "ro intel_iommu=sm_on,on\n");
            machine.remove("sys/kernel");
        }),
        ("iommu switched off", |machine: &Machine| {
            machine.write("proc/cmdline", "ro intel_iommu=on iommu=off\n");
            machine.remove("sys/kernel");
        }),
        ("intel iommu switched off", |machine: &Machine| {
            machine.write("proc/cmdline", "ro intel_iommu=off\n");
            machine.remove("sys/kernel");
        }),
        ("intel iommu switched off in a virtual machine with another processor", |machine: &Machine| {
            machine.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t: fpu hypervisor\n");
            machine.write("proc/cmdline", "intel_iommu=off\n");
            machine.remove("sys/kernel");
        }),
        ("iommu of another maker", |machine: &Machine| {
            machine.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
            machine.remove("sys/kernel");
        }),
        ("amd iommu switched off", |machine: &Machine| {
            machine.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
            machine.write("proc/cmdline", "amd_iommu=off\n");
            machine.remove("sys/kernel");
        }),
        ("iommu of an arm processor", |machine: &Machine| {
            machine.write("proc/cpuinfo", "CPU implementer\t: 0x41\n");
            machine.remove("sys/kernel");
        }),
        ("iommu of a virtual machine", |machine: &Machine| {
            machine.write("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor\n");
            machine.remove("sys/kernel");
        }),
        ("module", |machine: &Machine| machine.remove("sys/bus/pci/drivers/vfio-pci")),
        ("module that may not be loaded", |machine: &Machine| {
            machine.write("proc/cmdline", "intel_iommu=on module_blacklist=vfio-pci\n");
            machine.remove("sys/bus/pci/drivers/vfio-pci");
        }),
        ("no card", |machine: &Machine| machine.remove("sys/bus/pci/devices/0000:01:00.0/sriov_totalvfs")),
        ("another class of device", |machine: &Machine| {
            machine.write("sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n");
        }),
        ("no vfs", |machine: &Machine| machine.without_vfs()),
        ("pf on vfio pci", |machine: &Machine| {
            machine.without_vfs();
            machine.driver("0000:01:00.0", Some("vfio-pci"));
        }),
        ("pf on a uio driver", |machine: &Machine| {
            machine.without_vfs();
            machine.driver("0000:01:00.0", Some("uio_pci_generic"));
        }),
        ("pf without a driver", |machine: &Machine| {
            machine.without_vfs();
            machine.driver("0000:01:00.0", None);
        }),
        ("pf on a driver that only creates vfs", |machine: &Machine| {
            machine.without_vfs();
            machine.driver("0000:01:00.0", Some("pci-pf-stub"));
        }),
        ("virtual machine with vfs on their network driver", |machine: &Machine| {
            machine.without_vfs();
            machine.remove("sys/bus/pci/devices/0000:01:00.0");
            machine.write("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor\n");
            machine.plain("0000:00:05.0", Some("mlx5_core"));
        }),
        ("group with a foreign driver", |machine: &Machine| {
            machine.physical("0000:01:00.1", 7, 2);
            machine.member("0000:01:00.1", 14);
        }),
        ("container node", |machine: &Machine| machine.remove("dev/vfio/vfio")),
        ("group node", |machine: &Machine| machine.remove("dev/vfio/15")),
        ("node of another kind", |machine: &Machine| {
            machine.remove("dev/vfio/15");
            machine.write("dev/vfio/15/file", "");
        }),
        ("interrupt remapping", |machine: &Machine| {
            machine.write("sys/class/iommu/dmar0/intel-iommu/ecap", "f02053\n");
        }),
        ("interrupt remapping switched off", |machine: &Machine| {
            machine.write("proc/cmdline", "intel_iommu=on intremap=nosid,off\n");
        }),
    ];
    let told = cases.iter().map(|(name, change)| {
        let machine = Machine::with_card();
        change(&machine);
        let report = report(&machine, &[]);
        assert!(!report.fit, "{name}: {report:?}");
        one(name, &machine, &complaints(&report, State::Missing))
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r"
    iommu not asked for
      iommu: off, and intel_iommu=on is not on the kernel command line
      -> add intel_iommu=on to the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig), enable VT-d (Intel Virtualization Technology for Directed I/O) in the firmware, restart
    iommu off in the firmware
      iommu: off, although intel_iommu=on is on the kernel command line
      -> enable VT-d (Intel Virtualization Technology for Directed I/O) in the firmware and restart
    iommu in a list of options
      iommu: off, although intel_iommu=sm_on,on is on the kernel command line
      -> enable VT-d (Intel Virtualization Technology for Directed I/O) in the firmware and restart
    iommu switched off
      iommu: off: iommu=off is on the kernel command line
      -> remove iommu=off from the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig) and restart
    intel iommu switched off
      iommu: off: intel_iommu=off is on the kernel command line
      -> replace intel_iommu=off with intel_iommu=on on the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig) and restart
    intel iommu switched off in a virtual machine with another processor
      iommu: off: intel_iommu=off is on the kernel command line
      -> replace intel_iommu=off with intel_iommu=on on the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig) and restart
    iommu of another maker
      iommu: off
      -> enable AMD-Vi (IOMMU, SVM) in the firmware and restart
    amd iommu switched off
      iommu: off: amd_iommu=off is on the kernel command line
      -> remove amd_iommu=off from the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig) and restart
    iommu of an arm processor
      iommu: off
      -> enable the IOMMU (SMMU) in the firmware and restart
    iommu of a virtual machine
      iommu: off, although intel_iommu=on is on the kernel command line
      -> give this virtual machine an IOMMU (libvirt: <iommu model='intel'>, with intel_iommu=on on its kernel command line, or 'virtio') and restart
    module
      vfio-pci: not loaded
      -> modprobe vfio-pci; to load it at every boot: echo vfio-pci > /etc/modules-load.d/vfio-pci.conf
    module that may not be loaded
      vfio-pci: not loaded: module_blacklist=vfio-pci is on the kernel command line
      -> remove module_blacklist=vfio-pci from the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig) and restart
    no card
      pf: no network card with SR-IOV
      -> use a card with SR-IOV and enable SR-IOV in the firmware; if it is present and not seen, try pci=realloc or pci=assign-busses on the kernel command line
    another class of device
      pf: no network card with SR-IOV
      -> use a card with SR-IOV and enable SR-IOV in the firmware; if it is present and not seen, try pci=realloc or pci=assign-busses on the kernel command line
    no vfs
      pf: 0000:01:00.0 (enp1s0): 0 of 7 VFs created
      -> echo NUMBER > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs (at most 7)
    pf on vfio pci
      pf: 0000:01:00.0 is bound to vfio-pci and cannot create VFs there
      -> bind it to its own network driver (i40e, ice, mlx5_core, ...) first: echo > /sys/bus/pci/devices/0000:01:00.0/driver_override; echo 0000:01:00.0 > /sys/bus/pci/devices/0000:01:00.0/driver/unbind; echo 0000:01:00.0 > /sys/bus/pci/drivers_probe; then create VFs
    pf on a uio driver
      pf: 0000:01:00.0 is bound to uio_pci_generic and cannot create VFs there
      -> bind it to its own network driver (i40e, ice, mlx5_core, ...) first: echo > /sys/bus/pci/devices/0000:01:00.0/driver_override; echo 0000:01:00.0 > /sys/bus/pci/devices/0000:01:00.0/driver/unbind; echo 0000:01:00.0 > /sys/bus/pci/drivers_probe; then create VFs
    pf without a driver
      pf: 0000:01:00.0 is bound to no driver and cannot create VFs there
      -> bind it to its own network driver (i40e, ice, mlx5_core, ...) first: echo > /sys/bus/pci/devices/0000:01:00.0/driver_override; echo 0000:01:00.0 > /sys/bus/pci/drivers_probe; then create VFs
    pf on a driver that only creates vfs
      pf: 0000:01:00.0 (enp1s0): 0 of 7 VFs created
      -> echo NUMBER > /sys/bus/pci/devices/0000:01:00.0/sriov_numvfs (at most 7)
    virtual machine with vfs on their network driver
      pf: no network card with SR-IOV
      -> in a virtual machine that was given VFs, bind them to vfio-pci: one of 0000:00:05.0 (mlx5_core); otherwise use a card with SR-IOV and enable SR-IOV in the firmware; if it is present and not seen, try pci=realloc or pci=assign-busses on the kernel command line
    group with a foreign driver
      group: 14: 0000:01:10.0 together with 0000:01:00.1 (igb)
      -> bind every device of the group to vfio-pci before using any of them; to separate them, use a slot behind a root port with ACS (firmware: ACS, ARI)
    container node
      node: {root}/dev/vfio/vfio: does not exist
      -> modprobe vfio vfio_iommu_type1 vfio-pci; a group's node comes with the first device of it that is bound to vfio-pci
    group node
      node: {root}/dev/vfio/15: does not exist
      -> modprobe vfio vfio_iommu_type1 vfio-pci; a group's node comes with the first device of it that is bound to vfio-pci
    node of another kind
      node: {root}/dev/vfio/15: is a directory
      -> see what the kernel says about it: dmesg | grep -i vfio
    interrupt remapping
      interrupts: dmar0 cannot remap interrupts, and vfio refuses unsafe ones
      -> enable interrupt remapping in the firmware; if it has none, and the guests are trusted: echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' > /etc/modprobe.d/iommu_unsafe_interrupts.conf
    interrupt remapping switched off
      interrupts: intremap=nosid,off is on the kernel command line, and vfio refuses unsafe ones
      -> remove intremap=nosid,off from the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig) and restart
    ");
}

#[test]
fn what_is_worth_a_warning() {
    let cases: &[Case] = &[
        ("vf on its network driver", |machine: &Machine| machine.driver(FIRST, Some("igbvf"))),
        ("vf without a driver", |machine: &Machine| machine.driver(FIRST, None)),
        ("second card without vfs", |machine: &Machine| machine.physical("0000:02:00.0", 8, 0)),
        ("second card on vfio pci", |machine: &Machine| {
            machine.physical("0000:02:00.0", 8, 0);
            machine.driver("0000:02:00.0", Some("vfio-pci"));
        }),
        ("virtual machine with a vf", |machine: &Machine| {
            machine.without_vfs();
            machine.remove("sys/bus/pci/devices/0000:01:00.0");
            machine.plain("0000:00:05.0", Some("mlx5_core"));
            machine.plain("0000:00:06.0", Some("vfio-pci"));
            machine.member("0000:00:06.0", 20);
            machine.write("dev/vfio/20", "");
        }),
        ("no iommu mode", |machine: &Machine| {
            machine.write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
            machine.remove("sys/class/iommu");
        }),
        ("unsafe interrupts", |machine: &Machine| {
            machine.write("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
        }),
        ("locked memory", |machine: &Machine| machine.memlock("8388608", "unlimited")),
    ];
    let told = cases.iter().map(|(name, change)| {
        let machine = Machine::with_card();
        change(&machine);
        let report = report(&machine, &[]);
        assert!(report.fit, "{name}: {report:?}");
        one(name, &machine, &complaints(&report, State::Warning))
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r"
    vf on its network driver
      vf: 0000:01:10.0: igbvf
      -> unless it is meant for containers: echo vfio-pci > /sys/bus/pci/devices/0000:01:10.0/driver_override; echo 0000:01:10.0 > /sys/bus/pci/devices/0000:01:10.0/driver/unbind; echo 0000:01:10.0 > /sys/bus/pci/drivers_probe
    vf without a driver
      vf: 0000:01:10.0: no driver
      -> unless it is meant for containers: echo vfio-pci > /sys/bus/pci/devices/0000:01:10.0/driver_override; echo 0000:01:10.0 > /sys/bus/pci/drivers_probe
    second card without vfs
      pf: 0000:02:00.0 (enp1s0): 0 of 8 VFs created
      -> echo NUMBER > /sys/bus/pci/devices/0000:02:00.0/sriov_numvfs (at most 8)
    second card on vfio pci
      pf: 0000:02:00.0 is bound to vfio-pci and cannot create VFs there
      -> bind it to its own network driver (i40e, ice, mlx5_core, ...) first: echo > /sys/bus/pci/devices/0000:02:00.0/driver_override; echo 0000:02:00.0 > /sys/bus/pci/devices/0000:02:00.0/driver/unbind; echo 0000:02:00.0 > /sys/bus/pci/drivers_probe; then create VFs
    virtual machine with a vf
      pf: no network card with SR-IOV; 0000:00:06.0 is on vfio-pci, perhaps a VF that this (virtual) machine was given
      -> nothing, if so; on a real host, enable SR-IOV in the firmware and create VFs
    no iommu mode
      iommu: off; vfio runs in no-IOMMU mode, where a guest can write to all of the host's memory
      -> use this for trials only: echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode, and enable the IOMMU
    unsafe interrupts
      interrupts: unsafe ones are allowed: a guest with a VF can send the host any interrupt
      -> if the IOMMU can remap interrupts, remove allow_unsafe_interrupts=1 from /etc/modprobe.d and reload vfio_iommu_type1
    locked memory
      memlock: 8388608 bytes (hard limit: unlimited)
      -> nothing, if libvirt runs as root or KubeVirt starts the machine: both raise it. QEMU by hand needs the guest's memory and 1 GiB: ulimit -l unlimited
    ");
}

#[test]
fn vfs_of_one_group_on_vfio_pci_are_a_warning_each() {
    let machine = Machine::with_card();
    machine.member("0000:01:10.2", 14);
    machine.remove("sys/kernel/iommu_groups/15");
    let report = report(&machine, &[]);
    assert!(report.fit);
    let warnings = complaints(&report, State::Warning);
    assert_eq!(warnings[0].0, "group: 14: 0000:01:10.0 together with 0000:01:10.2 (vfio-pci)");
    assert_eq!(warnings.len(), 2);
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

#[test]
fn a_host_does_not_look_at_what_a_pod_was_given() {
    let machine = Machine::with_card();
    let report = report_with_nodes(&machine, &[FIRST, "0000:09:00.1"], &["/dev/vfio/3"]);
    assert!(report.fit, "{report:?}");
    let warnings = complaints(&report, State::Warning);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(
        warnings[0].0,
        "variables: 0000:01:10.0, 0000:09:00.1 named by the variables: not checked on a host"
    );
}

#[test]
fn no_vf_on_vfio_pci_at_all_is_missing() {
    let machine = Machine::with_card();
    machine.driver("0000:01:10.0", Some("igbvf"));
    machine.driver("0000:01:10.2", Some("igbvf"));
    let missing = complaints(&report(&machine, &[]), State::Missing);
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing[1].1.starts_with("echo vfio-pci > /sys/bus/pci/devices/0000:01:10.2/driver_override"));
}

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

fn not_usable(machine: &Machine) -> NotUsable {
    verify(&machine.roots(), &GivenNodes::default(), None, FIRST.parse().unwrap()).unwrap_err()
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
