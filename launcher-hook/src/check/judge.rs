//! What the facts mean, and what to do about them: the steps of KubeVirt's SR-IOV guide, each where it is due.

mod functions;

use super::command_line::{self, Switch, Vendor};
use super::facts::{Facts, Physical};
use super::{Finding, Place, Report, State, memory};

/// Drivers that hold a function for somebody else and cannot create VFs on it. `pci-pf-stub` can.
const IDLE_DRIVERS: [&str; 5] = ["pci-stub", "uio_pci_generic", "igb_uio", "pciback", "xen-pciback"];

/// Judges what was seen. `machine` is what is known of the virtual machine, beyond what its process says.
#[must_use]
pub fn judge(facts: &Facts, machine: Option<memory::Demand>) -> Report {
    let mut findings = vec![iommu(facts), vfio_pci(facts)];
    findings.extend(physical(facts));
    findings.extend(functions::findings(facts));
    findings.push(interrupts(facts));
    findings.extend(memory::judge(facts, machine.or_else(|| memory::Demand::of_running_machine(facts))));
    Report {
        place: facts.place,
        fit: findings.iter().all(|finding| finding.state != State::Missing),
        findings,
        machine: None,
    }
}

/// Where Linux distributions keep the kernel command line.
const BOOT_LOADER: &str = "GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub or grub2-mkconfig";

fn iommu(facts: &Facts) -> Finding {
    const CHECK: &str = "iommu";
    if facts.no_iommu_mode && facts.iommus.is_empty() {
        return Finding::warning(
            CHECK,
            "off; vfio runs in no-IOMMU mode, where a guest can write to all of the host's memory".to_owned(),
            "use this for trials only: echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode, and \
             enable the IOMMU",
        );
    }
    if facts.groups > 0 {
        let names: Vec<_> = facts.iommus.iter().map(|iommu| iommu.name.as_str()).collect();
        let by = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        return Finding::ok(CHECK, format!("on{by}, {} groups", facts.groups));
    }
    let vendor = Vendor::of(facts.processor.as_deref());
    let in_firmware = match vendor {
        Vendor::Intel => "VT-d (Intel Virtualization Technology for Directed I/O)",
        Vendor::Amd => "AMD-Vi (IOMMU, SVM)",
        Vendor::Other => "the IOMMU (SMMU)",
    };
    let enable = match facts.virtualized {
        true => "give this virtual machine an IOMMU (libvirt: <iommu model='intel'>, with intel_iommu=on on its kernel \
                 command line, or 'virtio')"
            .to_owned(),
        false => format!("enable {in_firmware} in the firmware"),
    };
    let switch = match command_line::iommu(&facts.command_line, vendor) {
        // The IOMMU of a virtual machine may be Intel's, whatever its processor is.
        Switch::Absent if facts.virtualized => command_line::iommu(&facts.command_line, Vendor::Intel),
        switch => switch,
    };
    match switch {
        Switch::Off(word) if word.starts_with("intel_iommu") => Finding::missing(
            CHECK,
            format!("off: {word} is on the kernel command line"),
            format!(
                "replace {word} with intel_iommu=on on the kernel command line ({BOOT_LOADER}) and restart"
            ),
        ),
        Switch::Off(word) => Finding::missing(
            CHECK,
            format!("off: {word} is on the kernel command line"),
            format!("remove {word} from the kernel command line ({BOOT_LOADER}) and restart"),
        ),
        Switch::On(word) => Finding::missing(
            CHECK,
            format!("off, although {word} is on the kernel command line"),
            format!("{enable} and restart"),
        ),
        Switch::Absent if vendor == Vendor::Intel => Finding::missing(
            CHECK,
            "off, and intel_iommu=on is not on the kernel command line".to_owned(),
            format!("add intel_iommu=on to the kernel command line ({BOOT_LOADER}), {enable}, restart"),
        ),
        Switch::Absent => Finding::missing(CHECK, "off".to_owned(), format!("{enable} and restart")),
    }
}

fn vfio_pci(facts: &Facts) -> Finding {
    const CHECK: &str = "vfio-pci";
    if facts.vfio_pci {
        return Finding::ok(CHECK, "loaded".to_owned());
    }
    match command_line::blacklists(&facts.command_line, "vfio_pci") {
        Some(word) => Finding::missing(
            CHECK,
            format!("not loaded: {word} is on the kernel command line"),
            format!("remove {word} from the kernel command line ({BOOT_LOADER}) and restart"),
        ),
        None => Finding::missing(
            CHECK,
            "not loaded".to_owned(),
            "modprobe vfio-pci; to load it at every boot: echo vfio-pci > /etc/modules-load.d/vfio-pci.conf",
        ),
    }
}

fn physical(facts: &Facts) -> Vec<Finding> {
    // A container that was given VFs need not see where they come from.
    if facts.physical.is_empty() && !(facts.place == Place::Container && facts.given) {
        return vec![no_physical(facts)];
    }
    let any = facts.physical.iter().any(|function| function.created > 0);
    facts.physical.iter().map(|function| one_physical(function, any)).collect()
}

/// A machine without a PF may itself be a virtual one, which sees VFs as functions of their own.
fn no_physical(facts: &Facts) -> Finding {
    const CHECK: &str = "pf";
    let with = |vfio: bool| facts.plain.iter().filter(move |(_, binding)| binding.vfio == vfio);
    let held: Vec<_> =
        with(true).map(|(address, binding)| format!("{address} is on {}", binding.name())).collect();
    if !held.is_empty() {
        let these = if held.len() == 1 { "a VF" } else { "VFs" };
        return Finding::warning(
            CHECK,
            format!(
                "no network card with SR-IOV; {}, perhaps {these} that this (virtual) machine was given",
                held.join(", ")
            ),
            "nothing, if so; on a real host, enable SR-IOV in the firmware and create VFs",
        );
    }
    let others: Vec<_> =
        with(false).map(|(address, binding)| format!("{address} ({})", binding.name())).collect();
    let nested = match (facts.virtualized, others.is_empty()) {
        (false, _) => String::new(),
        (true, true) => "in a virtual machine, give it VFs of its host; otherwise ".to_owned(),
        (true, false) => format!(
            "in a virtual machine that was given VFs, bind them to vfio-pci: one of {}; otherwise ",
            others.join(", ")
        ),
    };
    Finding::missing(
        CHECK,
        "no network card with SR-IOV".to_owned(),
        format!(
            "{nested}use a card with SR-IOV and enable SR-IOV in the firmware; if it is present and not \
             seen, try pci=realloc or pci=assign-busses on the kernel command line"
        ),
    )
}

/// `any` says whether another PF has VFs.
fn one_physical(function: &Physical, any: bool) -> Finding {
    const CHECK: &str = "pf";
    let Physical { address, binding, interface, total, created } = function;
    let name = interface.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let found = format!("{address}{name}: {created} of {total} VFs created");
    if *created > 0 {
        return Finding::ok(CHECK, found);
    }
    let judged = if any { Finding::warning } else { Finding::missing };
    let idle = binding.driver.as_deref().is_none_or(|driver| IDLE_DRIVERS.contains(&driver));
    if binding.vfio || idle {
        let unbind = match binding.driver {
            Some(_) => format!("echo {address} > /sys/bus/pci/devices/{address}/driver/unbind; "),
            None => String::new(),
        };
        return judged(
            CHECK,
            format!("{address} is bound to {} and cannot create VFs there", binding.name()),
            format!(
                "bind it to its own network driver (i40e, ice, mlx5_core, ...) first: echo > \
                 /sys/bus/pci/devices/{address}/driver_override; {unbind}echo {address} > \
                 /sys/bus/pci/drivers_probe; then create VFs"
            ),
        );
    }
    judged(
        CHECK,
        found,
        format!("echo NUMBER > /sys/bus/pci/devices/{address}/sriov_numvfs (at most {total})"),
    )
}

fn interrupts(facts: &Facts) -> Finding {
    const CHECK: &str = "interrupts";
    let unable: Vec<_> = facts
        .iommus
        .iter()
        .filter(|iommu| iommu.interrupt_remapping == Some(false))
        .map(|iommu| iommu.name.as_str())
        .collect();
    match (facts.unsafe_interrupts.unwrap_or_default(), unable.is_empty()) {
        (true, _) => Finding::warning(
            CHECK,
            "unsafe ones are allowed: a guest with a VF can send the host any interrupt".to_owned(),
            "if the IOMMU can remap interrupts, remove allow_unsafe_interrupts=1 from /etc/modprobe.d \
             and reload vfio_iommu_type1",
        ),
        (false, false) => Finding::missing(
            CHECK,
            format!("{} cannot remap interrupts, and vfio refuses unsafe ones", unable.join(", ")),
            "enable interrupt remapping in the firmware; if it has none, and the guests are trusted: \
             echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' > \
             /etc/modprobe.d/iommu_unsafe_interrupts.conf",
        ),
        (false, true) => match command_line::no_interrupt_remapping(&facts.command_line) {
            Some(word) => Finding::missing(
                CHECK,
                format!("{word} is on the kernel command line, and vfio refuses unsafe ones"),
                format!("remove {word} from the kernel command line ({BOOT_LOADER}) and restart"),
            ),
            None => Finding::ok(CHECK, "unsafe ones are refused".to_owned()),
        },
    }
}
