//! Whether a VF can be given to a virtual machine: it exists, a VFIO driver has it, the nodes that the pod was given
//! still lead to it, and this process can open them.
//!
//! libvirt and QEMU find the same out later, in words that name neither the network nor what to do.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use contract::{DeviceNode, DeviceReport, PciAddress};
use thiserror::Error;

use crate::given_nodes::{GivenNodes, Stale, bind};
use crate::sysfs::{Binding, Roots, VFIO_DRIVER, entries};

/// What happens to a device that cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Verification {
    /// Do not check it
    Off,
    /// Log a warning, and return the domain
    #[default]
    Warn,
    /// Fail without a domain
    Fail,
}

/// Why a VF cannot be given to a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotUsable {
    /// No such function.
    #[error(
        "VF {address} does not exist ({} is missing): the SR-IOV device plugin named a device that this node no \
         longer has; check sriov_numvfs of its PF, restart the device plugin, then delete the pod",
        .path.display()
    )]
    Missing {
        /// The VF.
        address: PciAddress,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The pod was given it before a restart of the node.
    #[error("{}. The devices of this pod are stale: {}", .0, .0.remedy())]
    Stale(Stale),
    /// Another driver has it, or none.
    #[error(
        "VF {address} is bound to {}, not to {VFIO_DRIVER} or another VFIO driver: on the node, {} (with the \
         SR-IOV operator: deviceType: vfio-pci)",
        .binding.name(), bind(*.address, .binding.driver.is_some())
    )]
    Driver {
        /// The VF.
        address: PciAddress,
        /// What it is bound to.
        binding: Binding,
    },
    /// No IOMMU is at work.
    #[error(
        "VF {address} is in no IOMMU group: enable the IOMMU (firmware, and intel_iommu=on on the kernel \
         command line of Intel hosts) and restart the node"
    )]
    NoGroup {
        /// The VF.
        address: PciAddress,
    },
    /// A device node cannot be opened.
    #[error("VF {address} cannot be used through {}: {}", .node.display(), node_problem(*.kind, .present))]
    Node {
        /// The VF.
        address: PciAddress,
        /// The node.
        node: PathBuf,
        /// What the kernel says.
        kind: io::ErrorKind,
        /// The groups' nodes in the container.
        present: Vec<String>,
    },
}

fn node_problem(kind: io::ErrorKind, present: &[String]) -> String {
    match kind {
        io::ErrorKind::NotFound if present.is_empty() => {
            "the device node does not exist; the kubelet adds it to a container that requests the VF's resource, \
             so check the limits of the container `compute`"
                .to_owned()
        }
        io::ErrorKind::NotFound => format!(
            "the device node does not exist, and /dev/vfio has {} instead: if the node was restarted since the pod was \
             created, delete the pod; otherwise check the limits of the container \
             `compute`",
            present.join(", ")
        ),
        io::ErrorKind::PermissionDenied => {
            "this process may not open it; check the owner and mode of the device node, and the container's \
             device rules"
                .to_owned()
        }
        io::ErrorKind::ResourceBusy => "another process has it open; end the virtual machine that uses the \
                                        group"
            .to_owned(),
        other => other.to_string(),
    }
}

/// Checks one VF. `given` are the device nodes that the pod was given; if they are in another container, `report` says
/// whether they could be opened there.
///
/// # Errors
/// The first thing that keeps it from being used.
pub fn verify(
    roots: &Roots,
    given: &GivenNodes,
    report: Option<&DeviceReport>,
    address: PciAddress,
) -> Result<(), NotUsable> {
    if let Some(stale) = given.stale(roots, address) {
        return Err(NotUsable::Stale(stale));
    }
    let path = roots.function(address);
    if !path.exists() {
        return Err(NotUsable::Missing { address, path });
    }
    let binding = roots.binding(address);
    if !binding.vfio {
        return Err(NotUsable::Driver { address, binding });
    }
    let group = roots.group(address).ok_or(NotUsable::NoGroup { address })?;
    for node in [roots.dev.join("vfio/vfio"), roots.group_node(&group)] {
        let opened = report.map_or_else(|| open(&node), |report| opened_by(report, &node));
        opened.map_err(|error| NotUsable::Node {
            address,
            node,
            kind: error.kind(),
            present: report.map_or_else(|| group_nodes(roots), reported_group_nodes),
        })?;
    }
    Ok(())
}

/// The names of the groups' nodes that this process has, in order.
pub(crate) fn group_nodes(roots: &Roots) -> Vec<String> {
    in_order(entries(&roots.dev.join("vfio")))
}

/// The same of the container that reported them.
fn reported_group_nodes(report: &DeviceReport) -> Vec<String> {
    in_order(
        report.nodes.iter().filter_map(|node| Some(Path::new(&node.path).file_name()?.to_str()?.to_owned())),
    )
}

fn in_order(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut nodes: Vec<(u32, String)> = names
        .filter_map(|name| Some((name.strip_prefix("noiommu-").unwrap_or(&name).parse().ok()?, name)))
        .collect();
    nodes.sort_unstable();
    nodes.into_iter().map(|(_, name)| name).collect()
}

/// Opens a node as QEMU will, and closes it again. Opening a VFIO group changes nothing about it.
pub(crate) fn open(node: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(node).map(drop)
}

/// Whether the reporting container could open a node. Its owner, and the process that has it open, may have changed since:
/// virt-handler makes QEMU's user the owner of the nodes when it starts a virtual machine.
fn opened_by(report: &DeviceReport, node: &Path) -> io::Result<()> {
    const ERRORS_THAT_PASS: [i32; 2] = [EACCES, EBUSY];
    // In no-IOMMU mode a container has a node under its plain name, which cannot be known from outside of it.
    let plain = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix("noiommu-").unwrap_or(name).to_owned()
    };
    match report.nodes.iter().find(|reported| plain(Path::new(&reported.path)) == plain(node)) {
        None => Err(io::ErrorKind::NotFound.into()),
        Some(DeviceNode { errno: Some(errno), .. }) if !ERRORS_THAT_PASS.contains(errno) => {
            Err(io::Error::from_raw_os_error(*errno))
        }
        Some(_) => Ok(()),
    }
}

/// The owner and mode of a file forbid it. `EPERM`, in contrast, is the container's device rules.
const EACCES: i32 = 13;
/// Another process has it open.
const EBUSY: i32 = 16;

/// Looks at several VFs and does what `verification` says about those that cannot be used.
///
/// # Errors
/// With [`Verification::Fail`], the first VF that cannot be used.
pub fn verify_all(
    roots: &Roots,
    verification: Verification,
    given: &GivenNodes,
    report: Option<&DeviceReport>,
    addresses: impl IntoIterator<Item = PciAddress>,
) -> Result<(), NotUsable> {
    if verification == Verification::Off {
        return Ok(());
    }
    for address in addresses {
        match verify(roots, given, report, address) {
            Err(problem) if verification == Verification::Fail => return Err(problem),
            Err(problem) => tracing::warn!(%address, "{problem}"),
            Ok(()) => {}
        }
    }
    Ok(())
}
