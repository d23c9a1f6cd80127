//! The annotation [`NETWORK_INFO`](crate::kubevirt::NETWORK_INFO): which device each network of the VMI has.
//!
//! Source: KubeVirt, `pkg/network/downwardapi`; the device part is the k8snetworkplumbingwg device
//! information specification 1.1.0.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{MacAddress, PciAddress};

/// The whole of the annotation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// One entry for each network that virt-controller found in the network status. Go writes an empty list
    /// as `null`.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub interfaces: Vec<NetworkInfoInterface>,
}

/// What is known of one network of the VMI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInfoInterface {
    /// Name of the network in the VMI's `spec.networks`.
    pub network: String,
    /// The device behind it, where the CNI plugin or the device plugin reported one.
    #[serde(rename = "deviceInfo", default, skip_serializing_if = "Option::is_none")]
    pub device_info: Option<DeviceInfo>,
    /// The MAC address that the attachment has; `None` if there is none, or something else in its place.
    #[serde(default, deserialize_with = "lenient_mac", skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
}

/// Device information, as far as PCI functions go; other kinds of device keep only their `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `pci`, `vdpa`, `vhost-user`, `memif`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Version of the specification, such as `1.1.0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The PCI function, where `type` is `pci`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci: Option<PciDevice>,
}

/// A PCI function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciDevice {
    /// Its address.
    #[serde(rename = "pci-address")]
    pub address: PciAddress,
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NetworkInfoInterface>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// CNI plugins write what they like here, and nothing is decided by it: no virtual machine is to stay off for it.
pub(crate) fn lenient_mac<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<MacAddress>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

impl NetworkInfo {
    /// Reads the annotation; `None` if it is empty, as it is until the pod's networks are up.
    ///
    /// # Errors
    /// What the JSON parser says.
    pub fn parse(text: &str) -> Result<Option<Self>, serde_json::Error> {
        if text.trim().is_empty() { Ok(None) } else { serde_json::from_str(text).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const KUBEVIRT: &str = r#"{"interfaces":[{"network":"sriov-net1","deviceInfo":{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:65:02.1"}},"mac":"de:ad:00:00:be:01"},{"network":"sriov-net2","deviceInfo":{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:65:02.3"}},"mac":"de:ad:00:00:be:02"}]}"#;

    #[test]
    fn prints_what_it_parses() {
        let info = NetworkInfo::parse(KUBEVIRT).unwrap().unwrap();
        assert_eq!(info.interfaces.len(), 2);
        assert_eq!(serde_json::to_string(&info).unwrap(), KUBEVIRT);
    }

    #[test]
    fn empty_is_not_yet_known() {
        assert_eq!(NetworkInfo::parse("\n").unwrap(), None);
    }

    #[test]
    fn no_interfaces_are_known_and_none() {
        assert_eq!(NetworkInfo::parse(r#"{"interfaces":null}"#).unwrap(), Some(NetworkInfo::default()));
    }

    #[test]
    fn an_interface_without_a_device_is_kept() {
        let text = r#"{"interfaces":[{"network":"a","mtu":1500},{"network":"b","deviceInfo":{"type":"vdpa","vdpa":{}}}]}"#;
        let info = NetworkInfo::parse(text).unwrap().unwrap();
        assert_eq!(info.interfaces.iter().map(|i| i.network.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(
            info.interfaces.iter().all(|i| i.device_info.as_ref().and_then(|d| d.pci.as_ref()).is_none())
        );
    }

    #[rstest]
    #[case::none(r#""none""#)]
    #[case::empty(r#""""#)]
    #[case::null("null")]
    #[case::number("7")]
    fn a_mac_that_is_none_is_passed_over(#[case] mac: &str) {
        let text = format!(r#"{{"interfaces":[{{"network":"a","mac":{mac}}}]}}"#);
        assert_eq!(NetworkInfo::parse(&text).unwrap().unwrap().interfaces[0].mac, None);
    }

    #[test]
    fn an_address_that_is_none_is_an_error_that_shows_it() {
        let text =
            r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","pci":{"pci-address":"65:02.1"}}}]}"#;
        let message = NetworkInfo::parse(text).unwrap_err().to_string();
        assert!(message.contains(r#""65:02.1" is not a PCI address"#), "{message}");
    }
}
