//! What is missing on a host, and what is worth a warning.

use launcher_hook::check::{Place, State};

use super::tree::Machine;
use super::{FIRST, complaints, report, report_with_nodes};

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
