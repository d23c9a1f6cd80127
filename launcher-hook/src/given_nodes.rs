//! Which device nodes the pod was given for its VFs, and whether they still lead to them.
//!
//! The device plugin names the nodes when the pod is made. A restart of the node, or VFs that are created again, leave
//! the names as they are: IOMMU groups are numbered in the order in which they appear.

use std::collections::BTreeMap;
use std::fmt;

use contract::{PciAddress, ResourceName};
use serde_json::Value;

use crate::devices::{DRIVER_DEVICE_PREFIX, DRIVER_PREFIX};
use crate::sysfs::{Binding, Roots};

/// Suffix of the variable with the node of a device that dra-driver-sriov bound to vfio-pci.
const DRIVER_NODE_SUFFIX: &str = "_VFIO_DEVICE";

/// Suffix of the variable with the nodes of a resource's devices.
const INFO_SUFFIX: &str = "_INFO";

/// The node that the pod was given for a VF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenNode {
    /// Its path in the container, such as `/dev/vfio/70`.
    pub path: String,
    /// The variable that names it.
    pub variable: String,
}

/// The nodes of a pod's VFs, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenNodes(pub BTreeMap<PciAddress, GivenNode>);

impl GivenNodes {
    /// Reads the variables `PCIDEVICE_…_INFO` and `SRIOVNETWORK_…_VFIO_DEVICE`. What is not the device plugin's JSON is passed over: no machine
    /// starts because of it, and none fails.
    #[must_use]
    pub fn read(variables: &[(String, String)]) -> Self {
        let mut nodes = BTreeMap::new();
        for (name, value) in variables {
            if let Some((address, node)) = driver_node(name, value, variables) {
                nodes.entry(address).or_insert(node);
            }
            if !name.starts_with(ResourceName::DEVICES_VARIABLE_PREFIX) || !name.ends_with(INFO_SUFFIX) {
                continue;
            }
            let Ok(Value::Object(devices)) = serde_json::from_str(value) else { continue };
            for (id, info) in &devices {
                let path = info.pointer("/vfio/dev-mount").and_then(Value::as_str);
                if let (Ok(address), Some(path)) = (id.parse(), path) {
                    nodes
                        .entry(address)
                        .or_insert_with(|| GivenNode { path: path.to_owned(), variable: name.clone() });
                }
            }
        }
        Self(nodes)
    }

    /// Whether the node that the pod was given for a VF no longer leads to it, and why. `None` as well if no node
    /// is known, or if the IOMMU is off, which is a problem of another kind.
    #[must_use]
    pub fn stale(&self, roots: &Roots, address: PciAddress) -> Option<Stale> {
        let given = self.0.get(&address)?;
        let now = if roots.function(address).exists() {
            let binding = roots.binding(address);
            if binding.vfio { moved(roots, address, &given.path)? } else { Now::Unbound(binding) }
        } else {
            Now::Gone
        };
        Some(Stale { address, given: given.clone(), now })
    }
}

/// The node that dra-driver-sriov names for a device, whose address is in another variable of the device.
fn driver_node(name: &str, value: &str, variables: &[(String, String)]) -> Option<(PciAddress, GivenNode)> {
    let device = name.strip_prefix(DRIVER_PREFIX)?.strip_suffix(DRIVER_NODE_SUFFIX)?;
    let of_device = |name: &str| name.strip_prefix(DRIVER_DEVICE_PREFIX) == Some(device);
    let (_, address) = variables.iter().find(|(name, _)| of_device(name))?;
    let node = GivenNode { path: value.to_owned(), variable: name.to_owned() };
    Some((address.parse().ok()?, node))
}

/// Where a VF on a VFIO driver is now, if not behind `node`. A node of an unknown form is left alone.
fn moved(roots: &Roots, address: PciAddress, node: &str) -> Option<Now> {
    let (folder, name) = node.rsplit_once('/')?;
    if folder.ends_with("/devices") {
        let device = roots.vfio_device(address)?;
        return (device != name).then_some(Now::Device(device));
    }
    let number: u32 = name.strip_prefix("noiommu-").unwrap_or(name).parse().ok()?;
    let group = roots.group(address)?.number;
    (group != number).then_some(Now::Group(group))
}

/// A VF that the pod was given, and that it can no longer reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The VF.
    pub address: PciAddress,
    /// The node that the pod has for it.
    pub given: GivenNode,
    /// What the VF is now.
    pub now: Now,
}

/// What a VF is now, compared with what the pod was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// It does not exist.
    Gone,
    /// No VFIO driver has it.
    Unbound(Binding),
    /// It is in another IOMMU group.
    Group(u32),
    /// It has another node below `/dev/vfio/devices`.
    Device(String),
}

impl Stale {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        let address = self.address;
        match &self.now {
            Now::Gone => "delete the pod; a new one gets a VF that exists".to_owned(),
            Now::Unbound(binding) => {
                format!("{}; then delete the pod", bind(address, binding.driver.is_some()))
            }
            Now::Group(_) | Now::Device(_) => "delete the pod; a new one gets the right node".to_owned(),
        }
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, given: GivenNode { path, variable }, now } = self;
        let given = format_args!("the pod was given {path} ({variable})");
        match now {
            Now::Gone => write!(
                f,
                "VF {address} no longer exists, and {given}: the node was restarted, or the VFs were \
                 created again"
            ),
            Now::Unbound(binding) => write!(
                f,
                "VF {address} is on {} now, and {given} when a VFIO driver had it: the node was restarted, or \
                 the VF was bound again",
                binding.name()
            ),
            Now::Group(number) => write!(
                f,
                "VF {address} is in IOMMU group {number} now, and {given}: the node was restarted, and the \
                 group has another number"
            ),
            Now::Device(device) => write!(
                f,
                "VF {address} is /dev/vfio/devices/{device} now, and {given}: the node was restarted, or the \
                 VF was bound again"
            ),
        }
    }
}

/// The commands that bind a function to vfio-pci on the node.
#[must_use]
pub fn bind(address: PciAddress, bound: bool) -> String {
    let unbind = match bound {
        true => format!("echo {address} > /sys/bus/pci/devices/{address}/driver/unbind; "),
        false => String::new(),
    };
    format!(
        "echo {} > /sys/bus/pci/devices/{address}/driver_override; {unbind}echo {address} > \
         /sys/bus/pci/drivers_probe",
        crate::sysfs::VFIO_DRIVER
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::group(
        "PCIDEVICE_A_B_INFO",
        r#"{"0000:01:10.0":{"vfio":{"dev-mount":"/dev/vfio/16","mount":"/dev/vfio/vfio"}}}"#,
        Some("/dev/vfio/16")
    )]
    #[case::own_node(
        "PCIDEVICE_A_B_INFO",
        r#"{"0000:01:10.0":{"vfio":{"dev-mount":"/dev/vfio/devices/vfio3"}}}"#,
        Some("/dev/vfio/devices/vfio3")
    )]
    #[case::network_driver(
        "PCIDEVICE_A_B_INFO",
        r#"{"0000:01:10.0":{"generic":{"deviceID":"0000:01:10.0"}}}"#,
        None
    )]
    #[case::other_device("PCIDEVICE_A_B_INFO", r#"{"eth0":{"vfio":{"dev-mount":"/dev/vfio/16"}}}"#, None)]
    #[case::resource_called_info("PCIDEVICE_A_B_INFO", "0000:01:10.0", None)]
    #[case::truncated("PCIDEVICE_A_B_INFO", r#"{"0000:01:10.0":{"vfio""#, None)]
    #[case::list("PCIDEVICE_A_B_INFO", "[]", None)]
    #[case::other_variable("X_INFO", r#"{"0000:01:10.0":{"vfio":{"dev-mount":"/dev/vfio/16"}}}"#, None)]
    fn nodes_of_variables(#[case] name: &str, #[case] value: &str, #[case] expected: Option<&str>) {
        let nodes = GivenNodes::read(&[(name.to_owned(), value.to_owned())]);
        let node = nodes.0.get(&"0000:01:10.0".parse().unwrap());
        assert_eq!(node.map(|node| node.path.as_str()), expected);
        assert_eq!(nodes.0.len(), usize::from(expected.is_some()));
    }

    /// The node is in one variable of a device, the address in another.
    #[rstest]
    #[case::both(&[("SRIOVNETWORK_d_1_VFIO_DEVICE", "/dev/vfio/16"), ("SRIOVNETWORK_VF_DEVICE_d_1", "0000:01:10.0")], true)]
    #[case::of_another_device(&[("SRIOVNETWORK_d_1_VFIO_DEVICE", "/dev/vfio/16"), ("SRIOVNETWORK_VF_DEVICE_d_2", "0000:01:10.0")], false)]
    #[case::no_address(&[("SRIOVNETWORK_d_1_VFIO_DEVICE", "/dev/vfio/16"), ("SRIOVNETWORK_VF_DEVICE_d_1", "eth0")], false)]
    #[case::no_node(&[("SRIOVNETWORK_VF_DEVICE_d_1", "0000:01:10.0")], false)]
    fn nodes_of_a_dra_driver(#[case] variables: &[(&str, &str)], #[case] is_known: bool) {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let node = GivenNode {
            path: "/dev/vfio/16".to_owned(),
            variable: "SRIOVNETWORK_d_1_VFIO_DEVICE".to_owned(),
        };
        let expected = is_known.then(|| ("0000:01:10.0".parse().unwrap(), node));
        assert_eq!(GivenNodes::read(&variables).0, expected.into_iter().collect());
    }
}
