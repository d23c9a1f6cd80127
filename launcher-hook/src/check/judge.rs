//! What the facts mean, and what to do about them: the steps of KubeVirt's SR-IOV guide, each where it is due.

use std::io;

use contract::PciAddress;

use super::facts::{Facts, GroupFacts, Node, Physical, Virtual};
use super::{Finding, Place, Report, State};
use crate::sysfs::VFIO_DRIVER;

/// Drivers of bridges that may share a group with a device that is given away.
const BRIDGE_DRIVERS: [&str; 2] = ["pcieport", "pci-stub"];

/// Judges what was seen.
#[must_use]
pub fn judge(facts: &Facts) -> Report {
    let mut findings = vec![iommu(facts), vfio_pci(facts)];
    findings.extend(physical(facts));
    findings.extend(drivers(facts));
    findings.extend(facts.virtual_functions.iter().filter_map(group));
    findings.extend(nodes(facts));
    findings.push(interrupts(facts));
    findings.extend(locked_memory(facts));
    Report {
        place: facts.place,
        fit: findings.iter().all(|finding| finding.state != State::Missing),
        findings,
    }
}

fn ok(check: &'static str, found: String) -> Finding {
    Finding { check, state: State::Ok, found, remedy: None }
}

fn warning(check: &'static str, found: String, remedy: impl Into<String>) -> Finding {
    Finding { check, state: State::Warning, found, remedy: Some(remedy.into()) }
}

fn missing(check: &'static str, found: String, remedy: impl Into<String>) -> Finding {
    Finding { check, state: State::Missing, found, remedy: Some(remedy.into()) }
}

fn iommu(facts: &Facts) -> Finding {
    const CHECK: &str = "iommu";
    if facts.no_iommu_mode && facts.iommus.is_empty() {
        return warning(
            CHECK,
            "off; vfio runs in no-IOMMU mode, where a guest can write to all of the host's memory".to_owned(),
            "use it for trials only: echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode, and \
             switch the IOMMU on",
        );
    }
    if facts.groups > 0 {
        let names: Vec<_> = facts.iommus.iter().map(|iommu| iommu.name.as_str()).collect();
        let by = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        return ok(CHECK, format!("on{by}, {} groups", facts.groups));
    }
    let option = match facts.processor.as_deref() {
        Some("GenuineIntel") => Some("intel_iommu=on"),
        _ => None,
    };
    let asked_for = |option: &str| facts.command_line.split_whitespace().any(|word| word == option);
    match option {
        Some(option) if !asked_for(option) => missing(
            CHECK,
            format!("off, and {option} is not on the kernel command line"),
            format!(
                "add {option} to the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then \
                 update-grub or grub2-mkconfig), switch VT-d on in the firmware, restart"
            ),
        ),
        Some(option) => missing(
            CHECK,
            format!("off, although {option} is on the kernel command line"),
            "switch VT-d (Intel Virtualization Technology for Directed I/O) on in the firmware and restart; \
             in a virtual machine, give it an IOMMU",
        ),
        None => missing(
            CHECK,
            "off".to_owned(),
            "switch the IOMMU (AMD-Vi, SMMU; Intel calls it VT-d and needs intel_iommu=on on the kernel \
             command line too) on in the firmware and restart",
        ),
    }
}

fn vfio_pci(facts: &Facts) -> Finding {
    const CHECK: &str = "vfio-pci";
    if facts.vfio_pci {
        ok(CHECK, "loaded".to_owned())
    } else {
        missing(
            CHECK,
            "not loaded".to_owned(),
            "modprobe vfio-pci; to have it at every start: echo vfio-pci > /etc/modules-load.d/vfio-pci.conf",
        )
    }
}

fn physical(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "pf";
    // A container that was given VFs need not see where they come from.
    if facts.physical.is_empty() && !(facts.place == Place::Container && facts.given) {
        return vec![missing(
            CHECK,
            "no network card with SR-IOV".to_owned(),
            "use a card that can do it and switch SR-IOV on in the firmware; where it is there and not seen, \
             try pci=realloc or pci=assign-busses on the kernel command line",
        )];
    }
    let any = facts.physical.iter().any(|function| function.created > 0);
    let one = |function: &Physical| {
        let Physical { address, interface, total, created } = function;
        let name = interface.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let found = format!("{address}{name}: {created} of {total} VFs created");
        let remedy = format!("echo NUMBER > /sys/bus/pci/devices/{address}/sriov_numvfs (at most {total})");
        match created {
            0 if any => warning(CHECK, found, remedy),
            0 => missing(CHECK, found, remedy),
            _ => ok(CHECK, found),
        }
    };
    facts.physical.iter().map(one).collect()
}

fn drivers(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "vf";
    let on_vfio = |function: &Virtual| function.driver.as_deref() == Some(VFIO_DRIVER);
    // On a host some VFs may well serve containers through their own driver; one for a virtual machine there
    // must be. What a container was given is all meant for its virtual machine.
    let any = facts.virtual_functions.iter().any(on_vfio);
    let all = facts.place == Place::Container && facts.given;
    let one = |function: &Virtual| {
        let address = function.address;
        let driver = function.driver.as_deref().unwrap_or("no driver");
        let found = format!("{address}: {driver}");
        if on_vfio(function) {
            return ok(CHECK, found);
        }
        let unbind = match function.driver {
            Some(_) => format!("echo {address} > /sys/bus/pci/devices/{address}/driver/unbind; "),
            None => String::new(),
        };
        let remedy = format!(
            "echo {VFIO_DRIVER} > /sys/bus/pci/devices/{address}/driver_override; {unbind}echo {address} > \
             /sys/bus/pci/drivers_probe"
        );
        if any && !all {
            warning(CHECK, found, format!("unless it is meant for containers: {remedy}"))
        } else {
            missing(CHECK, found, remedy)
        }
    };
    let absent = |address: &PciAddress| {
        missing(
            CHECK,
            format!("{address}: given to this container, and not there"),
            "restart the SR-IOV device plugin on the node, then the pod",
        )
    };
    facts.virtual_functions.iter().map(one).chain(facts.absent.iter().map(absent)).collect()
}

fn group(function: &Virtual) -> Option<Finding> {
    const CHECK: &str = "group";
    let address = function.address;
    let Some(GroupFacts { group, others, .. }) = &function.group else {
        return (function.driver.as_deref() == Some(VFIO_DRIVER)).then(|| {
            missing(CHECK, format!("{address} is in none"), "switch the IOMMU on, as said under iommu")
        });
    };
    let number = group.number;
    if others.is_empty() {
        return Some(ok(CHECK, format!("{number}: {address} alone")));
    }
    let names: Vec<_> = others
        .iter()
        .map(|(other, driver)| format!("{other} ({})", driver.as_deref().unwrap_or("no driver")))
        .collect();
    let found = format!("{number}: {address} together with {}", names.join(", "));
    let apart = "to have them apart, use a slot behind a root port with ACS (firmware: ACS, ARI)";
    let harmless = |driver: &Option<String>| match driver.as_deref() {
        None | Some(VFIO_DRIVER) => true,
        Some(driver) => BRIDGE_DRIVERS.contains(&driver),
    };
    Some(if others.iter().all(|(_, driver)| harmless(driver)) {
        warning(CHECK, found, format!("only one virtual machine at a time can use the group; {apart}"))
    } else {
        missing(
            CHECK,
            found,
            format!("the whole group has to be on {VFIO_DRIVER} before any of it can be used; {apart}"),
        )
    })
}

fn nodes(facts: &Facts) -> Vec<Finding> {
    let groups = facts
        .virtual_functions
        .iter()
        .filter(|function| function.driver.as_deref() == Some(VFIO_DRIVER))
        .filter_map(|function| Some(&function.group.as_ref()?.node));
    let mut seen: Vec<&Node> = Vec::new();
    for node in std::iter::once(&facts.container_node).chain(groups) {
        if !seen.contains(&node) {
            seen.push(node);
        }
    }
    seen.into_iter().map(|node| node_finding(facts, node)).collect()
}

fn node_finding(facts: &Facts, node: &Node) -> Finding {
    const CHECK: &str = "node";
    let path = node.path.display();
    // A container that was given nothing has no nodes and needs none.
    let judged = match facts.place {
        Place::Container if !facts.given => warning,
        _ => missing,
    };
    match node.problem {
        None => ok(CHECK, format!("{path}: opens")),
        Some(io::ErrorKind::ResourceBusy) => warning(
            CHECK,
            format!("{path}: in use"),
            "nothing, where a virtual machine runs on it; otherwise end the process that has it open",
        ),
        Some(io::ErrorKind::NotFound) => judged(
            CHECK,
            format!("{path}: not there"),
            match facts.place {
                Place::Host => {
                    "modprobe vfio vfio_iommu_type1 vfio-pci; a group's node comes with the first device of it \
                                that is bound to vfio-pci"
                }
                Place::Container => {
                    "ask for the VF's resource in the limits of this container (for a virtual machine: \
                     `compute`); the kubelet puts the nodes where the resource is"
                }
            },
        ),
        Some(io::ErrorKind::PermissionDenied) => judged(
            CHECK,
            format!("{path}: may not be opened"),
            match facts.place {
                Place::Host => "run this check as root, or give the node to the user that runs QEMU",
                Place::Container => {
                    "let the node belong to the user of this container (containerd and CRI-O: \
                     device_ownership_from_security_context = true)"
                }
            },
        ),
        Some(other) => judged(
            CHECK,
            format!("{path}: {other}"),
            "see what the kernel says about it: dmesg | grep -i vfio",
        ),
    }
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
        (true, _) => warning(
            CHECK,
            "unsafe ones are allowed: a guest with a VF can send the host any interrupt".to_owned(),
            "where the IOMMU can remap interrupts, take allow_unsafe_interrupts=1 out of /etc/modprobe.d and \
             load vfio_iommu_type1 anew",
        ),
        (false, false) => missing(
            CHECK,
            format!("{} cannot remap interrupts, and vfio refuses unsafe ones", unable.join(", ")),
            "switch interrupt remapping on in the firmware; if it has none, and the guests are trusted: \
             echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' > \
             /etc/modprobe.d/iommu_unsafe_interrupts.conf",
        ),
        (false, true) => ok(CHECK, "unsafe ones are refused".to_owned()),
    }
}

fn locked_memory(facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "memlock";
    let text =
        |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |bytes| format!("{bytes} bytes"));
    let (soft, hard) = facts.locked_memory?;
    let found = format!("{} (hard limit: {})", text(soft), text(hard));
    Some(match (soft, facts.place) {
        (None, _) => ok(CHECK, found),
        (Some(_), Place::Host) => warning(
            CHECK,
            found,
            "nothing, where libvirt runs as root or KubeVirt starts the machine: both raise it. QEMU by hand \
             needs the guest's memory and 1 GiB: ulimit -l unlimited",
        ),
        (Some(_), Place::Container) => warning(
            CHECK,
            found,
            "virt-handler raises it for interfaces with sriov: {}; otherwise QEMU needs the guest's memory \
             and 1 GiB: on the node, prlimit --pid PID --memlock=unlimited:unlimited",
        ),
    })
}
