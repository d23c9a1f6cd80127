//! The VFs: their drivers, groups and nodes.

use std::io;

use contract::PciAddress;

use crate::check::facts::{Facts, GroupFacts, Node, Virtual};
use crate::check::{Finding, Place};
use crate::given_nodes::{Stale, bind};
use crate::sysfs::{Binding, VFIO_DRIVER};

/// Drivers of bridges that may share a group with a device that is given away.
const BRIDGE_DRIVERS: [&str; 2] = ["pcieport", "pci-stub"];

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = drivers(facts);
    findings.extend(facts.stale.iter().map(stale));
    findings.extend(facts.virtual_functions.iter().filter_map(group));
    findings.extend(nodes(facts));
    findings.extend(passed_over(facts));
    findings
}

fn drivers(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "vf";
    let is_stale = |address| facts.stale.iter().any(|stale| stale.address == address);
    // On a host some VFs may well serve containers through their own driver; one for a virtual machine there
    // must be. What a container was given is all meant for its virtual machine.
    let any = facts.virtual_functions.iter().any(|function| function.binding.vfio);
    let all = facts.place == Place::Container && facts.given;
    let one = |function: &Virtual| {
        let address = function.address;
        let found = format!("{address}: {}", function.binding.name());
        if function.binding.is_vendor_vfio() {
            return Finding::ok(CHECK, format!("{found} (a VFIO driver of its vendor)"));
        }
        if function.binding.vfio {
            return Finding::ok(CHECK, found);
        }
        let remedy = bind(address, function.binding.driver.is_some());
        if any && !all {
            Finding::warning(CHECK, found, format!("unless it is meant for containers: {remedy}"))
        } else {
            Finding::missing(CHECK, found, remedy)
        }
    };
    let absent = |address: &PciAddress| {
        Finding::missing(
            CHECK,
            format!("{address}: given to this container, and does not exist"),
            "check sriov_numvfs of its PF on the node, restart the SR-IOV device plugin there, then delete the pod",
        )
    };
    // A VF that is stale for its driver, or gone, has a finding of its own that says more.
    let unbound = |function: &&Virtual| function.binding.vfio || !is_stale(function.address);
    let present = facts.virtual_functions.iter().filter(unbound).map(one);
    let gone = facts.absent.iter().filter(|address| !is_stale(**address)).map(absent);
    present.chain(gone).collect()
}

fn stale(stale: &Stale) -> Finding {
    Finding::missing("stale", stale.to_string(), stale.remedy())
}

fn passed_over(facts: &Facts) -> Option<Finding> {
    let names: Vec<_> = facts.passed_over.iter().map(PciAddress::to_string).collect();
    (!names.is_empty()).then(|| {
        Finding::warning(
            "variables",
            format!("{} named by the variables: not checked on a host", names.join(", ")),
            "to check what a pod was given, run it there: kubectl exec POD -c compute -- PATH/launcher-hook check",
        )
    })
}

fn group(function: &Virtual) -> Option<Finding> {
    const CHECK: &str = "group";
    let address = function.address;
    let Some(GroupFacts { group, others, .. }) = &function.group else {
        return function.binding.vfio.then(|| {
            Finding::missing(
                CHECK,
                format!("{address} is in none"),
                "enable the IOMMU, see the finding iommu",
            )
        });
    };
    let number = group.number;
    if others.is_empty() {
        return Some(Finding::ok(CHECK, format!("{number}: {address} alone")));
    }
    let names: Vec<_> =
        others.iter().map(|(other, binding)| format!("{other} ({})", binding.name())).collect();
    let found = format!("{number}: {address} together with {}", names.join(", "));
    let apart = "to separate them, use a slot behind a root port with ACS (firmware: ACS, ARI)";
    let harmless = |binding: &Binding| match &binding.driver {
        Some(driver) if !binding.vfio => BRIDGE_DRIVERS.contains(&driver.as_str()),
        _ => true,
    };
    Some(if others.iter().all(|(_, binding)| harmless(binding)) {
        Finding::warning(
            CHECK,
            found,
            format!("only one virtual machine at a time can use the group; {apart}"),
        )
    } else {
        Finding::missing(
            CHECK,
            found,
            format!("bind every device of the group to {VFIO_DRIVER} before using any of them; {apart}"),
        )
    })
}

fn nodes(facts: &Facts) -> Vec<Finding> {
    // The node of a stale VF is not the one to look for.
    let is_stale = |function: &Virtual| facts.stale.iter().any(|stale| stale.address == function.address);
    // What is only perhaps a VF may be meant for something else.
    let may_be_vf = |function: &Virtual| facts.plain.iter().any(|(plain, _)| *plain == function.address);
    let groups = facts
        .virtual_functions
        .iter()
        .filter(|function| function.binding.vfio && !is_stale(function))
        .filter_map(|function| Some((&function.group.as_ref()?.node, may_be_vf(function))));
    // A container that was given nothing has no nodes and needs none.
    let needless = facts.place == Place::Container && !facts.given;
    let mut seen: Vec<(&Node, bool)> = Vec::new();
    for (node, may_be_vf) in std::iter::once((&facts.container_node, false)).chain(groups) {
        if !seen.iter().any(|(one, _)| *one == node) {
            seen.push((node, needless || may_be_vf));
        }
    }
    seen.into_iter().map(|(node, needless)| node_finding(facts, node, needless)).collect()
}

const REQUEST: &str = "request the VF's resource in the limits of this container (for a virtual machine: `compute`); \
                       the kubelet puts the nodes where the resource is";

fn node_finding(facts: &Facts, node: &Node, needless: bool) -> Finding {
    const CHECK: &str = "node";
    let path = node.path.display();
    let judged = if needless { Finding::warning } else { Finding::missing };
    match node.problem {
        None => Finding::ok(CHECK, format!("{path}: opens")),
        Some(io::ErrorKind::ResourceBusy) => Finding::warning(
            CHECK,
            format!("{path}: in use"),
            "nothing, where a virtual machine runs on it; otherwise end the process that has it open",
        ),
        Some(io::ErrorKind::NotFound) => judged(
            CHECK,
            format!("{path}: does not exist"),
            match (facts.place, facts.group_nodes.as_slice()) {
                (Place::Host, _) => {
                    "modprobe vfio vfio_iommu_type1 vfio-pci; a group's node comes with the first device of it \
                     that is bound to vfio-pci"
                        .to_owned()
                }
                (Place::Container, []) => REQUEST.to_owned(),
                (Place::Container, others) => format!(
                    "if the node was restarted since the pod was created, delete the pod: it has /dev/vfio/{} \
                     from before; otherwise {REQUEST}",
                    others.join(", ")
                ),
            },
        ),
        Some(io::ErrorKind::PermissionDenied) => judged(
            CHECK,
            format!("{path}: permission denied"),
            match facts.place {
                Place::Host => "run this check as root, or give the node to the user that runs QEMU",
                Place::Container => {
                    "let the node belong to the user of this container (containerd and CRI-O: \
                     device_ownership_from_security_context = true)"
                }
            }
            .to_owned(),
        ),
        Some(other) => judged(
            CHECK,
            format!("{path}: {other}"),
            "see what the kernel says about it: dmesg | grep -i vfio".to_owned(),
        ),
    }
}
