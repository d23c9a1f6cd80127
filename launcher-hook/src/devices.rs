//! What the pod was given: the device plugin's variables, and what was reported about the networks.
//!
//! Nothing here decides which device belongs to which network.

use std::collections::BTreeMap;

use contract::kubevirt::RESOURCE_NAME_VARIABLE_PREFIX;
use contract::network_info::{DeviceInfo, NetworkInfo};
use contract::network_status::{self, NetworkStatus};
use contract::{
    ClaimMetadata, ClaimRequest, NadName, NetworkResources, NetworkResourcesError, PciAddress, ResourceName,
    ResourceNameError,
};
use thiserror::Error;

use crate::claims::{self, ClaimError};

/// The variable in which dra-driver-sriov names all devices that the pod has from its claims.
///
/// Source: dra-driver-sriov, `pkg/cdi`.
pub(crate) const DRIVER_POOL: &str = "SRIOVNETWORK_PCI_ADDRESSES";

/// Prefix of all variables of dra-driver-sriov.
pub(crate) const DRIVER_PREFIX: &str = "SRIOVNETWORK_";

/// Prefix of the variable with one device's address; the device's name follows, with `_` for `-`.
///
/// Source: dra-driver-sriov, `pkg/devicestate`.
pub(crate) const DRIVER_DEVICE_PREFIX: &str = "SRIOVNETWORK_VF_DEVICE_";

/// The texts that a pod has about its devices.
#[derive(Debug, Clone, Copy, Default)]
pub struct PodTexts<'a> {
    /// Environment variables: all of them, or those whose names start with `PCIDEVICE_`,
    /// `SRIOVNETWORK_`, `KUBEVIRT_RESOURCE_NAME_` and `SRIOV_NETWORK_RESOURCES`. The first of a name counts.
    pub variables: &'a [(String, String)],
    /// KubeVirt's network-info; empty until virt-controller has written it.
    pub network_info: Option<&'a str>,
    /// Multus' network-status: `None` if it is not read at all, empty until the annotation has arrived.
    pub network_status: Option<&'a str>,
    /// The pod's network selections, for their order.
    pub networks_annotation: Option<&'a str>,
    /// What the metadata files of claimed devices say.
    pub claims: &'a [ClaimMetadata],
}

/// Why a source cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DevicesError {
    /// KubeVirt's network-info.
    #[error("network-info cannot be read: {problem}")]
    NetworkInfo {
        /// What the JSON parser says.
        problem: String,
    },
    /// Multus' network-status.
    #[error("network-status cannot be read: {problem}")]
    NetworkStatus {
        /// What the JSON parser says.
        problem: String,
    },
    /// The webhook's variable.
    #[error(transparent)]
    NetworkResources(#[from] NetworkResourcesError),
    /// KubeVirt's variable, up to 1.6.
    #[error("variable {variable} {problem}")]
    ResourceName {
        /// Its name.
        variable: String,
        /// What is wrong with its value.
        problem: ResourceNameError,
    },
}

/// One device of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its ID as the device plugin spells it; Multus sorts these texts.
    pub id: String,
    /// The PCI address, where the ID is one.
    pub address: Option<PciAddress>,
}

/// What KubeVirt or Multus say about the device of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    /// It is a PCI function.
    Pci(PciAddress),
    /// It is of another kind, such as `vdpa`.
    Other(String),
}

/// What Multus says about the attachments of the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Attached {
    /// network-status is not read: nothing proves an attachment, and nothing disproves one.
    #[default]
    Unread,
    /// network-status is still empty: Multus has attached nothing yet, or the kubelet has not passed it on yet.
    Pending,
    /// Everything that Multus attached, with or without a device.
    Listed(Vec<NetworkStatus>),
}

/// What the pod was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    pools: BTreeMap<String, Vec<Device>>,
    nad_resources: Option<NetworkResources>,
    network_resources: BTreeMap<String, ResourceName>,
    network_info: BTreeMap<String, Reported>,
    claims: Vec<ClaimMetadata>,
    /// What a DRA driver's variables say of a device, by its name with `_` for `-`.
    driver_devices: BTreeMap<String, PciAddress>,
    attached: Attached,
}

impl Devices {
    /// Reads all sources.
    ///
    /// # Errors
    /// The first one that is there and not what it should be.
    pub fn read(sources: &PodTexts<'_>) -> Result<Self, DevicesError> {
        let mut devices = Self { claims: sources.claims.to_vec(), ..Self::default() };
        for (name, value) in sources.variables {
            devices.read_variable(name, value)?;
        }
        let network_info = NetworkInfo::parse(sources.network_info.unwrap_or_default());
        let network_info =
            network_info.map_err(|error| DevicesError::NetworkInfo { problem: error.to_string() })?;
        for interface in network_info.unwrap_or_default().interfaces {
            if let Some(report) = reported(interface.device_info.as_ref()) {
                devices.network_info.insert(interface.network, report);
            }
        }
        devices.attached = match sources.network_status.map(str::trim) {
            None => Attached::Unread,
            Some("") => Attached::Pending,
            Some(text) => network_status::parse(text)
                .map(Attached::Listed)
                .map_err(|error| DevicesError::NetworkStatus { problem: error.to_string() })?,
        };
        Ok(devices)
    }

    fn read_variable(&mut self, name: &str, value: &str) -> Result<(), DevicesError> {
        // Neither a device plugin nor KubeVirt writes others, and they would stand in messages.
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        if name == NetworkResources::VARIABLE {
            if self.nad_resources.is_none() && !value.trim().is_empty() {
                self.nad_resources = Some(NetworkResources::parse(value)?);
            }
        } else if let Some(network) = name.strip_prefix(RESOURCE_NAME_VARIABLE_PREFIX) {
            if !self.network_resources.contains_key(network) && !value.is_empty() {
                let resource = value
                    .parse()
                    .map_err(|problem| DevicesError::ResourceName { variable: name.to_owned(), problem })?;
                self.network_resources.insert(network.to_owned(), resource);
            }
        } else if name == DRIVER_POOL {
            self.add_to_pool(DRIVER_POOL, value);
        } else if let Some(device) = name.strip_prefix(DRIVER_DEVICE_PREFIX) {
            if let Ok(address) = value.trim().parse() {
                self.driver_devices.entry(device.to_owned()).or_insert(address);
            }
            self.add_to_pool(DRIVER_POOL, value);
        } else if name.starts_with(ResourceName::DEVICES_VARIABLE_PREFIX) && !self.pools.contains_key(name) {
            // A resource may be called `…_info` itself: what tells the two apart is that one is JSON.
            if name.ends_with("_INFO") && value.trim_start().starts_with('{') {
                return Ok(());
            }
            self.add_to_pool(name, value);
        }
        Ok(())
    }

    /// Adds the devices of a list to those of a variable, each once.
    fn add_to_pool(&mut self, variable: &str, value: &str) {
        for id in value.split(',').map(str::trim).filter(|id| !id.is_empty()) {
            let pool = self.pools.entry(variable.to_owned()).or_default();
            if !pool.iter().any(|device| device.id == id) {
                pool.push(Device { id: id.to_owned(), address: id.parse().ok() });
            }
        }
    }

    /// The device of a request of a resource claim; `None` if no metadata file is about it.
    ///
    /// # Errors
    /// A file that does not name one PCI function.
    pub fn claimed(&self, claim: &ClaimRequest) -> Result<Option<PciAddress>, ClaimError> {
        claims::device(&self.claims, claim, |device| {
            self.driver_devices.get(&device.replace('-', "_")).copied()
        })
    }

    /// The addresses in the variables of a DRA driver.
    pub fn driver_addresses(&self) -> impl Iterator<Item = PciAddress> {
        self.pool(DRIVER_POOL).iter().filter_map(|device| device.address)
    }

    /// The devices of each variable, in the variable's order, which means nothing.
    #[must_use]
    pub fn pools(&self) -> &BTreeMap<String, Vec<Device>> {
        &self.pools
    }

    /// The devices in one variable.
    #[must_use]
    pub fn pool(&self, variable: &str) -> &[Device] {
        self.pools.get(variable).map(Vec::as_slice).unwrap_or_default()
    }

    /// The addresses of all variables, in order.
    #[must_use]
    pub fn addresses(&self) -> Vec<PciAddress> {
        let mut addresses: Vec<_> =
            self.pools.values().flatten().filter_map(|device| device.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// Whether anything says which resource the networks have.
    #[must_use]
    pub fn resources_are_known(&self) -> bool {
        self.nad_resources.is_some() || !self.network_resources.is_empty()
    }

    /// Whether it is known which resource a network has, or that it has none: the webhook names the resources of
    /// all NADs of the pod, KubeVirt those of all networks.
    #[must_use]
    pub fn have_resources_of(&self, network: Option<&str>, nad: Option<&NadName>) -> bool {
        let by_nad = nad.is_some() && self.nad_resources.is_some();
        by_nad || network.is_some() && !self.network_resources.is_empty()
    }

    /// The resource of a network, by its name in the VMI or by its NAD.
    #[must_use]
    pub fn resource(&self, network: Option<&str>, nad: Option<&NadName>) -> Option<&ResourceName> {
        let by_network = network.and_then(|network| self.network_resources.get(network));
        by_network.or_else(|| self.nad_resources.as_ref()?.0.get(nad?))
    }

    /// What network-info says about the device of a network.
    #[must_use]
    pub fn network_info(&self, network: &str) -> Option<&Reported> {
        self.network_info.get(network)
    }

    /// The networks that Multus attached.
    #[must_use]
    pub fn attached(&self) -> &Attached {
        &self.attached
    }
}

/// What a report says about a device; `None` if it names neither a PCI function nor another kind.
#[must_use]
pub fn reported(info: Option<&DeviceInfo>) -> Option<Reported> {
    let info = info?;
    match info.kind.as_str() {
        "pci" => info.pci.as_ref().map(|pci| Reported::Pci(pci.address)),
        "" => None,
        kind => Some(Reported::Other(kind.to_owned())),
    }
}

#[cfg(test)]
mod tests;
