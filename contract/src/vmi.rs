//! The parts of a VirtualMachineInstance (VMI) that its networks depend on. What is not named here is not
//! read, and what is named and missing is empty: a later KubeVirt may leave it out.
//!
//! Source: KubeVirt, `staging/src/kubevirt.io/api/core/v1/schema.go`, 1.9 line of 2026-08.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{NadName, NadNameError, ShortList};

/// A VMI.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Vmi {
    /// Name, namespace, annotations.
    pub metadata: Metadata,
    /// Networks and interfaces.
    pub spec: Spec,
}

/// A VMI's metadata.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// Absent where the API server is to make one up.
    pub name: Option<String>,
    /// What it makes the name from.
    pub generate_name: Option<String>,
    /// Absent in some reviews.
    pub namespace: Option<String>,
    /// `None` where the key is absent.
    pub annotations: Option<BTreeMap<String, Option<String>>>,
}

/// A VMI's specification.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The virtual machine.
    pub domain: Domain,
    /// The networks that its interfaces connect to.
    pub networks: Option<ShortList<Network>>,
    /// The resource claims that its pod holds.
    pub resource_claims: Option<ShortList<ResourceClaim>>,
}

/// A resource claim of the VMI's pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ResourceClaim {
    /// Its name in the pod.
    pub name: String,
}

/// The virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Domain {
    /// Its devices.
    pub devices: Devices,
}

/// The virtual machine's devices.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Devices {
    /// Its network interfaces, each connected to the network of its name.
    pub interfaces: Option<ShortList<Interface>>,
}

/// A network interface of the virtual machine.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Interface {
    /// Its name, and its network's.
    pub name: String,
    /// There (`sriov: {}`) where the interface is a VF.
    pub sriov: Option<IgnoredAny>,
    /// The network binding plugin that connects the interface, if one does.
    pub binding: Option<PluginBinding>,
    /// The MAC address that the guest is to see.
    pub mac_address: Option<String>,
    /// `absent` where the interface is on its way out.
    pub state: Option<String>,
}

/// A network binding plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PluginBinding {
    /// The name under which it is registered with KubeVirt.
    pub name: String,
}

/// A network that interfaces connect to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name, and its interface's.
    pub name: String,
    /// There where Multus attaches it.
    pub multus: Option<MultusNetwork>,
}

/// What Multus attaches.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MultusNetwork {
    /// `[namespace/]name` of the NAD.
    pub network_name: String,
    /// Whether it takes the place of the cluster's own network.
    pub default: bool,
}

impl MultusNetwork {
    /// The NAD's full name; a name without a namespace is in `default_namespace`: the VMI's, or for the
    /// [default](Self::default) network the one that Multus is configured with.
    ///
    /// # Errors
    /// The part that is not the DNS name it should be.
    pub fn nad(&self, default_namespace: &str) -> Result<NadName, NadNameError> {
        match self.network_name.split_once('/') {
            Some((namespace, name)) => NadName::new(namespace, name),
            None => NadName::new(default_namespace, &self.network_name),
        }
    }
}

impl Interface {
    /// Whether the interface is a VF that is to stay.
    #[must_use]
    pub fn is_sriov(&self) -> bool {
        self.sriov.is_some() && self.is_to_stay()
    }

    /// Whether the interface is connected by the binding plugin of this name and is to stay.
    #[must_use]
    pub fn is_bound_by(&self, plugin: &str) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.name == plugin) && self.is_to_stay()
    }

    fn is_to_stay(&self) -> bool {
        self.state.as_deref() != Some("absent")
    }
}
