//! Whether a VF can be given to a virtual machine: it is there, vfio-pci drives it, and the nodes of its
//! IOMMU group are open to this process.
//!
//! libvirt and QEMU find the same out later, in words that name neither the network nor what to do.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use contract::PciAddress;
use thiserror::Error;

use crate::sysfs::{Roots, VFIO_DRIVER};

/// What becomes of a device that cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Verification {
    /// It is not looked at
    Off,
    /// A warning in the log; the domain goes out
    #[default]
    Warn,
    /// An error; no domain goes out
    Fail,
}

/// Why a VF cannot be given to a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotUsable {
    /// No such function.
    #[error(
        "VF {address} is not there ({} does not exist): the SR-IOV device plugin named a device that this \
         node no longer has; look at sriov_numvfs of its PF and restart the device plugin",
        .path.display()
    )]
    Missing {
        /// The VF.
        address: PciAddress,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another driver has it, or none.
    #[error(
        "VF {address} is {}, not to {VFIO_DRIVER}: on the node, echo {VFIO_DRIVER} > \
         /sys/bus/pci/devices/{address}/driver_override, unbind it, and echo {address} > \
         /sys/bus/pci/drivers_probe (with the SR-IOV operator: deviceType: vfio-pci)",
        .driver.as_ref().map_or_else(|| "bound to no driver".to_owned(), |driver| format!("bound to {driver}"))
    )]
    Driver {
        /// The VF.
        address: PciAddress,
        /// The driver it has.
        driver: Option<String>,
    },
    /// No IOMMU is at work.
    #[error(
        "VF {address} is in no IOMMU group: switch the IOMMU on (firmware, and intel_iommu=on on the kernel \
         command line of Intel hosts) and restart the node"
    )]
    NoGroup {
        /// The VF.
        address: PciAddress,
    },
    /// A device node cannot be opened.
    #[error("VF {address} cannot be used through {}: {}", .node.display(), node_problem(*.kind))]
    Node {
        /// The VF.
        address: PciAddress,
        /// The node.
        node: PathBuf,
        /// What the kernel says.
        kind: io::ErrorKind,
    },
}

fn node_problem(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::NotFound => {
            "the node is not there; the kubelet gives it to a container that asks for \
                                    the VF's resource, so look at the limits of the container `compute`"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "this process may not open it; look at the owner and mode of the node and at the container's \
             device rules"
                .to_owned()
        }
        io::ErrorKind::ResourceBusy => "another process has it open; end the virtual machine that uses the \
                                        group"
            .to_owned(),
        other => other.to_string(),
    }
}

/// Looks at one VF.
///
/// # Errors
/// The first thing that keeps it from being used.
pub fn verify(roots: &Roots, address: PciAddress) -> Result<(), NotUsable> {
    let path = roots.function(address);
    if !path.exists() {
        return Err(NotUsable::Missing { address, path });
    }
    let driver = roots.driver(address);
    if driver.as_deref() != Some(VFIO_DRIVER) {
        return Err(NotUsable::Driver { address, driver });
    }
    let group = roots.group(address).ok_or(NotUsable::NoGroup { address })?;
    for node in [roots.dev.join("vfio/vfio"), roots.group_node(&group)] {
        open(&node).map_err(|error| NotUsable::Node { address, node, kind: error.kind() })?;
    }
    Ok(())
}

/// Opens a node as QEMU will, and closes it again. Opening a VFIO group changes nothing about it.
pub(crate) fn open(node: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(node).map(drop)
}

/// Looks at several VFs and does what `verification` says about those that cannot be used.
///
/// # Errors
/// With [`Verification::Fail`], the first VF that cannot be used.
pub fn verify_all(
    roots: &Roots,
    verification: Verification,
    addresses: impl IntoIterator<Item = PciAddress>,
) -> Result<(), NotUsable> {
    if verification == Verification::Off {
        return Ok(());
    }
    for address in addresses {
        match verify(roots, address) {
            Err(problem) if verification == Verification::Fail => return Err(problem),
            Err(problem) => tracing::warn!(%address, "{problem}"),
            Ok(()) => {}
        }
    }
    Ok(())
}
