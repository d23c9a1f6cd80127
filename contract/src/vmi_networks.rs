use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ClaimRequest, NadName, ResourceName};

/// What the webhook tells the helper about a VMI's networks: NAD and resource of each Multus network, as
/// the JSON object `{"NETWORK": {"nad": "namespace/name", "resource": "prefix/name", "sriov": true, "default": true}}`
/// in the VMI's annotation [`NETWORKS_OF_VMI`](crate::annotation::NETWORKS_OF_VMI).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VmiNetworks(pub BTreeMap<String, VmiNetwork>);

/// What stands behind one network of a VMI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmiNetwork {
    /// The NAD.
    pub nad: NadName,
    /// The resource that an attachment to it needs; `None` if it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceName>,
    /// The request of a resource claim that its device is from; `None` if it is not claimed. The webhook then requests
    /// no resource for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimRequest>,
    /// Whether its interface is `sriov: {}`: then KubeVirt looks for its VF in network-info.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sriov: bool,
    /// Whether it takes the place of the cluster's own network: Multus attaches it before all others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
}

impl VmiNetworks {
    /// Reads the annotation.
    ///
    /// # Errors
    /// What the JSON parser says.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The annotation's value.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Names and texts as keys and values have no way to fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parses() {
        let text = r#"{"backup":{"nad":"default/backup"},"storage":{"nad":"default/storage","resource":"intel.com/vf","sriov":true},"traffic":{"nad":"default/traffic","claim":{"kind":"resourceclaimtemplates","claim":"net","request":"vf"}},"uplink":{"nad":"default/uplink","resource":"intel.com/vf","default":true}}"#;
        assert_eq!(VmiNetworks::parse(text).unwrap().to_json(), text);
    }

    #[test]
    fn names_are_checked() {
        let message = VmiNetworks::parse(r#"{"a":{"nad":"../x"}}"#).unwrap_err().to_string();
        assert!(message.contains("must start and end") || message.contains("has the character"), "{message}");
    }
}
