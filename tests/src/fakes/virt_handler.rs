//! Stands in for KubeVirt's virt-handler as a device plugin: the nodes that every virt-launcher pod requests.

use super::device_plugin::Pool;
use super::kubelet::v1beta1::ContainerAllocateResponse;
use super::sriovdp::device_node;
use std::path::Path;

/// How many containers may have a node; KubeVirt says 1000.
const SHARES: usize = 10;

/// A device node that any number of virtual machines share.
#[derive(Debug)]
pub struct SharedNode {
    name: &'static str,
    path: &'static str,
}

/// The nodes that KubeVirt's pods request.
pub const NODES: [SharedNode; 3] = [
    SharedNode { name: "kvm", path: "/dev/kvm" },
    SharedNode { name: "tun", path: "/dev/net/tun" },
    SharedNode { name: "vhost-net", path: "/dev/vhost-net" },
];

impl Pool for SharedNode {
    fn resource(&self) -> String {
        format!("devices.kubevirt.io/{}", self.name)
    }

    fn devices(&self) -> Vec<String> {
        let count = if Path::new(self.path).exists() { SHARES } else { 0 };
        (0..count).map(|number| format!("{}{number}", self.name)).collect()
    }

    fn allocate(&self, _: &[String]) -> Result<ContainerAllocateResponse, String> {
        Ok(ContainerAllocateResponse { devices: vec![device_node(self.path)], ..Default::default() })
    }
}
