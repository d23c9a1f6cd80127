//! What KubeVirt reads as network-info, completed where its own text does not say all.
//!
//! From 1.7 on KubeVirt takes the addresses of VFs from network-info alone, before it calls any hook, and
//! network-info has none where Multus was told none. The pod's variables may settle the rest. Nothing that
//! KubeVirt wrote is changed, and nothing is added that is not settled.

pub mod filler;

use std::collections::BTreeSet;

use contract::VmiNetworks;
use contract::network_info::{DeviceInfo, NetworkInfo, PciDevice};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::define::PodTexts;
use crate::devices::{Devices, DevicesError, Reported, reported};
use crate::plan::{Assign, Assignment, Networks, Origin, PlanError, Request, plan};

/// The text for KubeVirt, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// KubeVirt's own text, which says all.
    Own(String),
    /// KubeVirt's text, if there is one, with devices added.
    Completed {
        /// The text.
        text: String,
        /// What was added: network, address, and how it is known, each as `network=address (origin)`.
        added: Vec<String>,
    },
    /// KubeVirt's text, if there is one, although devices are missing in it.
    Open {
        /// The text; nothing while KubeVirt has written none.
        text: Option<String>,
        /// What is missing, and why nothing settles it.
        reason: Unsettled,
    },
}

/// Why devices stay unknown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unsettled {
    /// Nobody has said which networks there are.
    #[error(
        "which networks of the VMI have a VF is not known: its annotation {} is not there, and KubeVirt's network-info \
         names none",
        contract::annotation::NETWORKS_OF_VMI
    )]
    Networks,
    /// The devices cannot be told apart.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The VMI's annotation.
    #[error("annotation {} cannot be read: {problem}", contract::annotation::NETWORKS_OF_VMI)]
    VmiNetworks {
        /// What the JSON parser says.
        problem: String,
    },
}

impl Unsettled {
    /// Whether waiting is unlikely to help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Plan(PlanError::Unattached { .. } | PlanError::SharedVariable { .. }))
    }
}

impl From<DevicesError> for Unsettled {
    fn from(error: DevicesError) -> Self {
        Self::Plan(error.into())
    }
}

/// Completes KubeVirt's text. `vmi_networks` is the VMI's annotation as the webhook wrote it; `rule` decides
/// where the variables leave a choice.
#[must_use]
pub fn complete(sources: &PodTexts<'_>, vmi_networks: Option<&str>, rule: Assign) -> Completion {
    let text = sources.network_info.map(str::to_owned).filter(|text| !text.trim().is_empty());
    match added(sources, vmi_networks, rule) {
        Err(reason) => Completion::Open { text, reason },
        Ok(added) if added.is_empty() => {
            text.map_or(Completion::Open { text: None, reason: Unsettled::Networks }, Completion::Own)
        }
        Ok(added) => Completion::Completed {
            text: with_devices(text.as_deref(), &added),
            added: added
                .iter()
                .map(|Assignment { network, address, origin }| format!("{network}={address} ({origin})"))
                .collect(),
        },
    }
}

/// The devices that KubeVirt's text lacks.
fn added(
    sources: &PodTexts<'_>,
    vmi_networks: Option<&str>,
    rule: Assign,
) -> Result<Vec<Assignment>, Unsettled> {
    let devices = Devices::read(sources)?;
    let vmi_networks = vmi_networks.filter(|text| !text.trim().is_empty());
    let vmi_networks = vmi_networks
        .map(VmiNetworks::parse)
        .transpose()
        .map_err(|error| Unsettled::VmiNetworks { problem: error.to_string() })?;
    let wanted = wanted(sources, vmi_networks.as_ref())?;
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let is_named = |network: &&str| matches!(devices.network_info(network), Some(Reported::Pci(_)));
    if wanted.iter().all(is_named) {
        return Ok(Vec::new());
    }
    let networks = vmi_networks.as_ref().map(Networks::from);
    let request = Request {
        networks: networks.as_ref(),
        // KubeVirt writes a namespace into each selection.
        namespace: "default",
        wanted: &wanted,
        annotation: sources.networks_annotation,
        devices: &devices,
        aliases: &Default::default(),
        rule,
    };
    // What the plan warns of it says again when the domain is defined.
    let planned = plan(&request, &mut Vec::new())?;
    Ok(planned.into_iter().filter(|one| one.origin != Origin::NetworkInfo).collect())
}

/// The networks that KubeVirt looks for: those whose interface is `sriov`, and what it lists itself without a
/// device or with a PCI function, unless the VMI's annotation knows that its interface is not.
fn wanted(sources: &PodTexts<'_>, vmi_networks: Option<&VmiNetworks>) -> Result<BTreeSet<String>, Unsettled> {
    let own = NetworkInfo::parse(sources.network_info.unwrap_or_default())
        .map_err(|error| DevicesError::NetworkInfo { problem: error.to_string() })?;
    if vmi_networks.is_none() && own.as_ref().is_none_or(|own| own.interfaces.is_empty()) {
        return Err(Unsettled::Networks);
    }
    let known = |name: &str| vmi_networks.and_then(|networks| networks.0.get(name));
    let named = vmi_networks.into_iter().flat_map(|networks| &networks.0);
    let named = named.filter(|(_, network)| network.sriov).map(|(name, _)| name.clone());
    let listed = own.unwrap_or_default().interfaces.into_iter().filter(|interface| {
        let info = interface.device_info.as_ref();
        let may_be_sriov = info.is_none() || matches!(reported(info), Some(Reported::Pci(_)));
        known(&interface.network).map_or(may_be_sriov, |network| network.sriov)
    });
    Ok(named.chain(listed.map(|interface| interface.network)).collect())
}

/// KubeVirt's text with devices entered where they are missing; everything else in it stays.
fn with_devices(text: Option<&str>, added: &[Assignment]) -> String {
    let mut info = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    if !info.is_object() {
        info = Value::Object(Map::new());
    }
    let mut interfaces = match info.get_mut("interfaces").map(Value::take) {
        Some(Value::Array(interfaces)) => interfaces,
        _ => Vec::new(),
    };
    for Assignment { network, address, .. } in added {
        let pci = Some(PciDevice { address: *address });
        let device = DeviceInfo { kind: "pci".to_owned(), version: VERSION.to_owned(), pci };
        let device = json!(device);
        match interfaces
            .iter_mut()
            .find(|interface| interface.get("network").is_some_and(|name| name == network))
        {
            Some(Value::Object(interface)) => {
                interface.insert("deviceInfo".to_owned(), device);
            }
            _ => interfaces.push(json!({"network": network, "deviceInfo": device})),
        }
    }
    // As KubeVirt sorts them.
    interfaces.sort_by(|one, other| one["network"].as_str().cmp(&other["network"].as_str()));
    if let Value::Object(info) = &mut info {
        info.insert("interfaces".to_owned(), interfaces.into());
    }
    info.to_string()
}

/// Of the device information specification.
const VERSION: &str = "1.1.0";

#[cfg(test)]
mod tests;
