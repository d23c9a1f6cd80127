//! Stands in for the SR-IOV network device plugin (`sriovdp`).
//!
//! Reads the same configuration, of which it knows `resourceName`, `resourcePrefix` and the selectors `drivers`
//! and `rootDevices`, and gives containers the same variables, device nodes and device-info files. Like it, it looks
//! for devices when it starts and never again: a VF that loses its driver stays on offer.

use super::device_plugin::Pool;
use super::kubelet::v1beta1::{ContainerAllocateResponse, DeviceSpec};
use anyhow::{Context as _, bail};
use contract::ResourceName;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Where device information is left for Multus.
const DEVICE_INFO: &str = "/var/run/k8s.cni.cncf.io/devinfo/dp";

/// One entry of `resourceList`.
#[derive(Debug)]
pub struct VfPool {
    resource: ResourceName,
    devices: Vec<String>,
    device_info: bool,
}

/// The pools of a configuration file. Without `device_info` Multus learns nothing about the devices, as with
/// plugins up to 3.2.
pub fn pools(configuration: &Path, device_info: bool) -> anyhow::Result<Vec<VfPool>> {
    let text = fs::read_to_string(configuration).with_context(|| configuration.display().to_string())?;
    let configuration: Value = serde_json::from_str(&text)?;
    let list = configuration["resourceList"].as_array().context("no resourceList")?;
    list.iter().map(|entry| pool(entry, device_info)).collect()
}

fn pool(entry: &Value, device_info: bool) -> anyhow::Result<VfPool> {
    let prefix = entry["resourcePrefix"].as_str().unwrap_or("intel.com");
    let name = entry["resourceName"].as_str().context("no resourceName")?;
    let selectors = match &entry["selectors"] {
        Value::Array(list) if list.len() == 1 => &list[0],
        other => bail!("{name}: one set of selectors is all this fake knows, not {other}"),
    };
    let texts = |key: &str| -> Vec<String> {
        let list = selectors[key].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let drivers = texts("drivers");
    let vfs = texts("rootDevices").into_iter().flat_map(|root| vfs_of(&root));
    Ok(VfPool {
        resource: format!("{prefix}/{name}").parse()?,
        devices: vfs.filter(|vf| drivers.contains(&driver(vf))).collect(),
        device_info,
    })
}

impl Pool for VfPool {
    fn resource(&self) -> String {
        self.resource.to_string()
    }

    fn devices(&self) -> Vec<String> {
        self.devices.clone()
    }

    fn allocate(&self, devices: &[String]) -> Result<ContainerAllocateResponse, String> {
        let mut information = json!({});
        let mut nodes = vec!["/dev/vfio/vfio".to_owned()];
        for device in devices {
            let node = format!("/dev/vfio/{}", link(device, "iommu_group"));
            information[device] = json!({
                "generic": {"deviceID": device},
                "vfio": {"dev-mount": node, "mount": "/dev/vfio/vfio"},
            });
            nodes.push(node);
            if self.device_info {
                self.write_device_info(device).map_err(|error| error.to_string())?;
            }
        }
        nodes.dedup();
        let variable = self.resource.devices_variable();
        Ok(ContainerAllocateResponse {
            envs: [
                (format!("{variable}_INFO"), information.to_string()),
                // In the kubelet's order, which means nothing.
                (variable, devices.join(",")),
            ]
            .into(),
            devices: nodes.into_iter().map(|node| device_node(&node)).collect(),
        })
    }
}

impl VfPool {
    fn write_device_info(&self, device: &str) -> std::io::Result<()> {
        fs::create_dir_all(DEVICE_INFO)?;
        let text = json!({"type": "pci", "version": "1.1.0", "pci": {"pci-address": device}});
        fs::write(device_info_file(&self.resource.to_string(), device), text.to_string())
    }
}

/// Where the device plugin leaves what it knows about a device.
#[must_use]
pub fn device_info_file(resource: &str, device: &str) -> PathBuf {
    Path::new(DEVICE_INFO).join(format!("{resource}-{device}-device.json").replace('/', "-"))
}

/// A device node that a container finds where it is outside.
#[must_use]
pub fn device_node(path: &str) -> DeviceSpec {
    let path = path.to_owned();
    DeviceSpec { container_path: path.clone(), host_path: path, permissions: "mrw".to_owned() }
}

fn vfs_of(root: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("/sys/bus/pci/devices/{root}")).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("virtfn"));
    let mut vfs: Vec<_> = links.filter_map(|entry| last_part(&entry.path())).collect();
    vfs.sort();
    vfs
}

fn driver(vf: &str) -> String {
    link(vf, "driver")
}

/// What a link in a device's folder leads to.
fn link(device: &str, name: &str) -> String {
    last_part(&Path::new("/sys/bus/pci/devices").join(device).join(name)).unwrap_or_default()
}

fn last_part(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned())
}
